"""The CUDA kernel of concat: a row of blocks for each input."""

from __future__ import annotations

from dataclasses import replace

from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.kernels.strided_copy.cuda import RESIDENT_LOOPS, THREADS, spread
from ingot.targets import Target


def _launch(node: NodeView, target: Target) -> Launch:
    count = len(node.inputs)
    longest = max(value.type.count for value in node.inputs)
    grid = (spread(longest, target, RESIDENT_LOOPS), count, 1)
    return Launch("concat/concat.cu", f"concat<{count}>", grid, THREADS, exact=True)


def _efficiency(node: NodeView, target: Target) -> float:
    return 0.7


def on_cuda(tactic: Tactic) -> Tactic:
    """The tactic of the kernel ``concat`` for CUDA."""
    return replace(tactic, kernel="concat_cuda", launch=_launch, efficiency=_efficiency)
