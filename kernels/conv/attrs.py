"""What a convolution is: its attributes in float and in int8, and the shape of its result."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.activation import NO_ACTIVATION, Activation
from ingot.kernels.common.half import half_result
from ingot.kernels.common.quantized import UNIT
from ingot.kernels.spec import DType, NodeView, Quant, TensorType, Unsupported, Work


@dataclass(frozen=True, slots=True)
class ConvAttrs:
    """``activation(conv(x, w) + bias + residual)``; one entry a spatial axis, ``pads`` are all begins, then all ends.

    Inputs: x ``[N, *S, C]``, w ``[O, C / groups, *kernel]`` as in ONNX, bias ``[O]`` or None, residual like the
    result or None. Result ``[N, *S', O]``.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1
    activation: Activation = NO_ACTIVATION


@dataclass(frozen=True, slots=True)
class QConvAttrs(ConvAttrs):
    """The same of int8: how x, the residual and the result stand for real numbers.

    Inputs: x int8, w int8 (symmetric), bias ``[O]`` or None, residual int8 or None, the sum of each output channel's
    weights int32 ``[O]``, and the scale of x times that of each channel's weights, float32 ``[O]``. A bias of
    int32 counts in that scale, one of float32 in real numbers. The result is int8, or float32 where ``output`` is None.
    Where ``steps``, scale and bounds of the activation count steps of the result. Weights of more than 8 bits are the
    sum of ``parts``: w is ``[O, C / groups, parts, *kernel]`` then.
    """

    x: Quant = UNIT
    residual: Quant | None = None
    output: Quant | None = None
    steps: bool = False
    parts: int = 1


@dataclass(frozen=True, slots=True)
class HalfConvAttrs(ConvAttrs):
    """The same with weights in float16 or bfloat16, computed in float32.

    x, the residual and the result are each stored in the type of the weights or in float32, the bias in float32.
    """

    output: DType = DType.F32


def infer(attrs: ConvAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[N, *S, C] -> [N, *S', O]; Unsupported when the extents do not go together."""
    x, w = inputs[0], inputs[1]
    spatial = len(attrs.kernel)
    if not 1 <= spatial <= 3 or x.rank != spatial + 2:
        raise Unsupported(f"a convolution of rank {x.rank} with {spatial} spatial axes", "1 to 3 spatial axes")
    if min(attrs.strides + attrs.dilations + attrs.kernel) < 1 or min(attrs.pads) < 0:
        raise Unsupported("a kernel, stride, dilation or pad out of range", "positive strides, pads of 0 or more")
    parts = (attrs.parts,) if isinstance(attrs, QConvAttrs) and attrs.parts > 1 else ()
    if w.shape[2:] != (*parts, *attrs.kernel) or x.shape[-1] != w.shape[1] * attrs.groups or w.shape[0] % attrs.groups:
        raise Unsupported(
            f"weights {w.shape} for {x.shape[-1]} channels in {attrs.groups} groups",
            "weights of shape [O, C / groups, *kernel]",
        )
    if x.shape[-1] < 1 or w.shape[0] < 1:
        raise Unsupported("a convolution without channels", "at least one channel")
    extents = []
    for axis, size in enumerate(x.shape[1:-1]):
        window = (attrs.kernel[axis] - 1) * attrs.dilations[axis] + 1
        room = size + attrs.pads[axis] + attrs.pads[axis + spatial] - window
        extents.append(room // attrs.strides[axis] + 1 if room >= 0 else 0)
    result = TensorType(x.dtype, (x.shape[0], *extents, w.shape[0]))
    residual = inputs[3] if len(inputs) > 3 else None
    if isinstance(attrs, HalfConvAttrs):
        return (half_result(attrs, inputs, result.shape),)
    if isinstance(attrs, QConvAttrs):
        _check_quantised(attrs, inputs, result.shape)
        dtype = DType.F32 if attrs.output is None else DType.I8
        return (TensorType(dtype, result.shape, attrs.output),)
    if residual is not None and residual != result:
        raise Unsupported(f"a residual {residual} for {result}", "a residual of the result's type")
    return (result,)


def _check_quantised(attrs: QConvAttrs, inputs: Sequence[TensorType | None], shape: tuple[int, ...]) -> None:
    x, w, bias, residual, sums, scale = inputs
    row = (shape[-1],)
    sound = (
        x.dtype is w.dtype is DType.I8
        and (bias is None or (bias.dtype in (DType.F32, DType.I32) and bias.shape == row))
        and (sums.dtype, sums.shape) == (DType.I32, row)
        and (scale.dtype, scale.shape) == (DType.F32, row)
        and (residual is None) == (attrs.residual is None)
        and (residual is None or (residual.dtype, residual.shape) == (DType.I8, shape))
    )
    if not sound:
        raise Unsupported(f"an int8 convolution of {', '.join(map(str, inputs))}", "the operands QConvAttrs names")


def work(node: NodeView) -> Work:
    """A multiply-add for each result and each weight of its output channel."""
    w = node.inputs[1].type
    return Work(2 * node.outputs[0].type.count * math.prod(w.shape[1:]), w.dtype)


def three(values: Sequence[int], missing: int) -> list[int]:
    """Three entries, ``missing`` for the leading axes that are not there."""
    return [missing] * (3 - len(values)) + list(values)


def conv_params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_conv_params``."""
    attrs: ConvAttrs = node.attrs
    spatial = len(attrs.kernel)
    return {
        "kernel": three(attrs.kernel, 1),
        "strides": three(attrs.strides, 1),
        "dilations": three(attrs.dilations, 1),
        "pads_begin": three(attrs.pads[:spatial], 0),
        "pads_end": three(attrs.pads[spatial:], 0),
        "groups": attrs.groups,
        "activation": attrs.activation.params(),
    }
