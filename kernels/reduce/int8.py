"""Sums, means and extremes of int8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ingot.kernels.common.int8 import TERMS_MAX, Int8Attrs, scales
from ingot.kernels.common.quantized import activation_of, result_type
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, Sample, TensorType

if TYPE_CHECKING:
    from ingot.kernels.reduce.op import ReduceAttrs

AXES = ((1,), (1, 2), (3,), (0, 2), (0, 1, 2, 3), ())
"""For the samples."""


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """An extreme stands for the same numbers as its input; a sum or mean is requantised."""
    attrs: ReduceAttrs = node.attrs
    x, result = activation_of(inputs[0]), node.outputs[0].type
    if x is None or result.count == 0:
        return None
    operands, terms = (inputs[0].value,), inputs[0].value.type.count // result.count
    if attrs.kind.name in ("MAX", "MIN"):
        return QuantForm("reduce", attrs, operands, TensorType(DType.I8, result.shape, x))
    if attrs.kind.name not in ("SUM", "MEAN") or not 1 <= terms <= TERMS_MAX:
        return None
    return QuantForm("reduce", Int8Attrs(attrs, x, output), operands, result_type(result.shape, output))


def params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_reduce_s8_params``."""
    real: ReduceAttrs = node.attrs.real
    return {
        "reduce": {"kind": int(real.kind), "axes": sum(1 << axis for axis in real.axes)},
        "scales": scales(node.attrs),
    }


def samples(every: Iterable[ReduceAttrs]) -> Iterable[Sample]:
    """Sums and means with and without columns side by side, of few and of many rows."""
    for i, attrs in enumerate(every):
        x = Quant(0.05, (0, -128, 127, 5)[i % 4])
        output = (Quant(0.04, -3), None, Quant(0.02))[i % 3]
        long = ((1, 12, 400, 40),) if attrs.axes == (1, 2) else ()
        for shape in ((2, 7, 9, 40), (1, 20, 20, 300), *long):
            yield Sample(Int8Attrs(attrs, x, output), (TensorType(DType.I8, shape),), name=f"int8-{attrs}-{shape}")
