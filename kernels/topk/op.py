"""TopK: the largest or smallest elements along an axis, best first, and where they stood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.spec import (
    Builder,
    DType,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)
from ingot.kernels.topk import cuda


@dataclass(frozen=True, slots=True)
class TopkAttrs:
    """The best ``k`` along ``axis``; equal elements come in the order of their indices."""

    axis: int
    k: int
    smallest: bool = False


def _infer(attrs: TopkAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if not 0 <= attrs.axis < x.rank or not 0 <= attrs.k <= x.shape[attrs.axis]:
        raise Unsupported(f"the best {attrs.k} of {x} along axis {attrs.axis}", "no more than there are")
    shape = (*x.shape[: attrs.axis], attrs.k, *x.shape[attrs.axis + 1 :])
    return (TensorType(x.dtype, shape), TensorType(DType.I64, shape))


def _permute(attrs: TopkAttrs, perm: tuple[int, ...], node: NodeView) -> TopkAttrs:
    return TopkAttrs(perm.index(attrs.axis), attrs.k, attrs.smallest)


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (3, 50, 4))
    yield Sample(TopkAttrs(1, 7), (x,), name="largest")
    yield Sample(TopkAttrs(2, 3, True), (x,), name="smallest")
    yield Sample(TopkAttrs(0, 20), (TensorType(DType.U8, (300,)),), name="ties")
    yield Sample(TopkAttrs(0, 5, True), (TensorType(DType.I64, (9,)),), name="i64")
    wild = np.random.default_rng(4).standard_normal((2, 3000)).astype(np.float32)
    wild[0, ::7], wild[1, 5], wild[1, 2000:2600] = 0.0, np.nan, 1.0
    wild[0, 3::7] = -0.0
    for k, smallest in ((300, False), (300, True), (2500, False)):
        yield Sample(TopkAttrs(1, k, smallest), (wild,), name=f"wild-{k}-{smallest}")
    yield Sample(TopkAttrs(0, 1500), (TensorType(DType.I64, (2100,)),), name="many")
    for dtype in (DType.F64, DType.I8, DType.I16, DType.U16, DType.U32, DType.U64, DType.BOOL):
        yield Sample(TopkAttrs(1, 40), (TensorType(dtype, (1, 1100)),), name=dtype.name.lower())


def _params(node: NodeView) -> dict[str, int]:
    return {"axis": node.attrs.axis, "smallest": int(node.attrs.smallest)}


SPEC = OpSpec(
    name="topk",
    attrs=TopkAttrs,
    infer=_infer,
    tactics=(
        Tactic(
            kernel="topk",
            params_type="ingot_topk_params",
            params=_params,
            when=lambda node: node.inputs[0].type.dtype not in (DType.F16, DType.BF16),
            numerics="exact",
        ),
        *cuda.tactics(_params),
    ),
    samples=_samples,
    permute=_permute,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


@onnx_op("TopK")
def _topk(b: Builder) -> Any:
    x = b.input(0)
    k = b.attr("k") if b.opset < 10 else int(b.const(1).ravel()[0])
    axis = normal_axis(b.attr("axis", -1), x.type.rank)
    # `sorted` = 0 allows any order; ours is sorted always
    return b.emit("topk", TopkAttrs(axis, k, not b.attr("largest", 1)), [x])
