"""How far arrays are apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ingot.arrays import shape_text

#: D4 by element type: norm of the difference over that of the reference; largest difference over largest value
BOUNDS = {"float64": (1e-4, 1e-3), "float32": (1e-4, 1e-3), "float16": (5e-3, 5e-2)}
#: of integers and booleans
EQUAL_SHARE = 0.999


def gaps(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The magnitudes of the differences, float64; infinite where NaN does not meet NaN, or infinity itself."""
    a, b = got.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(a - b))
    gap[~np.isfinite(gap)] = np.inf
    return gap


def norm(array: np.ndarray) -> float:
    """The Euclidean norm of the finite elements."""
    known = array.astype(np.float64)
    return float(np.linalg.norm(known[np.isfinite(known)]))


def relative(gap: np.ndarray, size: float) -> float:
    """The norm of differences over ``size``, the norm of a reference; itself where that is 0."""
    distance = float(np.linalg.norm(gap.ravel()))
    return distance / size if size else distance


def decibels(error: float) -> float:
    """The signal to quantisation noise ratio (SQNR) that a relative error is: ``-20 log10``, infinite without error."""
    if error == 0:
        return math.inf
    return -20 * math.log10(error) if error < math.inf else -math.inf


def difference(got: np.ndarray, expected: np.ndarray, limit: float | None = None) -> dict[str, Any]:
    """How far an output is off; ``relative`` is the norm of the difference over that of the reference.

    NaN must meet NaN, and infinity itself. ``ok``: within ``limit`` (of ``relative``), without one within D4.
    """
    figures: dict[str, Any] = {"dtype": str(got.dtype), "shape": list(got.shape)}
    if got.shape != expected.shape:
        return {**figures, "ok": False, "reason": f"the reference has shape {shape_text(expected.shape)}"}
    gap = gaps(got, expected)
    known = np.abs(expected.astype(np.float64)[np.isfinite(expected.astype(np.float64))])
    error, largest = relative(gap, norm(expected)), float(known.max(initial=0.0))
    figures |= {
        "relative": error,
        "sqnr": decibels(error),
        "max_abs": float(gap.max(initial=0.0)),
        "largest": largest,
        "equal": float((gap == 0).mean()) if gap.size else 1.0,
    }
    if limit is not None:
        figures["ok"] = error <= limit
    elif got.dtype.kind == "f":
        bound, element = BOUNDS[str(got.dtype)]
        figures["ok"] = error <= bound and figures["max_abs"] <= element * max(largest, 1e-6)
    else:
        figures["ok"] = figures["equal"] >= EQUAL_SHARE
    return figures
