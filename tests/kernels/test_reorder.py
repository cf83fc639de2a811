"""Reorder against NumPy: into blocks, out of them, and what has no such layout."""

from __future__ import annotations

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.kernels.reorder.op import BLOCKS, ReorderAttrs
from ingot.kernels.spec import DENSE, DType, Layout, TensorType, Unsupported

SPEC = kernels.load()["reorder"]


def run(attrs: ReorderAttrs, x: np.ndarray, kind: TensorType) -> np.ndarray:
    """The bytes that the reorder of a tensor of that type writes, given those it reads."""
    node = Node(SPEC, attrs, [Value("x", kind, layout=attrs.source)], [])
    (result,) = SPEC.infer(attrs, [kind])
    node.outputs = [Value("y", result, None, node, layout=attrs.target)]
    (tactic,) = (t for t in SPEC.tactics if t.is_for("cpu") and t.when(node))
    assert tactic.reads.get(0, DENSE) == attrs.source and tactic.writes == attrs.target
    y = empty(node.output.stored.shape, x.dtype)
    run_kernel(tactic.kernel, [x], [y], make_params(tactic.params_type, tactic.params(node)))
    return y


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("spatial", [(), (5,), (3, 7), (2, 3, 2)])
def test_there_and_back(block: int, spatial: tuple[int, ...]) -> None:
    shape = (2, *spatial, 3 * block)
    kind, layout = TensorType(DType.I16, shape), Layout(block)
    x = np.arange(kind.count, dtype=np.int16).reshape(shape)
    blocks = run(ReorderAttrs(DENSE, layout), x, kind)
    assert blocks.shape == (2, 3, *spatial, block)
    for k in range(3):
        np.testing.assert_array_equal(blocks[:, k], x[..., k * block : (k + 1) * block])
    back = run(ReorderAttrs(layout, DENSE), blocks, kind)
    np.testing.assert_array_equal(back.reshape(shape), x)


@pytest.mark.parametrize(
    ("source", "target", "shape"), [(0, 0, (1, 16)), (4, 8, (1, 16)), (0, 16, (1, 5, 24)), (0, 3, (1, 6)), (8, 0, (8,))]
)
def test_what_has_no_such_layout(source: int, target: int, shape: tuple[int, ...]) -> None:
    with pytest.raises(Unsupported):
        SPEC.infer(ReorderAttrs(Layout(source), Layout(target)), [TensorType(DType.F32, shape)])
