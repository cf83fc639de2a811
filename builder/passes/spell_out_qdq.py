"""A model that arrived quantised, run in float32: quantize and dequantize become constants and elementwise programs."""

from __future__ import annotations

from ingot.builder.ir import Graph
from ingot.builder.passes import fold_qdq


def run(graph: Graph) -> None:
    """Spell out every quantize and dequantize."""
    fold_qdq.spell_out(graph)
