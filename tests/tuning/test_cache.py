"""The timing cache: its text, what is damaged, what is never trusted, merging and comparing."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

from ingot.builder.errors import CacheError
from ingot.builder.tuning.cache import HEADER, PLAN, TimingCache, as_kept, diff, merge, usable
from ingot.builder.tuning.keys import Key, Timing
from ingot.errors import BuildError

CONV = Key("cpu/1", "conv(f32[1x8])", "conv_f32_n16 tile=6x2", 3, 1)
DOT = Key("cpu/1", "dot", "dot_f32", 1, 2)


def cache(**entries: Timing) -> TimingCache:
    return TimingCache({{"conv": CONV, "dot": DOT}[name]: timing for name, timing in entries.items()})


def test_text_is_sorted_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.timings"
    one = TimingCache({DOT: Timing(20.0, 1.5, 9), CONV: Timing(1234.5, 0.0, 11)}, {"# machine a"})
    one.save(path)
    lines = path.read_text().splitlines()
    assert lines[0] == HEADER and lines[1] == "# machine a" and lines[2:4] == sorted(lines[2:4])
    assert lines[2] == "cpu/1\tconv(f32[1x8])\tconv_f32_n16 tile=6x2\t3\t1\t1234.5\t0.0\t11"
    body = "".join(f"{line}\n" for line in lines[:4])
    assert lines[4] == f"sha256 {hashlib.sha256(body.encode()).hexdigest()}"
    assert TimingCache.load(path) == one
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert TimingCache.load(path) == one, "an editor's line ends"


def test_a_file_that_was_interrupted(tmp_path: Path) -> None:
    """Without its checksum, and in the middle of a line."""
    path = tmp_path / "a.timings"
    text = cache(conv=Timing(5.0, 0.0, 3), dot=Timing(20.0, 1.5, 9)).text()
    path.write_text(text[: text.index("sha256")])
    assert len(TimingCache.load(path).entries) == 2
    path.write_text(text[: text.index("20.0") + 1])
    assert list(TimingCache.load(path).entries) == [CONV]


def test_times_are_what_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.timings"
    kept = as_kept(Timing(1.26, 0.049, 3))
    cache(conv=kept).save(path)
    assert TimingCache.load(path).entries[CONV] == kept == Timing(1.3, 0.0, 3)
    assert as_kept(Timing(0.001, 0.0, 1)).median_ns == 0.1


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (lambda t: t.replace(HEADER, "ingot calibration cache 1"), 1, "not a timing cache"),
        (lambda t: t.replace("cache 1", "cache 9"), 1, "another version"),
        (lambda t: "", 1, "not a timing cache"),
        (lambda t: t.replace("20.0", "fast"), 3, "damaged"),
        (lambda t: t.replace("20.0", "nan"), 3, "damaged"),
        (lambda t: t.replace("20.0", "-1"), 3, "damaged"),
        (lambda t: t.replace("dot_f32\t", ""), 3, "damaged"),
        (lambda t: t.replace("20.0", "21.0"), 4, "SHA-256"),
        (lambda t: t + "# more\n", 5, "behind the end"),
        (lambda t: t.replace("\n", "\n\n", 2), 2, "damaged"),
    ],
)
def test_damage_is_one_line_with_its_place(tmp_path: Path, change, line: int, what: str) -> None:
    path = tmp_path / "a.timings"
    cache(conv=Timing(5.0, 0.0, 3), dot=Timing(20.0, 1.5, 9)).save(path)
    path.write_text(change(path.read_text()))
    with pytest.raises(CacheError) as error:
        TimingCache.load(path)
    assert str(error.value).startswith(f"{path}:{line}: ") and what in str(error.value)
    assert "\n" not in str(error.value)


def test_no_text_and_no_file(tmp_path: Path) -> None:
    path = tmp_path / "a.timings"
    path.write_bytes(HEADER.encode() + b"\n\xff\xff\n")
    with pytest.raises(CacheError, match=":2: "):
        TimingCache.load(path)
    with pytest.raises(BuildError, match="No such file"):
        TimingCache.load(tmp_path / "none")


def test_merge_takes_the_better_in_any_order() -> None:
    few, many = cache(conv=Timing(5.0, 0.1, 3)), cache(conv=Timing(7.0, 9.0, 30), dot=Timing(1.0, 1.0, 1))
    steady = cache(conv=Timing(6.0, 0.5, 30))
    texts = {merge(order).text() for order in itertools.permutations([few, many, steady])}
    assert len(texts) == 1
    assert merge([few, many, steady]).entries == {CONV: Timing(6.0, 0.5, 30), DOT: Timing(1.0, 1.0, 1)}


def test_what_is_never_used() -> None:
    plan = Key("cpu/1", "program 0", f"{PLAN} 1", 0, 1)
    entries = {key: Timing(1.0, 0.0, 1) for key in (CONV, DOT, plan, Key("gpu/2", "dot", "dot_f32", 1, 1))}
    kept, outdated = usable(TimingCache(entries), {"conv_f32_n16": 4, "other": 1}, {"cpu/1"})
    assert list(kept) == [plan]
    assert (outdated.targets, outdated.kernels, outdated.abis) == (1, 1, 1)
    assert str(outdated) == "1 of other targets, 1 of unknown kernels, 1 of other abis"
    kept, outdated = usable(TimingCache(entries), {"conv_f32_n16": 3, "dot_f32": 1}, {"cpu/1", "gpu/2"})
    assert len(kept) == 4 and outdated.total == 0


def test_diff() -> None:
    one, other = cache(conv=Timing(5.0, 0.1, 3)), cache(conv=Timing(7.0, 0.1, 3), dot=Timing(1.0, 1.0, 1))
    assert diff(one, other) == [(CONV, Timing(5.0, 0.1, 3), Timing(7.0, 0.1, 3)), (DOT, None, Timing(1.0, 1.0, 1))]
    assert not diff(one, one)
