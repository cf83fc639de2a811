"""Looks inside a model: an FP32 engine in which named values are outputs, run one sample at a time.

It serves calibration, per-layer comparison and sensitivity. It is built from a copy of the graph, so names are those
of the graph, and what is fused inside a node there is inside here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

import ingot
from ingot._kernel import kernels
from ingot.builder import lower
from ingot.builder.ir import Graph, Value
from ingot.builder.passes.rewrite import drop_dead
from ingot.builder.writer import Variant, write_engine
from ingot.errors import BuildError
from ingot.kernels.spec import DType


def observable(graph: Graph, *, floats: bool = True) -> list[str]:
    """The names of the inputs and of every node's results, in order; with ``floats`` only floats that NumPy knows."""
    values = [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]
    return [v.name for v in values if not floats or (v.type.dtype.is_float and v.type.dtype is not DType.BF16)]


class Observation:
    """An engine whose outputs are named values of a graph. :func:`observe` makes it."""

    def __init__(self, graph: Graph, names: Sequence[str], threads: int, isa: str | None) -> None:
        inputs = {value.name: value for value in graph.inputs}
        values = dict(inputs) | {value.name: value for node in graph.nodes for value in node.outputs}
        unknown = [name for name in names if name not in values]
        if unknown:
            raise BuildError(f"the graph computes no value called {unknown[0]!r}: fused into another, or folded away")
        self.names = tuple(dict.fromkeys(names))
        self._given = tuple(name for name in self.names if name in inputs)
        self._context = None
        computed: list[Value] = [values[name] for name in self.names if name not in inputs]
        graph.outputs, graph.target = computed, None
        drop_dead(graph)
        if computed:
            program = lower(graph, graph.name, [value.name for value in computed])
            abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
            engine = ingot.load(write_engine([Variant("cpu", [program])], {}, abi), isa=isa)
            self._context = engine.context(threads=threads)

    def run(self, sample: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The observed values for one sample (inputs by name, their exact shapes and types).

        The arrays are views of the engine's memory: the next run overwrites them.
        """
        found = {name: np.asarray(sample[name]) for name in self._given}
        if self._context is not None:
            for name, array in self._context.inputs.items():
                array[...] = sample[name]
            self._context.run()
            found |= self._context.outputs
        return {name: found[name] for name in self.names}


def observe(graph: Graph, values: Sequence[str], *, threads: int | None = None, isa: str | None = None) -> Observation:
    """An engine that gives the named values of the graph, which stays as it is; raises BuildError for unknown names.

    ``threads`` changes the time taken and nothing else; by default one for each processor, four at most. ``isa`` as in
    :func:`ingot.load`: with "portable" any machine computes the same bits.
    """
    return Observation(graph.copy(), values, threads or min(os.cpu_count() or 1, 4), isa)
