"""Epilogues: what is done to every result of a convolution or matrix product is done while it is in registers.

``y = activation(op(x, w, bias) + residual)``: a residual add, then an activation, become operand and attribute of the
operator. Constant adds are biases already (``fold_scale``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.match import function_of
from ingot.builder.passes.rewrite import Sweep, is_op, plural, to_fixpoint
from ingot.kernels.common.activation import NO_ACTIVATION, ActivationKind
from ingot.kernels.elementwise.op import as_activation
from ingot.kernels.spec import DType

#: operators with inputs (x, w, bias, residual) and an attribute ``activation``
OPERATORS = ("conv", "conv_transpose", "matmul")


def run(graph: Graph) -> None:
    """Fuse residual adds first, then activations; an activation ends what can be fused."""
    fuse(graph, tuple(ActivationKind))


def fuse(graph: Graph, kinds: Sequence[ActivationKind]) -> None:
    """The same with only these kinds of activation."""
    residuals = to_fixpoint(graph, _residual)
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


def _residual(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    insn = function_of(node, "Add")
    if insn is None:
        return None
    one, two = (node.inputs[index] for index in insn.args)
    if not one.type == two.type == node.output.type or one is two or one.is_constant or two.is_constant:
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
