"""ArgMax and ArgMin. The reduced axis keeps extent 1, which a reshape drops, so that transposes can move through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ingot.kernels.arg_reduce import cuda
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

_TYPES = (DType.F64, DType.I8, DType.U8, DType.I32, DType.I64)


@dataclass(frozen=True, slots=True)
class ArgReduceAttrs:
    """``axis`` counted from the front; of equal elements the first counts, or the ``last``."""

    axis: int
    smallest: bool = False
    last: bool = False


def infer(attrs: ArgReduceAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[...] -> int64 with extent 1 at the axis."""
    x = inputs[0]
    if x.rank and x.shape[attrs.axis] == 0:
        raise Unsupported("the largest of no elements", "an axis that is not empty")
    return (TensorType(DType.I64, tuple(1 if a == attrs.axis else d for a, d in enumerate(x.shape))),)


def permute(attrs: ArgReduceAttrs, perm: tuple[int, ...], node: NodeView) -> ArgReduceAttrs:
    return replace(attrs, axis=perm.index(attrs.axis))


def _params(node: NodeView) -> dict[str, Any]:
    attrs: ArgReduceAttrs = node.attrs
    return {"axis": attrs.axis, "smallest": int(attrs.smallest), "last": int(attrs.last)}


def _tactic(kernel: str, *dtypes: DType) -> Tactic:
    def when(node: NodeView) -> bool:
        return node.inputs[0].type.dtype in dtypes

    return Tactic(kernel, "ingot_arg_reduce_params", _params, when=when, numerics="exact")


def samples() -> Iterable[Sample]:
    for shape, axis in (((3, 40), 1), ((5, 7, 70), 1), ((4, 3), 0), ((9,), 0), ((600, 21), 1)):
        for smallest in (False, True):
            for last in (False, True):
                attrs = ArgReduceAttrs(axis, smallest, last)
                yield Sample(attrs, (TensorType(DType.F32, shape),), name=f"{shape}-{axis}-{smallest}-{last}")
    rng = np.random.default_rng(3)
    for last in (False, True):
        wild = rng.integers(0, 5, (3, 3000)).astype(np.float32)
        wild[1, rng.integers(0, 3000, 5)] = np.nan
        yield Sample(ArgReduceAttrs(1, last=last), (wild,), name=f"ties-{last}")
    long = rng.integers(0, 1000, (2, 17001)).astype(np.float32)
    long[1, 4000:9000:1000] = np.nan
    for smallest, last in ((False, False), (False, True), (True, False)):
        yield Sample(ArgReduceAttrs(1, smallest, last), (long,), name=f"long-{smallest}-{last}")
    yield Sample(ArgReduceAttrs(0), (TensorType(DType.F64, (20000,)),), name="long-F64")
    for dtype in (DType.F32, *_TYPES):
        yield Sample(ArgReduceAttrs(1), (TensorType(dtype, (3, 20, 5)),), name=dtype.name)


SPEC = OpSpec(
    name="arg_reduce",
    attrs=ArgReduceAttrs,
    infer=infer,
    tactics=(
        _tactic("arg_reduce_f32", DType.F32),
        _tactic("arg_reduce", *_TYPES),
        cuda.tactic("arg_reduce_f32_cuda", _params, DType.F32),
        cuda.tactic("arg_reduce_cuda", _params, *_TYPES),
    ),
    samples=samples,
    permute=permute,
    cast_to={
        DType.F16: DType.F32,
        DType.BF16: DType.F32,
        DType.I16: DType.I32,
        DType.U16: DType.I32,
        DType.U32: DType.I64,
        DType.BOOL: DType.U8,
    },
)


@onnx_op("ArgMax", "ArgMin")
def import_arg_reduce(b: Builder):
    """All forms; a scalar's largest element is element 0."""
    x = b.input(0)
    shape = x.type.shape
    if not shape:
        x = b.reshape(x, (1,))
    axis = normal_axis(b.attr("axis", 0), max(len(shape), 1))
    attrs = ArgReduceAttrs(axis, b.op_type == "ArgMin", bool(b.attr("select_last_index", 0)))
    result = b.emit("arg_reduce", attrs, [x])[0]
    if not shape or not b.attr("keepdims", 1):
        result = b.reshape(result, shape[:axis] + shape[axis + 1 :])
    return [result]
