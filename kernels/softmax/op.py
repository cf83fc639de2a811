"""Softmax, LogSoftmax and Hardmax along one axis."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingot.kernels.common.half import HalfAttrs, is_half, stored_on_cuda, with_half
from ingot.kernels.common.int8 import is_int8, permute_int8, with_int8
from ingot.kernels.softmax import cuda, int8
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


class SoftmaxKind(enum.IntEnum):
    """Values of the C enum ``ingot_softmax_kind``."""

    SOFTMAX = 0
    LOG_SOFTMAX = 1
    HARDMAX = 2


@dataclass(frozen=True, slots=True)
class SoftmaxAttrs:
    """``axis`` counted from the front."""

    axis: int
    kind: SoftmaxKind = SoftmaxKind.SOFTMAX


def infer(attrs: SoftmaxAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """Any shape of at least rank 1 -> the same."""
    x = inputs[0]
    if not x.dtype.is_float:
        raise Unsupported(f"{attrs.kind.name} of {x.dtype.name}", "a cast to float32 before it")
    return (x,)


def permute(attrs: SoftmaxAttrs, perm: tuple[int, ...], node: NodeView) -> SoftmaxAttrs:
    return SoftmaxAttrs(perm.index(attrs.axis), attrs.kind)


def _tactic(dtype: DType) -> Tactic:
    return Tactic(
        f"softmax_{dtype.name.lower()}",
        "ingot_softmax_params",
        lambda node: {"kind": int(node.attrs.kind), "axis": node.attrs.axis},
        when=lambda node: node.inputs[0].type.dtype is dtype and not is_int8(node) and not is_half(node),
        inplace=(0,),
    )


def samples() -> Iterable[Sample]:
    shapes = (
        ((3, 5), 1),
        ((2, 1000), 1),
        ((4, 3, 70), 1),
        ((2, 3, 4, 5), 0),
        ((40, 64), 1),
        ((33,), 0),
        ((600, 21), 1),
    )
    for dtype in (DType.F32, DType.F64):
        for kind in SoftmaxKind:
            for shape, axis in shapes:
                yield Sample(SoftmaxAttrs(axis, kind), (TensorType(dtype, shape),), name=f"{kind.name}-{shape}-{axis}")
    for dtype, output in ((DType.F16, DType.F16), (DType.F32, DType.F16), (DType.BF16, DType.F32)):
        for shape, axis in shapes:
            yield Sample(
                HalfAttrs(SoftmaxAttrs(axis), output), (TensorType(dtype, shape),), name=f"half-{shape}-{axis}"
            )
    yield from int8.samples((shape, SoftmaxAttrs(axis)) for shape, axis in shapes)


SPEC = OpSpec(
    name="softmax",
    attrs=SoftmaxAttrs,
    infer=with_half(with_int8(infer, tables=1)),
    tactics=(
        Tactic("softmax_s8", "ingot_softmax_s8_params", int8.params, when=is_int8, inplace=(0,), numerics="exact"),
        _tactic(DType.F32),
        _tactic(DType.F64),
        *cuda.TACTICS,
    ),
    samples=samples,
    permute=permute_int8(permute),
    quantize=int8.quantize,
    half=stored_on_cuda(),
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)

_KINDS = {
    "Softmax": SoftmaxKind.SOFTMAX,
    "LogSoftmax": SoftmaxKind.LOG_SOFTMAX,
    "Hardmax": SoftmaxKind.HARDMAX,
}


def softmax(b: Builder, x, axis: int, kind: SoftmaxKind = SoftmaxKind.SOFTMAX):
    """``x`` with softmax taken along ``axis`` (from the front)."""
    return b.emit("softmax", SoftmaxAttrs(axis, kind), [x])[0]


@onnx_op(*_KINDS)
def import_softmax(b: Builder):
    """From opset 13 on along one axis; before that over all axes from ``axis`` on, flattened."""
    x, kind = b.input(0), _KINDS[b.op_type]
    shape = x.type.shape
    if not shape:  # the softmax of one number
        x = b.reshape(x, (1,))
        return [b.reshape(softmax(b, x, 0, kind), ())]
    rank = len(shape)
    if b.opset >= 13:
        return [softmax(b, x, normal_axis(b.attr("axis", -1), rank), kind)]
    axis = b.attr("axis", 1)
    axis = rank if axis == rank else normal_axis(axis, rank)
    if axis < rank and math.prod(shape[axis:]) == shape[axis]:
        return [softmax(b, x, axis, kind)]
    flat = b.reshape(x, (math.prod(shape[:axis]), math.prod(shape[axis:])))
    return [b.reshape(softmax(b, flat, 1, kind), shape)]
