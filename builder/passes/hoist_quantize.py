"""quantize goes before what only moves elements, next to the operator whose result it rounds.

``quantize(reshape(x)) == reshape(quantize(x))``, and the same of transpose: so the operator and its quantize become one
node of integers, which rounds once, and it is bytes that are moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, is_op, plural, to_fixpoint


def run(graph: Graph) -> None:
    """Until no quantize stands behind a reshape or transpose that nobody else reads."""
    moved = to_fixpoint(graph, _before)
    if moved:
        graph.report.append(("hoist_quantize", plural(moved, "quantize node")))


def _before(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    move = node.inputs[0].producer if is_op(node, "quantize") else None
    if not is_op(move, "reshape", "transpose") or not sweep.single_use(move.output):
        return None
    stored = sweep.emit("quantize", node.attrs, [move.inputs[0]])
    value = sweep.emit(move.op.name, move.attrs, [stored], source=[move])
    value.type = replace(value.type, quant=node.attrs.quant)
    return [value]
