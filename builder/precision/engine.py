"""A float graph as an engine with some of its layers in int8, to be measured: the same bits on any machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

import ingot
from ingot._kernel import kernels
from ingot.builder import lower, quantize_graph, store_half
from ingot.builder.ir import Graph
from ingot.builder.pipeline import FROM_QUANTIZE, run_passes
from ingot.builder.quantization.request import HALVES, Request
from ingot.builder.twin import for_cpu
from ingot.builder.writer import Variant, write_engine

Sample = Mapping[str, np.ndarray]
Results = list[list[np.ndarray]]


class Runner:
    """An engine of the CPU, made of a graph that is ready for ``lower`` and the caller's no more, and the memory it
    runs in."""

    def __init__(self, graph: Graph) -> None:
        names = [f"output {index}" for index in range(len(graph.outputs))]
        program = lower(for_cpu(graph), graph.name, names)
        abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
        engine = ingot.load(write_engine([Variant("cpu", [program])], {}, abi), same_bits=True)
        self._context = engine.context(threads=min(os.cpu_count() or 1, 4))

    def run(self, sample: Sample) -> list[np.ndarray]:
        """The outputs for one sample, in their order: views that the next run overwrites."""
        for name, array in self._context.inputs.items():
            array[...] = sample[name]
        self._context.run()
        return list(self._context.outputs.values())

    def results(self, samples: Iterable[Sample]) -> Results:
        """The outputs for each sample."""
        return [[np.array(array) for array in self.run(sample)] for sample in samples]


def float_runner(graph: Graph) -> Runner:
    """The graph before it is quantised, which stays as it is, all in float."""
    copy = graph.copy()
    run_passes(copy, FROM_QUANTIZE)
    return Runner(copy)


def mixed_runner(graph: Graph, request: Request, kept_out: Sequence[str]) -> Runner:
    """The same, quantised but for these layers."""
    copy = graph.copy()
    mixed = replace(request, kept_out=dict.fromkeys(kept_out, "-"), allow_fallback=True, refused={})
    quantize_graph(copy, mixed)
    if not mixed.precisions.isdisjoint(HALVES):
        store_half(copy, mixed)
    return Runner(copy)
