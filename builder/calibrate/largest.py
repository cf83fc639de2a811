"""Largest magnitudes of channels, for weight equalisation: of generated inputs, as the means of channels are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ingot.builder import onnx_model
from ingot.builder.calibrate import synthetic, twins
from ingot.builder.calibrate.means import sample_count
from ingot.builder.calibrate.observe import observe
from ingot.builder.ir import Graph


def channel_largest(
    graph: Graph,
    source: onnx_model.Model,
    names: Sequence[str],
    ranges: synthetic.InputRanges,
    log: Callable[[str], None] | None = None,
) -> dict[str, np.ndarray]:
    """For each named value the largest magnitude at every index of its last axis, float32.

    ``ranges`` are those of inputs, as far as they are known.
    """
    if not names:
        return {}
    observation = observe(graph, names, isa="portable")
    largest: dict[str, np.ndarray] = {}
    settings = synthetic.Synthetic(ranges, sample_count(graph))
    for index, sample in enumerate(synthetic.generate(graph, settings, twins.normalisers(source.proto))):
        if log:
            log(f"ranges of channels: generated sample {index}")
        for name, array in observation.run(sample).items():
            here = np.abs(array.reshape(-1, array.shape[-1])).max(axis=0, initial=0.0)
            largest[name] = np.maximum(largest.get(name, 0.0), here)
    return largest
