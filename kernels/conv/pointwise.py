"""Convolutions of one pixel as matrix products: the pixels of all images are the rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingot.kernels.spec import DType, NodeView, Tactic

from .attrs import HalfConvAttrs, QConvAttrs
from .panels import pack_panels


def pack_pointwise(w: np.ndarray) -> np.ndarray:
    """[O, C, 1...] -> [ceil(O / 16), C, 16]."""
    return pack_panels(w.reshape(1, w.shape[0], 1, w.shape[1]))[:, 0]


def _params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_matmul_params``."""
    return {"trans_a": 0, "trans_b": 0, "alpha": 1.0, "reserved": 0, "activation": node.attrs.activation.params()}


def fits(node: NodeView) -> bool:
    """A window of one element that moves by one over what is not padded, in one group, with constant weights."""
    attrs, (x, w) = node.attrs, node.inputs[:2]
    if isinstance(attrs, (QConvAttrs, HalfConvAttrs)) or w.data is None:
        return False
    floats = x.type.dtype is w.type.dtype is DType.F32
    return floats and attrs.groups == 1 and set(attrs.kernel + attrs.strides) == {1} and not any(attrs.pads)


TACTICS = (
    Tactic(
        kernel="matmul_f32_n16",
        params_type="ingot_matmul_params",
        params=_params,
        when=fits,
        pack={1: lambda node, w: pack_pointwise(w)},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    ),
)
