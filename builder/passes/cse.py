"""Common subexpressions: equal constants become one, and so do nodes that compute the same from the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, plural


def _bytes_key(value: Value) -> tuple[str, str]:
    return str(value.type), hashlib.sha256(value.data.tobytes()).hexdigest()


def _unify_constants(graph: Graph) -> int:
    first: dict[tuple[str, str], Value] = {}
    instead: dict[Value, Value] = {}
    for value in graph.constants():
        kept = first.setdefault(_bytes_key(value), value)
        if kept is not value:
            instead[value] = kept
    outputs = {id(value) for value in graph.outputs}
    instead = {old: new for old, new in instead.items() if id(old) not in outputs}
    for node in graph.nodes:
        node.inputs = [instead.get(value, value) if value is not None else None for value in node.inputs]
    return len(instead)


def merge_nodes(graph: Graph) -> int:
    """Merge nodes of equal operator, attributes and inputs; how many are gone."""
    known: dict[tuple, list[Value]] = {}

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        # repr, not ==: it tells 0.0 from -0.0
        key = (node.op.name, repr(node.attrs), tuple(id(value) for value in node.inputs))
        seen = known.setdefault(key, node.outputs)
        return None if seen is node.outputs else seen

    return Sweep(graph).run(rule)


def run(graph: Graph) -> None:
    """Merge equal constants (type and bytes) and equal nodes (operator, attributes, inputs)."""
    constants = _unify_constants(graph)
    nodes = merge_nodes(graph)
    if constants or nodes:
        graph.report.append(("cse", f"merged {plural(constants, 'constant')} and {plural(nodes, 'node')}"))
