"""Only what is read is computed: a slice of rows moves in front of what makes each row by itself.

A classifier reads one row of its last layer, a language model the last one; products, normalisations and attention then
need the others for nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.cse import merge_nodes
from ingot.builder.passes.rewrite import Sweep, is_op, op, plural

#: a slice moves when it leaves out this share of the elements: where it is no view it is a copy, which costs as well
WORTH = 2


def run(graph: Graph) -> None:
    """Move slices towards the inputs as far as they go, from one node to those before it at a time."""
    moved = 0
    while changes := Sweep(graph).run(_rule):
        moved += changes
        merge_nodes(graph)  # equal slices of one value have each moved in front of a copy of what makes it
    if moved:
        graph.report.append(("read_less", f"moved {plural(moved, 'slice')} before what makes the rows"))


@dataclasses.dataclass(frozen=True, slots=True)
class _Cut:
    """A slice: ``starts``, ``steps`` and ``shape`` of each axis; ``axes`` are those that it shortens."""

    starts: tuple[int, ...]
    steps: tuple[int, ...]
    shape: tuple[int, ...]
    axes: frozenset[int]

    @classmethod
    def of(cls, node: Node) -> _Cut:
        attrs, whole = node.attrs, node.inputs[0].type.shape
        axes = frozenset(a for a, n in enumerate(attrs.shape) if n != whole[a])
        return cls(attrs.starts, attrs.steps, attrs.shape, axes)

    def applied(self, sweep: Sweep, value: Value | None, axes: dict[int, int]) -> Value | None:
        """The value cut alike: ``axes`` gives for axes of the slice those of the value."""
        if value is None:
            return None
        shape = list(value.type.shape)
        starts, steps = [0] * len(shape), [1] * len(shape)
        for own, theirs in axes.items():
            if own in self.axes and shape[theirs] != 1:
                starts[theirs], steps[theirs], shape[theirs] = self.starts[own], self.steps[own], self.shape[own]
        if tuple(shape) == value.type.shape:
            return value
        if value.data is not None:
            index = tuple(slice(a, a + s * n, s) for a, s, n in zip(starts, steps, shape))
            return sweep.constant(value.data[index], f"{value.name}.slice", value.type.dtype)
        return sweep.emit("slice", op("slice").attrs(tuple(starts), tuple(steps), tuple(shape)), [value])


def _rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    if not is_op(node, "slice"):
        return None
    (x,) = node.inputs
    move = _MOVES.get(x.producer.op.name) if x.producer is not None else None
    if move is None or not _read_alike(sweep, node) or 0 in node.attrs.shape or len(x.producer.outputs) != 1:
        return None
    if node.output.type.count * WORTH > x.type.count or any(v is not None and v.type.quant for v in x.producer.inputs):
        return None
    cut = _Cut.of(node)
    if not cut.axes or any(step < 1 for step in cut.steps):
        return None
    result = move(sweep, x.producer, cut)
    return None if result is None else [result]


def _read_alike(sweep: Sweep, node: Node) -> bool:
    """Whether all who read the slice's operand are slices of the same rows."""
    (x,) = node.inputs
    readers = sweep.readers(x)
    alike = all(is_op(reader, "slice") and reader.attrs == node.attrs for reader in readers)
    return bool(readers) and alike and not sweep.is_output(x)


def _trailing(value: Value | None, rank: int) -> dict[int, int]:
    """Axes of a result by those of an operand that broadcasts to it."""
    missing = rank - value.type.rank if value is not None else rank
    return {axis: axis - missing for axis in range(missing, rank)}


def _elementwise(sweep: Sweep, node: Node, cut: _Cut) -> Value | None:
    rank = node.output.type.rank
    inputs = [cut.applied(sweep, value, _trailing(value, rank)) for value in node.inputs]
    return sweep.emit("elementwise", node.attrs, inputs, source=[node])


def _normalize(sweep: Sweep, node: Node, cut: _Cut) -> Value | None:
    if node.attrs.kind.name not in ("LAYER", "RMS") or max(cut.axes) >= node.attrs.axis:
        return None
    x = cut.applied(sweep, node.inputs[0], {axis: axis for axis in cut.axes})
    return sweep.emit("normalize", node.attrs, [x, *node.inputs[1:]], source=[node])


def _softmax(sweep: Sweep, node: Node, cut: _Cut) -> Value | None:
    if node.attrs.axis in cut.axes:
        return None
    return sweep.emit(
        "softmax", node.attrs, [cut.applied(sweep, node.inputs[0], {a: a for a in cut.axes})], source=[node]
    )


def _matmul(sweep: Sweep, node: Node, cut: _Cut) -> Value | None:
    a, b, bias, residual = [*node.inputs, None, None][:4]
    rank = node.output.type.rank
    if len(node.inputs) > 4 or b.type.rank != 2 or node.attrs.trans_a or a.type.rank != rank or rank - 1 in cut.axes:
        return None
    a, residual = (cut.applied(sweep, value, {axis: axis for axis in cut.axes}) for value in (a, residual))
    return sweep.emit("matmul", node.attrs, [a, b, bias, residual], source=[node])


def _attention(sweep: Sweep, node: Node, cut: _Cut) -> Value | None:
    """Queries alone can be left out."""
    attrs, (q, k, v, mask) = node.attrs, [*node.inputs, None][:4]
    axis = 1 if attrs.rows_first[3] else 2
    if cut.axes != {axis} or (attrs.causal and cut.steps[axis] != 1):
        return None
    q = cut.applied(sweep, q, {axis: 1 if attrs.rows_first[0] else 2})
    mask = cut.applied(sweep, mask, {axis: 2})
    if attrs.causal:
        attrs = dataclasses.replace(attrs, diagonal=attrs.diagonal + cut.starts[axis])
    return sweep.emit("attention", attrs, [q, k, v, mask], source=[node])


def _reshape(sweep: Sweep, node: Node, cut: _Cut) -> Value | None:
    """Axes in front of all that the reshape changes."""
    before, behind = node.inputs[0].type.shape, node.output.type.shape
    last = max(cut.axes) + 1
    if before[:last] != behind[:last]:
        return None
    x = cut.applied(sweep, node.inputs[0], {axis: axis for axis in cut.axes})
    return sweep.reshape(x, cut.shape)


_MOVES: dict[str, Callable[[Sweep, Node, _Cut], Value | None]] = {
    "elementwise": _elementwise,
    "normalize": _normalize,
    "softmax": _softmax,
    "matmul": _matmul,
    "attention": _attention,
    "reshape": _reshape,
}
