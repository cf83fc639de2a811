"""Dead code: nodes whose results nobody reads."""

from __future__ import annotations

from ingot.builder.ir import Graph
from ingot.builder.passes.rewrite import drop_dead, plural


def run(graph: Graph) -> None:
    """Remove every node from which no output of the graph can be reached."""
    dead = drop_dead(graph)
    if dead:
        graph.report.append(("dce", f"removed {plural(dead, 'dead node')}"))
