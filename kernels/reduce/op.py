"""Reductions. Reduced axes keep extent 1, which a reshape drops, so that transposes can move through."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingot.kernels.common.half import HalfAttrs, is_half, stored_on_cuda, with_half
from ingot.kernels.common.int8 import is_int8, permute_int8, with_int8
from ingot.kernels.reduce import cuda, int8
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


class ReduceKind(enum.IntEnum):
    """Values of the C enum ``ingot_reduce_kind``."""

    SUM = 0
    MEAN = 1
    MAX = 2
    MIN = 3
    PROD = 4
    L1 = 5
    L2 = 6
    SUM_SQUARE = 7
    LOG_SUM = 8
    LOG_SUM_EXP = 9


_ORDER = (ReduceKind.MAX, ReduceKind.MIN)
_OF_FLOATS = (ReduceKind.LOG_SUM, ReduceKind.LOG_SUM_EXP)
_BYTES = (DType.I8, DType.U8, DType.BOOL)
_PORTABLE = (DType.F64, DType.I32, DType.I64, *_BYTES)


@dataclass(frozen=True, slots=True)
class ReduceAttrs:
    """``axes`` counted from the front, ascending; each has extent 1 in the result."""

    kind: ReduceKind
    axes: tuple[int, ...]


def infer(attrs: ReduceAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[...] -> the same with extent 1 at the axes."""
    x = inputs[0]
    if x.dtype in _BYTES and attrs.kind not in _ORDER:
        raise Unsupported(f"Reduce{attrs.kind.name} of {x.dtype.name}", "a cast to int32 before it")
    if attrs.kind in _OF_FLOATS and x.dtype not in (DType.F32, DType.F64, DType.F16, DType.BF16):
        raise Unsupported(f"Reduce{attrs.kind.name} of {x.dtype.name}", "a cast to float32 before it")
    return (TensorType(x.dtype, tuple(1 if a in attrs.axes else d for a, d in enumerate(x.shape))),)


def permute(attrs: ReduceAttrs, perm: tuple[int, ...], node: NodeView) -> ReduceAttrs:
    return ReduceAttrs(attrs.kind, tuple(sorted(perm.index(a) for a in attrs.axes)))


def _takes(*dtypes: DType):
    return lambda node: not is_int8(node) and not is_half(node) and node.inputs[0].type.dtype in dtypes


def samples() -> Iterable[Sample]:
    shapes = (((2, 3, 5), (1,)), ((4, 7), (1,)), ((3, 4, 5, 6), (0, 2)), ((1, 49, 40), (1,)), ((300,), (0,)), ((), ()))
    for kind in ReduceKind:
        for shape, axes in shapes:
            yield Sample(ReduceAttrs(kind, axes), (TensorType(DType.F32, shape),), name=f"{kind.name}-{shape}-{axes}")
    for dtype in _PORTABLE:
        yield Sample(ReduceAttrs(ReduceKind.MAX, (1,)), (TensorType(dtype, (3, 70)),), name=f"MAX-{dtype.name}")
    for kind in (ReduceKind.SUM, ReduceKind.MEAN, ReduceKind.L1):
        for dtype in (DType.I32, DType.I64, DType.F64):
            for shape, axes in (((3, 70), (1,)), ((5, 70, 9), (1,)), ((3, 4, 5, 6), (0, 2))):
                name = f"{kind.name}-{dtype.name}-{shape}-{axes}"
                yield Sample(ReduceAttrs(kind, axes), (TensorType(dtype, shape),), name=name)
    for dtype, output in ((DType.F16, DType.F16), (DType.F32, DType.BF16), (DType.BF16, DType.F32)):
        for shape, axes in (((1, 49, 40), (1,)), ((3, 1200), (1,)), ((2, 9000), (1,)), ((3, 4, 5, 6), (1, 3))):
            attrs = HalfAttrs(ReduceAttrs(ReduceKind.MEAN, axes), output)
            yield Sample(attrs, (TensorType(dtype, shape),), name=f"half-{shape}-{axes}")
    for shape, axes, kind in (
        ((1, 40001), (1,), ReduceKind.MEAN),
        ((1, 33000), (1,), ReduceKind.LOG_SUM_EXP),
        ((3, 2, 11000), (0, 2), ReduceKind.L2),
        ((2, 1100, 36), (1,), ReduceKind.MIN),
        ((3, 2, 400, 32), (0, 2), ReduceKind.SUM),
    ):
        yield Sample(ReduceAttrs(kind, axes), (TensorType(DType.F32, shape),), name=f"long-{kind.name}-{shape}")
    yield Sample(ReduceAttrs(ReduceKind.SUM, (0,)), (TensorType(DType.I64, (17000,)),), name="long-I64")
    attrs = HalfAttrs(ReduceAttrs(ReduceKind.MEAN, (1,)), DType.F16)
    yield Sample(attrs, (TensorType(DType.F16, (2, 2100, 34)),), name="long-half")
    yield from int8.samples(ReduceAttrs(kind, axes) for kind in (ReduceKind.SUM, ReduceKind.MEAN) for axes in int8.AXES)


SPEC = OpSpec(
    name="reduce",
    attrs=ReduceAttrs,
    infer=with_half(with_int8(infer)),
    tactics=(
        Tactic("reduce_s8", "ingot_reduce_s8_params", int8.params, when=is_int8, numerics="exact"),
        Tactic("reduce_f32", "ingot_reduce_params", cuda.params, when=_takes(DType.F32)),
        Tactic("reduce", "ingot_reduce_params", cuda.params, when=_takes(*_PORTABLE), numerics="exact"),
        *cuda.TACTICS,
    ),
    samples=samples,
    permute=permute_int8(permute),
    quantize=int8.quantize,
    half=stored_on_cuda(),
    cast_to={
        DType.F16: DType.F32,
        DType.BF16: DType.F32,
        DType.I16: DType.I32,
        DType.U16: DType.I32,
        DType.U32: DType.I64,
        DType.U64: DType.I64,
    },
)

_KINDS = {
    "ReduceSum": ReduceKind.SUM,
    "ReduceMean": ReduceKind.MEAN,
    "ReduceMax": ReduceKind.MAX,
    "ReduceMin": ReduceKind.MIN,
    "ReduceProd": ReduceKind.PROD,
    "ReduceL1": ReduceKind.L1,
    "ReduceL2": ReduceKind.L2,
    "ReduceSumSquare": ReduceKind.SUM_SQUARE,
    "ReduceLogSum": ReduceKind.LOG_SUM,
    "ReduceLogSumExp": ReduceKind.LOG_SUM_EXP,
}


def reduce(b: Builder, kind: ReduceKind, x, axes: Iterable[int]):
    """``x`` reduced over ``axes`` (from the front), which keep extent 1."""
    return b.emit("reduce", ReduceAttrs(kind, tuple(sorted(set(axes)))), [x])[0]


@onnx_op(*_KINDS)
def import_reduce(b: Builder):
    """All reductions; ``axes`` is an attribute up to opset 12 (ReduceSum) or 17 (the others), then an input."""
    x = b.input(0)
    rank = x.type.rank
    given = b.const(1) if b.input_count > 1 and b.input(1) is not None else b.attr("axes")
    axes = [] if given is None else [normal_axis(int(a), rank) for a in given]
    if not axes and not b.attr("noop_with_empty_axes", 0):
        axes = range(rank)
    result = reduce(b, _KINDS[b.op_type], x, axes)  # over no axis: L1 is still |x|, SumSquare x * x
    if not b.attr("keepdims", 1):
        result = b.reshape(result, [d for a, d in enumerate(x.type.shape) if a not in axes])
    return [result]
