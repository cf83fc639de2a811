"""A graph for another backend, as the CPU computes it: what its engine must give, and how it is measured here."""

from __future__ import annotations

from ingot.builder.ir import Graph
from ingot.builder.passes import legalize
from ingot.kernels.common.half import is_half


def for_cpu(graph: Graph) -> Graph:
    """The graph, changed in place: kernels of the CPU do it, and give the same but for sums in another order."""
    graph.target = None
    if any(map(is_half, graph.nodes)):
        legalize.run(graph)  # what other backends store in half is rounded, and computed in float32
    return graph
