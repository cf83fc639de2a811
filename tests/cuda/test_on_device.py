"""What ``on_device.py`` makes of a profiler's events and of a tool's words; what it measures needs a device."""

from __future__ import annotations

import operator
import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))
from device_common import in_processes, wrong
from device_profile import by_kernel, describe, spread
from device_sanitizer import watched


def content(*entries: str) -> dict:
    """An engine of one program whose steps are started by these entries, each predicted to take 2 us."""
    launches = [{"entry": entry, "grid": [1, 1, 1]} for entry in entries]
    steps = [
        {"name": f"n{i}", "kernel": "k", "launch": launch, "inputs": [None], "outputs": [], "predicted_ns": 2000}
        for i, launch in enumerate(launches)
    ]
    return {"programs": [{"steps": steps}], "metadata": {"predicted": {"ns": 9000}}}


def test_events_are_joined_to_steps() -> None:
    """Copies belong to no step; two steps with one entry follow each other; the last one starts early."""
    once = [(0.0, 1.0, "copy"), (2.0, 6.0, "a"), (6.5, 8.5, "b"), (7.5, 9.5, "a")]
    events = [(begin + 20 * run, end + 20 * run, name) for run in range(4) for begin, end, name in once]
    found = describe(content("a", "b", "a"), events, 4)
    assert (found["span"], found["kernels"], found["gaps"], found["predicted"]) == (9.5, 7.0, 0.5, 9.0)
    assert [(s["nodes"], s["us"], s["gap"], s["at"]) for s in found["steps"]] == [
        ("n0", 4.0, 0.0, 2.0),
        ("n1", 2.0, 0.5, 6.5),
        ("n2", 1.0, 0.0, 7.5),
    ]
    assert found["ratio"] == [0.5, 0.8, 2.0]
    assert by_kernel([found, {"failed": "no"}])["all steps"] == found["ratio"]
    with pytest.raises(ValueError, match="15 events in 4 runs"):
        describe(content("a", "b", "a"), events[:-1], 4)


def test_a_step_beside_another_has_no_ratio() -> None:
    """It takes no time of its own where it ends before the other one."""
    events = [
        (begin + 20 * run, end + 20 * run, name) for run in range(3) for begin, end, name in [(0, 6, "a"), (1, 4, "b")]
    ]
    found = describe(content("a", "b"), events, 3)
    assert found["ratio"] == [2.0 / 6.0, None]
    assert by_kernel([found])["all steps"] == [2.0 / 6.0]


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00) of 3"


@pytest.mark.parametrize(("jobs", "fresh"), [(1, False), (2, False), (1, True), (2, True)])
def test_processes_answer_in_order(jobs: int, fresh: bool) -> None:
    assert list(in_processes(operator.sub, [(i, 1) for i in range(5)], jobs, fresh)) == [-1, 0, 1, 2, 3]


def test_fresh_processes_do_one_thing() -> None:
    """Also where one would do: what a profiler keeps of a graph that is gone spoils what it says of the next."""
    numbers = list(in_processes(os.getpid, [()] * 3, 1, fresh=True))
    assert len({*numbers, os.getpid()}) == 4


@pytest.mark.parametrize(
    ("said", "row", "failures"),
    [
        ("ran twice\n========= ERROR SUMMARY: 0 errors", {"found": 0}, 0),
        ("=========\n========= Invalid read\nran twice\n========= ERROR SUMMARY: 1 error", {"found": 1}, 1),
        ("ran twice", {"failed": "ran twice"}, 1),
        ("========= ERROR SUMMARY: 0 errors", {"failed": "========= ERROR SUMMARY: 0 errors"}, 1),
    ],
)
def test_a_tool_is_read(said: str, row: dict, failures: int, tmp_path: Path) -> None:
    """What did not run is no success, whatever the tool says."""
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{said}\nEND\n")
    tool.chmod(0o755)
    found = watched(str(tool), "memcheck", [], 60.0)
    assert row.items() <= found.items() and wrong([found]) == failures
    if row.get("found"):
        assert found["wrong"][0] == "Invalid read"


def test_a_tool_that_takes_too_long_or_is_missing(tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\nsleep 5\n")
    tool.chmod(0o755)
    assert "timed out" in watched(str(tool), "racecheck", [], 0.2)["failed"]
    assert wrong([watched(str(tmp_path / "none"), "memcheck", [], 1.0)]) == 1
