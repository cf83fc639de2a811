"""Which tensor of the ONNX model an internal value is, up to the order of its axes: for caches of other programs."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from ingot.builder.ir import Graph, Value

#: operators whose result holds the elements of their input
_MOVES = ("reshape", "transpose")


def aliases(graph: Graph, proto: onnx.ModelProto) -> dict[str, str]:
    """ONNX's names of values by their own, where they differ and are known.

    A node keeps the ONNX nodes it does the work of; its result is that of the last of them. Of several nodes that do
    the work of one ONNX node the last gives the result.
    """
    outputs = {
        node.name or f"{node.op_type}_{index}": (index, node.output[0])
        for index, node in enumerate(proto.graph.node)
        if node.output
    }
    tensors = {name for node in proto.graph.node for name in node.output} | {info.name for info in proto.graph.input}
    last: dict[str, Value] = {}
    for node in graph.nodes:
        sources = [outputs[name] for name in node.source if name in outputs]
        if sources and node.op.name not in _MOVES:
            last[max(sources)[1]] = node.output
    found = {value.name: name for name, value in last.items() if value.name not in tensors}
    for node in graph.nodes:
        x = node.inputs[0] if node.inputs else None
        if node.op.name in _MOVES and node.output.name not in tensors and x is not None:
            found.setdefault(node.output.name, found.get(x.name, x.name))
    return found


def under_both_names(names: Mapping[str, str], known: Mapping[str, float]) -> dict[str, float]:
    """Scales by internal name, and under ONNX's name where nobody else has it."""
    scales = dict(known)
    for own, foreign in names.items():
        if own in known:
            scales.setdefault(foreign, known[own])
    return scales
