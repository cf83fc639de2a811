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


def moved_by(tactic: Tactic, kernel: str, source: str, efficiency: float) -> Tactic:
    """The CUDA twin of a tactic of the CPU that has one instance for all nodes and a thread for each element or unit of
    the result: the class ``kernel`` in ``source``."""

    def launch(node: NodeView, target: Target) -> Launch:
        blocks = spread(node.outputs[0].type.count, target)
        return Launch(source, kernel, (blocks, 1, 1), THREADS, exact=True)

    return replace(tactic, kernel=f"{tactic.kernel}_cuda", launch=launch, efficiency=lambda node, target: efficiency)


def on_cuda(tactic: Tactic) -> Tactic:
    """The tactic of the kernel ``strided_copy`` for CUDA."""
    return moved_by(tactic, "strided_copy", "strided_copy/strided_copy.cu", 0.7)
