"""``precision="best"``: what is kept out of int8, on what grounds, and what is said about it."""

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
from ingot.builder.calibrate import calibrate
from ingot.builder.calibrate.cache import to_tensorrt

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets

DIGITS = Path(str(resources.files("ingot.examples"))) / "digits"


def outlier(seed: int = 3) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    """Four convolutions. The second, ``n_conv6``, reads a channel 3000 times as large as the others."""
    net = nets.Net((1, 3, 10, 10), seed)
    convs = []
    y = "x"
    for channels, out in ((3, 8), (8, 8), (8, 8), (8, 4)):
        y = net.op("Relu", net.conv(y, channels, out)) if out == 8 else net.conv(y, channels, out)
        convs.append([t for t in net.constants if len(t.dims) == 4][-1])
    first, second = (numpy_helper.to_array(t).copy() for t in convs[:2])
    bias = next(t for t in net.constants if len(t.dims) == 1)
    first[0] *= 3000
    second[:, 0] /= 3000
    values = numpy_helper.to_array(bias).copy()
    values[0] *= 3000
    for tensor, array in ((convs[0], first), (convs[1], second), (bias, values)):
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return net.model(y), net.samples(8)


def channels_last(model: onnx.ModelProto) -> None:
    """The output becomes ``rows``, [1, 10, 10, 4]: a row of scores for each pixel."""
    last = model.graph.node[-1].output[0]
    model.graph.node.append(onnx.helper.make_node("Transpose", [last], ["rows"], perm=[0, 2, 3, 1]))
    model.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("rows", 1, None))


def metadata(engine: ingot.Engine) -> dict:
    return engine.inspect()["metadata"]


def layers_in_float(engine: ingot.Engine) -> list[str]:
    """Convolutions and products of float, by the first ONNX node they do the work of."""
    rows = metadata(engine)["ledger"]
    return [
        row["layer"].split("+")[0] for row in rows if row["kernel"][:4] in ("conv", "matm") and row["got"] != "int8"
    ]


def relative(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


@pytest.fixture(scope="module")
def digits() -> tuple[list[dict[str, np.ndarray]], np.ndarray]:
    with np.load(DIGITS / "digits_test.npz") as data:
        images, labels = data["images"], data["labels"]
    return [{"image": image[None, None].astype(np.float32) / 16} for image in images[:200]], labels[:200]


class TestError:
    def test_the_layer_that_quantises_badly_stays_out(self) -> None:
        model, samples = outlier()
        engine = ingot.build(model, precision="best", calibration=samples, calibration_method="minmax")
        (name,) = layers_in_float(engine)
        convs = [node.name for node in model.graph.node if node.op_type == "Conv"]
        assert name == convs[1]
        plain = ingot.build(model, precision="int8", calibration=samples, calibration_method="minmax")
        exact = ingot.build(model)
        errors = [
            relative(*(np.concatenate([nets.outputs(e, s)[0] for s in samples]) for e in (one, exact)))
            for one in (engine, plain)
        ]
        assert errors[0] <= 0.05 < errors[1]

    def test_what_is_said(self) -> None:
        model, samples = outlier()
        engine = ingot.build(model, precision="best", calibration=samples, calibration_method="minmax")
        said = metadata(engine)
        row = next(row for row in said["ledger"] if row["got"] == "fp32" and row["kernel"].startswith("conv"))
        output = engine.outputs[0].name
        assert row["asked"] == "best" and not row["exact_across_targets"]
        assert row["why"].startswith("kept in fp32 by best: alone it costs ") and f"`{output}`" in row["why"]
        others = [row for row in said["ledger"] if row["got"] == "int8" and row["kernel"].startswith("conv")]
        assert len(others) == 3 and not any("why" in row for row in others)
        assert row["sqnr_db"] < min(other["sqnr_db"] for other in others)
        assert all(len(other["weight_scales"]) == 2 and other["input_scales"] for other in others)
        (said_of_output,) = said["outputs"]
        assert said_of_output["output"] == output and not said_of_output["exact_across_targets"]
        assert 0 < said_of_output["error"] <= 0.05
        measured = said["measured"]
        assert (measured["on"], measured["samples"]) == ("calibration data", 8)
        assert (measured["kept_out"], measured["layers"]) == (1, 4)

    def test_all_in_int8_where_that_is_good_enough(self) -> None:
        model, samples = nets.mixed(0)
        best = ingot.build(model, precision="best", calibration=samples, max_error=1.0)
        assert layers_in_float(best) == []
        assert metadata(best)["outputs"][0]["exact_across_targets"] is True

    def test_a_tighter_bound_keeps_more_out(self) -> None:
        model, samples = nets.mixed(0)
        loose, tight = (ingot.build(model, precision="best", calibration=samples, max_error=e) for e in (0.03, 0.002))
        assert len(layers_in_float(loose)) < len(layers_in_float(tight))
        assert metadata(tight)["outputs"][0]["error"] <= 0.002

    def test_out_of_reach(self) -> None:
        model, samples = outlier()
        bad = [node.name for node in model.graph.node if node.op_type == "Conv"][1]
        with pytest.raises(ingot.BuildError, match=r"max_error 0.01 cannot be had: the best .* an error of 0\.\d+ "):
            ingot.build(
                model, precision="best", calibration=samples, max_error=0.01, layer_precision={f"{bad}*": "int8"}
            )

    def test_layers_that_were_asked_for_are_not_chosen(self) -> None:
        model, samples = outlier()
        first = next(node.name for node in model.graph.node if node.op_type == "Conv")
        engine = ingot.build(model, precision="best", calibration=samples, layer_precision={f"{first}*": "fp32"})
        row = next(row for row in metadata(engine)["ledger"] if first in row["layer"] and "conv" in row["kernel"])
        assert row["asked"] == row["got"] == "fp32" and "why" not in row

    def test_synthetic(self) -> None:
        model, _ = outlier()
        engine = ingot.build(model, precision="best", calibration_synthetic=True)
        assert metadata(engine)["measured"]["on"] == "generated inputs"


class TestAccuracy:
    def test_no_point_is_lost(self, digits) -> None:
        samples, labels = digits
        engine = ingot.build(
            DIGITS / "digits_cnn.onnx", precision="best", calibration=samples, labels=labels, max_accuracy_drop=0
        )
        assert metadata(engine)["measured"]["accuracy_drop"] <= 0
        exact = ingot.build(DIGITS / "digits_cnn.onnx")
        right = [sum(nets.outputs(e, s)[0].argmax() == y for s, y in zip(samples, labels)) for e in (engine, exact)]
        assert right[0] >= right[1]

    def test_a_bad_layer_costs_points(self) -> None:
        """The float model is right by construction; with the outlier in int8 it is not."""
        model, samples = outlier()
        exact = ingot.build(model)
        labels = np.stack([nets.outputs(exact, s)[0][0].transpose(1, 2, 0) for s in samples])
        channels_last(model)
        options = {"calibration": samples, "calibration_method": "minmax", "labels": labels.argmax(-1)}
        engine = ingot.build(model, precision="best", max_accuracy_drop=3, **options)
        assert len(layers_in_float(engine)) == 1
        both = ingot.build(model, precision="best", max_accuracy_drop=100, max_error=0.01, **options)
        assert metadata(both)["outputs"][0]["error"] <= 0.01

    def test_labels_beside_the_inputs(self, digits) -> None:
        samples, labels = digits
        stacked = {"image": np.stack([s["image"] for s in samples])}
        options = {"precision": "best", "max_accuracy_drop": 1}
        model = DIGITS / "digits_cnn.onnx"
        one = ingot.build(model, calibration=[stacked | {"labels": labels}], **options)
        other = ingot.build(model, calibration=stacked, labels=labels, **options)
        assert one.digest == other.digest

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            (None, "no label: max_accuracy_drop needs one for each sample"),
            (np.zeros(7, np.int64), "7 labels for 8 calibration samples"),
            (np.zeros(8), "labels: holds float64: give whole numbers"),
            (np.full(8, -1), "holds -1: classes are counted from 0"),
            (np.zeros(8, np.int64), "one label a sample one output should hold a row of scores"),
            (np.full((8, 10, 10), 9), "class 9, and output 'rows' has 4 classes, 0 to 3"),
        ],
    )
    def test_labels_that_do_not_fit(self, labels: np.ndarray | None, message: str) -> None:
        model, samples = outlier()
        channels_last(model)
        with pytest.raises(ingot.BuildError, match=message):
            ingot.build(model, precision="best", calibration=samples, labels=labels, max_accuracy_drop=1)


class TestSameBytes:
    def test_from_the_cache_without_data(self, tmp_path: Path) -> None:
        model, samples = outlier()
        cache = tmp_path / "cache"
        first = ingot.build(model, precision="best", calibration=samples, calibration_cache=cache)
        written = cache.read_bytes()
        again = ingot.build(model, precision="best", calibration_cache=cache)
        assert first.digest == again.digest and cache.read_bytes() == written
        with pytest.raises(ingot.BuildError, match="errors are measured on samples"):
            ingot.build(model, precision="best", calibration_cache=cache, max_error=0.001)
        with pytest.raises(ingot.BuildError, match="errors are measured on samples"):
            ingot.build(model, precision="best", calibration_cache=cache, bias_correction=False)

    def test_in_any_order(self) -> None:
        model, samples = outlier()
        stacked = {"x": np.stack([s["x"] for s in samples[::-1]])}
        digests = {ingot.build(model, precision="best", calibration=d).digest for d in (samples, [stacked])}
        assert len(digests) == 1

    def test_from_the_cache_of_tensorrt(self, tmp_path: Path) -> None:
        """What is measured depends on scales and samples, not on where the scales come from."""
        model, samples = nets.mixed(0)
        found = calibrate(model, samples)
        found.save(tmp_path / "ingot")
        (tmp_path / "tensorrt").write_text(to_tensorrt(found))
        caches = [tmp_path / "ingot", tmp_path / "tensorrt"]
        plain = {ingot.build(model, precision="int8", calibration_cache=c).digest for c in caches}
        plain.add(ingot.build(model, precision="int8", calibration=samples).digest)
        assert len(plain) == 1
        options = {"precision": "best", "calibration": samples, "max_error": 0.01}
        assert len({ingot.build(model, calibration_cache=c, **options).digest for c in caches}) == 1

    def test_on_any_instruction_set(self, tmp_path: Path) -> None:
        model, samples = outlier()
        calibrate(model, samples).save(tmp_path / "cache")
        onnx.save(model, tmp_path / "model.onnx")
        np.savez(tmp_path / "data.npz", x=np.stack([s["x"] for s in samples]))
        code = "import ingot; print(ingot.build('model.onnx', precision='best', calibration='data.npz', "
        code += "calibration_cache='cache', max_error=0.01).digest)"
        digests = set()
        for isa in ("portable", ""):
            (tmp_path / "cache").write_text(calibrate(model, samples).text())
            environment = os.environ | {"INGOT_ISA": isa}
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
            )
            digests.add(done.stdout)
        assert len(digests) == 1


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"precision": "int8", "max_error": 0.1}, 'max_error is for precision "best", "fp16" or "bf16"'),
            ({"precision": "int8", "fallback_precision": "fp16"}, 'fallback_precision is for precision "best"'),
            ({"fallback_precision": "int8"}, "fallback precision 'int8': there is fp32, fp16, bf16"),
            ({"precision": "int8", "labels": [1]}, 'labels is for precision "best"'),
            ({"max_error": 0.0}, "max_error 0.0: give a number above 0"),
            ({"max_error": float("nan")}, "max_error nan"),
            ({"max_accuracy_drop": -1}, "max_accuracy_drop -1: give points"),
            ({"labels": [1, 2]}, "labels are for max_accuracy_drop"),
            ({"max_accuracy_drop": 1, "calibration": None, "calibration_synthetic": True}, "labelled samples"),
            ({"calibration": {"x": 1.0}}, "errors are measured on samples"),
            ({"calibration": None}, "needs ranges"),
        ],
    )
    def test_options(self, options: dict, message: str) -> None:
        model, samples = outlier()
        with pytest.raises(ingot.BuildError, match=message):
            ingot.build(model, **{"precision": "best", "calibration": samples} | options)


@pytest.mark.parametrize("fallback", ["fp16", "bf16"])
class TestFallback:
    def test_layers_out_of_int8_are_in_half(self, fallback: str) -> None:
        model, samples = outlier()
        options = {"precision": "best", "calibration": samples, "calibration_method": "minmax"}
        engine = ingot.build(model, fallback_precision=fallback, **options)
        convs = [row for row in metadata(engine)["ledger"] if row["kernel"].startswith("conv")]
        kept = [row for row in convs if row["got"] != "int8"]
        assert [row["got"] for row in kept] == [fallback] and len(convs) == 4
        assert kept[0]["why"].startswith(f"kept in {fallback} by best: alone it costs ")
        assert f"_{'f16' if fallback == 'fp16' else fallback}_" in kept[0]["kernel"]
        assert metadata(engine)["outputs"][0]["error"] <= 0.05
        plain = ingot.build(model, **options)
        sizes = [metadata(e)["memory"]["constants"] for e in (engine, plain)]
        assert sizes[0] < sizes[1]
        exact = ingot.build(model)
        pairs = ([np.concatenate([nets.outputs(e, s)[0] for s in samples]) for e in (engine, exact)],)
        assert all(relative(*pair) <= 0.05 for pair in pairs)

    def test_from_the_cache(self, fallback: str, tmp_path: Path) -> None:
        model, samples = outlier()
        options = {"precision": "best", "fallback_precision": fallback, "calibration_cache": tmp_path / "cache"}
        first = ingot.build(model, calibration=samples, **options)
        assert ingot.build(model, **options).digest == first.digest

    def test_a_bound_that_half_cannot_hold(self, fallback: str) -> None:
        model, samples = outlier()
        with pytest.raises(ingot.BuildError, match="max_error 1e-06 cannot be had"):
            ingot.build(model, precision="best", calibration=samples, fallback_precision=fallback, max_error=1e-6)
