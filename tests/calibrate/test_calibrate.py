"""Calibration of a model: what is observed, and a cache that depends on the data's content alone."""

from __future__ import annotations

import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import ingot
from ingot.builder import onnx_model
from ingot.builder.calibrate import (
    Calibration,
    DataError,
    calibrate,
    float_graph,
    model_digest,
    observable,
    observe,
)
from ingot.builder.calibrate.aliases import aliases
from ingot.builder.calibrate.cache import merge, to_tensorrt
from ingot.builder.calibrate.corrections import Corrections
from ingot.builder.calibrate.methods import NAMES
from ingot.errors import BuildError


class TestObserve:
    def test_values_are_those_of_the_model(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        graph = float_graph(onnx_model.read(model))
        before = str(graph)
        observation = observe(graph, observable(graph))
        assert str(graph) == before
        engine = ingot.build(model)
        with engine.context() as context:
            for image in images[:3]:
                found = {k: v.copy() for k, v in observation.run({"image": image}).items()}
                np.testing.assert_array_equal(found["image"], image)
                np.testing.assert_allclose(found["scores"], context.run({"image": image})["scores"], rtol=1e-4)
        assert len(found) >= 4 and "c1" not in found  # that one is inside the convolution

    def test_any_of_them_alone(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        graph = float_graph(onnx_model.read(model))
        names = observable(graph)
        every = {k: v.copy() for k, v in observe(graph, names).run({"image": images[0]}).items()}
        for name in names:
            alone = observe(graph, [name], threads=1).run({"image": images[0]})
            assert list(alone) == [name]
            np.testing.assert_array_equal(alone[name], every[name])

    def test_unknown_value(self, model: onnx.ModelProto) -> None:
        with pytest.raises(BuildError, match="'c1'"):
            observe(float_graph(onnx_model.read(model)), ["c1"])

    def test_a_copy_is_its_own(self, model: onnx.ModelProto) -> None:
        graph = float_graph(onnx_model.read(model))
        twin = graph.copy()
        assert str(twin) == str(graph)
        mine = {id(v) for n in graph.nodes for v in [*n.inputs, *n.outputs]}
        assert not mine & {id(v) for n in twin.nodes for v in [*n.inputs, *n.outputs] if v is not None}


def test_an_input_that_never_changes(model: onnx.ModelProto, images: np.ndarray) -> None:
    """Usual in first tries: zeros as samples give an engine that is right for zeros alone."""

    def said(samples: np.ndarray) -> list[str]:
        engine = ingot.build(model, precision="int8", calibration=[{"image": image} for image in samples])
        return [line for line in engine.inspect()["metadata"]["passes"] if "warning" in line]

    assert said(images) == []
    (line,) = said(np.zeros_like(images))
    assert "input image was 0 everywhere in all samples" in line


class TestTheSameBytes:
    @pytest.mark.parametrize("method", NAMES)
    def test_for_any_order_and_batching(self, model: onnx.ModelProto, images: np.ndarray, method: str) -> None:
        wanted = calibrate(model, [{"image": image} for image in images], method=method).text()
        orders = [
            [{"image": images[::-1]}],
            [{"image": images[6:, 0]}, {"image": images[:5]}, {"image": images[5, 0]}],
            ({"image": image} for image in np.roll(images, 5, axis=0)),
        ]
        for data in orders:
            assert calibrate(model, data, method=method).text() == wanted

    def test_from_files(self, model: onnx.ModelProto, images: np.ndarray, tmp_path: Path) -> None:
        wanted = calibrate(model, {"image": images}).text()
        for kind in ("npy", "npz", "mixed"):
            (tmp_path / kind).mkdir()
        for i, image in enumerate(images):
            np.save(tmp_path / "npy" / f"{i}.npy", image)
            np.savez(tmp_path / "npz" / f"{i}.npz", image=image)
        np.save(tmp_path / "mixed" / "a.npy", images[:4])
        np.savez(tmp_path / "mixed" / "b.npz", images[4:])
        np.savez_compressed(tmp_path / "all.npz", image=images[:, 0])
        for name in ("npy", "npz", "mixed", "all.npz"):
            assert calibrate(model, tmp_path / name).text() == wanted, name

    def test_minmax_of_parts_merged_is_that_of_all(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        parts = {str(i): calibrate(model, {"image": images[i::3]}, method="minmax") for i in range(3)}
        whole = calibrate(model, {"image": images}, method="minmax")
        merged = merge(parts)
        assert merged.digest_data == whole.digest_data and merged.samples == whole.samples
        assert {n: (r.low, r.high, r.amax) for n, r in merged.ranges.items()} == {
            n: (r.low, r.high, r.amax) for n, r in whole.ranges.items()
        }

    def test_not_for_other_data(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        one, other = calibrate(model, {"image": images}), calibrate(model, {"image": images[1:]})
        assert one.digest_data != other.digest_data and one.digest_model == other.digest_model
        assert one.digest_model == model_digest(onnx_model.read(model))


class TestRanges:
    def test_minmax_is_what_was_seen(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        found = calibrate(model, {"image": images}, method="minmax")
        span = found.ranges["image"]
        assert (span.low, span.high, span.amax) == (images.min(), images.max(), np.abs(images).max())
        assert any(r.low == 0 for r in found.ranges.values())  # behind the ReLU
        assert found.scale("image") == float(np.float32(span.amax / 127))

    def test_tensors_that_hold_nan_have_none(self) -> None:
        node = onnx.helper.make_node("Sqrt", ["x"], ["y"])
        info = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [4]) for n in "xy"]
        graph = onnx.helper.make_graph([node], "sqrt", info[:1], info[1:])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
        found = calibrate(model, {"x": np.array([[-1, 0, 1, 2]], np.float32)})
        assert found.skipped == {"y": "holds NaN"} and found.scale("y") is None and found.scale("x")

    def test_unknown_method(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        with pytest.raises(BuildError, match="'best' is unknown"):
            calibrate(model, {"image": images}, method="best")


def refused(model: onnx.ModelProto, data: object, *parts: str) -> None:
    with pytest.raises(DataError) as error:
        calibrate(model, data)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value), error.value


class TestBadData:
    def test_nothing(self, model: onnx.ModelProto, images: np.ndarray, tmp_path: Path) -> None:
        refused(model, [], "no samples")
        refused(model, {"image": images[:0]}, "no samples")
        refused(model, tmp_path, str(tmp_path), "no calibration data", ".npz")
        (tmp_path / "._a.npy").write_bytes(b"what some systems leave beside files")
        (tmp_path / "notes.txt").write_text("nothing")
        refused(model, tmp_path, str(tmp_path), "no calibration data", ".npz")
        refused(model, tmp_path / "nowhere", "nowhere", "no such file or folder")
        refused(model, 7, "int is no path")
        refused(model, [images], "item 0", "ndarray")

    def test_arrays(self, model: onnx.ModelProto, images: np.ndarray) -> None:
        good = {"image": images[0]}
        refused(model, [good, {"picture": images[0]}], "item 1", "'picture'", "image")
        refused(model, [good, {}], "item 1", "nothing for input 'image'")
        refused(model, [good, {"image": images[0].astype(np.float64)}], "item 1", "float32", "float64")
        refused(model, [good, {"image": images[0, :, :2]}], "1x3x8x8", "1x2x8x8")
        for value in (np.nan, np.inf):
            bad = images[:3].copy()
            bad[2, 0, 1, 2, 3] = value
            refused(model, [good, {"image": bad}], "item 1, sample 2", "'image'", "NaN" if value != value else "inf")

    def test_files(self, model: onnx.ModelProto, images: np.ndarray, tmp_path: Path) -> None:
        path = tmp_path / "a.npz"
        np.savez(path, image=images[:, :, :2])
        refused(model, path, str(path), "1x3x8x8")
        np.savez(path, image=images, more=images)
        refused(model, path, str(path), "'more'")
        path.write_bytes(path.read_bytes()[:-400])
        refused(model, path, str(path), "damaged")
        np.save(tmp_path / "b.npy", np.array([{}]), allow_pickle=True)
        refused(model, tmp_path / "b.npy", "b.npy", "damaged")
        np.savez(path, image=np.array([{"a": 1}], dtype=object))
        refused(model, path, str(path), "entry 'image' is no array of numbers")
        raw = bytearray()
        np.savez(path, image=images)
        raw += path.read_bytes()
        raw[400] ^= 1
        path.write_bytes(raw)
        refused(model, path, str(path), "entry 'image'", "damaged")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("image", b"1 2 3")
        refused(model, path, str(path), "entry 'image' is no array")
        (tmp_path / "c.txt").write_text("1 2 3")
        refused(model, tmp_path / "c.txt", "c.txt", "not a .npy")


class TestImages:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        image = pytest.importorskip("PIL.Image")
        pixels = np.random.default_rng(1).integers(0, 256, (3, 10, 16, 3), dtype=np.uint8)
        for i, array in enumerate(pixels):
            image.fromarray(array).save(tmp_path / f"{i}.png")
        return tmp_path

    def test_preprocessing(self, folder: Path) -> None:
        from PIL import Image

        from ingot.builder.calibrate.images import parse

        pixels = np.asarray(Image.open(folder / "0.png"), np.float32)
        got = parse("crop=8,scale=1/255,mean=.1:.2:.3,std=2,order=bgr")(folder / "0.png")
        wanted = (pixels[1:9, 4:12, ::-1] / 255 - np.float32([0.1, 0.2, 0.3])) / 2
        np.testing.assert_allclose(got, wanted.transpose(2, 0, 1)[np.newaxis], rtol=1e-5, atol=1e-6)
        assert parse("resize=20,layout=nhwc")(folder / "0.png").shape == (1, 20, 32, 3)
        assert parse("resize=5x7,order=grey")(folder / "0.png").shape == (1, 1, 5, 7)

    def test_a_folder(self, model: onnx.ModelProto, folder: Path) -> None:
        from ingot.builder.calibrate.images import parse

        found = calibrate(model, folder, preprocess=parse("resize=8x8,scale=1/255"))
        assert found.samples == 3 and 0.7 < found.ranges["image"].amax <= 1

    def test_refusals(self, model: onnx.ModelProto, folder: Path) -> None:
        from ingot.builder.calibrate.images import parse

        refused(model, folder, "0.png", "--calibration-preprocess")
        with pytest.raises(BuildError, match=r"0\.png: 16x10 pixels are too few"):
            parse("crop=99")(folder / "0.png")
        for bad in ("scale", "scale=1/0", "size=3", "crop=0", "order=rbg", "mean=1:2", "std=0", "crop=8,crop=9"):
            with pytest.raises(ingot.ArgumentError, match="preprocessing"):
                parse(bad)
        (folder / "1.png").write_bytes(b"\x89PNG not really")
        with pytest.raises(BuildError, match=r"1\.png"):
            calibrate(model, folder, preprocess=parse("resize=8x8"))
        np.save(folder / "x.npy", np.zeros(3))
        refused(model, folder, "both arrays and images")


class TestTensorRTNames:
    """TensorRT calls tensors as the model does; inside, some have other names."""

    def test_every_value_is_known(self, model: onnx.ModelProto) -> None:
        graph = float_graph(onnx_model.read(model))
        names = aliases(graph)
        assert {names.get(n, n) for n in observable(graph)} <= {"image", "r1", "c2", "mean", "scores"}
        assert {"image", "r1", "c2"} <= {names.get(n, n) for n in observable(graph)}

    def test_a_foreign_cache(self, model: onnx.ModelProto, images: np.ndarray, tmp_path: Path) -> None:
        found = calibrate(model, {"image": images})
        own = {found.aliases.get(name, name): name for name in found.ranges}
        lines = [f"{foreign}: {bits(found.scale(name))}\n" for foreign, name in own.items()]
        lines.append("(Unnamed Layer* 3) [Constant]_output: 3c000000\n")
        (tmp_path / "trt").write_text("TRT-8601-EntropyCalibration2\n" + "".join(lines))
        engine = ingot.build(model, precision="int8", calibration_cache=tmp_path / "trt", allow_fallback=True)
        plain = replace(found, corrections=Corrections(), kept=[])  # TensorRT knows nothing of biases
        wanted = ingot.build(model, precision="int8", calibration=plain, allow_fallback=True)
        assert engine.digest == wanted.digest
        for name in ("image", "r1", "c2"):
            assert f"\n{name}: " in to_tensorrt(found)

    def test_another_model(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        """A name that many models have does not make it one of this, nor do names that we make up."""
        for name in ("something", "image", "%conv.transpose.1"):
            (tmp_path / "trt").write_text(f"TRT-8601-EntropyCalibration2\n{name}: 3c000000\n")
            with pytest.raises(BuildError, match=r"trt:2: for another model: it has [01] of the 5 tensors"):
                ingot.build(model, precision="int8", calibration_cache=tmp_path / "trt")


def joined_and_added() -> onnx.ModelProto:
    """Convolutions, a residual, a concat of both, pooling, and values that move in between."""
    random = np.random.default_rng(5)
    constants, nodes = [], []

    def conv(x: str, name: str, out: int, channels: int) -> str:
        w = random.normal(size=(out, channels, 3, 3)).astype(np.float32) / 5
        constants.append(onnx.numpy_helper.from_array(w, f"w_{name}"))
        nodes.append(onnx.helper.make_node("Conv", [x, f"w_{name}"], [name], pads=[1, 1, 1, 1]))
        nodes.append(onnx.helper.make_node("Relu", [name], [f"{name}_relu"]))
        return f"{name}_relu"

    one = conv("image", "one", 4, 3)
    two = conv(one, "two", 4, 4)
    nodes.append(onnx.helper.make_node("Add", [one, two], ["sum"]))
    nodes.append(onnx.helper.make_node("Concat", ["sum", one], ["both"], axis=1))
    nodes.append(onnx.helper.make_node("MaxPool", ["both"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]))
    nodes.append(onnx.helper.make_node("Transpose", [conv("pool", "three", 5, 8)], ["scores"], perm=[0, 2, 1, 3]))
    info = onnx.helper.make_tensor_value_info
    ends = [info("image", 1, [1, 3, 8, 8])], [info("scores", 1, [1, 4, 5, 4])]
    graph = onnx.helper.make_graph(nodes, "joined", *ends, constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("kind", ["conv", "joined"])
def test_the_form_of_the_cache_leaves_no_trace(
    kind: str, model: onnx.ModelProto, images: np.ndarray, tmp_path: Path
) -> None:
    """From data, our cache and TensorRT's: the same bytes of the engine, metadata among them."""
    proto = model if kind == "conv" else joined_and_added()
    found = calibrate(proto, {"image": images})
    found.save(tmp_path / "own")
    (tmp_path / "trt").write_text(to_tensorrt(found))
    build = {"precision": "int8", "allow_fallback": True}
    wanted = ingot.build(proto, calibration={"image": images}, **build)
    assert sum(row["got"] == "int8" for row in wanted.inspect()["metadata"]["ledger"]) >= 3
    for name in ("own", "trt"):
        assert ingot.build(proto, calibration_cache=tmp_path / name, **build).bytes == wanted.bytes, name


def bits(scale: float) -> str:
    return struct.pack(">f", scale).hex()


def test_a_cache_for_this_model_and_no_other(model: onnx.ModelProto, images: np.ndarray, tmp_path: Path) -> None:
    found = calibrate(model, {"image": images})
    found.save(tmp_path / "c")
    assert Calibration.load(tmp_path / "c").ranges == found.ranges
    build = {"precision": "int8", "allow_fallback": True, "self_test": False}
    engine = ingot.build(model, calibration_cache=tmp_path / "c", **build)
    assert engine.digest == ingot.build(model, calibration=found, **build).digest
    other = onnx.ModelProto()
    other.CopyFrom(model)
    other.graph.name = "another"
    with pytest.raises(BuildError, match=r"c:2: for another model \("):
        ingot.build(other, calibration_cache=tmp_path / "c", **build)
    with pytest.raises(BuildError, match="the calibration:2: for another model"):
        ingot.build(other, calibration=found, **build)
    (tmp_path / "c").write_text(Calibration(found.ranges).text())
    with pytest.raises(BuildError, match=r"c:2: for another model \(unknown"):
        ingot.build(model, calibration_cache=tmp_path / "c", **build)
