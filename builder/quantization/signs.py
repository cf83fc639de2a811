"""Which values of a graph can never be negative, whatever its inputs: what follows from operators alone."""

from __future__ import annotations

from ingot.builder.ir import Graph, Node, Value
from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.elementwise.op import as_activation

#: functions whose result is never negative
_POSITIVE = ("Relu", "Abs", "Sigmoid", "HardSigmoid", "Exp", "Softplus", "Sqrt")
_KINDS = (ActivationKind.RELU, ActivationKind.SIGMOID, ActivationKind.HARD_SIGMOID, ActivationKind.SOFTPLUS)
#: operators that move elements
_KEEP = ("reshape", "transpose", "slice", "expand", "gather", "concat")


def nonnegative(graph: Graph) -> set[Value]:
    """Results that are never negative (NaN aside)."""
    found: set[Value] = set()
    for node in graph.nodes:
        if _is_positive(node, found):
            found.update(node.outputs)
    return found


def _is_positive(node: Node, found: set[Value]) -> bool:
    name = node.op.name
    if name == "elementwise":
        return _program(node, found)
    if name == "softmax":
        return node.attrs.kind.name != "LOG_SOFTMAX"
    if name in ("conv", "conv_transpose", "matmul"):
        return _activation(node.attrs.activation)
    if name == "pad":
        return node.inputs[0] in found and (node.attrs.mode != "constant" or node.attrs.value >= 0)
    if name == "pool":
        return node.inputs[0] in found and node.attrs.kind.name != "LP"
    if name == "reduce":
        return node.inputs[0] in found and node.attrs.kind.name in ("MEAN", "SUM", "MAX", "MIN")
    if name == "resize":
        return node.inputs[0] in found and _stays_between(node)
    return name in _KEEP and all(v in found for v in node.inputs if v is not None and v.type.dtype.is_float)


def _stays_between(node: Node) -> bool:
    """Whether a resize gives nothing below 0 or its neighbours, as the cubic one does."""
    return node.attrs.mode in ("nearest", "linear") and node.attrs.extrapolation >= 0


def _activation(activation: Activation) -> bool:
    return activation.kind in _KINDS or (activation.kind is ActivationKind.CLIP and activation.alpha >= 0)


def _program(node: Node, found: set[Value]) -> bool:
    signs = [value in found or _is_positive_constant(value) for value in node.inputs]
    for insn in node.attrs.insns:
        args = [signs[arg] for arg in insn.args]
        if insn.function in ("Add", "Mul", "Div", "Min"):
            signs.append(all(args))
        elif insn.function == "Max":
            signs.append(any(args))
        elif insn.function == "Clip":
            signs.append(insn.alpha >= 0 or (args[0] and insn.beta >= 0))
        else:
            signs.append(insn.function in _POSITIVE)
    return signs[-1]


def _is_positive_constant(value: Value) -> bool:
    if value.data is None or value.type.dtype.name not in ("F32", "F64"):
        return False
    return bool((value.data >= 0).all())


#: activations that go below 0 a little, and how far
_DIPS = {
    ActivationKind.SILU: -0.27847,
    ActivationKind.HARD_SWISH: -0.375,
    ActivationKind.GELU: -0.17,
    ActivationKind.GELU_TANH: -0.17005,
    ActivationKind.MISH: -0.30885,
}


def lower_bounds(graph: Graph) -> dict[Value, float]:
    """Values that can never be below a number that follows from operators alone: 0, or a little less."""
    found = dict.fromkeys(nonnegative(graph), 0.0)
    for node in graph.nodes:
        bound = _bound(node, found)
        if bound is not None:
            found.setdefault(node.output, bound)
    return found


#: pooling and reductions that give nothing below 0 or all of what they read
_BETWEEN = ("MAX", "MIN", "AVERAGE", "AVERAGE_PADDED", "MEAN")
#: what moves elements, picks them or takes their mean
_KEEP_BOUND = ("reshape", "transpose", "slice", "expand", "gather", "concat", "pool", "reduce", "resize")


def _bound(node: Node, found: dict[Value, float]) -> float | None:
    if node.op.name == "elementwise":
        activation = as_activation(node.attrs) if len(set(node.inputs)) == 1 else None
        return None if activation is None else _DIPS.get(activation.kind)
    if node.op.name in ("pool", "reduce") and node.attrs.kind.name not in _BETWEEN:
        return None
    if node.op.name == "resize" and not _stays_between(node):
        return None
    if node.op.name not in _KEEP_BOUND:
        return None
    bounds = [found.get(v) for v in node.inputs if v is not None and v.type.dtype.is_float]
    return None if not bounds or None in bounds else min(bounds)
