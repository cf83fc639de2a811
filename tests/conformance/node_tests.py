"""ONNX's own node tests through :mod:`ingot.builder.onnx_backend`, and the list of those that do not pass.

``python tests/conformance/node_tests.py`` runs all of them and rewrites ``unsupported.txt`` with a reason each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

from ingot.builder.onnx_backend import IngotBackend, IngotRep
from ingot.errors import IngotError

LIST = Path(__file__).parent / "unsupported.txt"
#: cases whose answers differ, and why that is not an error of ours
EXPLAINED: dict[str, str] = {
    "test_attention_4d_causal_fp16": "the reference rounds to float16 after every operator, we compute in float32",
    "test_attention_4d_causal_fp16_expanded": "the reference rounds to float16 after every operator, we in float32",
}


@dataclass(frozen=True)
class Outcome:
    """``reason`` is empty when the case passed; ``constants`` are the inputs that had to be constants."""

    name: str
    reason: str
    constants: tuple[str, ...] = ()


def cases() -> list[TestCase]:
    """All node tests of the installed onnx, in the order of their names."""
    found = {case.name: case for case in load_model_tests(kind="node")}
    return [found[name] for name in sorted(found)]


def run_case(case: TestCase) -> Outcome:
    """Run one case the way ONNX's runner does, and compare with its tolerance."""
    try:
        rep: IngotRep = IngotBackend.prepare(case.model)
        for inputs, expected in case.data_sets:
            if not all(isinstance(a, (np.ndarray, np.generic)) for a in [*inputs, *expected]):
                return Outcome(case.name, "its data are no plain tensors")
            outputs = rep.run([np.asarray(a) for a in inputs])
            Runner.assert_similar_outputs(
                [np.asarray(a) for a in expected], list(outputs), rtol=case.rtol, atol=case.atol
            )
    except IngotError as error:
        return Outcome(case.name, " ".join(str(error).split())[:200])
    except AssertionError as error:
        why = EXPLAINED.get(case.name, " ".join(str(error).split())[:160])
        return Outcome(case.name, f"WRONG: {why}")
    return Outcome(case.name, "", tuple(rep.constants))


def listed() -> dict[str, str]:
    """The committed list: case -> reason."""
    lines = (line for line in LIST.read_text().splitlines() if line and not line.startswith("#"))
    return dict(line.split(": ", 1) for line in lines)


def run_all() -> Iterator[Outcome]:
    for case in cases():
        yield run_case(case)


def main() -> int:
    outcomes = list(run_all())
    failed = [o for o in outcomes if o.reason]
    passed = [o for o in outcomes if not o.reason]
    free = sum(not o.constants for o in passed)
    head = [
        f"# Node tests of onnx {onnx.__version__} that do not pass, with the reason. Written by node_tests.py.",
        f"# {len(passed)} of {len(outcomes)} pass, {free} of them with every input at run time.",
    ]
    LIST.write_text("\n".join(head + [f"{o.name}: {o.reason}" for o in failed]) + "\n")
    print(head[1][2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
