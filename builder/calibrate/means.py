"""Means of channels, for bias correction: of generated inputs, so that they depend on the model alone.

They are the same whether ranges come from data, from a cache or from TensorRT's cache, and so is the engine; but for
tensors that only functions read, whose lowest and highest number TensorRT's cache does not keep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ingot.builder import onnx_model
from ingot.builder.calibrate import synthetic, twins
from ingot.builder.calibrate.observe import observe
from ingot.builder.ir import Graph

#: samples generated: at least, at most, and so many that inputs of this many elements are seen: small inputs have few
#: elements a channel, and a mean of few is mostly chance
LEAST, MOST, ELEMENTS = 8, 64, 1 << 17
#: bits of the fixed-point numbers that are summed: exact, in any order
_BITS = 30


def channel_means(
    graph: Graph,
    source: onnx_model.Model,
    names: Sequence[str],
    ranges: synthetic.InputRanges,
    log: Callable[[str], None] | None = None,
) -> dict[str, np.ndarray]:
    """For each named value the mean of every index of its last axis over the largest magnitude, float64.

    So it can be scaled to the range that data have; left out where it is not finite, or all is zero. ``ranges`` are
    those of inputs, as far as they are known.
    """
    if not names:
        return {}
    observation = observe(graph, names, isa="portable")
    sums: dict[str, np.ndarray] = {}
    largest: dict[str, float] = {}
    count = sample_count(graph)
    settings = synthetic.Synthetic(ranges, count)
    for index, sample in enumerate(synthetic.generate(graph, settings, twins.normalisers(source.proto))):
        if log:
            log(f"means of channels: generated sample {index}")
        for name, array in observation.run(sample).items():
            sums[name] = sums.get(name, 0.0) + channel_mean(array)
            largest[name] = max(largest.get(name, 0.0), float(np.abs(array).max(initial=0.0)))
    return {
        name: total / (count * largest[name])
        for name, total in sums.items()
        if largest[name] > 0 and np.isfinite(total).all()
    }


def sample_count(graph: Graph) -> int:
    """How many samples are generated to learn about channels."""
    return min(max(ELEMENTS // max(sum(value.type.count for value in graph.inputs), 1), LEAST), MOST)


def channel_mean(array: np.ndarray) -> np.ndarray:
    """The mean of every index of the last axis, float64, the same in any order of the others; NaN where not finite."""
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    largest = float(np.abs(rows).max(initial=0.0))
    if not rows.size or not math.isfinite(largest):
        return np.full(rows.shape[1], np.nan)
    factor = 2.0 ** (_BITS - math.frexp(largest)[1])
    return np.rint(rows.astype(np.float64) * factor).astype(np.int64).sum(axis=0) / (factor * len(rows))
