"""What the ONNX model calls internal values, up to the order of their axes: for caches of other programs."""

from __future__ import annotations

from collections.abc import Mapping

from ingot.builder.ir import Graph
from ingot.builder.provenance import provenance_of


def aliases(graph: Graph) -> dict[str, str]:
    """ONNX's names of values by their own, where they differ and are known."""
    held = {value.name: provenance_of(value) for node in graph.nodes for value in node.outputs}
    return {name: parts[0].name for name, parts in held.items() if len(parts) == 1 and parts[0].name != name}


def under_both_names(names: Mapping[str, str], known: Mapping[str, float]) -> dict[str, float]:
    """Scales by internal name, and under ONNX's name where nobody else has it."""
    scales = dict(known)
    for own, foreign in names.items():
        if own in known:
            scales.setdefault(foreign, known[own])
    return scales
