"""ScatterND whose constant indices are a box, as a slice assignment exports: pieces of two tensors joined.

``x[..., 2:5, :] = u`` arrives as an index tuple for every element. The pieces in front of the box, the updates and the
pieces behind it say the same without indices, and often need no copy at all.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ingot.kernels.concat.op import concat
from ingot.kernels.slice.op import slice_ranges
from ingot.kernels.spec import Builder


def find_box(indices: np.ndarray, shape: tuple[int, ...]) -> tuple[range, ...] | None:
    """The ranges that the index tuples [..., k] run through in row-major order; ``None`` when they do not."""
    extents = np.array(shape[: indices.shape[-1]])
    tuples = indices.reshape(-1, indices.shape[-1])
    if not len(tuples) or (tuples < -extents).any() or (tuples >= extents).any():
        return None
    tuples = np.where(tuples < 0, tuples + extents, tuples)
    box = tuple(range(int(low), int(high) + 1) for low, high in zip(tuples.min(0), tuples.max(0)))
    if np.prod([len(r) for r in box]) != len(tuples):
        return None
    grid = np.stack(np.meshgrid(*box, indexing="ij"), -1).reshape(tuples.shape)
    return box if np.array_equal(grid, tuples) else None


def replace_box(b: Builder, x: Any, updates: Any, box: tuple[range, ...], axis: int = 0) -> Any:
    """``x`` with the box (from ``axis`` on; before it the box is all of ``x``) replaced by ``updates``."""
    if axis == len(box):
        return updates
    inside, extent = box[axis], x.type.shape[axis]
    middle = replace_box(b, slice_ranges(b, x, {axis: inside}), updates, box, axis + 1)
    pieces = [slice_ranges(b, x, {axis: range(inside.start)}), middle]
    return concat(b, [*pieces, slice_ranges(b, x, {axis: range(inside.stop, extent)})], axis)
