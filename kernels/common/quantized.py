"""What the integer forms of the operators share: the numbers that stand in their parameters, made in one way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    """Scale of x times scale of the weights, for each of ``count`` channels, float64."""
    scales = np.float64(x.scale) * weights.scales.astype(np.float64).reshape(-1) * np.float64(factor)
    return np.ascontiguousarray(np.broadcast_to(scales, (count,)))


def may_overflow(rows: np.ndarray, bias: np.ndarray | None = None) -> bool:
    """Whether a sum of products, and of a bias of integers, could leave int32.

    ``rows`` int8 or int16 [channels, terms]; activations reach 255 in size.
    """
    largest = np.abs(rows.astype(np.int64)).sum(axis=1) * 255
    if bias is not None and bias.dtype == np.int32:
        largest = largest + np.abs(bias.astype(np.int64))
    return int(largest.max(initial=0)) >= INT32


def in_parts(w: np.ndarray, axis: int) -> np.ndarray:
    """int8 weights as they are; int16 ones as a sum over a new axis of int8."""
    if w.dtype == np.int8:
        return w
    parts, rest = [], w
    while not parts or rest.any():
        parts.append(np.clip(rest, -128, 127))
        rest = rest - parts[-1]
    return np.stack(parts, axis).astype(np.int8)


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What turns exact sums into a result: ``v = float32(sum + bias) * scale``, or ``fma(float32(sum), scale, bias)``.

    ``bias`` int32 or float32 [channels], or None; ``scale`` float32 [channels]. Where ``steps``, scale and bounds of
    the activation count steps of the result: v is rounded to a whole number as it is. Else they are real numbers.
    """

    bias: np.ndarray | None
    scale: np.ndarray
    activation: Activation
    steps: bool


def epilogue(
    scale: np.ndarray,
    bias: np.ndarray | None,
    activation: Activation,
    residual: Quant | None,
    output: Quant | None,
) -> Epilogue:
    """The one with the fewest roundings. ``scale`` float64 [channels] of the sums, ``bias`` float32 [channels].

    A bias that stands for whole numbers of sums, as models bring it that arrive quantised, is added to them. If then
    nothing but the sum is left to be requantised, that takes one multiplication.
    """
    whole = None if bias is None else whole_multiples(bias, scale)
    single = scale.astype(np.float32)
    if bias is not None and whole is None:
        return Epilogue(bias.astype(np.float32), single, activation, False)
    if whole is not None and not whole.any():
        whole = None
    if residual is not None or output is None:
        return Epilogue(whole, single, activation, False)
    step = np.float32(output.scale)
    with np.errstate(over="ignore"):
        bounds = {name: float(np.float32(getattr(activation, name)) / step) for name in ("alpha", "beta")}
        in_steps = replace(activation, **bounds) if activation.kind is ActivationKind.CLIP else activation
        return Epilogue(whole, single / step, in_steps, True)


def whole_multiples(bias: np.ndarray, scale: np.ndarray) -> np.ndarray | None:
    """int32 numbers of ``scale`` (float64) that ``bias`` (float32) is, to the precision of float32; None: it is not."""
    wide = bias.astype(np.float64)
    with np.errstate(all="ignore"):
        count = np.rint(wide / scale)
        close = np.abs(count * scale - wide) <= np.abs(wide) * 2.0**-22
    if not (close & (np.abs(count) < INT32)).all():
        return None
    return count.astype(np.int32)


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
