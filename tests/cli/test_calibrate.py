"""``calibrate``, ``cache``, and the calibration options of ``build``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """``net.onnx`` (``image`` [1, 3, 8, 8]), ``data.npz`` and ``other.npz`` with six samples each."""
    random = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(random.normal(size=(4, 3, 3, 3)).astype(np.float32), "w"),
        numpy_helper.from_array(random.normal(size=4).astype(np.float32), "b"),
    ]
    nodes = [
        helper.make_node("Conv", ["image", "w", "b"], ["c"], name="first"),
        helper.make_node("Relu", ["c"], ["r"]),
    ]
    info = helper.make_tensor_value_info
    ends = [info("image", TensorProto.FLOAT, [1, 3, 8, 8])], [info("r", TensorProto.FLOAT, [1, 4, 6, 6])]
    graph = helper.make_graph(nodes, "net", *ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    for name in ("data", "other"):
        np.savez(tmp_path / f"{name}.npz", image=random.normal(size=(6, 1, 3, 8, 8)).astype(np.float32))
    return tmp_path


class TestCalibrate:
    def test_writes_a_cache(self, cli, here: Path) -> None:
        result = cli("calibrate", here / "net.onnx", "--data", here / "data.npz", "-o", here / "c", "--json")
        assert result.status == 0 and result.err == ""
        assert result.json["samples"] == 6 and result.json["source"] == "data" and result.json["skipped"] == {}
        assert (here / "c").read_text().startswith("ingot calibration cache 1\n")
        text = cli("calibrate", here / "net.onnx", "--data", here / "data.npz", "-o", here / "d", "--method", "mse")
        assert "method mse, 6 samples" in text.out

    def test_synthetic(self, cli, here: Path) -> None:
        result = cli("calibrate", here / "net.onnx", "--synthetic", "-o", here / "c", "--input-range", "image=0:255")
        assert result.status == 0 and "synthetic" in result.out

    def test_tensorrt_gives_the_same_engine(self, cli, here: Path) -> None:
        for kind in ("ingot", "tensorrt"):
            arguments = ["--data", here / "data.npz", "-o", here / kind, "--format", kind]
            assert cli("calibrate", here / "net.onnx", *arguments).status == 0
            build = ["--precision", "int8", "--calibration-cache", here / kind, "--allow-fallback"]
            assert cli("build", here / "net.onnx", "-o", here / f"{kind}.ingot", *build).status == 0
        assert (here / "tensorrt").read_text().startswith("TRT-8601-EntropyCalibration2\n")
        assert (here / "ingot.ingot").read_bytes() == (here / "tensorrt.ingot").read_bytes()

    def test_failures(self, cli, here: Path) -> None:
        model, out = here / "net.onnx", ("-o", here / "c")
        cli("calibrate", model, *out).failed(2, "--data", "--synthetic")
        cli("calibrate", model, *out, "--synthetic", "--data", here).failed(2, "--data", "--synthetic")
        cli("calibrate", model, *out, "--data", here / "no").failed(1, str(here / "no"), "no such file")
        cli("calibrate", model, *out, "--data", here, "--preprocess", "crop=x").failed(2, "crop")
        cli("calibrate", model, *out, "--data", here, "--input-range", "image=0:1").failed(2, "--input-range")
        cli("calibrate", model, *out, "--synthetic", "--input-range", "image=1:0").failed(2, "--input-range")
        np.savez(here / "bad.npz", image=np.full((1, 3, 8, 8), np.nan, np.float32))
        cli("calibrate", model, *out, "--data", here / "bad.npz").failed(1, "bad.npz", "'image' holds NaN")
        assert not (here / "c").exists()


class TestCache:
    @pytest.fixture
    def caches(self, cli, here: Path) -> Path:
        for name in ("data", "other"):
            arguments = ["--data", here / f"{name}.npz", "-o", here / name, "--method", "minmax"]
            assert cli("calibrate", here / "net.onnx", *arguments).status == 0
        return here

    def test_show(self, cli, caches: Path) -> None:
        result = cli("cache", "show", caches / "data")
        assert result.status == 0 and "image" in result.out and "minmax" in result.out
        shown = cli("cache", "show", caches / "data", "--json").json[str(caches / "data")]
        assert shown["samples"] == 6 and shown["ranges"]["image"]["amax"] > 1

    def test_merge_and_diff(self, cli, caches: Path) -> None:
        one, other, both = caches / "data", caches / "other", caches / "both"
        assert cli("cache", "diff", one, other).status == 1
        assert cli("cache", "merge", one, other, "-o", both).status == 0
        merged = cli("cache", "show", both, "--json").json[str(both)]
        assert merged["samples"] == 12
        same = cli("cache", "merge", one, "-o", both)
        assert same.status == 0 and cli("cache", "diff", one, both).status == 0

    def test_failures(self, cli, caches: Path) -> None:
        one = caches / "data"
        cli("cache", "merge", one).failed(2, "-o")
        cli("cache", "diff", one).failed(2, "diff takes 2 files")
        cli("cache", "show", one, "-o", "x").failed(2, "-o is for merge")
        one.write_text(one.read_text().replace("samples 6", "samples 7"))
        cli("cache", "show", one).failed(1, f"{one}:", "SHA-256")


class TestBuild:
    def test_calibrates(self, cli, here: Path) -> None:
        build = ["build", here / "net.onnx", "--precision", "int8", "--allow-fallback"]
        cache = ["--calibration-cache", here / "c"]
        first = cli(*build, "-o", here / "a", "--calibration", here / "data.npz", *cache)
        assert first.status == 0 and (here / "c").is_file()
        assert cli(*build, "-o", here / "b", *cache).status == 0
        assert (here / "a").read_bytes() == (here / "b").read_bytes()

    def test_synthetic_is_said(self, cli, here: Path) -> None:
        build = ["build", here / "net.onnx", "--precision", "int8", "--allow-fallback"]
        result = cli(*build, "-o", here / "a", "--calibration-synthetic")
        assert result.status == 0 and "warning" in result.err and "synthetic" in result.err

    def test_input_ranges(self, cli, here: Path) -> None:
        build = ["build", here / "net.onnx", "--precision", "int8", "--allow-fallback", "--calibration-synthetic"]
        for name, options in {"a": (), "b": ("--input-range", "image=0:255")}.items():
            cache = ["--calibration-cache", here / f"{name}.cache"]
            assert cli(*build, "-o", here / name, *cache, *options).status == 0
        amax = [
            cli("cache", "show", here / f"{name}.cache", "--json").json[str(here / f"{name}.cache")]["ranges"]["image"]
            for name in "ab"
        ]
        assert amax[0]["amax"] < 10 and 128 < amax[1]["amax"] <= 256 and amax[1]["low"] >= 0
        fails = [*build, "-o", here / "c", "--input-range"]
        cli(*fails, "q=0:1").failed(1, "no input is called 'q'; inputs: image")
        cli(*fails, "image=0").failed(2, "write NAME=LOW:HIGH")
        cli("build", here / "net.onnx", "-o", here / "c", "--input-range", "image=0:1").failed(2, "--precision int8")

    def test_failures(self, cli, here: Path) -> None:
        build = ["build", here / "net.onnx", "-o", here / "a"]
        cli(*build, "--calibration", here).failed(2, "--calibration is for --precision int8, fp16, bf16 or best")
        cli(*build, "--no-bias-correction").failed(2, "--no-bias-correction is for --precision int8 or best")
        cli(*build, "--calibration-cache", here).failed(2, "--calibration-cache is for")
        int8 = [*build, "--precision", "int8"]
        cli(*int8).failed(1, "int8 needs ranges")
        cli(*int8, "--calibration-cache", here / "none").failed(1, f"{here / 'none'}: No such file", "calibration data")
        nowhere = ["--calibration", here / "data.npz", "--calibration-cache", here / "no" / "c"]
        cli(*int8, *nowhere).failed(1, f"{here / 'no' / 'c'}: its folder does not exist")
        cli(*int8, "--calibration", here, "--calibration-synthetic").failed(2, "either")
        cli(*int8, "--calibration", here / "data.npz", "--layer-precision", "x").failed(2, "PATTERN=PRECISION")
        (here / "c").write_text("TRT-1-EntropyCalibration2\nimage: 7fc00000\n")
        cli(*int8, "--calibration-cache", here / "c").failed(1, f"{here / 'c'}:2:", "nan")


class TestBest:
    def test_builds_from_data_and_again_from_the_cache(self, cli, here: Path) -> None:
        build = ["build", here / "net.onnx", "--precision", "best", "--calibration-cache", here / "c"]
        first = cli(*build, "-o", here / "a", "--calibration", here / "data.npz", "--json")
        assert first.status == 0
        measured = first.json["measured"]
        assert (measured["layers"], measured["samples"]) == (1, 6) and measured["errors"]["r"] <= 0.05
        again = cli(*build, "-o", here / "b")
        assert again.status == 0 and "best: 0 of 1 layers kept in fp32" in again.out
        assert (here / "a").read_bytes() == (here / "b").read_bytes()

    def test_inspect_shows_the_ledger(self, cli, here: Path) -> None:
        build = [
            "build",
            here / "net.onnx",
            "-o",
            here / "a",
            "--precision",
            "best",
            "--calibration",
            here / "data.npz",
        ]
        assert cli(*build, "--max-error", "1e-5").status == 0
        text = cli("inspect", here / "a").out
        assert "best: 1 of 1 layers kept out of int8" in text and "measured on 6 samples of calibration data" in text
        assert "kept in fp32 by best: alone it costs" in text and "of the output `r`" in text
        assert "output r: bits may differ between targets, relative error" in text
        content = cli("inspect", here / "a", "--json").json["metadata"]
        (row,) = [row for row in content["ledger"] if "first" in row["layer"] and "conv" in row["kernel"]]
        assert (row["asked"], row["got"]) == ("best", "fp32") and row["sqnr_db"] > 20
        assert cli(*build, "--equalize", "--no-bias-correction").status == 0
        assert "first" in cli("inspect", here / "a").out

    def test_failures(self, cli, here: Path) -> None:
        build = ["build", here / "net.onnx", "-o", here / "a"]
        data = ["--calibration", here / "data.npz"]
        int8 = [*build, "--precision", "int8", *data]
        cli(*int8, "--max-error", "0.1").failed(2, "--max-error is for --precision fp16, bf16 or best")
        cli(*int8, "--fallback-precision", "fp16").failed(2, "--fallback-precision is for --precision best")
        best = [*build, "--precision", "best"]
        cli(*best).failed(1, "needs ranges")
        cli(*best, *data, "--max-error", "0").failed(2, "--max-error 0: give a number above 0")
        cli(*best, *data, "--max-error", "nan").failed(2, "--max-error nan")
        cli(*best, *data, "--max-accuracy-drop", "101").failed(2, "from 0 to 100")
        cli(*best, *data, "--labels", here / "x.csv").failed(2, "--labels is for --max-accuracy-drop")
        cli(*best, "--calibration-synthetic", "--max-accuracy-drop", "1").failed(2, "labelled samples")
        drop = [*best, *data, "--max-accuracy-drop", "1"]
        cli(*drop).failed(1, "data.npz, sample", "no label", "--labels FILE")
        cli(*drop, "--labels", here / "no.csv").failed(1, f"{here / 'no.csv'}: No such file")
        np.save(here / "five.npy", np.arange(5))
        cli(*drop, "--labels", here / "five.npy").failed(1, "5 labels for 6 calibration samples")
        np.save(here / "six.npy", np.arange(6))
        cli(*drop, "--labels", here / "six.npy").failed(1, "one output should hold a row of scores")
        cli(*best, *data, "--max-error", "1e-9", "--layer-precision", "first=int8").failed(1, "cannot be had: the best")
