"""One file in the words of both: what ingot-tune writes (test_tune.c compares with it), and what Python does."""

from __future__ import annotations

from pathlib import Path

from ingot.builder.tuning.cache import TimingCache
from ingot.builder.tuning.keys import Key, Timing

EXAMPLE = Path(__file__).parent.parent / "runtime_c" / "example.timings"


def test_python_and_c_write_the_same(tmp_path: Path) -> None:
    entries = {Key("t", "b", "k", 1, 2): Timing(1234.56, 0.04, 5), Key("t", "a", "k v", 1, 2): Timing(2.0, 0.0, 4)}
    TimingCache(entries, {"# machine m"}).save(tmp_path / "a.timings")
    assert (tmp_path / "a.timings").read_bytes() == EXAMPLE.read_bytes()


def test_python_reads_what_c_writes() -> None:
    found = TimingCache.load(EXAMPLE)
    assert found.remarks == {"# machine m"}
    assert found.entries == {
        Key("t", "b", "k", 1, 2): Timing(1234.6, 0.0, 5),
        Key("t", "a", "k v", 1, 2): Timing(2.0, 0.0, 4),
    }
