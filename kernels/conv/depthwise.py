"""Depthwise convolutions in float32, alone and together with the pointwise one that reads them."""

from __future__ import annotations

from typing import Any

from ingot.kernels.spec import NodeView, Tactic
from ingot.targets import Target

from . import pointwise
from .attrs import conv_params
from .panels import is_float, pack_conv, pack_depthwise


def is_depthwise(node: NodeView) -> bool:
    x, w = node.inputs[0].type, node.inputs[1].type
    return is_float(node) and node.attrs.groups == x.shape[-1] == w.shape[0]


def _small_window(node: NodeView) -> bool:
    """A window of 3x3 that moves by one or by two."""
    attrs = node.attrs
    flat = attrs.kernel == (3, 3) and set(attrs.dilations) == {1}
    return is_depthwise(node) and flat and attrs.strides in ((1, 1), (2, 2))


def _separable(node: NodeView) -> bool:
    """A pointwise convolution of what such a window gives."""
    producer = node.inputs[0].producer
    if producer is None or producer.op.name != "conv" or not pointwise.fits(node):
        return False
    return _small_window(producer) and producer.inputs[3] is None


def _separable_params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_conv_dw_pw_params``."""
    return {"depthwise": conv_params(node.inputs[0].producer), "pointwise": conv_params(node)}


def _tiles(node: NodeView, target: Target) -> float:
    """Channels that do not fill a register are masked where that costs nothing, else copied, which takes as three."""
    channels, bits = node.inputs[0].type.shape[-1], int(target.figures.get("vector_bits", 128))
    lanes = bits // 32
    whole, rest = divmod(channels, lanes)
    registers = whole + (rest > 0) * (1 if bits >= 512 else 3)
    return 0.65 * channels / (registers * lanes)


TACTICS = (
    Tactic(
        kernel="conv_f32_dw",
        params_type="ingot_conv_params",
        params=conv_params,
        when=is_depthwise,
        pack={1: pack_depthwise},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        efficiency=lambda node, target: 0.4,
    ),
    Tactic(
        kernel="conv_f32_dw_tile",
        params_type="ingot_conv_params",
        params=conv_params,
        when=_small_window,
        pack={1: pack_depthwise},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        efficiency=_tiles,
    ),
    Tactic(
        kernel="conv_f32_dw_pw",
        params_type="ingot_conv_dw_pw_params",
        params=_separable_params,
        when=_separable,
        absorbs=(0,),
        pack={0: pack_conv, 4: pack_depthwise},
        pitched_inputs=(2, 3),
        pitched_outputs=(0,),
        inplace=(2,),
        efficiency=lambda node, target: _tiles(node.inputs[0].producer, target) + 0.1,
    ),
)
