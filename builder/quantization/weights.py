"""Weights on an integer grid: symmetric, one scale for each output channel."""

from __future__ import annotations

import numpy as np

from ingot.builder.ir import Node
from ingot.kernels.spec import Axis, DType, QuantWeights, axes_of, scale_shape

LARGEST = 127
#: a weight may be rounded the other way when its error is at least that: whole numbers stay whole
NEAR = 0.05


def weight_axes(node: Node) -> dict[int, Axis]:
    """The inputs that int8 can hold as weights and are there, each with what has a scale of its own."""
    return {index: axis for index, axis in node.op.weights(node).items() if node.inputs[index] is not None}


def quantise(data: np.ndarray, axis: Axis) -> QuantWeights:
    """scale = max|w| / 127, in float64, rounded to float32; q = w / scale in float64, rounded so that sums stay.

    To the nearest, halves to even; then, in each channel, the few weights nearest to a tie go the other way, so that
    the channel's errors add up to less than one step. What a channel gives on inputs that are all alike, which is much
    of what stands behind a ReLU, is then what it was.
    """
    wide = data.astype(np.float64)
    axes = axes_of(axis)
    others = tuple(a for a in range(data.ndim) if a not in axes)
    largest = np.abs(wide).max(axis=others, initial=0.0)
    scales = np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32).reshape(-1)
    scales = np.maximum(scales, np.finfo(np.float32).tiny)
    shape = scale_shape(axis, data.shape)
    exact = np.clip(wide / scales.astype(np.float64).reshape(shape), -LARGEST, LARGEST)
    if axis is None or not data.size:
        return QuantWeights(np.rint(exact).astype(np.int8), scales, axis)
    rows = np.moveaxis(exact, axes, range(len(axes)))
    q = _sums_kept(rows.reshape(len(scales), -1)).reshape(rows.shape)
    return QuantWeights(np.ascontiguousarray(np.moveaxis(q, range(len(axes)), axes)), scales, axis)


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


def centred(data: np.ndarray, scales: np.ndarray, zeros: np.ndarray, axis: Axis) -> QuantWeights:
    """Weights around a zero point as symmetric ones, one scale for each index of ``axis``.

    ``data`` int8; q - zero is 9 bits wide: int8 where it fits, else int16.
    """
    shape = scale_shape(axis, data.shape)
    moved = data.astype(np.int16) - zeros.astype(np.int16).reshape(shape)
    fits = moved.min(initial=0) >= -128 and moved.max(initial=0) <= 127
    return QuantWeights(moved.astype(np.int8) if fits else moved, scales, axis)


def has_weights(node: Node) -> bool:
    """Whether all weights of the node are constant float32 that can be put on a grid: finite."""
    weights = [node.inputs[index] for index in weight_axes(node)]
    return bool(weights) and all(
        w.data is not None and w.type.dtype is DType.F32 and np.isfinite(w.data).all() for w in weights
    )
