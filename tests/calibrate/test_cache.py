"""Caches come back as they were; damaged and foreign ones are refused with file, line and reason."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import pytest

from ingot.builder.calibrate import CacheError, Calibration, Range
from ingot.builder.calibrate.cache import merge, to_tensorrt
from ingot.builder.calibrate.corrections import Corrections, bfloat16
from ingot.errors import BuildError

MODEL, OTHER = "ab" * 32, "cd" * 32


def calibration(**ranges: float) -> Calibration:
    names = {"x": 1.5, "conv/out:0": 0.1, 'odd "name"\n é': 7.25} | ranges
    made = {name: Range(-amax / 2, amax, amax, "mse", 1.25e-4) for name, amax in names.items()}
    shifts = {"x": bfloat16(np.array([0.1, -3.0, 0.0])), "conv/out:0": bfloat16(np.array([-1e-30]))}
    found = Calibration(made, MODEL, "12" * 32, "auto", 17, corrections=Corrections("34" * 32, shifts))
    found.measured = {"a judged y": 0.25, 'b sqnr "é"': 200.0}
    found.choices = {"56" * 32: Corrections("56" * 32, {"x": shifts["x"]})}
    return found


def saved(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "x.cache"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(path: Path, line: int, part: str) -> None:
    with pytest.raises(CacheError) as error:
        Calibration.load(path)
    assert str(error.value).startswith(f"{path}:{line}: ") and part in str(error.value), error.value
    assert "\n" not in str(error.value)


class TestOwn:
    def test_round_trip(self, tmp_path: Path) -> None:
        one = calibration()
        one.save(tmp_path / "c")
        two = Calibration.load(tmp_path / "c")
        assert two == one and two.text() == one.text()
        assert [p.name for p in tmp_path.iterdir()] == ["c"]

    def test_line_ends_of_other_systems(self, tmp_path: Path) -> None:
        found = Calibration.load(saved(tmp_path, calibration().text().replace("\n", "\r\n")))
        assert found == calibration() and found.text() == calibration().text()

    def test_scale(self) -> None:
        found = calibration(zero=0.0, tiny=1e-44, large=3.4e38)
        assert found.scale("x") == float(np.float32(1.5 / 127)) and found.scale("nobody") is None
        for name in found.ranges:
            scale = np.float32(found.scale(name))
            assert scale == found.scale(name) and scale > 0
            with np.errstate(over="raise", under="raise"):
                assert np.isfinite(np.float32(1) / scale)

    def test_truncated_anywhere(self, tmp_path: Path) -> None:
        text = calibration().text().encode()
        for length in range(len(text) - 1):
            with pytest.raises(CacheError):
                Calibration.load(saved(tmp_path, text[:length]))

    def test_any_changed_byte(self, tmp_path: Path) -> None:
        text = calibration().text().encode()
        for index in range(0, len(text), 3):
            with pytest.raises(CacheError):
                Calibration.load(saved(tmp_path, text[:index] + bytes([text[index] ^ 2]) + text[index + 1 :]))

    @pytest.mark.parametrize(
        ("old", "new", "line", "part"),
        [
            ("cache 1", "cache 9", 1, "version"),
            ("ingot cal", "other cal", 1, "no calibration cache"),
            (MODEL, MODEL[:-1], 2, "model"),
            ("samples 17", "samples many", 4, "number"),
            ("source data", "source dreams", 5, "source"),
            ("tensors 3", "tensors 4", 11, "truncated: 3 of 4"),
            ("tensors 3", "tensors 2", 10, "corrections"),
            ("corrections 2", "corrections 1", 13, "measured"),
            ("corrections 2", "corrections 3", 14, "damaged"),
            ("measured 2", "measured 1", 16, "choices"),
            ("measured 2", "measured 3", 17, "damaged"),
            ("measured 2", "measured -", 14, "measured NUMBER"),
            ('0.25 "a', 'nan "a', 15, "damaged"),
            ('0.25 "a', '0.25 "c', 16, "sorted"),
            ('0.25 "a judged y"', "0.25 5", 15, "damaged"),
            ("choices 1", "choices 0", 18, "SHA-256"),
            ("choices 1", "choices 2", 20, "corrections"),
            ("corrections 2", "corrections two", 11, "corrections"),
            (f"corrections 2 {'34' * 32}", "corrections 2 34", 11, "corrections"),
            ('3dcdc0400000 "x"', '3dcd7f800000 "x"', 13, "damaged"),
            ('3dcdc0400000 "x"', '3dcdc0400000 "a"', 13, "sorted"),
            ("7.25 -3.625", "nan -3.625", 9, "not finite"),
            ("7.25 -3.625", "-7.25 -3.625", 9, "negative"),
            ("7.25 -3.625", "seven -3.625", 9, "damaged"),
            ('"x"', "x", 10, "damaged"),
            ('"x"', '"a"', 10, "sorted"),
            ("1.5 -0.75", "1.6 -0.75", 20, "SHA-256"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, old: str, new: str, line: int, part: str) -> None:
        text = calibration().text()
        assert old in text
        refused(saved(tmp_path, text.replace(old, new)), line, part)

    def test_no_text_and_no_file(self, tmp_path: Path) -> None:
        refused(saved(tmp_path, b"ingot calibration cache 1\nmodel \xff\xfe"), 2, "UTF-8")
        refused(saved(tmp_path, b""), 1, "no calibration cache")
        with pytest.raises(BuildError, match="nowhere"):
            Calibration.load(tmp_path / "nowhere")
        with pytest.raises(BuildError, match="folder"):
            calibration().save(tmp_path / "folder" / "c")


class TestTensorRT:
    def test_bytes(self) -> None:
        text = to_tensorrt(Calibration({"b": Range(-1, 1, 127.0), "a: 1": Range(-1, 1, 12.7)}), 8601)
        scale = struct.pack(">f", np.float32(12.7 / 127)).hex()
        ends = "".join(f"ingot.{end} {name}: 3f800000\n" for end in ("high", "low") for name in ("a: 1", "b"))
        assert text == f"TRT-8601-EntropyCalibration2\na: 1: {scale}\nb: 3f800000\n{ends}"

    def test_round_trip_keeps_every_scale(self, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        made = {f"t{i}": Range(0, a, a) for i, a in enumerate(np.exp(random.uniform(-90, 88, 3000)).tolist())}
        one = Calibration(made | {"zero": Range(0, 0, 0)})
        two = Calibration.load(saved(tmp_path, to_tensorrt(one)))
        assert two.source == "tensorrt"
        assert {n: two.scale(n) for n in two.ranges} == {n: one.scale(n) for n in one.ranges}
        assert to_tensorrt(two) == to_tensorrt(one)

    def test_round_trip_keeps_what_the_format_has_no_place_for(self, tmp_path: Path) -> None:
        one = calibration()
        del one.ranges['odd "name"\n é']
        text = to_tensorrt(one)
        two = Calibration.load(saved(tmp_path, text))
        assert two.ranges.keys() == one.ranges.keys() and two.corrections.graph == one.corrections.graph
        assert two.ranges["x"].low == -0.75 and two.ranges["x"].high == 1.5
        shifts = {name: shift.tolist() for name, shift in two.corrections.shifts.items()}
        assert shifts == {name: shift.tolist() for name, shift in one.corrections.shifts.items()}
        scales = [struct.unpack(">f", bytes.fromhex(line[-8:]))[0] for line in text.splitlines()[1:]]
        assert all(math.isfinite(scale) and scale >= 0 for scale in scales)

    @pytest.mark.parametrize(("old", "new"), [("bias 1 x: 3f80", "bias 7 x: 3f80"), ("3f80c040", "3fc0c040")])
    def test_damaged_corrections(self, tmp_path: Path, old: str, new: str) -> None:
        one = calibration()
        del one.ranges['odd "name"\n é']
        assert old in to_tensorrt(one)
        refused(saved(tmp_path, to_tensorrt(one).replace(old, new)), 2, "bias corrections of 'x'")

    @pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, -0.0])
    def test_bad_scales(self, tmp_path: Path, value: float) -> None:
        digits = struct.pack(">f", value).hex()
        refused(saved(tmp_path, f"TRT-8601-EntropyCalibration2\nok: 3c000000\nx: {digits}\n"), 3, "scale of 'x'")

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("TRT-8601-EntropyCalibration2\n", 2),
            ("TRT-8601-Entropy\nx: 3c000000\n", 1),
            ("TRT-8601-EntropyCalibration2\nx: 3c0000\n", 2),
            ("TRT-8601-EntropyCalibration2\nx 3c000000\n", 2),
            ("TRT-8601-EntropyCalibration2\nx: 3c00000g\n", 2),
            ("TRT-8601-EntropyCalibration2\nx: 3c000000\nx: 3c000000\n", 3),
        ],
    )
    def test_damage(self, tmp_path: Path, text: str, line: int) -> None:
        refused(saved(tmp_path, text), line, "")

    def test_a_name_with_a_line_end(self) -> None:
        with pytest.raises(BuildError, match="cannot hold"):
            to_tensorrt(calibration())


class TestMerge:
    def test_widest(self) -> None:
        merged = merge({"a": calibration(x=1.0, y=2.0), "b": calibration(x=3.0)})
        assert merged.ranges["x"].amax == 3 and merged.ranges["y"].amax == 2 and merged.samples == 34

    def test_another_model(self) -> None:
        other = calibration()
        other.digest_model = OTHER
        with pytest.raises(BuildError, match=r"b\.cache: not for the model of a\.cache"):
            merge({"a.cache": calibration(), "b.cache": other})
