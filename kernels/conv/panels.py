"""How float kernels want their weights: panels of sixteen columns."""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.spec import DType, NodeView

from .attrs import HalfConvAttrs

PANEL = 16


def pack_panels(columns: np.ndarray) -> np.ndarray:
    """[groups, N, taps, C] -> [groups * ceil(N / 16), taps, C, 16], columns padded with zeros."""
    groups, n, taps, channels = columns.shape
    panels = -(-n // PANEL)
    padded = np.zeros((groups, panels * PANEL, taps, channels), columns.dtype)
    padded[:, :n] = columns
    panels_first = padded.reshape(groups * panels, PANEL, taps, channels)
    return np.ascontiguousarray(panels_first.transpose(0, 2, 3, 1))


def pack_depthwise(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[C, 1, *kernel] -> [ceil(C / 16), taps, 16]."""
    taps = math.prod(w.shape[2:])
    return pack_panels(w.reshape(1, w.shape[0], taps, 1))[:, :, 0, :]


def pack_conv(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C / groups, *kernel] -> [groups * ceil(O / groups / 16), taps, C / groups, 16]."""
    groups = node.attrs.groups
    taps = math.prod(w.shape[2:])
    return pack_panels(w.reshape(groups, w.shape[0] // groups, w.shape[1], taps).transpose(0, 1, 3, 2))


def is_float(node: NodeView) -> bool:
    """A convolution in float32 with weights that are known."""
    floats = all(v.type.dtype is DType.F32 for v in node.inputs[:2]) and not isinstance(node.attrs, HalfConvAttrs)
    return floats and node.inputs[1].data is not None
