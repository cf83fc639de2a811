"""What the convolution of an image as it comes is: its attributes, shape, and the steps that it takes the place of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingot.kernels.conv.attrs import ConvAttrs, QConvAttrs, three
from ingot.kernels.conv.attrs import infer as infer_conv
from ingot.kernels.conv.attrs import work as work_conv
from ingot.kernels.conv.int8 import s8_numbers, storable
from ingot.kernels.spec import DType, NodeView, TensorType, Unsupported, Work

#: channels that a pixel has room for
CHANNELS = 4


@dataclass(frozen=True, slots=True)
class ImageConvAttrs:
    """``conv`` of an image ``[N, C, H, W]``, channels first: its transpose, and the quantize before that, in one.

    Inputs: x, w ``[O, C, *kernel]``, bias or None, and, of int8, the sums of weights and the scale as ``QConvAttrs``
    has them. x of float32 becomes int8 as ``conv.x`` says, or half where the weights are; else it is of their type.
    Result ``[N, *S', O]``.
    """

    conv: ConvAttrs


def operands(attrs: ImageConvAttrs, inputs: Sequence) -> tuple:
    """The inputs in the places of those of a convolution, which has a residual."""
    return (*inputs[:3], None, *inputs[3:])


def infer(attrs: ImageConvAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[N, C, H, W] -> [N, H', W', O]; Unsupported when the operands do not go together."""
    x = inputs[0]
    if x.rank != 4 or len(attrs.conv.kernel) != 2:
        raise Unsupported(f"an image {x}", "[N, C, H, W]")
    n, c, h, w = x.shape
    image = TensorType(x.dtype, (n, h, w, c))
    if isinstance(attrs.conv, QConvAttrs) and x.dtype is DType.F32:
        image = replace(image, dtype=DType.I8, quant=attrs.conv.x)
    return infer_conv(attrs.conv, operands(attrs, (image, *inputs[1:])))


def takes(conv: ConvAttrs, channels: int) -> bool:
    """Whether a convolution of an image of so many channels is one of those that there are kernels for."""
    if isinstance(conv, QConvAttrs) and (conv.parts > 1 or conv.residual is not None or not storable(conv.output)):
        return False
    return len(conv.kernel) == 2 and conv.groups == 1 and channels <= CHANNELS and set(conv.dilations) == {1}


def work(node: NodeView) -> Work:
    """That of the convolution."""
    return work_conv(node)


def params(node: NodeView) -> Mapping[str, Any]:
    """The fields of the C struct ``ingot_image_conv_params``."""
    conv = node.attrs.conv
    fields: dict[str, Any] = {
        "conv": {
            "kernel": three(conv.kernel, 1),
            "strides": three(conv.strides, 1),
            "dilations": three(conv.dilations, 1),
            "pads_begin": three(conv.pads[:2], 0),
            "pads_end": three(conv.pads[2:], 0),
            "groups": 1,
            "activation": conv.activation.params(),
        }
    }
    if isinstance(conv, QConvAttrs):
        fields |= {"numbers": s8_numbers(conv.x, None, conv.output, conv.steps), "scale": conv.x.scale}
    return fields
