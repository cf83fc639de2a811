"""TopK on CUDA: a block a line, which keeps the best in shared memory or sorts all in the workspace."""

from __future__ import annotations

from collections.abc import Callable

from ingot.kernels.common.cuda import CPP
from ingot.kernels.common.cuda_rows import lines
from ingot.kernels.spec import DType, Launch, NodeView, Params, Tactic
from ingot.targets import Target

#: elements in shared memory, at most: those with a key of 32 bits, and of 64
SIZE_MAX, SIZE_MAX_WIDE = 4096, 2048
SORT_THREADS, SORT_BLOCKS = 1024, 16
ENTRY = 12
EFFICIENCY = 0.05
_HALF = (DType.F16, DType.BF16)


def _ceil_pow2(n: int) -> int:
    return 1 << max(n - 1, 1).bit_length()


def _size(node: NodeView) -> int | None:
    """Elements of the array in shared memory: the whole line, or twice k and room for a batch; None: too many."""
    x = node.inputs[0].type
    most = SIZE_MAX_WIDE if x.dtype.size > 4 else SIZE_MAX
    n, k = x.shape[node.attrs.axis], node.attrs.k
    size = min(max(_ceil_pow2(n), 64), max(_ceil_pow2(2 * k), 2048))
    return size if size <= most else None


def _lines(node: NodeView) -> int:
    outer, _, inner = lines(node.inputs[0].type.shape, node.attrs.axis)
    return max(outer * inner, 1)


def _launch_select(node: NodeView, target: Target) -> Launch:
    size = _size(node)
    kernel = f"topk_select<{CPP[node.inputs[0].type.dtype]}, {size}>"
    return Launch("topk/topk.cu", kernel, (_lines(node), 1, 1), min(size // 2, 1024), exact=True)


def _launch_sort(node: NodeView, target: Target) -> Launch:
    kernel = f"topk_sort<{CPP[node.inputs[0].type.dtype]}>"
    return Launch("topk/topk.cu", kernel, (min(_lines(node), SORT_BLOCKS), 1, 1), SORT_THREADS, exact=True)


def _workspace(node: NodeView) -> int:
    return min(_lines(node), SORT_BLOCKS) * _ceil_pow2(node.inputs[0].type.shape[node.attrs.axis]) * ENTRY


def tactics(params: Callable[[NodeView], Params]) -> tuple[Tactic, ...]:
    """Given what makes the fields of the C struct ``ingot_topk_params``."""

    def able(node: NodeView) -> bool:
        return node.inputs[0].type.dtype not in _HALF

    return (
        Tactic(
            "topk_cuda",
            "ingot_topk_params",
            params,
            when=lambda node: able(node) and _size(node) is not None,
            numerics="exact",
            efficiency=lambda node, target: EFFICIENCY,
            launch=_launch_select,
        ),
        Tactic(
            "topk_sort_cuda",
            "ingot_topk_params",
            params,
            when=lambda node: able(node) and _size(node) is None,
            workspace=_workspace,
            numerics="exact",
            efficiency=lambda node, target: EFFICIENCY / 10,
            launch=_launch_sort,
        ),
    )
