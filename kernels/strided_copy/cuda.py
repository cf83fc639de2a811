"""The CUDA kernel of strided views, and how the kernels that move data are cut into blocks."""

from __future__ import annotations

from dataclasses import replace

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.targets import Target

THREADS = 256
#: blocks of a multiprocessor: all threads it holds, so that enough reads are under way
_RESIDENT = 8
#: multiprocessors of a device that does not say
_SMS = 16


def spread(threads: int, target: Target) -> int:
    """How many blocks of ``THREADS`` do the work of so many threads: no more than run at a time, at least one."""
    return max(1, min(ceil_div(threads, THREADS), _RESIDENT * target.figures.get("sms", _SMS)))


def _launch(node: NodeView, target: Target) -> Launch:
    blocks = spread(node.outputs[0].type.count, target)
    return Launch("strided_copy/strided_copy.cu", "strided_copy", (blocks, 1, 1), THREADS, exact=True)


def _efficiency(node: NodeView, target: Target) -> float:
    return 0.7


def on_cuda(tactic: Tactic) -> Tactic:
    """The tactic of the kernel ``strided_copy`` for CUDA."""
    return replace(tactic, kernel="strided_copy_cuda", launch=_launch, efficiency=_efficiency)
