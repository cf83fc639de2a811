"""Bad input: each with one clear line on stderr that names the file, the node or the byte, and exit status 1 or 2."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ingot._native import ffi
from ingot.builder.writer import crc32c


def reseal(raw: bytearray) -> bytes:
    """The bytes with every checksum made right again, the SHA-256 ones apart."""
    header = ffi.from_buffer("ingot_header *", raw)
    entries = ffi.cast("ingot_section *", ffi.cast("uint8_t *", header) + header.header_size)
    for i in range(header.section_count):
        entries[i].crc32c = crc32c(bytes(raw[entries[i].offset : entries[i].offset + entries[i].size]))
    table = bytes(ffi.buffer(entries, header.section_count * header.section_entry_size))
    header.table_crc32c = crc32c(table)
    header.header_crc32c = 0
    header.header_crc32c = crc32c(bytes(raw[: header.header_size]))
    return bytes(raw)


def section(raw: bytearray, kind: int) -> int:
    """Where a section begins."""
    header = ffi.from_buffer("ingot_header *", raw)
    entries = ffi.cast("ingot_section *", ffi.cast("uint8_t *", header) + header.header_size)
    return next(entries[i].offset for i in range(header.section_count) if entries[i].kind == kind)


class TestModels:
    """Files that cannot be built."""

    @pytest.fixture
    def build(self, cli, folder: Path):
        def run(name: str):
            result = cli("build", folder / name, "-o", folder / "out.ingot")
            assert result.status == 0 or not (folder / "out.ingot").exists()
            return result

        return run

    def test_a_missing_file(self, build) -> None:
        build("absent.onnx").failed(1, "absent.onnx: No such file or directory")

    def test_a_folder(self, build, folder: Path) -> None:
        (folder / "folder.onnx").mkdir()
        build("folder.onnx").failed(1, "folder.onnx: Is a directory")

    @pytest.mark.parametrize("content", [b"", b"# Notes\nThis is no model.\n", b"\0" * 100, b"\x89PNG\r\n"])
    def test_not_a_model(self, build, folder: Path, content: bytes) -> None:
        (folder / "notes.onnx").write_bytes(content)
        build("notes.onnx").failed(1, "notes.onnx: not an ONNX model")

    def test_a_device(self, build) -> None:
        build(Path("/dev/zero")).failed(1, "/dev/zero: a device")

    def test_a_graph_without_outputs(self, build, folder: Path, write) -> None:
        write(folder / "mute.onnx", [helper.make_node("Relu", ["x"], ["y"])])
        model = onnx.load(folder / "mute.onnx")
        del model.graph.output[:]
        (folder / "mute.onnx").write_bytes(model.SerializeToString())
        build("mute.onnx").failed(1, "mute.onnx: not an ONNX model to run (its graph has no outputs)")

    def test_a_truncated_model(self, build, folder: Path) -> None:
        whole = (folder / "good.onnx").read_bytes()
        for length in range(1, len(whole) - 1, 7):
            (folder / "half.onnx").write_bytes(whole[:length])
            build("half.onnx").failed(1, "half.onnx")

    def test_an_unsupported_operator(self, build, folder: Path, write) -> None:
        nodes = [
            helper.make_node("NonMaxSuppression", ["x", "x"], ["n"], name="nms"),
            helper.make_node("Frobnicate", ["x"], ["y"], name="frob", domain="com.example"),
        ]
        write(folder / "odd.onnx", nodes)
        build("odd.onnx").failed(1, "odd.onnx", "nms", "NonMaxSuppression", "frob", "Frobnicate")

    def test_an_open_dimension(self, build) -> None:
        build("open.onnx").failed(1, "open.onnx: the shape of x [rows, 4] is not fixed", '--profile "x=1x4"')

    def test_all_open_inputs_are_in_the_advice(self, build, folder: Path) -> None:
        model = onnx.load(folder / "open.onnx")
        model.graph.input.append(helper.make_tensor_value_info("state", TensorProto.FLOAT, [2, "batch", 128]))
        (folder / "two.onnx").write_bytes(model.SerializeToString())
        advice = ('--profile "x=1x4" --profile "state=2x1x128"', 'profiles=[{"x": [1, 4], "state": [2, 1, 128]}]')
        build("two.onnx").failed(1, "x [rows, 4]; state [2, batch, 128]", *advice)

    @pytest.mark.parametrize("again", ["s", "x"])
    def test_a_value_computed_twice(self, build, folder: Path, write, again: str) -> None:
        """Names are given once: of an input, or of another node's result, no node can make something else."""
        nodes = [helper.make_node("Neg", ["x"], ["s"]), helper.make_node("Relu", ["x"], [again], name="second")]
        write(folder / "twice.onnx", [*nodes, helper.make_node("Add", ["s", "x"], ["y"])])
        build("twice.onnx").failed(1, f"twice.onnx: node second (Relu) computes '{again}', which is there already")

    def test_a_value_nobody_computes(self, build, folder: Path, write) -> None:
        write(folder / "loose.onnx", [helper.make_node("Relu", ["ghost"], ["y"], name="relu")])
        build("loose.onnx").failed(1, "loose.onnx: node relu (Relu) reads 'ghost'")

    def test_nan_weights_are_a_warning(self, build, folder: Path, write) -> None:
        weights = numpy_helper.from_array(np.array([1, np.nan, 1, 1], np.float32), "poisoned")
        write(folder / "nan.onnx", [helper.make_node("Add", ["x", "poisoned"], ["y"])], initializers=[weights])
        result = build("nan.onnx")
        assert result.status == 0
        assert result.err.startswith("ingot build: warning:") and "poisoned holds NaN" in result.err
        assert result.err.count("\n") == 1

    @pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname", "link.bin", "folder/../../secret.bin", ""])
    def test_external_data_outside_the_folder(self, build, folder: Path, write, place: str) -> None:
        (folder.parent / "secret.bin").write_bytes(bytes(16))
        os.symlink(folder.parent / "secret.bin", folder / "link.bin")
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=place)
        write(folder / "leak.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], initializers=[tensor])
        build("leak.onnx").failed(1, "leak.onnx: tensor w", "outside the model's folder")

    def test_external_data_that_end_early(self, build, folder: Path, write) -> None:
        (folder / "short.bin").write_bytes(bytes(15))
        tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="short.bin")
        write(folder / "short.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], initializers=[tensor])
        build("short.onnx").failed(1, "short.onnx: tensor w", "1 bytes early")

    def test_a_newer_operator_set(self, build, folder: Path) -> None:
        model = onnx.load(folder / "good.onnx")
        model.opset_import[0].version = 9999
        (folder / "new.onnx").write_bytes(model.SerializeToString())
        build("new.onnx").failed(1, "new.onnx: operator set 9999 is newer")


class TestEngines:
    """Files that cannot be run: every command that opens one says the same."""

    @pytest.fixture(params=["verify", "inspect", "bench", "run"])
    def opened(self, request: pytest.FixtureRequest, cli):
        return lambda path: cli(request.param, path)

    def test_a_missing_file(self, opened, folder: Path) -> None:
        opened(folder / "absent.ingot").failed(1, "absent.ingot: open: No such file")

    def test_a_folder(self, opened, folder: Path) -> None:
        opened(folder).failed(1, str(folder))

    def test_a_text_file(self, opened, folder: Path) -> None:
        (folder / "notes.ingot").write_text("no engine " * 50)
        opened(folder / "notes.ingot").failed(1, "notes.ingot: this is not an Ingot engine (at byte 0)")

    def test_a_model(self, opened, folder: Path) -> None:
        opened(folder / "good.onnx").failed(1, "good.onnx: ")

    def test_a_truncated_engine(self, opened, engine: Path) -> None:
        raw = engine.read_bytes()
        for length in (0, 64, 128, 1000, len(raw) - 1):
            engine.write_bytes(raw[:length])
            opened(engine).failed(1, str(engine), "at byte")

    def test_an_engine_of_a_newer_format(self, opened, engine: Path) -> None:
        raw = bytearray(engine.read_bytes())
        ffi.from_buffer("ingot_header *", raw).format_major = 7
        engine.write_bytes(reseal(raw))
        opened(engine).failed(1, "format 7.0, this runtime reads 1.x", "update the runtime", "at byte 8")

    def test_an_engine_that_needs_an_unknown_feature(self, opened, engine: Path) -> None:
        raw = bytearray(engine.read_bytes())
        header = ffi.from_buffer("ingot_header *", raw)
        header.format_minor, header.required_features = 3, 1 << 40
        engine.write_bytes(reseal(raw))
        opened(engine).failed(1, "features 0x10000000000", "update the runtime")

    def test_a_kernel_this_runtime_lacks(self, opened, engine: Path) -> None:
        raw = bytearray(engine.read_bytes())
        place = raw.index(b"softmax_f32")
        raw[place : place + 11] = b"hardmax_q99"
        engine.write_bytes(reseal(raw))
        opened(engine).failed(1, str(engine))

    def test_a_cuda_engine_where_there_is_no_cuda(self, cli) -> None:
        engine = Path(__file__).parents[1] / "runtime_c" / "cuda" / "branches.ingot"
        assert "this machine cannot run it" in cli("inspect", engine).out
        assert "OK" in cli("verify", engine).out
        cli("run", engine).failed(1, str(engine), "CUDA")
