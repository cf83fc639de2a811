"""Canonical forms: what does nothing is dropped, and what is done in two steps of a kind is done in one.

Only changes that leave every element's bits alone (a NaN's payload excepted) belong here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ingot.builder.evaluate import has_tactic
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.match import function_of, uniform
from ingot.builder.passes.permutation import after, is_identity, permuted
from ingot.builder.passes.rewrite import Sweep, is_op, moves_bytes, op, plural, to_fixpoint


def run(graph: Graph) -> None:
    """Simplify until nothing changes."""
    changes = to_fixpoint(graph, _rule)
    if changes:
        graph.report.append(("canonicalize", f"simplified {plural(changes, 'node')}"))


def _rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    simplify = _RULES.get(node.op.name)
    result = simplify(sweep, node) if simplify is not None else None
    return None if result is None else [result]


def _reshape(sweep: Sweep, node: Node) -> Value | None:
    (x,) = node.inputs
    if x.type.shape == node.attrs.shape:
        return x
    if is_op(x.producer, "reshape"):
        return sweep.reshape(x.producer.inputs[0], node.attrs.shape)
    return None


def _transpose(sweep: Sweep, node: Node) -> Value | None:
    (x,), perm = node.inputs, node.attrs.perm
    if is_identity(perm):
        return x
    if is_op(x.producer, "transpose"):
        return sweep.transpose(x.producer.inputs[0], after(x.producer.attrs.perm, perm))
    if not moves_bytes(x.type.shape, perm):
        return sweep.reshape(x, permuted(x.type.shape, perm))
    return None


def _slice(sweep: Sweep, node: Node) -> Value | None:
    (x,), attrs = node.inputs, node.attrs
    if x.type.shape == attrs.shape and all(step == 1 or n == 1 for step, n in zip(attrs.steps, attrs.shape)):
        return x
    if is_op(x.producer, "slice"):
        inner = x.producer.attrs
        starts = tuple(s + start * step for s, step, start in zip(inner.starts, inner.steps, attrs.starts))
        steps = tuple(a * b for a, b in zip(inner.steps, attrs.steps))
        merged = op("slice").attrs(_inside(starts, attrs.shape), steps, attrs.shape)
        return sweep.emit("slice", merged, x.producer.inputs)
    if is_op(x.producer, "concat"):
        return _slice_of_concat(sweep, attrs, x.producer)
    return None


def _inside(starts: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """An empty slice starts at 0: its start means nothing and need not lie inside."""
    return tuple(starts) if 0 not in shape else (0,) * len(starts)


def _slice_of_concat(sweep: Sweep, attrs, concat: Node) -> Value | None:
    """A slice that needs only one of the pieces, or fewer of them, reads those."""
    axis = concat.attrs.axis
    if attrs.steps[axis] < 0 or 0 in attrs.shape:
        return None
    first = attrs.starts[axis]
    last = first + (attrs.shape[axis] - 1) * attrs.steps[axis]
    needed, begin, skipped = [], 0, 0
    for piece in concat.inputs:
        end = begin + piece.type.shape[axis]
        if end <= first:
            skipped = end
        elif begin <= last:
            needed.append(piece)
        begin = end
    if len(needed) == len(concat.inputs):
        return None
    starts = tuple(s - skipped if a == axis else s for a, s in enumerate(attrs.starts))
    x = needed[0] if len(needed) == 1 else sweep.emit("concat", concat.attrs, needed)
    return sweep.emit("slice", op("slice").attrs(starts, attrs.steps, attrs.shape), [x])


def _expand(sweep: Sweep, node: Node) -> Value | None:
    (x,) = node.inputs
    if x.type.shape == node.attrs.shape:
        return x
    if is_op(x.producer, "expand"):
        return sweep.emit("expand", node.attrs, x.producer.inputs)
    if math.prod(node.attrs.shape) == x.type.count:
        return sweep.reshape(x, node.attrs.shape)
    return None


def _pad(sweep: Sweep, node: Node) -> Value | None:
    (x,), attrs = node.inputs, node.attrs
    if not any((*attrs.before, *attrs.after)):
        return x
    inner = x.producer
    if not is_op(inner, "pad") or not attrs.mode == inner.attrs.mode == "constant":
        return None
    amounts = (*attrs.before, *attrs.after, *inner.attrs.before, *inner.attrs.after)
    if min(amounts) < 0 or repr(attrs.value) != repr(inner.attrs.value):
        return None
    before = tuple(a + b for a, b in zip(attrs.before, inner.attrs.before))
    behind = tuple(a + b for a, b in zip(attrs.after, inner.attrs.after))
    return sweep.emit("pad", op("pad").attrs(before, behind, "constant", attrs.value), inner.inputs)


def _concat(sweep: Sweep, node: Node) -> Value | None:
    pieces, axis = list(node.inputs), node.attrs.axis
    if len(pieces) == 1:
        return pieces[0]
    flat: list[Value] = []
    for piece in pieces:
        inner = piece.producer
        if is_op(inner, "concat") and inner.attrs.axis == axis and sweep.single_use(piece):
            flat += inner.inputs
        elif piece.type.shape[axis]:
            flat.append(piece)
    flat = flat or pieces[:1]
    if len(flat) > len(pieces) and not _takes(node, flat, sweep.graph.backend):
        return None
    if len(flat) == 1:
        return flat[0]
    return None if flat == pieces else sweep.emit("concat", node.attrs, flat)


def _takes(node: Node, inputs: Sequence[Value], backend: str) -> bool:
    """Whether a kernel takes that many operands."""
    return has_tactic(Node(node.op, node.attrs, list(inputs), node.outputs), backend)


def _elementwise(sweep: Sweep, node: Node) -> Value | None:
    return _neutral(node) or _drop_expands(sweep, node)


#: function -> (which operand is the constant, its value) that leave the other operand as it is. x + 0 is none of
#: them for floats: it turns -0 into 0.
_NEUTRAL: dict[str, tuple[tuple[int, float], ...]] = {
    "Add": ((0, -0.0), (1, -0.0)),
    "Sub": ((1, 0.0),),
    "Mul": ((0, 1.0), (1, 1.0)),
    "Div": ((1, 1.0),),
    "Pow": ((1, 1.0),),
}


def _neutral(node: Node) -> Value | None:
    insn = function_of(node)
    if insn is None:
        return None
    if insn.function == "Cast":
        x = node.inputs[insn.args[0]]
        return x if x.type == node.output.type else None
    for index, value in _NEUTRAL.get(insn.function, ()):
        constant, x = node.inputs[insn.args[index]], node.inputs[insn.args[1 - index]]
        if x.type == node.output.type and _equals(constant, value):
            return x
    return None


def _equals(constant: Value, value: float) -> bool:
    found = uniform(constant)
    if found is None or found != value:
        return False
    return not constant.type.dtype.is_float or np.signbit(found) == np.signbit(value)


def _drop_expands(sweep: Sweep, node: Node) -> Value | None:
    """Elementwise operators broadcast by themselves, as long as another operand gives the result its shape."""
    inputs = list(node.inputs)
    for index, x in enumerate(inputs):
        if x is None or not is_op(x.producer, "expand"):
            continue
        source = x.producer.inputs[0]
        others = [value.type.shape for other, value in enumerate(inputs) if other != index and value is not None]
        if np.broadcast_shapes(source.type.shape, *others) == node.output.type.shape:
            inputs[index] = source
    if inputs == list(node.inputs):
        return None
    return sweep.emit("elementwise", node.attrs, inputs, outputs=node.outputs)


_RULES: dict[str, Callable[[Sweep, Node], Value | None]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "expand": _expand,
    "pad": _pad,
    "concat": _concat,
    "elementwise": _elementwise,
}
