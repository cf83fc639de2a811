"""Attention, spelled out as two matrix products with a softmax between them.

``softmax(scale * q k^T + mask) v``: the operator never writes the scores to memory, reads q, k and v with heads before
or behind rows, and shares the heads of k and v among those of q; so transposes and expands around it go as well.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ingot.builder.evaluate import has_tactic
from ingot.builder.ir import Node, Value
from ingot.builder.passes.match import function_of, uniform
from ingot.builder.passes.permutation import Perm, after, identity
from ingot.builder.passes.rewrite import Sweep, has_op, is_op, op
from ingot.kernels.common.activation import NO_ACTIVATION
from ingot.kernels.spec import Unsupported

HEADS_BEHIND_ROWS: Perm = (0, 2, 1, 3)


def attention(sweep: Sweep, node: Node) -> tuple[str, Value] | None:
    """A rule's body: the product of a softmax and values, or the transpose of an attention's result."""
    if not has_op("attention"):
        return None
    if is_op(node, "transpose"):
        return _turned(sweep, node)
    found = _product_of_softmax(sweep, node)
    return None if found is None else _whole(sweep, node, *found)


def _plain(node: Node | None) -> bool:
    return is_op(node, "matmul") and node.attrs.activation == NO_ACTIVATION and not any(node.inputs[2:])


def _matrix_swap(rank: int) -> Perm:
    return (*range(rank - 2), rank - 1, rank - 2)


def _product_of_softmax(sweep: Sweep, node: Node) -> tuple[Node, Value, Perm, bool] | None:
    """The softmax, the values, the order in which these are [..., rows, width], and whether the result is turned."""
    if not _plain(node) or node.attrs.alpha != 1:
        return None
    a, b = node.inputs[:2]
    rank = node.output.type.rank
    if rank not in (3, 4) or a.type.rank != rank or b.type.rank != rank:
        return None
    same, swap = identity(rank), _matrix_swap(rank)
    if is_op(a.producer, "softmax") and not node.attrs.trans_a:
        found = a, b, swap if node.attrs.trans_b else same, False
    else:  # v^T softmax^T, the transposed result
        weights, turned = b, node.attrs.trans_b
        if is_op(b.producer, "transpose") and b.producer.attrs.perm == swap and sweep.single_use(b):
            weights, turned = b.producer.inputs[0], not turned
        found = weights, a, same if node.attrs.trans_a else swap, True
        if not turned:
            return None
    weights, values, order, turned = found
    softmax = weights.producer
    if not is_op(softmax, "softmax") or softmax.attrs.kind.name != "SOFTMAX" or softmax.attrs.axis != rank - 1:
        return None
    return (softmax, values, order, turned) if sweep.single_use(weights) else None


def _unscaled(value: Value) -> tuple[float, Value]:
    """The value as a number times another one."""
    total = 1.0
    while (insn := function_of(value.producer, "Mul", "Div")) is not None:
        a, b = (value.producer.inputs[arg] for arg in insn.args)
        if insn.function == "Mul" and a.is_constant:
            a, b = b, a
        factor = uniform(b)
        if not factor or a.type != value.type:
            break
        total = total * factor if insn.function == "Mul" else total / factor
        value = a
    return total, value


def _whole(
    sweep: Sweep, node: Node, softmax: Node, values: Value, order: Perm, turned: bool
) -> tuple[str, Value] | None:
    scores, mask, rank = softmax.inputs[0], None, node.output.type.rank
    insn = function_of(scores.producer, "Add")
    if insn is not None and sweep.single_use(scores):
        one, two = (scores.producer.inputs[arg] for arg in insn.args)
        scores, mask = (one, two) if one.type == scores.type and not one.is_constant else (two, one)
    factor, product = _unscaled(scores)
    source = product.producer
    if not _plain(source) or not sweep.single_use(product) or source.attrs.trans_a:
        return None
    q, k = source.inputs[:2]
    if q.type.rank != rank or k.type.rank != rank or product.type != softmax.inputs[0].type:
        return None
    same, swap = identity(rank), _matrix_swap(rank)
    q_factor, q = _operand(sweep, q, same)
    k_factor, k = _operand(sweep, k, same if source.attrs.trans_b else swap)
    v_factor, v = _operand(sweep, values, order)
    if v_factor != 1:
        return None
    k, v = _shared_heads(sweep, k, v)
    mask = _mask(sweep, mask, product)
    if mask is _NO_MASK:
        return None
    scale = float(source.attrs.alpha) * factor * q_factor * k_factor
    attrs = op("attention").attrs(scale, (q.rows_first, k.rows_first, v.rows_first, False))
    inputs = [q.value, k.value, v.value, mask]
    if not _has_kernel(attrs, inputs, sweep.graph.backend):
        return None
    result = sweep.emit("attention", attrs, inputs, source=[source, softmax])
    shape = node.output.type.shape
    if turned:
        result = sweep.reshape(result, (*shape[:-2], shape[-1], shape[-2]))
        result = sweep.transpose(result, swap)
    return "Attention", sweep.reshape(result, shape)


def _has_kernel(attrs: Any, inputs: Sequence[Value | None], backend: str) -> bool:
    spec = op("attention")
    try:
        types = spec.infer(attrs, [None if x is None else x.type for x in inputs])
    except Unsupported:
        return False
    return has_tactic(Node(spec, attrs, list(inputs), [Value("trial", types[0])]), backend)


@dataclasses.dataclass(frozen=True, slots=True)
class _Operand:
    """[B, H, L, D], or [B, L, H, D] with ``rows_first``."""

    value: Value
    rows_first: bool

    @property
    def heads(self) -> int:
        return 2 if self.rows_first else 1


def _operand(sweep: Sweep, value: Value, order: Perm) -> tuple[float, _Operand]:
    """``transpose(value, order)``, read from wherever it comes from: a factor, and the operand."""
    factor, value = _unscaled(value)
    if is_op(value.producer, "transpose"):
        order = after(value.producer.attrs.perm, order)
        more, value = _unscaled(value.producer.inputs[0])
        factor *= more
    if len(order) == 4 and order == HEADS_BEHIND_ROWS:
        return factor, _Operand(value, True)
    value = sweep.transpose(value, order)
    if len(order) == 3:  # one head
        batch, rows, width = value.type.shape
        value = sweep.reshape(value, (batch, 1, rows, width))
    return factor, _Operand(value, False)


def _shared_heads(sweep: Sweep, k: _Operand, v: _Operand) -> tuple[_Operand, _Operand]:
    """k and v as they were before their heads were repeated for those of q, if both were."""
    sources = [_before_repeat(operand) for operand in (k, v)]
    if any(source is None for source in sources) or len({source[1] for source in sources}) != 1:
        return k, v
    shared = []
    for operand, (value, heads) in zip((k, v), sources):
        shape = list(operand.value.type.shape)
        shape[operand.heads] = heads
        shared.append(dataclasses.replace(operand, value=sweep.reshape(value, shape)))
    return shared[0], shared[1]


def _before_repeat(operand: _Operand) -> tuple[Value, int] | None:
    """What reshape(expand(x)) repeats head by head, and how many heads that has."""
    expand = operand.value.producer.inputs[0].producer if is_op(operand.value.producer, "reshape") else None
    if not is_op(expand, "expand"):
        return None
    shape, wide = operand.value.type.shape, expand.attrs.shape
    axis = operand.heads
    if len(wide) != 5 or (*wide[:axis], wide[axis] * wide[axis + 1], *wide[axis + 2 :]) != shape:
        return None
    narrow = expand.inputs[0].type.shape
    return (expand.inputs[0], wide[axis]) if narrow == (*wide[: axis + 1], 1, *wide[axis + 2 :]) else None


_NO_MASK = object()


def _mask(sweep: Sweep, mask: Value | None, scores: Value) -> Any:
    """The mask as [B or 1, H or 1, Lq or 1, Lk]; ``_NO_MASK`` when it is not one."""
    if mask is None:
        return None
    shape: Sequence[int] = scores.type.shape
    given = (1,) * (len(shape) - mask.type.rank) + mask.type.shape
    if len(given) != len(shape) or given[-1] != shape[-1] or mask.type.dtype is not scores.type.dtype:
        return _NO_MASK
    return sweep.reshape(mask, given if len(given) == 4 else (given[0], 1, *given[1:]))


def _turned(sweep: Sweep, node: Node) -> tuple[str, Value] | None:
    """The result of attention with heads behind rows."""
    source = node.inputs[0].producer
    if node.attrs.perm != HEADS_BEHIND_ROWS or not is_op(source, "attention") or not sweep.single_use(node.inputs[0]):
        return None
    *operands, turned = source.attrs.rows_first
    attrs = dataclasses.replace(source.attrs, rows_first=(*operands, not turned))
    result = sweep.emit("attention", attrs, source.inputs, source=[source], outputs=node.outputs)
    return "transposed result of Attention", result
