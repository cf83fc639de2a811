"""Constant folding: nodes whose inputs are all constants run at build time, by the kernels that would run later."""

from __future__ import annotations

from collections.abc import Sequence

from ingot.builder.evaluate import evaluate
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, plural

#: A folded result may be this large, and this much larger than what it was computed from: an Expand of a scalar to a
#: tensor of megabytes costs less where it runs than in the file.
MAX_BYTES = 64 << 20
MAX_GROWTH = 4
MAX_EXTRA = 1 << 20


def may_fold(node: Node) -> bool:
    """Whether all inputs are constants and the results small enough to be stored."""
    inputs = [value for value in node.inputs if value is not None]
    if not all(value.is_constant for value in inputs):
        return False
    size = sum(value.type.nbytes for value in node.outputs)
    return size <= MAX_BYTES and size <= MAX_GROWTH * sum(value.type.nbytes for value in inputs) + MAX_EXTRA


def run(graph: Graph) -> None:
    """Evaluate constant nodes. An output of the graph keeps its node: outputs are memory of the caller."""

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        if not may_fold(node) or any(sweep.is_output(value) for value in node.outputs):
            return None
        results = evaluate(node)
        return [
            sweep.constant(array, f"{value.name}.folded", value.type.dtype)
            for value, array in zip(node.outputs, results, strict=True)
        ]

    folded = Sweep(graph).run(rule)
    if folded:
        graph.report.append(("fold", f"evaluated {plural(folded, 'constant node')}"))
