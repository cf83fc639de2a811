"""Scales and shifts by constants disappear in the weights of the convolution or matrix product next to them.

BatchNormalization reaches the graph as a product and a sum with one constant a channel. Behind an operator both go
into its weights and bias; in front of it the factor goes into the weights, and the shift into the bias where padding
does not tell the difference. A factor for all of a product of two variables becomes its ``alpha``. Everything is
computed in float64 and rounded once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, is_op, plural, to_fixpoint
from ingot.kernels.common.activation import NO_ACTIVATION
from ingot.kernels.spec import DType

OPERATORS = ("conv", "conv_transpose", "matmul")
_TYPES = (DType.F32, DType.F64)


@dataclasses.dataclass(frozen=True, slots=True)
class Affine:
    """``scale * x + shift``, float64; arrays that broadcast over x, or numbers."""

    scale: np.ndarray | float
    shift: np.ndarray | float


def run(graph: Graph) -> None:
    """Fold what follows an operator, then what precedes it."""
    behind = to_fixpoint(graph, _behind)
    before = to_fixpoint(graph, _before)
    if behind or before:
        text = f"folded scales and shifts behind {plural(behind, 'operator')} and before {before}"
        graph.report.append(("fold_scale", text))


def affine_of(node: Node) -> tuple[Value, Affine] | None:
    """The one variable of an elementwise node and the affine function of it that the node computes, if it is one."""
    if not is_op(node, "elementwise") or node.output.type.dtype not in _TYPES or not node.output.type.rank:
        return None
    variables = list(dict.fromkeys(value for value in node.inputs if not value.is_constant))
    if len(variables) != 1 or variables[0].type != node.output.type:
        return None
    known = [
        Affine(1.0, 0.0) if value is variables[0] else Affine(0.0, value.data.astype(np.float64))
        for value in node.inputs
        if value.type.dtype in _TYPES
    ]
    if len(known) != len(node.inputs):
        return None
    for insn in node.attrs.insns:
        result = _apply(insn.function, [known[arg] for arg in insn.args])
        if result is None or insn.dtype is not node.output.type.dtype:
            return None
        known.append(result)
    return variables[0], known[-1]


def _apply(function: str, args: Sequence[Affine]) -> Affine | None:
    if function == "Neg":
        return Affine(-args[0].scale, -args[0].shift)
    if len(args) != 2:
        return None
    a, b = args
    if function == "Add":
        return Affine(a.scale + b.scale, a.shift + b.shift)
    if function == "Sub":
        return Affine(a.scale - b.scale, a.shift - b.shift)
    if function == "Mul" and not np.any(a.scale):
        a, b = b, a
    if function in ("Mul", "Div") and not np.any(b.scale):
        with np.errstate(all="ignore"):
            if function == "Mul":
                return Affine(a.scale * b.shift, a.shift * b.shift)
            return Affine(a.scale / b.shift, a.shift / b.shift)
    return None


def _per_channel(x: np.ndarray | float, rank: int, channels: int) -> np.ndarray | None:
    """One finite number a channel (the last axis), if that is all that ``x`` is."""
    array = np.asarray(x, np.float64)
    array = array.reshape((1,) * (rank - array.ndim) + array.shape)
    if not rank or any(extent != 1 for extent in array.shape[:-1]) or not np.all(np.isfinite(array)):
        return None
    return np.broadcast_to(array.reshape(-1), (channels,))


def _behind(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    found = affine_of(node)
    if found is None or _continues(sweep, node):
        return None
    value, affine = found
    inside = [node]
    while sweep.single_use(value) and (inner := affine_of(value.producer)) is not None:
        inside.append(value.producer)
        value = inner[0]
        affine = Affine(affine.scale * inner[1].scale, affine.scale * inner[1].shift + affine.shift)
    target = value.producer
    if not is_op(target, *OPERATORS) or not sweep.single_use(value):
        return None
    if target.attrs.activation != NO_ACTIVATION or target.inputs[3] is not None:
        return None
    channels = value.type.shape[-1]
    scale, shift = (_per_channel(x, value.type.rank, channels) for x in (affine.scale, affine.shift))
    if scale is None or shift is None:
        return None
    changed = _scale_results(sweep, target, scale, shift)
    if changed is None:
        return None
    attrs, inputs = changed
    return [sweep.emit(target.op.name, attrs, inputs, source=[target, *inside[:0:-1]], outputs=node.outputs)]


def _continues(sweep: Sweep, node: Node) -> bool:
    """Whether the only reader can be folded too: then that one folds the whole chain, rounding once."""
    value = node.output
    readers = sweep.readers(value) if sweep.single_use(value) else []
    found = affine_of(readers[0]) if readers else None
    if found is None:
        return False
    factors = (found[1].scale, found[1].shift)
    return all(_per_channel(x, value.type.rank, value.type.shape[-1]) is not None for x in factors)


def _scale_results(sweep: Sweep, node: Node, scale: np.ndarray, shift: np.ndarray):
    """Attributes and inputs with which the node gives ``scale * result + shift``."""
    x, w, bias, residual = node.inputs
    old = np.zeros(len(scale)) if bias is None else bias.data
    if old is None:
        return None
    attrs = node.attrs
    if not np.all(scale == 1):
        if w.is_constant:
            w = _constant(sweep, w.data * _along_results(node, scale), w)
        elif is_op(node, "matmul") and np.all(scale == scale[0]):
            attrs = dataclasses.replace(attrs, alpha=float(np.float32(attrs.alpha * scale[0])))
        else:
            return None
    added = old * scale + shift
    if bias is not None or np.any(added):
        bias = _constant(sweep, added, bias or x)
    return None if w is None or (bias is None and np.any(added)) else (attrs, [x, w, bias, residual])


def _constant(sweep: Sweep, exact: np.ndarray, like: Value) -> Value | None:
    """The numbers rounded to the element type of ``like``; ``None`` when they do not fit into it."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(like.type.dtype.numpy)
    if not np.all(np.isfinite(rounded)):
        return None
    stem = like.name if like.is_constant else f"{like.name}.bias"
    return sweep.constant(rounded, f"{stem}.scaled")


def _along_results(node: Node, scale: np.ndarray) -> np.ndarray:
    """One factor for each weight, from one for each channel of the result."""
    w = node.inputs[1].type
    if is_op(node, "matmul"):
        return scale[:, None] if node.attrs.trans_b else scale
    tail = (1,) * (w.rank - 2)
    if is_op(node, "conv"):
        return scale.reshape(-1, 1, *tail)
    groups = node.attrs.groups  # conv_transpose: [C, O/g, *k]
    per_group = np.repeat(scale.reshape(groups, 1, -1), w.shape[0] // groups, axis=1)
    return per_group.reshape(w.shape[0], w.shape[1], *tail)


def _before(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    if not is_op(node, *OPERATORS) or node.output.type.dtype not in _TYPES:
        return None
    for index in (0, 1) if is_op(node, "matmul") else (0,):
        x = node.inputs[index]
        found = affine_of(x.producer) if sweep.single_use(x) else None
        if found is None:
            continue
        changed = _scale_operand(sweep, node, index, *found)
        if changed is not None:
            attrs, inputs = changed
            return [sweep.emit(node.op.name, attrs, inputs, source=[x.producer], outputs=node.outputs)]
    return None


def _scale_operand(sweep: Sweep, node: Node, index: int, value: Value, affine: Affine):
    """Attributes and inputs with which the node takes ``value`` in place of its affine function."""
    inputs, attrs = list(node.inputs), node.attrs
    inputs[index] = value
    if is_op(node, "matmul") and np.size(affine.scale) == 1 and not np.any(affine.shift):
        factor = float(np.asarray(affine.scale).reshape(()))
        if not node.inputs[1 - index].is_constant and math.isfinite(factor):
            return dataclasses.replace(attrs, alpha=float(np.float32(attrs.alpha * factor))), inputs
    w = node.inputs[1]
    if index or not w.is_constant or (is_op(node, "matmul") and attrs.trans_a):
        return None
    channels = value.type.shape[-1]
    scale, shift = (_per_channel(x, value.type.rank, channels) for x in (affine.scale, affine.shift))
    if scale is None or shift is None:
        return None
    if np.any(shift):
        inputs[2] = _shifted_bias(sweep, node, shift)
        if inputs[2] is None:
            return None
    if not np.all(scale == 1):
        inputs[1] = _constant(sweep, w.data * _along_operand(node, scale), w)
    return None if inputs[1] is None else (attrs, inputs)


def _along_operand(node: Node, scale: np.ndarray) -> np.ndarray:
    """One factor for each weight, from one for each channel of the operand."""
    w = node.inputs[1].type
    if is_op(node, "matmul"):
        return scale if node.attrs.trans_b else scale[:, None]
    tail = (1,) * (w.rank - 2)
    if is_op(node, "conv_transpose"):
        return scale.reshape(-1, 1, *tail)
    groups = node.attrs.groups  # conv: [O, C/g, *k]
    per_group = np.repeat(scale.reshape(groups, 1, -1), w.shape[0] // groups, axis=1)
    return per_group.reshape(w.shape[0], w.shape[1], *tail)


def _shifted_bias(sweep: Sweep, node: Node, shift: np.ndarray) -> Value | None:
    """The bias with what a constant shift of every operand element adds; only without padding is that the same."""
    bias, w = node.inputs[2], node.inputs[1]
    if (bias is not None and bias.data is None) or is_op(node, "conv_transpose"):
        return None
    if is_op(node, "conv") and any(node.attrs.pads):
        return None
    if is_op(node, "matmul") and (w.type.rank != 2 or node.attrs.alpha != 1):
        return None
    added = w.data * _along_operand(node, shift)
    if is_op(node, "matmul"):
        added = added if node.attrs.trans_b else added.T
    rows = added.reshape(added.shape[0], -1).tolist()
    old = [0.0] * len(rows) if bias is None else bias.data.astype(np.float64).tolist()
    total = np.array([math.fsum([b, *row]) for b, row in zip(old, rows)])  # exact, in whatever order
    return _constant(sweep, total, bias or node.inputs[0])
