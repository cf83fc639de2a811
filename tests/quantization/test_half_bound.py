"""The bound on the error of float16 and bfloat16: which layers stay in float32, on what grounds, and what is said."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import ingot
from ingot.builder import onnx_model
from ingot.builder.onnx_import import import_model
from ingot.builder.passes import half
from ingot.builder.pipeline import PASSES, run_passes
from ingot.builder.precision.alone import alone
from ingot.builder.precision.engine import Runner
from ingot.builder.precision.half import PROMISED, layers, reference
from ingot.builder.quantization.request import Request

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets

DIGITS = Path(str(resources.files("ingot.examples"))) / "digits"
HALVES = ("fp16", "bf16")


def cancelling(precision: str, seed: int = 5) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]], list[str]]:
    """Four convolutions, and the names of the two between which results have an offset that the second takes out.

    The offset is so large that storing them in ``precision`` costs more than is promised.
    """
    net = nets.Net((1, 3, 10, 10), seed)
    y, weights, biases = "x", [], []
    for channels, out in ((3, 8), (8, 8), (8, 8), (8, 4)):
        y = net.conv(y, channels, out, kernel=1)
        biases.append(net.constants[-2])
        weights.append(net.constants[-1])
        if out == 8:
            y = net.op("Relu", y)
    offset = np.float32({"fp16": 100, "bf16": 60}[precision])
    first, second = numpy_helper.to_array(biases[1]), numpy_helper.to_array(weights[2]).copy()
    second -= second.mean(axis=1, keepdims=True)
    biases[1].CopyFrom(numpy_helper.from_array(first + offset, biases[1].name))
    weights[2].CopyFrom(numpy_helper.from_array(second, weights[2].name))
    model, samples = net.model(y), net.samples(6)
    return model, samples, [node.name for node in model.graph.node if node.op_type == "Conv"][1:3]


def metadata(engine: ingot.Engine) -> dict:
    return engine.inspect()["metadata"]


def convolutions(engine: ingot.Engine) -> dict[str, dict]:
    """Their rows of the ledger, by the name of the first ONNX node in them."""
    rows = metadata(engine)["ledger"]
    return {row["layer"].split("+")[0]: row for row in rows if row["kernel"].startswith(("conv", "matmul"))}


def in_float(engine: ingot.Engine) -> set[str]:
    return {name for name, row in convolutions(engine).items() if row["got"] == "fp32"}


def worst(engine: ingot.Engine, exact: ingot.Engine, samples: list[dict[str, np.ndarray]]) -> float:
    pairs = [(nets.outputs(engine, sample)[0], nets.outputs(exact, sample)[0]) for sample in samples]
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


@pytest.mark.parametrize("data", [True, False])
@pytest.mark.parametrize("precision", HALVES)
def test_layers_that_round_badly_stay(precision: str, data: bool) -> None:
    model, samples, between = cancelling(precision)
    given = {"calibration": samples} if data else {}
    engine, exact = ingot.build(model, precision=precision, **given), ingot.build(model)
    loose = ingot.build(model, precision=precision, max_error=1.0, **given)
    assert worst(engine, exact, samples) <= PROMISED[precision] < worst(loose, exact, samples)
    assert in_float(loose) == set() and in_float(engine) <= set(between) and in_float(engine)


@pytest.mark.parametrize("precision", HALVES)
def test_what_is_said(precision: str) -> None:
    model, samples, _ = cancelling(precision)
    engine = ingot.build(model, precision=precision, calibration=samples)
    said, output = metadata(engine), engine.outputs[0].name
    kept = [row for row in convolutions(engine).values() if row["got"] == "fp32"]
    assert all(row["asked"] == precision for row in kept)
    assert all(row["why"].startswith(f"kept in fp32: in {precision} alone it costs ") for row in kept)
    assert all(f"`{output}`" in row["why"] for row in kept)
    measured = said["measured"]
    assert (measured["on"], measured["samples"]) == ("calibration data", 6)
    assert (measured["kept_out"], measured["layers"]) == (len(kept), 4)
    assert said["outputs"][0]["error"] == measured["errors"][output] < PROMISED[precision]
    assert any(line.startswith(f"{precision}: {len(kept)} of 4 layers kept in fp32, error ") for line in said["passes"])
    assert metadata(ingot.build(model, precision=precision))["measured"]["on"] == "generated inputs"


@pytest.mark.parametrize("precision", HALVES)
def test_a_model_that_holds_it_is_left_alone(precision: str) -> None:
    tried: list[str] = []
    engine = ingot.build(DIGITS / "digits_cnn.onnx", precision=precision, log=tried.append)
    assert in_float(engine) == set() and sum(line.startswith(f"{precision}: ") for line in tried) == 1
    assert metadata(engine)["measured"]["kept_out"] == 0


def test_a_tighter_bound_keeps_more() -> None:
    model, samples = nets.mixed(0)
    counts = []
    for bound in (1e-2, 4e-4, 1e-9):
        engine = ingot.build(model, precision="fp16", calibration=samples, max_error=bound)
        counts.append(metadata(engine)["measured"]["kept_out"])
        assert metadata(engine)["outputs"][0]["error"] <= bound
    assert counts[0] == 0 < counts[1] < counts[2]
    exact = ingot.build(model)
    assert all(np.array_equal(*(nets.outputs(e, s)[0] for e in (engine, exact))) for s in samples)


class TestNames:
    def test_layers_that_were_asked_for_stay_in_half(self) -> None:
        """A warning by default; an error where a bound was asked for."""
        model, samples, between = cancelling("fp16")
        asked = {f"{name}*": "fp16" for name in between}
        options = {"precision": "fp16", "calibration": samples, "layer_precision": asked}
        engine = ingot.build(model, **options)
        assert in_float(engine) == set()
        assert any(
            "warning: with all layers in fp32 but those asked for" in line for line in metadata(engine)["passes"]
        )
        with pytest.raises(ingot.BuildError, match=r"precision fp16: max_error 0.001 cannot be had: with all layers"):
            ingot.build(model, max_error=1e-3, **options)

    def test_nothing_to_measure(self) -> None:
        model, _, between = cancelling("fp16")
        named = ingot.build(model, layer_precision={f"{between[0]}*": "fp16"})
        assert metadata(named)["measured"] == {}  # who names layers decides


class TestSameBytes:
    def test_from_the_cache_without_data(self, tmp_path: Path) -> None:
        model, samples, _ = cancelling("fp16")
        options = {"precision": "fp16", "calibration_cache": tmp_path / "cache"}
        first = ingot.build(model, calibration=samples, **options)
        written = (tmp_path / "cache").read_bytes()
        again = ingot.build(model, **options)
        assert first.digest == again.digest and (tmp_path / "cache").read_bytes() == written
        assert metadata(again)["measured"]["on"] == "calibration data" and in_float(again)

    def test_generated_inputs_go_into_the_cache_of_int8(self, tmp_path: Path) -> None:
        model, samples, _ = cancelling("fp16")
        cache = tmp_path / "cache"
        ingot.build(model, precision="int8", calibration=samples, calibration_cache=cache)
        first = ingot.build(model, precision="fp16", calibration_cache=cache)
        written = cache.read_bytes()
        again = ingot.build(model, precision="fp16", calibration_cache=cache)
        assert first.digest == again.digest and cache.read_bytes() == written
        assert metadata(again)["measured"]["on"] == "generated inputs"

    def test_on_any_instruction_set(self, tmp_path: Path) -> None:
        model, _, _ = cancelling("bf16")
        onnx.save(model, tmp_path / "model.onnx")
        code = "import ingot; print(*(ingot.build('model.onnx', precision=p, max_error=1e-3).digest "
        code += "for p in ('fp16', 'bf16')))"
        digests = set()
        for isa in ("portable", ""):
            environment = os.environ | {"INGOT_ISA": isa}
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
            )
            digests.add(done.stdout)
        assert len(digests) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_error": 0.0}, "max_error 0.0: give a number above 0"),
        ({"precision": "fp32", "max_error": 0.1}, 'max_error is for precision "best", "fp16" or "bf16"'),
        ({"layer_precision": {"*": "int8"}, "max_error": 0.1}, "layers are asked for int8"),
        ({"fallback_precision": "bf16"}, 'fallback_precision is for precision "best"'),
    ],
)
def test_refusals(options: dict, message: str) -> None:
    model, samples, _ = cancelling("fp16")
    with pytest.raises(ingot.BuildError, match=message):
        ingot.build(model, **{"precision": "fp16", "calibration": samples} | options)


@pytest.mark.parametrize("precision", HALVES)
def test_alone(precision: str) -> None:
    """With all layers at once, the graph that rounds by conversions gives what the build computes."""
    model, samples = nets.mixed(1)
    graph = import_model(onnx_model.read(model), {})
    run_passes(graph, PASSES)
    request = Request(precision=precision)
    named = layers(graph, request)
    assert len(named) == 7
    plan = half.plan(graph, request)
    everything = Runner(alone(graph, plan, [node for nodes in named.values() for node in nodes]))
    stored = graph.copy()
    half.run(stored, request)
    exact, real = reference(graph), Runner(stored)
    for sample in samples:
        wanted, got, other = (np.array(runner.run(sample)[0]) for runner in (real, everything, exact))
        error = np.linalg.norm(wanted - other)
        assert error > 0 and np.linalg.norm(got - wanted) < 0.05 * error
    one = Runner(alone(graph, plan, next(iter(named.values()))))
    assert np.linalg.norm(one.run(samples[0])[0] - exact.run(samples[0])[0]) > 0
