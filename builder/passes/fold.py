"""Constant folding: nodes whose inputs are all constants run at build time, by the kernels that would run later."""

from __future__ import annotations

from collections.abc import Sequence

from ingot.builder.evaluate import evaluate
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, plural
from ingot.kernels.spec import DType

#: A folded result may be this large, and this much larger than what it was computed from: an Expand of a scalar to a
#: tensor of megabytes costs less where it runs than in the file.
MAX_BYTES = 64 << 20
MAX_GROWTH = 4
MAX_EXTRA = 1 << 20


def may_fold(node: Node) -> bool:
    """Whether all inputs are constants and the results can be stored and are small enough."""
    inputs = [value for value in node.inputs if value is not None]
    if not all(value.is_constant for value in inputs):
        return False
    if node.op.name == "dequantize" and node.output.type.count > 1:
        return False  # quantised weights mean more than their values until fold_qdq has seen them
    if node.op.name == "elementwise" and not _holds_bfloat16_only_to_convert(node):
        return False
    size = sum(value.type.nbytes for value in node.outputs)
    return size <= MAX_BYTES and size <= MAX_GROWTH * sum(value.type.nbytes for value in inputs) + MAX_EXTRA


def _holds_bfloat16_only_to_convert(node: Node) -> bool:
    """Arrays cannot tell a kernel that they hold bfloat16; ``evaluate`` converts it to other floats without one."""
    types = [value.type.dtype for value in [*node.inputs, *node.outputs]]
    insns = node.attrs.insns
    converts = len(insns) == 1 and insns[0].function == "Cast" and all(dtype.is_float for dtype in types)
    return converts or DType.BF16 not in types


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
