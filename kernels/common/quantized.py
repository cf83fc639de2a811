"""What the integer forms of the operators share: the numbers that stand in their parameters, made in one way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, QuantRule, QuantWeights, TensorType

#: activations that are part of an integer form; all others become tables
EXACT_ACTIVATIONS = (ActivationKind.NONE, ActivationKind.RELU, ActivationKind.CLIP)

#: integers that stand for themselves
UNIT = Quant(1.0)

#: the largest sum of a product's terms must stay below it
INT32 = 1 << 31


def inverse(quant: Quant) -> float:
    """What results are multiplied by before they are rounded: 1 / scale, rounded to float32 once."""
    return float(np.float32(1.0 / float(quant.scale)))


def combined_scale(x: Quant, weights: QuantWeights, count: int, factor: float = 1.0) -> np.ndarray:
    """Scale of x times scale of the weights, for each of ``count`` channels, float32 rounded once."""
    scales = np.float64(x.scale) * weights.scales.astype(np.float64).reshape(-1) * np.float64(factor)
    return np.ascontiguousarray(np.broadcast_to(scales, (count,)).astype(np.float32))


def may_overflow(rows: np.ndarray) -> bool:
    """Whether a sum of products could leave int32. ``rows`` int8 [channels, terms]; activations reach 255 in size."""
    largest = np.abs(rows.astype(np.int64)).sum(axis=1).max(initial=0)
    return int(largest) * 255 >= INT32


def activation_of(given: QuantInput | None) -> Quant | None:
    """How an input stands for real numbers, when it is an activation of int8."""
    return given.value.type.quant if given is not None and given.value is not None else None


def is_exact(activation: Activation) -> bool:
    """Whether an integer form can apply it."""
    return activation.kind in EXACT_ACTIVATIONS


def result_type(shape: tuple[int, ...], output: Quant | None) -> TensorType:
    """int8 where the result is to be stored quantised, else float32."""
    return TensorType(DType.F32 if output is None else DType.I8, shape, output)


def carry(op: str) -> QuantRule:
    """The rule of an operator that only moves elements of its first input: the result stands for the same numbers."""

    def rule(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
        quant = activation_of(inputs[0])
        if quant is None:
            return None
        operands = (inputs[0].value, *node.inputs[1:])
        return QuantForm(op, node.attrs, operands, TensorType(DType.I8, node.outputs[0].type.shape, quant))

    return rule


def join(op: str) -> QuantRule:
    """The rule of an operator that puts elements of several inputs together, all of which stand for them alike."""

    def rule(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
        quants = {activation_of(given) for given in inputs}
        if len(quants) != 1 or None in quants:
            return None
        kind = TensorType(DType.I8, node.outputs[0].type.shape, quants.pop())
        return QuantForm(op, node.attrs, tuple(given.value for given in inputs), kind)

    return rule
