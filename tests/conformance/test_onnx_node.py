"""ONNX's own node tests: whatever is not in ``unsupported.txt`` passes, and the list is exactly right."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import onnx
import pytest

spec = importlib.util.spec_from_file_location("node_tests", Path(__file__).parent / "node_tests.py")
node_tests = importlib.util.module_from_spec(spec)
sys.modules["node_tests"] = node_tests
spec.loader.exec_module(node_tests)

#: what issue and README promise, for the version of onnx that the list was made with
PASSING, WITHOUT_CONSTANTS = 1150, 950


@pytest.fixture(scope="module")
def outcomes():
    return {o.name: o for o in node_tests.run_all()}


def test_the_list_says_what_passes(outcomes) -> None:
    listed = node_tests.listed()
    version = node_tests.LIST.read_text().splitlines()[0].split()[5]
    if version == onnx.__version__:
        vanished = sorted(set(listed) - set(outcomes))
        assert not vanished, f"listed cases that do not exist: {vanished}"
        mended = sorted(n for n in listed if not outcomes[n].reason)
        assert not mended, f"listed cases that pass: run node_tests.py to shorten the list: {mended}"
        broken = {n: o.reason for n, o in outcomes.items() if o.reason and n not in listed}
    else:
        # Another onnx has other cases: those known to the list's version may not break.
        broken = {n: o.reason for n, o in outcomes.items() if o.reason.startswith("WRONG") and n not in listed}
    assert not broken


def test_enough_cases_pass(outcomes) -> None:
    passed = [o for o in outcomes.values() if not o.reason]
    assert len(outcomes) >= 1500
    assert len(passed) >= PASSING
    assert sum(not o.constants for o in passed) >= WITHOUT_CONSTANTS


def test_wrong_answers_are_named() -> None:
    """No case is listed as wrong without a word about why it is not our error."""
    wrong = {n: r for n, r in node_tests.listed().items() if r.startswith("WRONG")}
    assert set(wrong) <= set(node_tests.EXPLAINED), "explain these in node_tests.EXPLAINED or mend them"
