"""Engines from Python: loading, saving, asking, refusing."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

import numpy as np
import onnx
import pytest

import ingot
from ingot._native import ffi


class TestWhatItSays:
    def test_inputs_and_outputs(self, engine: ingot.Engine) -> None:
        assert [(i.name, i.dtype, i.shape) for i in engine.inputs] == [("x", np.float32, (4, 5)), ("k", np.int64, (3,))]
        assert [(o.name, o.dtype, o.shape) for o in engine.outputs] == [
            ("p", np.float32, (4, 5)),
            ("z", np.float32, (3, 5)),
        ]
        assert engine.inputs[0].nbytes == 80 and engine.inputs[0].min_shape == (4, 5)
        with pytest.raises(AttributeError):
            engine.inputs[0].name = "other"

    def test_digest_is_the_identity_of_the_format(self, engine: ingot.Engine) -> None:
        raw = bytearray(engine.bytes)
        header = ffi.from_buffer("ingot_header *", raw)
        table_end = header.header_size + header.section_count * header.section_entry_size
        header.digest = bytes(32)
        header.table_crc32c = header.header_crc32c = 0
        assert engine.digest == hashlib.sha256(raw[:table_end]).hexdigest()

    def test_variant_isa_and_repr(self, engine: ingot.Engine) -> None:
        assert engine.variant == "cpu"
        assert engine.isa in (
            "portable",
            "avx2",
            "avxvnni",
            "avx512",
            "avx512vnni",
            "avx512bf16",
            "neon",
            "neondot",
            "neonbf16",
        )
        assert "x: float32 4x5" in repr(engine) and engine.digest[:12] in repr(engine)

    def test_inspect_tells_everything_as_json(self, engine: ingot.Engine) -> None:
        content = json.loads(json.dumps(engine.inspect()))
        assert content["digest"] == engine.digest and content["size"] == len(engine.bytes)
        assert {s["kind"] for s in content["sections"]} >= {"strings", "steps", "tensors", "constants", "metadata"}
        (program,) = content["programs"]
        assert program["inputs"][1] == {"name": "k", "dtype": "i64", "shape": [3], "min_shape": [3]}
        steps = {step["name"]: step for step in program["steps"]}
        assert steps["soft"]["inputs"][0]["name"] == "x" and steps["soft"]["inputs"][0]["storage"] == "input"
        assert steps["soft"]["kernel"] in {kernel["name"] for kernel in content["kernels"]}
        assert program["memory"]["arena"] >= program["memory"]["lower_bound"] > 0
        assert [row["got"] for row in content["metadata"]["ledger"]] == ["fp32"] * len(program["steps"])
        assert [test["mode"] for test in content["self_test"]].count(None) == 2

    def test_self_test(self, engine: ingot.Engine) -> None:
        engine.self_test()

    def test_an_engine_without_self_test_says_so(self, model: onnx.ModelProto) -> None:
        with pytest.raises(ingot.RunError) as caught:
            ingot.build(model, self_test=False).self_test()
        assert caught.value.status == "unsupported"


class TestFiles:
    def test_save_and_load(self, engine: ingot.Engine, saved: Path) -> None:
        assert saved.read_bytes() == engine.bytes
        for source in (saved, str(saved)):
            loaded = ingot.load(source, check_sha256=True)
            assert (loaded.digest, loaded.bytes, loaded.inputs) == (engine.digest, engine.bytes, engine.inputs)

    def test_save_leaves_nothing_else_and_ordinary_rights(self, saved: Path) -> None:
        assert os.listdir(saved.parent) == [saved.name]
        mask = os.umask(0)
        os.umask(mask)
        assert stat.S_IMODE(saved.stat().st_mode) == 0o666 & ~mask

    def test_save_over_the_file_it_runs_from(self, saved: Path, x: np.ndarray, k: np.ndarray) -> None:
        engine = ingot.load(saved)
        before = engine.context().run({"x": x, "k": k})
        engine.save(saved)
        after = engine.context().run({"x": x, "k": k})
        assert all((before[name] == after[name]).all() for name in before)

    def test_save_where_it_cannot(self, engine: ingot.Engine, tmp_path: Path) -> None:
        with pytest.raises(ingot.ResourceError, match="No such file") as caught:
            engine.save(tmp_path / "absent" / "small.ingot")
        assert isinstance(caught.value, OSError)
        (tmp_path / "folder.ingot").mkdir()
        with pytest.raises(ingot.ResourceError):
            engine.save(tmp_path / "folder.ingot")
        assert os.listdir(tmp_path) == ["folder.ingot"]

    def test_locked(self, saved: Path, x: np.ndarray, k: np.ndarray, expected: dict[str, np.ndarray]) -> None:
        try:
            engine = ingot.load(saved, lock=True)
        except ingot.ResourceError as error:
            # The limit of the machine (ulimit -l) may be smaller than the file: then the message says what to do.
            assert "ulimit -l" in str(error)
            return
        saved.unlink()
        np.testing.assert_allclose(engine.context().run({"x": x, "k": k})["p"], expected["p"], rtol=1e-5)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8)])
    def test_bytes_of_any_kind(self, engine: ingot.Engine, kind) -> None:
        assert ingot.load(kind(engine.bytes)).digest == engine.digest

    def test_bytes_are_copied(self, engine: ingot.Engine, x: np.ndarray, k: np.ndarray) -> None:
        raw = bytearray(engine.bytes)
        loaded = ingot.load(raw)
        raw[:] = bytes(len(raw))
        loaded.context().run({"x": x, "k": k})


class TestRefusals:
    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ingot.ResourceError, match=r"absent\.ingot: .*No such file"):
            ingot.load(tmp_path / "absent.ingot")

    def test_text_file_names_the_path_and_the_byte(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.ingot"
        path.write_text("dear diary, " * 100)
        with pytest.raises(ingot.EngineError, match=r"notes\.ingot: this is not an Ingot engine") as caught:
            ingot.load(path)
        assert (caught.value.status, caught.value.offset) == ("magic", 0)

    def test_truncated(self, engine: ingot.Engine) -> None:
        raw = engine.bytes
        for length in [0, 1, 127, 128, len(raw) // 2, len(raw) - 1]:
            with pytest.raises(ingot.EngineError):
                ingot.load(raw[:length])

    def test_one_flipped_bit(self, engine: ingot.Engine) -> None:
        for at in range(0, len(engine.bytes), 97):
            raw = bytearray(engine.bytes)
            raw[at] ^= 1
            with pytest.raises(ingot.EngineError):
                ingot.load(raw, check_sha256=True)

    def test_newer_format(self, engine: ingot.Engine) -> None:
        raw = bytearray(engine.bytes)
        raw[8] = 2
        with pytest.raises(ingot.EngineError, match=r"format 2\.0, this runtime reads 1\.x") as caught:
            ingot.load(raw)
        assert caught.value.status == "version"

    def test_a_signature_is_required(self, engine: ingot.Engine) -> None:
        with pytest.raises(ingot.EngineError, match="signature") as caught:
            ingot.load(engine.bytes, public_keys=[bytes(32)])
        assert caught.value.status == "signature"
        with pytest.raises(ingot.ArgumentError, match="32 bytes"):
            ingot.load(engine.bytes, public_keys=[b"short"])

    def test_instruction_sets(self, engine: ingot.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        assert ingot.load(engine.bytes, isa="portable").isa == "portable"
        with pytest.raises(ingot.ResourceError, match="mmx"):
            ingot.load(engine.bytes, isa="mmx")
        monkeypatch.setenv("INGOT_ISA", "portable")
        assert ingot.load(engine.bytes).isa == "portable"

    def test_same_bits(self) -> None:
        """Floating-point steps are portable, INT8 steps as fast as ever; so the results are the portable ones."""
        random = np.random.default_rng(5)
        w = random.normal(size=(8, 8, 3, 3)).astype(np.float32) / 8
        nodes = [
            onnx.helper.make_node("Conv", ["x", "w"], ["a"], name="whole", pads=[1] * 4),
            onnx.helper.make_node("Conv", ["a", "w"], ["b"], name="real", pads=[1] * 4),
            onnx.helper.make_node("Tanh", ["b"], ["y"]),
        ]
        ends = [onnx.helper.make_tensor_value_info(name, 1, [1, 8, 9, 9]) for name in "xy"]
        graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], [onnx.numpy_helper.from_array(w, "w")])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
        samples = [{"x": random.normal(size=(1, 8, 9, 9)).astype(np.float32)}]
        options = {"precision": "int8", "calibration": samples, "layer_precision": {"real": "fp32"}}
        engine = ingot.build(model, **options)
        portable, same = ingot.load(engine.bytes, isa="portable"), ingot.load(engine.bytes, same_bits=True)
        results = [e.context().run(samples[0])["y"] for e in (portable, same)]
        np.testing.assert_array_equal(*results)
        fast = ingot.build(model, precision="int8", calibration=samples)
        assert ingot.load(fast.bytes, same_bits=True).isa == fast.isa

    def test_what_is_neither_path_nor_bytes(self, saved: Path) -> None:
        for source in (3, None, [1, 2]):
            with pytest.raises(ingot.ArgumentError, match="path or bytes"):
                ingot.load(source)
        with pytest.raises(ingot.ArgumentError, match="no path"):
            ingot.load(f"{saved}\0.txt")
        with pytest.raises(ingot.ArgumentError, match="file"):
            ingot.load(saved.read_bytes(), lock=True)


class TestClosing:
    def test_a_closed_engine_refuses(self, saved: Path) -> None:
        with ingot.load(saved) as engine:
            pass
        engine.close()
        for call in (engine.context, engine.self_test, engine.inspect, lambda: engine.bytes):
            with pytest.raises(ingot.ArgumentError, match="closed"):
                call()
        assert "closed" in repr(engine)

    def test_contexts_go_on(self, saved: Path, x: np.ndarray, k: np.ndarray, expected: dict[str, np.ndarray]) -> None:
        engine = ingot.load(saved)
        context = engine.context(threads=2)
        engine.close()
        del engine
        np.testing.assert_allclose(context.run({"x": x, "k": k})["p"], expected["p"], rtol=1e-5)
        assert context.profile()[0].name
