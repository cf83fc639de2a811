"""The CUDA kernel of strided views, and how the kernels that move data are cut into blocks."""

from __future__ import annotations

from dataclasses import replace

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.targets import Target

THREADS = 256
#: blocks of a multiprocessor: all threads it holds, so that enough reads are under way
RESIDENT = 8
#: of kernels that need more registers, and read several units at a time
RESIDENT_LOOPS = 4
#: multiprocessors of a device that does not say
_SMS = 16


def resident(target: Target, each: int = RESIDENT) -> int:
    """How many blocks of ``THREADS`` run at a time, ``each`` on a multiprocessor."""
    return each * target.figures.get("sm_count", _SMS)


def spread(threads: int, target: Target, each: int = RESIDENT) -> int:
    """How many blocks of ``THREADS`` do the work of so many threads: no more than run at a time, at least one."""
    return max(1, min(ceil_div(threads, THREADS), resident(target, each)))


def moved_by(tactic: Tactic, kernel: str, source: str, efficiency: float, each: int = RESIDENT) -> Tactic:
    """The CUDA twin of a tactic of the CPU that has one instance for all nodes and a thread for each element or unit of
    the result: the class ``kernel`` in ``source``."""

    def launch(node: NodeView, target: Target) -> Launch:
        blocks = spread(node.outputs[0].type.count, target, each)
        return Launch(source, kernel, (blocks, 1, 1), THREADS, exact=True)

    return replace(tactic, kernel=f"{tactic.kernel}_cuda", launch=launch, efficiency=lambda node, target: efficiency)


def on_cuda(tactic: Tactic) -> Tactic:
    """The tactic of the kernel ``strided_copy`` for CUDA."""
    return moved_by(tactic, "strided_copy", "strided_copy/strided_copy.cu", 0.7, RESIDENT_LOOPS)
