"""The CUDA kernels of scatter_nd and scatter_elements: each block owns a part of the output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.kernels.strided_copy.cuda import THREADS, resident
from ingot.targets import Target

#: every block looks at every index: of many indices fewer blocks read more
_MANY_ITEMS = 4096


def scatter_grid(items: int, places: int, width: int, target: Target) -> tuple[int, int, int]:
    """Blocks for ``items`` updates to ``places`` in the output, each of ``width`` elements."""
    most = resident(target) // (4 if items > _MANY_ITEMS else 1)
    across = max(1, min(places, most))
    return (across, max(1, min(ceil_div(width, THREADS), most // across)), 1)


def on_cuda(tactic: Tactic, reductions: Sequence[str], extents: Callable[[NodeView], tuple[int, int, int]]) -> Tactic:
    """The CUDA twin of a scattering tactic; ``extents`` are items, places and the width of an update.

    Its class has the tactic's name and stands in the file of that name.
    """

    def launch(node: NodeView, target: Target) -> Launch:
        dtype = node.inputs[0].type.dtype
        reduction = reductions.index(node.attrs.reduction)
        kind = CPP[dtype] if reduction else f"uint{8 * dtype.size}_t"
        return Launch(
            f"{tactic.kernel}/{tactic.kernel}.cu",
            f"{tactic.kernel}<{kind}, {reduction}>",
            scatter_grid(*extents(node), target),
            THREADS,
            exact=True,
        )

    def efficiency(node: NodeView, target: Target) -> float:
        return 0.3

    return replace(tactic, kernel=f"{tactic.kernel}_cuda", launch=launch, efficiency=efficiency)
