"""CPU tactics of the convolution of an image as it comes, in float32 and half."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ingot.kernels.common.half import pack_half
from ingot.kernels.conv.attrs import HalfConvAttrs, QConvAttrs
from ingot.kernels.conv.panels import pack_panels
from ingot.kernels.spec import DType, NodeView, Tactic

from .attrs import params, takes


def _columns(w: np.ndarray) -> np.ndarray:
    """[O, C, *kernel] -> [O, taps, C]."""
    return w.reshape(*w.shape[:2], -1).swapaxes(1, 2)


def pack_f32(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C, *kernel] -> [ceil(O / 16), taps, C, 16]."""
    return pack_panels(_columns(w)[None])


def pack_pairs(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C, *kernel] -> [ceil(O / 16), taps * C / 2, 32], C made even with zeros."""
    even = np.pad(w, ((0, 0), (0, w.shape[1] % 2), (0, 0), (0, 0)))
    return pack_half(_columns(even).reshape(len(w), -1))


def _when(dtype: DType, kind: Callable[[object], bool]) -> Callable[[NodeView], bool]:
    def can(node: NodeView) -> bool:
        x, w = node.inputs[0].type, node.inputs[1]
        known = w.data is not None and w.type.dtype is dtype and x.dtype in (DType.F32, dtype)
        return known and kind(node.attrs.conv) and takes(node.attrs.conv, x.shape[1])

    return can


def _tactic(kernel: str, when: Callable[[NodeView], bool], pack: Callable[..., np.ndarray]) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_image_conv_params",
        params=params,
        when=when,
        pack={1: pack},
        pitched_outputs=(0,),
    )


def _is_half(conv: object) -> bool:
    return isinstance(conv, HalfConvAttrs)


def _is_float(conv: object) -> bool:
    return not isinstance(conv, (HalfConvAttrs, QConvAttrs))


TACTICS: tuple[Tactic, ...] = (
    _tactic("image_conv_f32_n16", _when(DType.F32, _is_float), pack_f32),
    _tactic("image_conv_f16_n16", _when(DType.F16, _is_half), pack_pairs),
    _tactic("image_conv_bf16_n16k2", _when(DType.BF16, _is_half), pack_pairs),
)
