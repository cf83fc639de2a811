"""Transposed convolution of int8: attributes, integer form, kernel."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.common.quantized import (
    UNIT,
    activation_of,
    combined_scale,
    epilogue,
    is_exact,
    may_overflow,
    result_type,
)
from ingot.kernels.conv.int8 import pack_s8, s8_numbers, s8_operands, storable
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, Sample, Tactic, TensorType, Unsupported

from .attrs import ConvTransposeAttrs, conv_transpose_params, sorted_taps, tap_phases

_X, _Y = Quant(0.05, 3), Quant(0.03, -5)  # of samples


@dataclass(frozen=True, slots=True)
class QConvTransposeAttrs(ConvTransposeAttrs):
    """The same of int8: how x, the residual and the result stand for real numbers.

    Inputs: x int8, w int8 (symmetric), bias ``[O]`` or None, residual int8 or None, sums of the weights that an output
    position of each phase uses, int32 ``[product of the strides, O]``, and the scale of x times that of each channel's
    weights, float32 ``[O]``. Bias, result and ``steps`` are those of a convolution.
    """

    x: Quant = UNIT
    residual: Quant | None = None
    output: Quant | None = None
    steps: bool = False


def check_operands(attrs: QConvTransposeAttrs, inputs: Sequence[TensorType | None], shape: tuple[int, ...]) -> None:
    """Unsupported when the inputs are not what :class:`QConvTransposeAttrs` says."""
    x, w, bias, residual, sums, scale = inputs
    row = (shape[-1],)
    sound = (
        x.dtype is w.dtype is DType.I8
        and (bias is None or (bias.dtype in (DType.F32, DType.I32) and bias.shape == row))
        and (sums.dtype, sums.shape) == (DType.I32, (math.prod(attrs.strides), *row))
        and (scale.dtype, scale.shape) == (DType.F32, row)
        and (residual is None) == (attrs.residual is None)
        and (residual is None or (residual.dtype, residual.shape) == (DType.I8, shape))
    )
    if not sound:
        raise Unsupported(
            f"an int8 transposed convolution of {', '.join(map(str, inputs))}", "the operands QConvTransposeAttrs names"
        )


def phase_sums(attrs: ConvTransposeAttrs, w: np.ndarray) -> np.ndarray:
    """int8 [C, O / groups, *kernel] -> int32 [product of the strides, O]: sums over the taps of each phase."""
    channels, out = w.shape[:2]
    taps = w.reshape(attrs.groups, channels // attrs.groups, out, -1).sum(axis=1, dtype=np.int32)
    per_tap = taps.reshape(attrs.groups * out, -1).T
    sums = np.zeros((*attrs.strides, attrs.groups * out), np.int32)
    for index, tap in enumerate(itertools.product(*map(range, attrs.kernel))):
        sums[tap_phases(attrs, tap)] += per_tap[index]
    return sums.reshape(-1, attrs.groups * out)


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """int8 activations, constant int8 weights with one scale or, in one group, one for each output channel."""
    attrs: ConvTransposeAttrs = node.attrs
    bias = node.inputs[2]
    x, weights = activation_of(inputs[0]), inputs[1].weights if inputs[1] is not None else None
    if x is None or weights is None or not is_exact(attrs.activation):
        return None
    if weights.axis not in (None, 1) or (weights.axis == 1 and attrs.groups != 1):
        return None
    if bias is not None and bias.data is None:
        return None
    residual = activation_of(inputs[3])
    if node.inputs[3] is not None and residual is None:
        return None
    w = weights.data
    out = w.shape[1] * attrs.groups
    grouped = w.reshape(attrs.groups, w.shape[0] // attrs.groups, w.shape[1], -1).swapaxes(1, 2)
    data = None if bias is None else bias.data
    end = epilogue(combined_scale(x, weights, out), data, attrs.activation, residual, output)
    if w.dtype != np.int8 or may_overflow(grouped.reshape(out, -1), end.bias):
        return None
    fields = {field.name: getattr(attrs, field.name) for field in dataclasses.fields(ConvTransposeAttrs)}
    fields |= {"activation": end.activation, "steps": end.steps}
    quantised = QConvTransposeAttrs(**fields, x=x, residual=residual, output=output)
    operands = (
        inputs[0].value,
        w,
        end.bias,
        None if residual is None else inputs[3].value,
        phase_sums(attrs, w),
        end.scale,
    )
    return QuantForm("conv_transpose", quantised, operands, result_type(node.outputs[0].type.shape, output))


def pack_conv_transpose_s8(attrs: ConvTransposeAttrs, w: np.ndarray) -> np.ndarray:
    """int8 [C, O / groups, *kernel] -> [groups * ceil(O / groups / 16), sorted taps, ceil(C / groups / 4), 64]."""
    channels, out = w.shape[:2]
    taps = sorted_taps(attrs)
    grouped = w.reshape(attrs.groups, channels // attrs.groups, out, len(taps))[..., taps]
    groups = [np.stack([pack_s8(group[..., tap].T) for tap in range(len(taps))], axis=1) for group in grouped]
    return np.concatenate(groups)


def s8_params(node: NodeView) -> dict[str, Any]:
    attrs: QConvTransposeAttrs = node.attrs
    numbers = s8_numbers(attrs.x, attrs.residual, attrs.output, attrs.steps)
    return {"conv": conv_transpose_params(node), "numbers": numbers}


def is_s8(node: NodeView) -> bool:
    attrs = node.attrs
    return isinstance(attrs, QConvTransposeAttrs) and node.inputs[1].data is not None and storable(attrs.output)


TACTICS = (
    Tactic(
        kernel="conv_transpose_s8_n16k4",
        params_type="ingot_conv_transpose_s8_params",
        params=s8_params,
        when=is_s8,
        pack={1: lambda node, w: pack_conv_transpose_s8(node.attrs, w)},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
    ),
)


def _sample(
    name: str,
    size: tuple[int, ...],
    channels: int,
    out: int,
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    *,
    pads: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    groups: int = 1,
    activation: Activation = NO_ACTIVATION,
    residual: Quant | None = None,
    output: Quant | None = _Y,
    steps: bool = False,
) -> Sample:
    pads, dilations = pads or (0,) * (2 * len(kernel)), dilations or (1,) * len(kernel)
    attrs = QConvTransposeAttrs(kernel, strides, pads, dilations, groups, (), activation, _X, residual, output, steps)
    random = np.random.default_rng(len(name))
    x = random.integers(-128, 128, (2, *size, channels)).astype(np.int8)
    w = random.integers(-128, 128, (channels, out // groups, *kernel)).astype(np.int8)
    spatial = [
        (n - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - pads[i] - pads[i + len(size)]
        for i, n in enumerate(size)
    ]
    rows = np.moveaxis(w, 1, 0).reshape(out // groups, -1).repeat(groups, axis=0)
    bias, rest, _, scale = s8_operands(rows, (2, *spatial, out), attrs)
    return Sample(attrs, (x, w, bias, rest, phase_sums(attrs, w), scale), (1, 2, 4, 5), name)


def samples() -> Iterable[Sample]:
    """All bytes; strides, dilations, cropped outputs, phases without taps, groups, one to three axes."""
    relu, near = Activation(ActivationKind.RELU), Quant(0.11, 7)
    yield _sample("int8 2x2 stride 2", (5, 6), 17, 20, (2, 2), (2, 2), activation=relu)
    yield _sample("int8 4x4 stride 2", (5, 7), 16, 90, (4, 4), (2, 2), pads=(1, 1, 1, 1), residual=near)
    yield _sample("int8 to float", (4, 4), 3, 5, (3, 3), (3, 2), pads=(1, 0, 0, 1), output=None)
    yield _sample("int8 2x2 stride 3", (4, 4), 3, 5, (2, 2), (3, 3))
    yield _sample("int8 dilated", (6, 5), 5, 8, (3, 3), (2, 1), dilations=(2, 3), pads=(1, 2, 2, 1))
    yield _sample("int8 steps", (4, 5), 5, 20, (3, 3), (2, 2), steps=True, activation=relu)
    yield _sample("int8 one axis", (30,), 8, 16, (16,), (8,), pads=(4, 4))
    yield _sample("int8 three axes", (3, 2, 4), 4, 6, (2, 3, 2), (1, 2, 2), pads=(0, 1, 0, 0, 1, 0))
    yield _sample("int8 grouped", (5, 5), 12, 34, (3, 3), (2, 2), pads=(1, 1, 1, 1), groups=2, residual=near)
