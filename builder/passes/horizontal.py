"""Horizontal fusion: convolutions or matrix products that read the same operand become one, and slices of it.

The operand is read once, and the product is wider. It pays when the slices cost nothing, that is when they can be
views: a single row, or readers that skip the gaps between rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.lifetimes import tactic_of
from ingot.builder.passes.rewrite import Sweep, is_op, op, plural
from ingot.builder.provenance import give, side_by_side


def run(graph: Graph) -> None:
    """Merge every group of parallel operators with equal attributes and constant weights."""
    users = graph.users()
    outputs = {id(value) for value in graph.outputs}
    groups: dict[tuple, list[Node]] = {}
    for node in graph.nodes:
        if _may_merge(node) and _slices_for_free(node, users, outputs, graph.backend):
            groups.setdefault(_key(node), []).append(node)
    leaders = {nodes[0]: nodes for nodes in groups.values() if len(nodes) > 1}
    merged: dict[Node, Value] = {}

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        if node in leaders:
            merged.update(_merge(sweep, leaders[node]))
        return [merged[node]] if node in merged else None

    if Sweep(graph).run(rule):
        text = f"merged {plural(len(merged), 'parallel operator')} into {len(leaders)}"
        graph.report.append(("horizontal", text))


def _may_merge(node: Node) -> bool:
    if not is_op(node, "conv", "matmul") or len(node.inputs) != 4:
        return False
    x, w, bias, residual = node.inputs
    if x.is_constant or not w.is_constant or residual is not None or (bias is not None and not bias.is_constant):
        return False
    return w.type.rank == 2 if is_op(node, "matmul") else node.attrs.groups == 1


def _axis(node: Node) -> int:
    """The axis of the weights that counts channels of the result."""
    return 1 if is_op(node, "matmul") and not node.attrs.trans_b else 0


def _key(node: Node) -> tuple:
    x, w = node.inputs[:2]
    rest = list(w.type.shape)
    del rest[_axis(node)]
    return node.op.name, repr(node.attrs), id(x), w.type.dtype, tuple(rest)


def _slices_for_free(node: Node, users: dict[Value, list[Node]], outputs: set[int], backend: str) -> bool:
    y = node.output
    if id(y) in outputs:
        return False
    if y.type.count == y.type.shape[-1]:  # one row has no gaps
        return True
    for user in users.get(y, ()):
        tactic = tactic_of(user, backend)
        if tactic is None or any(i not in tactic.pitched_inputs for i, v in enumerate(user.inputs) if v is y):
            return False
    return True


def _merge(sweep: Sweep, nodes: Sequence[Node]) -> dict[Node, Value]:
    """One operator of all weights in the place of the first; for each node its slice of the result."""
    first = nodes[0]
    w = np.concatenate([node.inputs[1].data for node in nodes], _axis(first))
    widths = [node.output.type.shape[-1] for node in nodes]
    biases = [node.inputs[2] for node in nodes]
    bias = None
    if any(biases):
        parts = [np.zeros(n, w.dtype) if b is None else b.data for b, n in zip(biases, widths)]
        bias = sweep.constant(np.concatenate(parts), f"{first.output.name}.biases", first.inputs[1].type.dtype)
    weights = sweep.constant(w, f"{first.output.name}.weights", first.inputs[1].type.dtype)
    joined = sweep.emit(first.op.name, first.attrs, [first.inputs[0], weights, bias, None], source=nodes)
    give(joined, side_by_side([node.output for node in nodes]))
    shape, begin = joined.type.shape, 0
    slices: dict[Node, Value] = {}
    for node, width in zip(nodes, widths):
        starts = (0,) * (len(shape) - 1) + (begin,)
        attrs = op("slice").attrs(starts, (1,) * len(shape), (*shape[:-1], width))
        slices[node] = sweep.emit("slice", attrs, [joined], source=[node])
        begin += width
    return slices
