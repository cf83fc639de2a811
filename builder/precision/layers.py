"""The layers that a choice is about, and how much work they are."""

from __future__ import annotations

from ingot.builder.ir import Graph, Node
from ingot.builder.passes.quantize import Plan
from ingot.builder.quantization.forms import LAYERS
from ingot.builder.quantization.request import Request


def candidates(graph: Graph, request: Request) -> dict[str, list[Node]]:
    """The layers that would compute in int8 and that nothing else was asked for, by name, in the order of the graph."""
    copy = graph.copy()
    plan = Plan(copy, request)
    found: dict[str, list[Node]] = {}
    for node in copy.nodes:
        if node in plan.integer and node.op.name in LAYERS and request.asked(node) == "best":
            found.setdefault(node.name, []).append(node)
    return found


def multiplications(node: Node) -> int:
    """Of a layer: each result of a convolution or product takes one row of weights; a cell all weights a step."""
    x, w = node.inputs[0].type, node.inputs[1].type
    if node.op.name == "recurrent":
        return (w.count + node.inputs[2].type.count) * (x.count // max(x.shape[-1], 1))
    if node.op.name == "conv_transpose":
        return x.count * (w.count // max(w.shape[0], 1))
    if node.op.name == "conv":
        return node.output.type.count * (w.count // max(w.shape[0], 1))
    return node.output.type.count * x.shape[-2 if node.attrs.trans_a else -1]
