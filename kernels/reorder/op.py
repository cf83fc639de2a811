"""Reorder: the same tensor in another layout. Chosen tactics need it between steps; no model has one.

Into blocks the type stays. Out of blocks the blocks keep an axis of their own, ``[N, *spatial, C / block, block]``:
row-major these are the bytes of ``[N, *spatial, C]``, and a reshape gives it that type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ingot.kernels.spec import DType, Layout, NodeView, OpSpec, Params, Sample, Tactic, TensorType, Unsupported
from ingot.kernels.strided_copy.cuda import on_cuda
from ingot.kernels.strided_copy.views import strided_copy, view

#: channels in a block
BLOCKS = (4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class ReorderAttrs:
    """One of both is row-major."""

    source: Layout
    target: Layout


def _infer(attrs: ReorderAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    block = attrs.source.block or attrs.target.block
    if block not in BLOCKS or (attrs.source.block and attrs.target.block):
        raise Unsupported(f"from {attrs.source} to {attrs.target}", f"row-major on one side, blocks of {BLOCKS}")
    if not Layout(block).takes(x) or x.rank > 7:
        raise Unsupported(f"{x} {Layout(block)}", f"2 to 7 axes, the last one a multiple of {block}")
    return (x if attrs.target.block else TensorType(x.dtype, (*x.shape[:-1], x.shape[-1] // block, block), x.quant),)


def _into(block: int, rank: int) -> Params:
    """``out[n, k, ..s, j] = in[n, ..s, block k + j]``."""
    last = rank - 1
    spatial = range(1, last)
    return view((0, last, *spatial, last), step=(1, block, *(1 for _ in spatial), 1))


def _out_of(block: int, rank: int) -> Params:
    """``out[n, ..s, k, j] = in[n, k, ..s, j]``."""
    return view((0, *range(2, rank), 1, rank))


def _tactics() -> Iterable[Tactic]:
    for block in BLOCKS:

        def into(node: NodeView, block: int = block) -> Params:
            return _into(block, node.inputs[0].type.rank)

        def out_of(node: NodeView, block: int = block) -> Params:
            return _out_of(block, node.inputs[0].type.rank)

        def goes_in(node: NodeView, block: int = block) -> bool:
            return node.attrs.target.block == block

        def comes_out(node: NodeView, block: int = block) -> bool:
            return node.attrs.source.block == block

        copy = replace(strided_copy(into), pitched_inputs=(), pitched_outputs=())
        for kernel in (copy, on_cuda(copy)):
            yield replace(kernel, when=goes_in, writes=Layout(block), variant=f"block={block}")
            yield replace(kernel, params=out_of, when=comes_out, reads={0: Layout(block)}, variant=f"block={block}")


def _samples() -> Iterable[Sample]:
    for block, shape, dtype in (
        (16, (1, 5, 7, 48), DType.F32),
        (8, (2, 9, 24), DType.I8),
        (4, (3, 8), DType.F16),
        (32, (1, 2, 3, 4, 64), DType.F32),
    ):
        x, blocks = TensorType(dtype, shape), Layout(block)
        yield Sample(ReorderAttrs(Layout(), blocks), (x,), name=f"into {block}")
        yield Sample(ReorderAttrs(blocks, Layout()), (x,), name=f"out of {block}")


SPEC = OpSpec(name="reorder", attrs=ReorderAttrs, infer=_infer, tactics=tuple(_tactics()), samples=_samples)
