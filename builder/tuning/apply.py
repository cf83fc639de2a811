"""Writes chosen tactics into a graph: absorbed producers disappear, conversions are put where layouts differ."""

from __future__ import annotations

from collections.abc import Mapping

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Names, drop_dead, op
from ingot.builder.provenance import provenance_of
from ingot.builder.tuning.fused import fused
from ingot.kernels.reorder.op import ReorderAttrs
from ingot.kernels.reshape.op import ReshapeAttrs
from ingot.kernels.spec import DENSE, Layout, Tactic


def run(graph: Graph, chosen: Mapping[Node, Tactic]) -> None:
    """Give the nodes their tactics, in place. A node that another absorbs has none.

    The choice must be sound: what is absorbed is read by those who absorb it and by nobody else.
    """
    graph.nodes = [_with_tactic(node, chosen[node]) if node in chosen else node for node in graph.nodes]
    for node in graph.nodes:
        for value in node.outputs:
            value.producer = node
        if node.tactic:
            node.output.layout = node.tactic.writes
    drop_dead(graph)
    _Conversions(graph).run()


def _with_tactic(node: Node, tactic: Tactic) -> Node:
    if tactic.absorbs:
        return fused(node, tactic)
    node.tactic = tactic
    return node


def conversion(x: Value, layout: Layout, name: str, split: str, backend: str = "cpu") -> list[Node]:
    """The nodes that bring a value into blocks, or out of them; their last result is called ``name``."""
    reorder = op("reorder")
    node = Node(reorder, ReorderAttrs(x.layout, layout), [x], [], ("reorder",))
    node.tactic = next(tactic for tactic in reorder.tactics if tactic.is_for(backend) and tactic.when(node))
    (kind,) = reorder.infer(node.attrs, [x.type])
    node.outputs = [Value(name if layout.block else split, kind, None, node, layout=layout)]
    if layout.block:
        return [node]
    join = Node(op("reshape"), ReshapeAttrs(x.type.shape), [node.output], [], ("reorder",))
    join.tactic = op("reshape").tactics[0]
    join.outputs = [Value(name, x.type, None, join)]
    return [node, join]


class _Conversions:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names = Names(graph)
        self.made: dict[tuple[Value, Layout], Value] = {}
        self.nodes: list[Node] = []

    def run(self) -> None:
        for node in self.graph.nodes:
            reads = node.tactic.reads if node.tactic else {}
            for index, value in enumerate(node.inputs):
                if value is not None and not value.is_constant:
                    node.inputs[index] = self.brought(value, reads.get(index, DENSE))
            self.nodes.append(node)
        self.graph.outputs = [self.brought(value, DENSE) for value in self.graph.outputs]
        self.graph.nodes = self.nodes

    def brought(self, value: Value, layout: Layout) -> Value:
        """The value in that layout; converted at most once, where it is first wanted."""
        if value.layout == layout:
            return value
        if value.layout.block and layout.block:
            return self.brought(self.brought(value, DENSE), layout)
        if (value, layout) not in self.made:
            provenance = value.provenance
            stem = f"{value.name}.{'blocks' if layout.block else 'dense'}"
            nodes = conversion(
                value, layout, self.names.fresh(stem), self.names.fresh(f"{stem}.split"), self.graph.backend
            )
            nodes[-1].output.provenance = provenance or provenance_of(value)
            self.nodes += nodes
            self.made[value, layout] = nodes[-1].output
        return self.made[value, layout]
