"""Transposed convolution of what is stored in float16 or bfloat16: attributes, weights, when kernels can do a node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from ingot.kernels.common.half import pack_half, takes_weights
from ingot.kernels.spec import DType, Half, NodeView, Tactic

from .attrs import ConvTransposeAttrs, HalfConvTransposeAttrs, conv_transpose_params, sorted_taps


def to_half(node: NodeView, inputs: Sequence[DType | None], output: DType) -> HalfConvTransposeAttrs:
    """The attributes of the node in half."""
    return attrs_of(node.attrs, output)


def attrs_of(attrs: ConvTransposeAttrs, output: DType) -> HalfConvTransposeAttrs:
    """The same attributes in half."""
    return HalfConvTransposeAttrs(**{f.name: getattr(attrs, f.name) for f in fields(ConvTransposeAttrs)}, output=output)


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[C, O / groups, *kernel] -> [groups * ceil(O / groups / 16), taps * C / groups / 2, 32], taps sorted by phase."""
    attrs: ConvTransposeAttrs = node.attrs
    channels, out = w.shape[:2]
    taps = sorted_taps(attrs)
    grouped = w.reshape(attrs.groups, channels // attrs.groups, out, len(taps))[..., taps]
    return np.concatenate([pack_half(part.transpose(1, 2, 0).reshape(out, -1)) for part in grouped])


def _tactic(kernel: str, dtype: DType) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_transpose_params",
        params=conv_transpose_params,
        when=lambda node: takes_weights(node, HalfConvTransposeAttrs, dtype),
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    )


TACTICS = (_tactic("conv_transpose_f16_n16", DType.F16), _tactic("conv_transpose_bf16_n16k2", DType.BF16))


def _able(node: NodeView) -> bool:
    w = node.inputs[1]
    return w.data is not None and w.type.shape[0] // node.attrs.groups % 2 == 0


RULE = Half(able=_able, operands=(0, 3), weights=lambda node: (1,), attrs=to_half)
