"""Every command does what its help says."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import ingot
from ingot.cli import COMMANDS, make_parser
from ingot.cli.common import Progress, UsageError, size_text, table, time_text
from ingot.cli.compare import difference


class TestAll:
    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_with_an_example(self, cli, command: str) -> None:
        result = cli(command, "--help")
        assert result.status == 0 and f"example:\n  ingot {command}" in result.out

    @pytest.mark.parametrize("command", COMMANDS)
    def test_the_example_is_good_usage(self, command: str) -> None:
        example = importlib.import_module(f"ingot.cli.{command}").EXAMPLE
        make_parser().parse_args(shlex.split(example)[1:])

    def test_bad_usage(self, cli, folder: Path) -> None:
        cli().failed(2, "COMMAND", "ingot --help")
        cli("fly").failed(2, "'fly'")
        cli("build", folder / "good.onnx").failed(2, "ingot build:", "-o")
        cli("build", folder / "good.onnx", "-o", "x", "--precision", "int4").failed(2, "int4")
        cli("build", folder / "good.onnx", "-o", "x", "--calibration", "x").failed(2, "--calibration")
        cli("bench", "x", "--threads", "0").failed(2, "0 is not from 1 to 64")
        cli("bench", "x", "--iterations", "many").failed(2, "'many' is no whole number")
        cli("demo", "--seconds", "1").failed(2, "5 to 600")

    def test_version(self, cli) -> None:
        assert cli("--version").out == f"ingot {ingot.__version__}\n"

    def test_as_a_module_and_into_a_closed_pipe(self, engine: Path) -> None:
        command = [sys.executable, "-m", "ingot", "inspect", str(engine), "--json"]
        assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"{")
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, b"")

    def test_debug_shows_the_traceback(self, cli, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("INGOT_DEBUG", "1")
        with pytest.raises(ingot.ResourceError):
            cli("verify", "/nowhere/engine.ingot")


class TestBuild:
    def test_text(self, cli, folder: Path) -> None:
        result = cli("build", folder / "good.onnx", "-o", folder / "out.ingot")
        assert (result.status, result.err) == (0, "")
        assert ingot.load(folder / "out.ingot").digest in result.out

    def test_json(self, cli, folder: Path) -> None:
        result = cli("build", folder / "open.onnx", "-o", folder / "out.ingot", "--profile", "x=3x4", "--json")
        assert result.err == ""
        assert result.json["inputs"] == [{"name": "x", "dtype": "f32", "shape": [3, 4], "min_shape": [3, 4]}]
        assert result.json["digest"] == ingot.load(folder / "out.ingot").digest

    def test_dump(self, cli, folder: Path) -> None:
        arguments = ("build", folder / "good.onnx", "-o", folder / "out.ingot", "--dump-after", "dce")
        assert "# after dce\ngraph" in cli(*arguments).out
        result = cli(*arguments, "--json")
        assert "# after dce\ngraph" in result.err and result.json["steps"] >= 1

    def test_wrong_options(self, cli, folder: Path) -> None:
        def build(*options: str):
            return cli("build", folder / "good.onnx", "-o", folder / "out.ingot", *options)

        build("--profile", "x").failed(2, "write NAME=SHAPE")
        build("--profile", "x=axb").failed(2, "'axb' is no shape")
        build("--profile", "x=1x4:2x4:8x4").failed(2, "ranges of shapes are not supported")
        build("--profile", "x=2x4", "--profile", "x=2x4").failed(2, "twice")
        build("--dump-after", "magic").failed(2, "no such pass", "canonicalize")
        build("--target", "toaster").failed(1, "toaster", "cpu-x86-64-v4")
        build("--profile", "q=2x4").failed(1, "no input is called 'q'")
        build("--profile", "x=3x4").failed(1, "input x has shape 2x4, the profile says 3x4")
        cli("build", folder / "good.onnx", "-o", folder / "no" / "out.ingot").failed(2, "folder does not exist")


class TestBuildFromPython:
    def test_profiles(self, folder: Path) -> None:
        def refused(profiles: object, words: str) -> None:
            with pytest.raises(ingot.BuildError, match=words):
                ingot.build(folder / "open.onnx", profiles=profiles)

        refused({"x": (2, 4)}, "a list of mappings")
        refused([(2, 4)], "a list of mappings")
        refused([{"x": ((1, 4), (2, 4), (8, 4))}], "profile of x: .* ranges of shapes are not supported yet")
        refused([], "0 profiles")
        assert ingot.build(folder / "open.onnx", profiles=[{"x": np.array([2, 4])}]).inputs[0].shape == (2, 4)

    def test_names_and_types(self, folder: Path) -> None:
        with pytest.raises(ingot.BuildError, match="no input is called 'q'; inputs: x"):
            ingot.build(folder / "good.onnx", constants={"q": np.zeros(4, np.float32)})
        with pytest.raises(ingot.BuildError, match="a model is a path, bytes or a ModelProto, not int"):
            ingot.build(5)


class TestRun:
    def test_summary(self, cli, engine: Path, folder: Path) -> None:
        result = cli("run", engine, "--input", f"x={folder / 'x.npy'}")
        assert result.status == 0 and "float32" in result.out and "0.25" in result.out

    @pytest.mark.parametrize("options", [(), ("--threads", "2"), ("--isa", "portable")])
    def test_files(self, cli, engine: Path, folder: Path, options: tuple[str, ...]) -> None:
        out = folder / "deep" / "out"
        result = cli("run", engine, "--input", f"x={folder / 'x.npy'}", "--output-dir", out, "--json", *options)
        x = np.load(folder / "x.npy") + np.arange(4, dtype=np.float32)
        expected = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
        np.testing.assert_allclose(np.load(out / "y.npy"), expected, rtol=1e-5)
        assert result.json["outputs"][0]["file"] == str(out / "y.npy")

    def test_wrong_inputs(self, cli, engine: Path, folder: Path) -> None:
        for name, array in {"shape": np.zeros((4, 2), np.float32), "double": np.zeros((2, 4))}.items():
            np.save(folder / f"{name}.npy", array)
        np.savez(folder / "many.npz", x=np.zeros((2, 4), np.float32))
        (folder / "pickle.npy").write_bytes(b"not an array")

        def run(*inputs: str):
            return cli("run", engine, *(word for i in inputs for word in ("--input", i)))

        run().failed(1, "missing: input x: float32 2x4")
        run(f"q={folder / 'x.npy'}").failed(1, "no input is called 'q'; inputs: x")
        run(f"x={folder / 'shape.npy'}").failed(1, "input 'x': wanted float32 2x4, got float32 4x2")
        run(f"x={folder / 'double.npy'}").failed(1, "input 'x': wanted float32 2x4, got float64 2x4")
        run(f"x={folder / 'absent.npy'}").failed(1, "absent.npy: No such file or directory")
        run(f"x={folder / 'many.npz'}").failed(1, "many.npz", ".npz archive")
        run(f"x={folder / 'pickle.npy'}").failed(1, "pickle.npy: not a .npy file")
        run("x").failed(2, "write NAME=FILE.npy")
        run(f"x={folder / 'x.npy'}", f"x={folder / 'x.npy'}").failed(2, "--input x is given twice")


class TestBench:
    def test_text(self, cli, engine: Path) -> None:
        result = cli("bench", engine, "--iterations", "20", "--profile-steps")
        assert result.status == 0 and "p99.9" in result.out and "soft" in result.out

    def test_json(self, cli, engine: Path) -> None:
        found = cli("bench", engine, "--iterations", "20", "--threads", "2", "--profile-steps", "--json").json
        times = found["nanoseconds"]
        assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["p99.9"] <= times["max"]
        assert (found["iterations"], found["threads"], found["warmup"]) == (20, 2, 10)
        assert {"name", "kernel", "nanoseconds"} == set(found["steps"][0])

    def test_the_number_of_runs_is_chosen(self, cli, engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ingot.cli.bench.SECONDS", 0.01)
        assert cli("bench", engine, "--json").json["iterations"] >= 20


class TestInspect:
    def test_text(self, cli, engine: Path) -> None:
        result = cli("inspect", engine)
        for part in (
            "format 1.0",
            "variant cpu",
            "x  f32  2x4",
            "lower bound",
            "soft",
            "precision:",
            "self-test: 1 output",
        ):
            assert part in result.out

    def test_json_is_what_python_says(self, cli, engine: Path) -> None:
        assert cli("inspect", engine, "--json").json == {"engine": str(engine), **ingot.load(engine).inspect()}


class TestCompare:
    @pytest.mark.parametrize("reference", ["auto", "onnx", "onnxruntime"])
    def test_agreement(self, cli, engine: Path, folder: Path, reference: str) -> None:
        if reference == "onnxruntime":
            pytest.importorskip("onnxruntime")
        result = cli("compare", folder / "good.onnx", engine, "--reference", reference, "--json")
        (row,) = result.json["outputs"]
        assert result.status == 0 and row["ok"] and row["relative"] < 1e-6

    def test_given_inputs_and_text(self, cli, engine: Path, folder: Path) -> None:
        result = cli("compare", folder / "good.onnx", engine, "--input", f"x={folder / 'x.npy'}")
        assert result.status == 0 and result.out.rstrip().endswith("ok")

    def test_another_model(self, cli, engine: Path, folder: Path, write) -> None:
        write(folder / "other.onnx", [helper.make_node("Relu", ["x"], ["y"])])
        result = cli("compare", folder / "other.onnx", engine)
        assert result.status == 1 and "TOO FAR OFF" in result.out
        assert result.err == f"ingot compare: {engine}: further off than allowed: y\n"

    @pytest.mark.parametrize("reference", ["onnx", "onnxruntime"])
    def test_a_model_with_other_inputs(self, cli, engine: Path, folder: Path, reference: str) -> None:
        if reference == "onnxruntime":
            pytest.importorskip("onnxruntime")
        model = onnx.load(folder / "good.onnx")
        model.graph.input[0].name = model.graph.node[0].input[0] = "image"
        onnx.save(model, folder / "renamed.onnx")
        result = cli("compare", folder / "renamed.onnx", engine, "--reference", reference)
        result.failed(1, "renamed.onnx: the engine has no input 'image': is it another model's?")

    def test_what_is_missing(self, cli, engine: Path, folder: Path) -> None:
        cli("compare", folder / "absent.onnx", engine).failed(1, "absent.onnx: No such file")
        cli("compare", folder / "good.onnx", folder / "absent").failed(1, "absent")
        cli("compare", folder / "x.npy", engine).failed(1, "x.npy")

    def test_figures(self) -> None:
        b = np.array([3.0, 4.0, np.inf, np.nan], np.float32)
        assert difference(b, b)["ok"]
        off = difference(b + np.array([0, 0.5, 0, 0], np.float32), b)
        assert (off["relative"], off["max_abs"], off["ok"]) == (0.1, 0.5, False)
        for wrong in (np.nan, np.inf, -np.inf):
            assert not difference(np.array([3, wrong, np.inf, np.nan], np.float32), b)["ok"]
        assert not difference(np.array([3, 4, -np.inf, np.nan], np.float32), b)["ok"]
        assert not difference(b[:2], b)["ok"]
        integers = np.arange(2000)
        assert difference(np.where(integers < 2, 9, integers), integers)["ok"]
        assert not difference(np.where(integers < 20, 90, integers), integers)["ok"]
        assert difference(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))["ok"]


class TestVerify:
    def test_ok(self, cli, engine: Path) -> None:
        digest = ingot.load(engine).digest
        assert cli("verify", engine).out == f"{engine}: OK, SHA-256 {digest}\n"
        assert cli("verify", engine, "--self-test").out.endswith(f"{digest}, self-test passed\n")
        found = cli("verify", engine, "--self-test", "--json").json
        assert found == {"engine": str(engine), "ok": True, "digest": digest, "self_test": "passed"}

    def test_damage(self, cli, engine: Path) -> None:
        raw = bytearray(engine.read_bytes())
        raw[-1] ^= 1
        engine.write_bytes(raw)
        cli("verify", engine).failed(1, str(engine), "section metadata is damaged", "at byte")
        result = cli("verify", engine, "--json")
        assert result.status == 1 and result.err.count("\n") == 1
        assert result.json["ok"] is False and result.json["status"] == "checksum" and result.json["offset"] > 0

    def test_damage_of_the_identity_alone(self, cli, engine: Path) -> None:
        """Only SHA-256 sees it: verify must."""
        from ingot._native import ffi
        from ingot.builder.writer import crc32c

        raw = bytearray(engine.read_bytes())
        header = ffi.from_buffer("ingot_header *", raw)
        header.digest[0] ^= 1
        header.header_crc32c = 0
        header.header_crc32c = crc32c(bytes(raw[:128]))
        engine.write_bytes(raw)
        assert cli("inspect", engine).status == 0
        cli("verify", engine).failed(1, "SHA-256")


class TestTheRest:
    def test_targets(self, cli) -> None:
        assert "cpu-x86-64-v4" in cli("targets").out
        assert {"cpu", "cpu-aarch64"} <= {t["name"] for t in cli("targets", "--json").json["targets"]}

    def test_doctor(self, cli) -> None:
        found = cli("doctor", "--json").json
        assert found["instruction_sets"][0] == "portable" and found["kernels"] > 0 and found["cores"] > 0
        assert "instruction sets" in cli("doctor").out

    def test_demo_is_handed_on(self, cli, monkeypatch: pytest.MonkeyPatch) -> None:
        from ingot.examples import demo

        asked: list[list[str]] = []
        monkeypatch.setattr(demo, "main", lambda argv: asked.append(argv) or 0)
        assert cli("demo", "--output", "somewhere", "--seconds", "7").status == 0
        assert asked == [["--output", "somewhere", "--seconds", "7"]]


class TestCommon:
    def test_tables(self) -> None:
        assert table([["a", 1], ["bb", 22]], ["n", "c"], right=(1,), indent="") == "n    c\na    1\nbb  22"
        assert table([]) == ""

    def test_figures(self) -> None:
        assert [size_text(n) for n in (0, 1023, 1536, 3 << 20)] == ["0 B", "1023 B", "1.50 KiB", "3.00 MiB"]
        assert [time_text(t) for t in (12, 1234, 5.67e6, 2e9)] == ["12 ns", "1.23 us", "5.67 ms", "2 s"]

    def test_progress_is_for_terminals_and_long_work(self) -> None:
        class Stream:
            def __init__(self, terminal: bool) -> None:
                self.terminal, self.text = terminal, ""

            def isatty(self) -> bool:
                return self.terminal

            def write(self, text: str) -> None:
                self.text += text

            def flush(self) -> None:
                pass

        def shown(terminal: bool, delay: float, work: float = 0) -> str:
            stream = Stream(terminal)
            with Progress("half", stream, delay, ticks=work > 0) as progress:
                progress("whole")
                time.sleep(work)
            return stream.text

        assert shown(False, 0) == shown(True, 60) == shown(True, 60, 0.01) == ""
        assert "whole" in shown(True, 0) and shown(True, 0).endswith("\r\x1b[K")
        assert "whole (0 s)" in shown(True, 0.01, 0.2)

    def test_usage_errors_are_argument_errors(self) -> None:
        assert issubclass(UsageError, ingot.ArgumentError)
