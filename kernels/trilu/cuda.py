"""The CUDA kernel of trilu."""

from __future__ import annotations

from dataclasses import replace

from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.kernels.strided_copy.cuda import THREADS, spread
from ingot.targets import Target


def _launch(node: NodeView, target: Target) -> Launch:
    blocks = spread(node.outputs[0].type.count, target)
    return Launch("trilu/trilu.cu", f"trilu<{len(node.inputs)}>", (blocks, 1, 1), THREADS, exact=True)


def _efficiency(node: NodeView, target: Target) -> float:
    return 0.7


def on_cuda(tactic: Tactic) -> Tactic:
    """The tactic of the kernel ``trilu`` for CUDA."""
    return replace(tactic, kernel="trilu_cuda", launch=_launch, efficiency=_efficiency)
