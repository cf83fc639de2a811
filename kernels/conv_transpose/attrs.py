"""What a transposed convolution is: its attributes, and the order of its taps."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.activation import NO_ACTIVATION, Activation
from ingot.kernels.conv.attrs import three
from ingot.kernels.spec import DType, NodeView


@dataclass(frozen=True, slots=True)
class ConvTransposeAttrs:
    """``activation(conv_transpose(x, w) + bias + residual)``; one entry a spatial axis, pads all begins, then ends.

    Inputs: x ``[N, *S, C]``, w ``[C, O / groups, *kernel]`` as in ONNX, bias ``[O]`` or None, residual like the
    result or None. Result ``[N, *S', O]`` with S' = (S - 1) stride + (kernel - 1) dilation + 1 - pads + output_padding.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1
    output_padding: tuple[int, ...] = ()
    activation: Activation = NO_ACTIVATION


@dataclass(frozen=True, slots=True)
class HalfConvTransposeAttrs(ConvTransposeAttrs):
    """The same with weights in float16 or bfloat16, computed in float32.

    x, the residual and the result are each stored in the type of the weights or in float32, the bias in float32.
    """

    output: DType = DType.F32


def conv_transpose_params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_conv_transpose_params``."""
    attrs: ConvTransposeAttrs = node.attrs
    return {
        "kernel": three(attrs.kernel, 1),
        "strides": three(attrs.strides, 1),
        "dilations": three(attrs.dilations, 1),
        "pads_begin": three(attrs.pads[: len(attrs.kernel)], 0),
        "groups": attrs.groups,
        "reserved": 0,
        "activation": attrs.activation.params(),
    }


def tap_phases(attrs: ConvTransposeAttrs, tap: tuple[int, ...]) -> tuple[int, ...]:
    """(k * dilation) mod stride for tap k of an axis: an output position uses the taps of one phase only."""
    return tuple(k * d % s for k, d, s in zip(tap, attrs.dilations, attrs.strides))


def sorted_taps(attrs: ConvTransposeAttrs) -> list[int]:
    """Indices of the taps, sorted by phase and then by place."""
    every = list(itertools.product(*map(range, attrs.kernel)))
    return sorted(range(math.prod(attrs.kernel)), key=lambda i: (tap_phases(attrs, every[i]), every[i]))
