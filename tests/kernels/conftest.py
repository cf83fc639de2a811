"""What the tests of kernels share: an operator run on arrays the way the builder would run it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ingot._kernel import empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.kernels.spec import DType, TensorType

POISON = 0xA5


def rows_with_gaps(shape: tuple[int, ...], dtype: Any, gap: int) -> tuple[np.ndarray, np.ndarray]:
    """An array whose rows are ``gap`` elements apart, and the gaps; everything poisoned."""
    if not shape:
        return empty(shape, dtype), empty((0,), dtype)
    base = empty((*shape[:-1], shape[-1] + gap), dtype)
    base.view(np.uint8)[...] = 1 if dtype is np.bool_ else POISON
    return base[..., : shape[-1]], base[..., shape[-1] :]


def run_operator(
    name: str, attrs: Any, *inputs: np.ndarray, isa: str = "portable", splits: int = 1, gap: int = 0
) -> Any:
    """Outputs of an operator; with a ``gap`` all operands that may have one do, and nothing is written there."""
    spec = importlib.import_module(f"ingot.kernels.{name}.op").SPEC
    values = [Value(f"x{i}", TensorType(DType.of(a.dtype), a.shape), a) for i, a in enumerate(inputs)]
    types = spec.infer(attrs, [v.type for v in values])
    node = Node(spec, attrs, values, [Value(f"y{i}", t) for i, t in enumerate(types)])
    tactic = next(t for t in spec.tactics if t.when(node))
    held = []
    for i, array in enumerate(inputs):
        rows, _ = rows_with_gaps(array.shape, array.dtype.type, gap if i in tactic.pitched_inputs else 0)
        rows[...] = array
        held.append(rows)
    pairs = [
        rows_with_gaps(t.shape, t.dtype.numpy.type, gap if i in tactic.pitched_outputs else 0)
        for i, t in enumerate(types)
    ]
    params = make_params(tactic.params_type, tactic.params(node))
    run_kernel(tactic.kernel, held, [rows for rows, _ in pairs], params, isa=isa, splits=splits)
    for rows, behind in pairs:
        poison = 1 if rows.dtype == bool else POISON
        assert (np.frombuffer(behind.tobytes(), np.uint8) == poison).all(), "a gap was written"
    return [np.array(rows) for rows, _ in pairs]


@pytest.fixture(scope="session")
def run() -> Callable[..., list[np.ndarray]]:
    """``run(operator, attrs, *inputs, isa="portable", splits=1, gap=0)`` gives the outputs."""
    return run_operator
