"""Epilogues: what is done to every result of a convolution or matrix product is done while it is in registers.

``y = activation(op(x, w, bias) + residual)``: a residual add, then an activation, become operand and attribute of the
operator. Constant adds are biases already (``fold_scale``), or tensors, as the embeddings of places are; these are
found behind a reshape, and behind a concat with a constant, such as the row of a class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.match import function_of
from ingot.builder.passes.rewrite import Sweep, is_op, plural, to_fixpoint
from ingot.kernels.common.activation import NO_ACTIVATION, ActivationKind
from ingot.kernels.elementwise.op import as_activation
from ingot.kernels.spec import DType

#: operators with inputs (x, w, bias, residual) and an attribute ``activation``
OPERATORS = ("conv", "conv_transpose", "matmul")
#: bytes of a constant that is repeated for each element of a batch
MOST_REPEATED = 4 << 20


def run(graph: Graph) -> None:
    """Fuse residual adds first, then activations; an activation ends what can be fused."""
    to_fixpoint(graph, _to_pieces)
    to_fixpoint(graph, _before_reshape)
    fuse(graph, tuple(ActivationKind), constants=True)


def fuse(graph: Graph, kinds: Sequence[ActivationKind], constants: bool = False) -> None:
    """The same with only these kinds of activation, and residuals that are constant if they may be."""
    residuals = to_fixpoint(graph, lambda sweep, node: _residual(sweep, node, constants))
    activations = to_fixpoint(graph, lambda sweep, node: _activation(sweep, node, kinds))
    if residuals or activations:
        text = f"fused {plural(residuals, 'residual add')} and {plural(activations, 'activation')}"
        graph.report.append(("fuse_epilogue", text))


def _open(sweep: Sweep, value: Value | None) -> Node | None:
    """The operator that computes the value for one reader only, if nothing is applied to its result yet."""
    node = value.producer if value is not None else None
    if not is_op(node, *OPERATORS) or not sweep.single_use(value) or node.attrs.activation != NO_ACTIVATION:
        return None
    if node.inputs[0].type.dtype is DType.I8:  # its rounding points are fixed
        return None
    return node


def _constant_add(node: Node) -> tuple[Value, Value] | None:
    """What a constant is added to, and the constant."""
    insn = function_of(node, "Add")
    if insn is None or len(node.inputs) != 2:
        return None
    for value, constant in (node.inputs, node.inputs[::-1]):
        if constant.is_constant and not value.is_constant and value.type == node.output.type:
            return (value, constant) if value.type.dtype is DType.F32 else None
    return None


def _with(node: Node, value: Value, constant: Value) -> list[Value]:
    """The operands of a constant add with others in their places."""
    return [constant if old.is_constant else value for old in node.inputs]


def _to_pieces(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """Each piece of a concat gets its part of what is added; constant pieces have it already."""
    value, constant = _constant_add(node) or (None, None)
    concat = value.producer if value is not None else None
    if not is_op(concat, "concat") or not sweep.single_use(value) or not any(p.is_constant for p in concat.inputs):
        return None
    axis, pieces, begin = concat.attrs.axis, [], 0
    whole = np.broadcast_to(constant.data, (*constant.type.shape[:-1], value.type.shape[-1]))
    whole = whole.reshape((1,) * (value.type.rank - whole.ndim) + whole.shape)
    for piece in concat.inputs:
        end = begin + piece.type.shape[axis]
        part = whole if whole.shape[axis] == 1 else whole[(slice(None),) * axis + (slice(begin, end),)]
        begin = end
        if piece.is_constant:
            pieces.append(sweep.constant(np.array(piece.data + part, np.float32), f"{piece.name}.added"))
            continue
        added = sweep.constant(np.array(part), f"{constant.name}.part")
        pieces.append(sweep.emit("elementwise", node.attrs, _with(node, piece, added)))
    return [sweep.emit("concat", concat.attrs, pieces, source=[concat], outputs=node.outputs)]


def _before_reshape(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """A tensor is added before a reshape, where the operator can take it as its residual."""
    value, constant = _constant_add(node) or (None, None)
    reshape = value.producer if value is not None else None
    if not is_op(reshape, "reshape") or not sweep.single_use(value):
        return None
    x = reshape.inputs[0]
    producer = _open(sweep, x)
    if producer is None or producer.inputs[3] is not None:
        return None
    if constant.type.count <= value.type.shape[-1] or value.type.nbytes > MOST_REPEATED:
        return None
    data = np.array(np.broadcast_to(constant.data, value.type.shape)).reshape(x.type.shape)
    added = sweep.constant(data, f"{constant.name}.reshaped")
    result = sweep.emit("elementwise", node.attrs, _with(node, x, added))
    return [sweep.reshape(result, value.type.shape)]


def _residual(sweep: Sweep, node: Node, constants: bool) -> Sequence[Value] | None:
    insn = function_of(node, "Add")
    if insn is None:
        return None
    one, two = (node.inputs[index] for index in insn.args)
    if not one.type == two.type == node.output.type or one is two:
        return None
    if not constants and (one.is_constant or two.is_constant):
        return None
    candidates = [(value, other, _open(sweep, value)) for value, other in ((one, two), (two, one))]
    candidates = [c for c in candidates if c[2] is not None and c[2].inputs[3] is None]
    if not candidates:
        return None
    # Of two, the later one takes the other as its residual: that one is computed by then in any case.
    _, other, producer = max(candidates, key=lambda c: sweep.position(c[2]))
    inputs = [*producer.inputs[:3], other]
    return [sweep.emit(producer.op.name, producer.attrs, inputs, source=[producer], outputs=node.outputs)]


def _activation(sweep: Sweep, node: Node, kinds: Sequence[ActivationKind]) -> Sequence[Value] | None:
    if not is_op(node, "elementwise") or len({id(value) for value in node.inputs}) != 1:
        return None
    producer = _open(sweep, node.inputs[0]) if len(node.inputs) == 1 else None
    activation = as_activation(node.attrs) if producer is not None else None
    if activation is None or activation.kind not in kinds or node.output.type != node.inputs[0].type:
        return None
    attrs = dataclasses.replace(producer.attrs, activation=activation)
    return [sweep.emit(producer.op.name, attrs, producer.inputs, source=[producer], outputs=node.outputs)]
