"""Weights in float16 and bfloat16, rounded so that the errors of an output channel add up to almost nothing.

Inputs of layers are mostly positive: what shifts the sum of a channel's weights shifts all its results alike, and
shifts add up from layer to layer where errors of single weights average out. It is what ``weights`` does for int8.
"""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.common.half import narrow, widen
from ingot.kernels.spec import Axis, DType, axes_of

#: a weight moves to its other neighbour only if it lies at least this far from the nearer one, in steps between them
LEAST = 0.05


def round_half(w: np.ndarray, dtype: DType, axis: Axis) -> np.ndarray:
    """float32 weights as they are stored; ``axis`` counts output channels. NaN and what overflows stay so."""
    nearest = narrow(w, dtype)
    axes = axes_of(axis)
    if not axes or not w.size:
        return nearest
    first = range(len(axes))
    channels = math.prod(w.shape[a] for a in axes)
    rows = np.moveaxis(w, axes, first).reshape(channels, -1).astype(np.float64)
    bits = np.moveaxis(nearest, axes, first).reshape(rows.shape).view(np.uint16)
    near = widen(bits.view(nearest.dtype), dtype).astype(np.float64)
    error = near - rows
    # towards the weight: one step down in magnitude where the rounded one is too large, else one up
    smaller = (np.abs(near) > np.abs(rows)) & (bits & 0x7FFF > 0)
    other_bits = np.where(smaller, bits - 1, bits + 1).astype(np.uint16)
    other = widen(other_bits.view(nearest.dtype), dtype).astype(np.float64)
    step = other - near
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.abs(error) / np.abs(step)
    total = np.cumsum(error, axis=1)[:, -1:]
    able = np.isfinite(other) & (share > LEAST) & (np.sign(step) == -np.sign(total))
    order = np.argsort(np.where(able, -share, np.inf), axis=1, kind="stable")
    left = np.abs(total + np.cumsum(np.take_along_axis(np.where(able, step, 0.0), order, 1), axis=1))
    best = np.argmin(np.concatenate([np.abs(total), left], axis=1), axis=1)  # how many move
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], 1)
    moved = np.where(able & (rank < best[:, None]), other_bits, bits).view(nearest.dtype)
    shape = np.moveaxis(w, axes, first).shape
    return np.ascontiguousarray(np.moveaxis(moved.reshape(shape), first, axes))
