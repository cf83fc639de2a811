"""The order of steps on CUDA, and when tensors are alive: by levels, so that sharing memory makes no chain longer.

The level of a step is the length of the longest chain of operands before it. Steps of one level may run side by side,
so their tensors are alive together. Bytes that are given away go from one level to a later one; so the edges that this
costs do so too, and the longest chain of steps is what operands alone ask for.
"""

from __future__ import annotations

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.plan import Program, make_program

#: the arena may grow to so many times what it is when steps run one after the other, or to that share of the
#: second-level cache, where its size costs nothing
GROWTH, CACHED = 2.0, 0.25


def levels(graph: Graph) -> dict[Node, int]:
    """Of each node. One without a kernel, which is no step, has that of what it looks at."""
    found: dict[Node, int] = {}
    for node in graph.nodes:
        before = [found[producer] for producer in map(_producer, node.inputs) if producer is not None]
        found[node] = max(before, default=-1) + (1 if node.tactic.kernel else 0)
    return found


def _producer(value: Value | None) -> Node | None:
    return value.producer if value is not None else None


def side_by_side(graph: Graph, serial: Program, output_names: list[str]) -> Program:
    """The program level by level, and the graph's nodes in that order; ``serial`` where memory would grow too much."""
    times, given = levels(graph), graph.nodes
    graph.nodes = sorted(given, key=times.__getitem__)
    wide = make_program(graph, serial.name, output_names, times)
    if wide.arena_size <= max(GROWTH * serial.arena_size, CACHED * graph.target.figures["l2_bytes"]):
        return wide
    graph.nodes = given
    return serial
