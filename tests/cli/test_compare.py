"""``ingot compare --per-layer``: the error of each step stands where it enters, and the picture shows it."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as xml
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest

import ingot
from ingot._kernel import kernels
from ingot.builder import lower, onnx_model
from ingot.builder.onnx_import import import_model
from ingot.builder.pipeline import PASSES, run_passes
from ingot.builder.writer import Variant, write_engine
from ingot.cli.layers import WORST, measure
from ingot.cli.picture import draw
from ingot.cli.reference import Recompute, Reference
from ingot.errors import EngineError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "quantization"))
import nets

EXAMPLES = ("digits/digits_cnn.onnx", "control/policy.onnx")


def example(name: str) -> Path:
    return Path(str(resources.files("ingot.examples") / name))


def save(model: onnx.ModelProto, folder: Path) -> Path:
    onnx.save(model, folder / "net.onnx")
    return folder / "net.onnx"


def layers(path: Path, engine: ingot.Engine, sample, which: str = "auto"):
    return measure(engine, Path("net.ingot"), Reference(path, which), sample)


@pytest.fixture
def net(tmp_path: Path):
    """A network of all kinds of layers: its file, and samples."""
    model, samples = nets.mixed(1)
    return save(model, tmp_path), samples


@pytest.mark.parametrize("name", EXAMPLES)
def test_fp32_steps_are_tensors_of_the_model(name: str) -> None:
    """All of them, in the right order of axes, whatever was fused: else they could not agree."""
    engine = ingot.build(example(name))
    sample = {i.name: np.random.default_rng(2).standard_normal(i.shape).astype(np.float32) for i in engine.inputs}
    rows = layers(example(name), engine, sample)
    assert rows and all(row.relative < 1e-5 and row.added < 1e-5 and row.precision == "fp32" for row in rows)


@pytest.mark.parametrize(("precision", "bound"), [("fp16", 2e-3), ("bf16", 2e-2)])
def test_half(precision: str, bound: float) -> None:
    engine = ingot.build(example(EXAMPLES[0]), precision=precision)
    sample = {i.name: np.random.default_rng(2).random(i.shape).astype(np.float32) for i in engine.inputs}
    rows = layers(example(EXAMPLES[0]), engine, sample)
    assert any(row.precision == precision for row in rows)
    assert all(row.relative < bound and row.added < bound for row in rows)


@pytest.mark.parametrize("which", ["onnxruntime", "onnx"])
@pytest.mark.parametrize("seed", [1, 2])
def test_fp32_of_a_net_of_all_kinds(seed: int, which: str, tmp_path: Path) -> None:
    model, samples = nets.mixed(seed)
    rows = layers(save(model, tmp_path), ingot.build(model), samples[0], which)
    known = [row for row in rows if row.tensors]
    assert len(known) >= 10 and all(row.relative < 1e-5 and row.added < 1e-5 for row in known)


def test_int8_of_a_net_of_all_kinds(net) -> None:
    path, samples = net
    engine = ingot.build(path, precision="int8", calibration=samples)
    rows = layers(path, engine, samples[0])
    known = [row for row in rows if row.relative is not None]
    assert len(known) >= 10 and max(row.relative for row in known) < 0.15
    assert max(row.added for row in known) < 0.06
    assert all(row.kernel == "strided_copy" for row in rows if row.precision == "fp32")
    # the last step gives the output, so its error is the output's
    expected = Reference(path).outputs(samples[0])
    got = engine.context().run(samples[0])
    ((name, array),) = got.items()
    error = np.linalg.norm((array - expected[name]).astype(np.float64)) / np.linalg.norm(expected[name])
    assert rows[-1].tensors == [name] and rows[-1].relative == pytest.approx(error, rel=1e-3)
    assert rows[-1].sqnr == pytest.approx(-20 * np.log10(error), abs=0.01)


def test_a_planted_error_is_found(tmp_path: Path) -> None:
    """One tensor saturates at a tenth of its range: its step adds the error, those behind it have it."""
    net = nets.Net((1, 3, 10, 10), 4)
    y = "x"
    for channels in (8, 8, 8, 8):
        y = net.op("Relu", net.conv(y, 3 if y == "x" else 8, channels))
    model = net.model(net.conv(y, 8, 5))
    path, (sample,) = save(model, tmp_path), net.samples(1)
    amax = {name: float(np.abs(array).max()) for name, array in _all_tensors(path, sample).items()}
    amax |= {f"{name}.elementwise": value for name, value in amax.items()}
    planted = "relu8"
    for name in amax:
        if name.startswith(planted):
            amax[name] /= 10
    engine = ingot.build(path, precision="int8", calibration=_Amax(amax))
    rows = layers(path, engine, sample)
    (index,) = [i for i, row in enumerate(rows) if row.tensors == [planted]]
    assert rows[index].added > 0.5 and rows[index].worst
    assert all(row.added < 0.1 for row in rows if row is not rows[index])
    assert rows[index - 1].relative < 0.05 < 0.2 < rows[index + 1].relative


class _Amax:
    """Ranges by the name of the model's tensor, whatever passes appended to it."""

    def __init__(self, amax: dict[str, float]) -> None:
        self.amax = amax

    def scale(self, name: str) -> float:
        stem = name if name in self.amax else name.partition(".")[0]
        return self.amax.get(stem, max(self.amax.values())) / 127


def _all_tensors(path: Path, sample) -> dict[str, np.ndarray]:
    names = [name for node in onnx.load(path).graph.node for name in node.output]
    return Reference(path).tensors(sample, [*names, *sample])


def test_equalised_channels_are_set_against_the_model_as_it_was(tmp_path: Path) -> None:
    from test_equalize import unbalanced

    model, samples = unbalanced()
    path = save(model, tmp_path)
    engine = ingot.build(path, precision="int8", calibration=samples, equalize=True)
    rows = layers(path, engine, samples[0])
    ledger = engine.inspect()["metadata"]["ledger"]
    scaled = [row for row, entry in zip(rows, ledger) if any("powers" in part for part in entry["results"][0])]
    assert len(scaled) >= 3 and all(row.relative < 0.05 for row in scaled)


def test_a_step_is_judged_by_what_it_read(tmp_path: Path) -> None:
    """Of two layers that read one tensor, one in int8, the one in float adds nothing."""
    net = nets.Net((1, 4, 9, 9), 5)
    x = net.op("Relu", net.conv("x", 4, 8))
    one, two = net.conv(x, 8, 6), net.conv(x, 8, 6, kernel=1)
    path, samples = save(net.model(net.op("Add", one, two)), tmp_path), net.samples(3)
    engine = ingot.build(
        path, precision="int8", calibration=samples, layer_precision={f"n_{two}": "fp32", f"n_{x}": "fp32"}
    )
    rows = layers(path, engine, samples[0])
    floats = [row for row in rows if row.kernel.startswith(("conv_f32", "image_conv_f32"))]
    assert len(floats) == 2 and all(row.added < 1e-5 for row in floats)
    assert any(row.added > 1e-3 for row in rows if row.kernel.startswith("conv_s8"))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_models_that_arrive_quantised(dtype, tmp_path: Path) -> None:
    """Against their own rounded tensors, integers as the numbers they stand for."""
    from imported import Model

    m = Model(dtype)
    q = m.stored("x", 0.02, 3 if dtype is np.int8 else 120)
    w, _ = m.weights((9, 8, 3, 3), np.int8, 0)
    y = m.op("Relu", m.op("Conv", m.real(q, 0.02, 3 if dtype is np.int8 else 120), w, pads=[1, 1, 1, 1]))
    y = m.stored(y, 0.03, -11 if dtype is np.int8 else 17)
    path = save(m.finish(m.real(y, 0.03, -11 if dtype is np.int8 else 17), (1, 8, 7, 7)), tmp_path)
    sample = {"x": np.random.default_rng(0).standard_normal((1, 8, 7, 7)).astype(np.float32)}
    rows = layers(path, ingot.build(path, precision="int8"), sample)
    assert [row.relative is not None for row in rows] == [True] * len(rows) and len(rows) >= 2
    assert all(row.relative < 2e-2 for row in rows)


def test_a_reference_computes_from_what_it_is_given(net) -> None:
    path, samples = net
    reference = Reference(path)
    exact = _all_tensors(path, samples[0])
    first = onnx.load(path).graph.node
    relu = next(node for node in first if node.op_type == "Relu")
    shifted = exact[relu.input[0]] + 1
    found = reference.recomputed(samples[0], [Recompute(relu.output[0], {relu.input[0]: shifted})])
    np.testing.assert_array_equal(found[relu.output[0]], np.maximum(shifted, 0))


class TestCommand:
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Path:
        engine = ingot.build(example(EXAMPLES[0]), precision="int8", calibration_synthetic=True)
        engine.save(tmp_path / "digits.ingot")
        return tmp_path / "digits.ingot"

    def test_table_and_json_say_the_same(self, cli, engine: Path) -> None:
        arguments = ("compare", example(EXAMPLES[0]), engine, "--per-layer")
        rows = cli(*arguments, "--json").json["layers"]
        text = cli(*arguments).out
        steps = ingot.load(engine).inspect()["programs"][0]["steps"]
        assert [(row["layer"], row["kernel"]) for row in rows] == [(step["name"], step["kernel"]) for step in steps]
        lines = [line.split() for line in text.splitlines()[2 : 2 + len(rows)]]
        for row, line in zip(rows, lines):
            assert line[:3] == [str(row["step"]), row["kernel"], row["precision"]]
            assert line[3] == f"{row['relative']:.2e}" and line[5] == f"{row['added']:.2e}"
            assert (line[6] == "*") == row["worst"]
        marked = [row["added"] for row in rows if row["worst"]]
        assert 1 <= len(marked) <= WORST and max(row["added"] for row in rows) in marked

    def test_picture(self, cli, engine: Path, tmp_path: Path) -> None:
        plot = tmp_path / "error.svg"
        result = cli("compare", example(EXAMPLES[0]), engine, "--plot", plot)
        assert (result.status, result.err) == (0, "") and "added" not in result.out
        space = "{http://www.w3.org/2000/svg}"
        root = xml.parse(plot).getroot()
        hints = [
            c.find(f"{space}title").text for c in root.iter(f"{space}circle") if c.find(f"{space}title") is not None
        ]
        steps = ingot.load(engine).inspect()["programs"][0]["steps"]
        assert len(hints) == len(steps) and all(s["kernel"] in hint for s, hint in zip(steps, hints))
        width, height = float(root.get("width")), float(root.get("height"))
        for mark in root.iter(f"{space}circle"):
            assert 0 < float(mark.get("cx")) < width and 0 < float(mark.get("cy")) < height
        cli("compare", example(EXAMPLES[0]), engine, "--plot", tmp_path / "no" / "e.svg").failed(
            2, "folder does not exist"
        )
        cli("compare", example(EXAMPLES[0]), engine, "--plot", tmp_path).failed(1, str(tmp_path), "directory")

    def test_bounds(self, cli, engine: Path) -> None:
        arguments = ("compare", example(EXAMPLES[0]), engine)
        assert cli(*arguments).status == 0  # int8 promises none
        assert cli(*arguments, "--max-error", "0.5").status == 0
        result = cli(*arguments, "--max-error", "1e-6")
        assert result.status == 1 and "TOO FAR OFF" in result.out and result.err.count("\n") == 1
        cli(*arguments, "--max-error", "-1").failed(2, "-1")

    def test_ranges_of_generated_inputs(self, cli, engine: Path) -> None:
        arguments = ("compare", example(EXAMPLES[0]), engine, "--json", "--input-range")
        name = ingot.load(engine).inputs[0].name
        small = cli(*arguments, f"{name}=0:0.01").json["outputs"][0]["largest"]
        large = cli(*arguments, f"{name}=0:100").json["outputs"][0]["largest"]
        assert large > 5 * small
        cli(*arguments, "q=0:1").failed(1, "no input is called 'q'", name)
        cli(*arguments, f"{name}=1:0").failed(2, "write NAME=LOW:HIGH")
        cli(*arguments, f"{name}=0:1", "--input-range", f"{name}=0:2").failed(2, "twice")

    def test_what_does_not_go_together(self, cli, engine: Path, net, tmp_path: Path) -> None:
        path, _ = net
        source = onnx_model.read(path)
        renamed = onnx.ModelProto()
        renamed.CopyFrom(source.proto)
        for node in renamed.graph.node:
            keep = {info.name for info in [*renamed.graph.input, *renamed.graph.output]}
            for names in (node.input, node.output):
                names[:] = [n if n in keep or (n.startswith("c") and n[1:].isdigit()) else f"{n}_" for n in names]
        ingot.build(renamed).save(tmp_path / "renamed.ingot")
        result = cli("compare", path, tmp_path / "renamed.ingot", "--per-layer")
        result.failed(1, "renamed.ingot", "is it another model's?")

        graph = import_model(source, {})
        run_passes(graph, PASSES)
        program = lower(graph, "net", [value.name for value in graph.outputs])
        abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
        (tmp_path / "bare.ingot").write_bytes(write_engine([Variant("cpu", [program])], {}, abi))
        result = cli("compare", path, tmp_path / "bare.ingot", "--per-layer")
        result.failed(1, "bare.ingot", "does not say which tensors", "build it again")


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    draw([], "empty.ingot", "nobody", tmp_path / "empty.svg")
    assert xml.parse(tmp_path / "empty.svg").getroot().get("width")


def test_a_wrong_size_is_another_models(tmp_path: Path, net) -> None:
    path, samples = net
    engine = ingot.build(path)
    model = onnx.load(path)
    pool = next(node for node in model.graph.node if node.op_type == "MaxPool")
    other = nets.Net((1, 3, 11, 9), 1)
    smaller = other.op("MaxPool", "x", kernel_shape=[3, 3], strides=[3, 3])
    other.nodes[-1].output[0] = pool.output[0]
    assert smaller
    rest = {name for node in model.graph.node for name in node.output} - {pool.output[0]}
    other.nodes += [onnx.helper.make_node("Identity", ["x"], [name]) for name in sorted(rest)]
    with pytest.raises(EngineError, match="another size"):
        layers(save(other.model(model.graph.output[0].name), tmp_path), engine, samples[0])
