"""Weights on an integer grid: symmetric, one scale for each output channel."""

from __future__ import annotations

import math

import numpy as np

from ingot.builder.ir import Node
from ingot.kernels.spec import DType, QuantWeights

LARGEST = 127
#: a weight may be rounded the other way when its error is at least that: whole numbers stay whole
NEAR = 0.05


def weight_axis(node: Node) -> int | None:
    """The axis of the weights (input 1) that counts output channels; ``None``: one scale for all of them."""
    if node.op.name == "conv":
        return 0
    if node.op.name == "conv_transpose":
        return 1 if node.attrs.groups == 1 else None
    rank = node.inputs[1].type.rank
    return rank - 2 if node.attrs.trans_b else rank - 1


def quantise(data: np.ndarray, axis: int | None) -> QuantWeights:
    """scale = max|w| / 127, in float64, rounded to float32; q = w / scale in float64, rounded so that sums stay.

    To the nearest, halves to even; then, in each channel, the few weights nearest to a tie go the other way, so that
    the channel's errors add up to less than one step. What a channel gives on inputs that are all alike, which is much
    of what stands behind a ReLU, is then what it was.
    """
    wide = data.astype(np.float64)
    others = tuple(a for a in range(data.ndim) if a != axis)
    largest = np.abs(wide).max(axis=others, initial=0.0)
    scales = np.atleast_1d(np.where(largest > 0, largest / LARGEST, 1.0)).astype(np.float32)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    shape = [-1 if a == axis else 1 for a in range(data.ndim)]
    exact = np.clip(wide / scales.astype(np.float64).reshape(shape), -LARGEST, LARGEST)
    if axis is None or not data.size:
        return QuantWeights(np.rint(exact).astype(np.int8), scales, axis)
    rows = np.moveaxis(exact, axis, 0)
    q = _sums_kept(rows.reshape(len(rows), -1)).reshape(rows.shape)
    return QuantWeights(np.ascontiguousarray(np.moveaxis(q, 0, axis)), scales, axis)


def _sums_kept(exact: np.ndarray) -> np.ndarray:
    """Rows of float64 as int8 whose sums differ from theirs by half a step, if weights near a tie allow it."""
    q = np.rint(exact)
    error = q - exact
    excess = np.rint(np.cumsum(error, axis=1)[:, -1]).astype(np.int64)  # from left to right on any machine
    order = np.argsort(error, axis=1, kind="stable")
    for row in np.flatnonzero(excess):
        count = int(excess[row])
        turned = order[row, ::-1][:count] if count > 0 else order[row, :-count]
        turned = turned[np.abs(error[row, turned]) > NEAR]
        q[row, turned] -= np.sign(error[row, turned])
    return np.clip(q, -LARGEST, LARGEST).astype(np.int8)


def centred(data: np.ndarray, scales: np.ndarray, zeros: np.ndarray, axis: int | None) -> QuantWeights:
    """Weights around a zero point as symmetric ones, one scale for each index of ``axis``.

    ``data`` int8; q - zero is 9 bits wide: int8 where it fits, else int16.
    """
    shape = [-1 if a == axis else 1 for a in range(data.ndim)]
    moved = data.astype(np.int16) - zeros.astype(np.int16).reshape(shape if axis is not None else ())
    fits = moved.min(initial=0) >= -128 and moved.max(initial=0) <= 127
    return QuantWeights(moved.astype(np.int8) if fits else moved, scales, axis)


def has_weights(node: Node) -> bool:
    """Whether the node has constant float32 weights that can be put on a grid: all finite, one matrix of them."""
    if node.op.name not in ("conv", "conv_transpose", "matmul") or len(node.inputs) < 2:
        return False
    w = node.inputs[1]
    if w is None or w.data is None or w.type.dtype is not DType.F32 or not np.isfinite(w.data).all():
        return False
    return node.op.name != "matmul" or math.prod(w.type.shape[:-2]) == 1
