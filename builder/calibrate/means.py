"""Means of channels, for bias correction: of generated inputs, so that they depend on the model alone.

They are the same whether ranges come from data, from a cache or from TensorRT's cache, and so is the engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ingot.builder import onnx_model
from ingot.builder.calibrate import synthetic, twins
from ingot.builder.calibrate.observe import observe
from ingot.builder.ir import Graph

SAMPLES = 8
#: bits of the fixed-point numbers that are summed: exact, in any order
_BITS = 30


def channel_means(
    graph: Graph, source: onnx_model.Model, names: Sequence[str], log: Callable[[str], None] | None = None
) -> dict[str, np.ndarray]:
    """For each named value the mean of every index of its last axis, float64; left out where it is not finite."""
    if not names:
        return {}
    observation = observe(graph, names, isa="portable")
    sums: dict[str, np.ndarray] = {}
    settings = synthetic.Synthetic(samples=SAMPLES)
    for index, sample in enumerate(synthetic.generate(graph, settings, twins.normalisers(source.proto))):
        if log:
            log(f"means of channels: generated sample {index}")
        for name, array in observation.run(sample).items():
            sums[name] = sums.get(name, 0.0) + _mean(array)
    return {name: total / SAMPLES for name, total in sums.items() if np.isfinite(total).all()}


def _mean(array: np.ndarray) -> np.ndarray:
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    largest = float(np.abs(rows).max(initial=0.0))
    if not rows.size or not math.isfinite(largest):
        return np.full(rows.shape[1], np.nan)
    factor = 2.0 ** (_BITS - math.frexp(largest)[1])
    return np.rint(rows.astype(np.float64) * factor).astype(np.int64).sum(axis=0) / (factor * len(rows))
