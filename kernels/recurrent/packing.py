"""How the gates of a recurrent layer lie in memory: each padded to a multiple of 16 rows."""

from __future__ import annotations

import numpy as np

from ingot.kernels.spec import NodeView

from .attrs import RecurrentAttrs, RecurrentKind


def pad_gates(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[..., G H, n] -> [..., G Hp, n], each gate padded with zeros to a multiple of 16."""
    attrs: RecurrentAttrs = node.attrs
    split = array.reshape(*array.shape[:-2], attrs.kind.gates, attrs.hidden, array.shape[-1])
    pad = [(0, 0)] * (split.ndim - 2) + [(0, -attrs.hidden % 16), (0, 0)]
    padded = np.pad(split, pad)
    return padded.reshape(*array.shape[:-2], -1, array.shape[-1])


def pack_bias(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[D, 2 G H] -> [D, 2, G Hp]: what is added to the gates, then what is added to R h alone."""
    attrs: RecurrentAttrs = node.attrs
    gates, hidden = attrs.kind.gates, attrs.hidden
    of_w, of_r = np.split(array.reshape(-1, 2, gates, hidden), 2, axis=1)
    apart = np.zeros((gates, 1), bool)
    if attrs.kind is RecurrentKind.GRU and attrs.linear_before_reset:
        apart[2] = True
    both = np.concatenate([np.where(apart, of_w, of_w + of_r), np.where(apart, of_r, np.float32(0))], axis=1)
    packed = pad_gates(node, both.reshape(-1, 2, gates * hidden, 1))
    return np.ascontiguousarray(packed[..., 0].astype(array.dtype))
