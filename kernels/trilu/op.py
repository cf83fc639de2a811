"""Trilu: matrices with everything on one side of a diagonal set to zero."""

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
    onnx_op,
)

from .cuda import on_cuda


@dataclass(frozen=True, slots=True)
class TriluAttrs:
    """Keep what lies on and above the diagonal, or on and below. The second input (one int64) moves it up."""

    upper: bool = True


def _infer(attrs: TriluAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    x, diagonal = (*inputs, None)[:2]
    if x.rank < 2:
        raise Unsupported(f"trilu of {x}", "a matrix or a batch of them")
    if diagonal is not None and (diagonal.dtype is not DType.I64 or diagonal.count != 1):
        raise Unsupported(f"trilu with diagonal {diagonal}", "one int64")
    return (x,)


def _permute(attrs: TriluAttrs, perm: tuple[int, ...], node: NodeView) -> TriluAttrs | None:
    rank = len(perm)
    return attrs if perm[-2:] == (rank - 2, rank - 1) else None


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (2, 5, 7))
    for upper in (True, False):
        for k in (0, 2, -3, 100):
            yield Sample(TriluAttrs(upper), (x, np.array(k)), name=f"{'upper' if upper else 'lower'}_{k}")
    yield Sample(TriluAttrs(), (TensorType(DType.U8, (4, 3)), None), name="bytes")


_ON_CPU = Tactic(
    kernel="trilu",
    params_type="ingot_trilu_params",
    params=lambda node: {"upper": int(node.attrs.upper)},
    inplace=(0,),
    numerics="exact",
)

SPEC = OpSpec(
    name="trilu",
    attrs=TriluAttrs,
    infer=_infer,
    tactics=(_ON_CPU, on_cuda(_ON_CPU)),
    samples=_samples,
    permute=_permute,
)


@onnx_op("Trilu")
def _trilu(b: Builder) -> Any:
    return b.emit("trilu", TriluAttrs(bool(b.attr("upper", 1))), [b.input(0), b.input(1)])[0]
