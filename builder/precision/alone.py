"""A graph in which the rounding of one layer to half is all that is rounded: what the layer costs.

That is its weights and every tensor it makes or reads, as all of them become float32 when the layer does. The graph
computes in float32 and rounds by conversions: a tensor is in half for its maker and all its readers, or for none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.half import Plan, rounded_weights
from ingot.builder.passes.rewrite import Names, op
from ingot.kernels.common.half import widen
from ingot.kernels.elementwise.program import Insn, Program
from ingot.kernels.spec import DType


def alone(graph: Graph, plan: Plan, layer: Sequence[Node]) -> Graph:
    """A copy of ``graph`` with the nodes of ``layer`` as ``plan`` has them, all others in float32."""
    copy, names = graph.copy(), Names(graph)
    for node, twin in zip(graph.nodes, copy.nodes):
        if node in layer and not node.op.half.moves:
            for index in node.op.half.weights(node):
                data = widen(rounded_weights(node, index, plan.wanted[node]), plan.wanted[node])
                value = node.inputs[index]
                twin.inputs[index] = Value(names.fresh(f"{value.name}.rounded"), value.type, data)
    touched = {value for node in layer for value in (*node.inputs, *node.outputs) if value in plan.stored}
    nodes: list[Node] = []
    rounded: dict[Value, Value] = {}
    for node, twin in zip(graph.nodes, copy.nodes):
        twin.inputs = [rounded.get(value, value) for value in twin.inputs]
        nodes.append(twin)
        for value, result in zip(node.outputs, twin.outputs):
            if value in touched:
                stored = _cast(result, plan.stored[value], names, nodes)
                rounded[result] = _cast(stored, DType.F32, names, nodes)
    copy.nodes = nodes
    return copy


def _cast(value: Value, dtype: DType, names: Names, nodes: list[Node]) -> Value:
    result = Value(names.fresh(f"{value.name}.{dtype.name.lower()}"), replace(value.type, dtype=dtype))
    result.producer = Node(op("elementwise"), Program((Insn("Cast", dtype, (0,)),)), [value], [result], ())
    nodes.append(result.producer)
    return result
