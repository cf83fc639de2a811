"""CumSum and CumProd: running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.cumsum import cuda
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

_TYPES = (DType.F32, DType.F64, DType.I32, DType.I64, DType.U32, DType.U64)


@dataclass(frozen=True, slots=True)
class CumsumAttrs:
    """``exclusive``: an element does not count itself; ``reverse``: from the end; ``product``: not sums."""

    axis: int
    exclusive: bool = False
    reverse: bool = False
    product: bool = False


def _infer(attrs: CumsumAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if x.dtype not in (*_TYPES, DType.F16, DType.BF16):
        raise Unsupported(f"running sums of {x.dtype.name.lower()}", "a 32- or 64-bit type")
    if not 0 <= attrs.axis < x.rank:
        raise Unsupported(f"running sums of {x} along axis {attrs.axis}", "an axis of the input")
    return (x,)


def _permute(attrs: CumsumAttrs, perm: tuple[int, ...], node: NodeView) -> CumsumAttrs:
    return CumsumAttrs(perm.index(attrs.axis), attrs.exclusive, attrs.reverse, attrs.product)


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (3, 4, 5))
    for exclusive in (False, True):
        for reverse in (False, True):
            yield Sample(CumsumAttrs(1, exclusive, reverse), (x,), name=f"e{exclusive:d}r{reverse:d}")
            yield Sample(
                CumsumAttrs(1, exclusive, reverse),
                (TensorType(DType.F32, (3, 70)),),
                name=f"row{exclusive:d}{reverse:d}",
            )
    for dtype in _TYPES:
        yield Sample(CumsumAttrs(2), (TensorType(dtype, (3, 4, 45)),), name=dtype.name.lower())
    yield Sample(CumsumAttrs(0, product=True), (x,), name="product")


def _params(node: NodeView) -> dict[str, int]:
    attrs: CumsumAttrs = node.attrs
    flags = {"exclusive": attrs.exclusive, "reverse": attrs.reverse, "product": attrs.product}
    return {"axis": attrs.axis, **{name: int(flag) for name, flag in flags.items()}}


SPEC = OpSpec(
    name="cumsum",
    attrs=CumsumAttrs,
    infer=_infer,
    tactics=(
        Tactic(
            kernel="cumsum",
            params_type="ingot_cumsum_params",
            params=_params,
            when=lambda node: node.inputs[0].type.dtype in _TYPES,
            numerics="exact",
        ),
        *cuda.tactics(_params),
    ),
    samples=_samples,
    permute=_permute,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


@onnx_op("CumSum", "CumProd")
def _cumsum(b: Builder) -> Any:
    x = b.input(0)
    axis = normal_axis(int(b.const(1).ravel()[0]), x.type.rank)
    exclusive, reverse = bool(b.attr("exclusive", 0)), bool(b.attr("reverse", 0))
    return b.emit("cumsum", CumsumAttrs(axis, exclusive, reverse, b.op_type == "CumProd"), [x])[0]
