"""SQNR of a build that has ranges and no samples it may look at: on generated inputs, at the scale of the ranges.

The figures are the same whether ranges come from data, from a cache or from TensorRT's cache, and so is the engine.
What a node reads is multiplied by a number that brings its largest magnitude to that of the range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ingot.builder.calibrate import Synthetic, observe, synthetic, twins
from ingot.builder.ir import Graph
from ingot.builder.onnx_model import Model
from ingot.builder.passes.quantize import Plan
from ingot.builder.precision.best import GENERATED, by_source
from ingot.builder.precision.sqnr import node_sqnr
from ingot.builder.quantization.request import Request

#: samples generated: at least, at most, and so many that inputs of this many elements are seen
LEAST, MOST, ELEMENTS = 2, 8, 1 << 19


def generated_sqnr(
    graph: Graph,
    source: Model,
    request: Request,
    input_ranges: Mapping[str, tuple[float, float]],
    log: Callable[[str], None] | None = None,
) -> None:
    """Fill ``request.sqnr`` and ``request.measured``."""
    plan = Plan(graph.copy(), request)
    names = [value.name for value in plan.stored]
    if not names:
        return
    samples = generated_samples(graph, source, input_ranges)
    if log:
        log(f"errors of layers: {len(samples)} generated samples")
    observation = observe(graph, names, isa="portable")
    largest = dict.fromkeys(names, 0.0)
    for sample in samples:
        for name, array in observation.run(sample).items():
            largest[name] = max(largest[name], float(np.abs(array).max(initial=0.0)))
    factors = {
        name: float(np.float32(127 * request.ranges.scale(name) / found))
        for name, found in largest.items()
        if 0 < found < math.inf
    }
    request.sqnr = by_source(graph, node_sqnr(graph, request, samples, factors))
    request.measured = {"on": GENERATED, "samples": len(samples)}


def generated_samples(
    graph: Graph, source: Model, input_ranges: Mapping[str, tuple[float, float]]
) -> list[dict[str, np.ndarray]]:
    """A few inputs of the graph, the same on any machine."""
    elements = sum(value.type.count for value in graph.inputs)
    count = min(max(ELEMENTS // max(elements, 1), LEAST), MOST)
    return list(synthetic.generate(graph, Synthetic(input_ranges, count), twins.normalisers(source.proto)))
