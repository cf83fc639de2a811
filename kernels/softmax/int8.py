"""Softmax of int8: exponentials by table."""

from __future__ import annotations

import decimal
import functools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ingot.kernels.common.int8 import Int8Attrs, scales
from ingot.kernels.common.quantized import activation_of, result_type
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, Sample, TensorType

if TYPE_CHECKING:
    from ingot.kernels.softmax.op import SoftmaxAttrs

ONE = 1 << 23


@functools.lru_cache
def exponentials(scale: float) -> np.ndarray:
    """uint32 [256]: 2^23 exp(-d scale), rounded half to even. In decimal arithmetic, which no library changes."""
    context = decimal.Context(prec=40, rounding=decimal.ROUND_HALF_EVEN)
    step = decimal.Decimal(scale)
    exponents = (context.multiply(decimal.Decimal(-d), step) for d in range(256))
    values = (context.multiply(context.exp(x), decimal.Decimal(ONE)) for x in exponents)
    return np.array([int(v.to_integral_value(decimal.ROUND_HALF_EVEN)) for v in values], np.uint32)


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """Softmax only; the rows are requantised, or stay real numbers."""
    attrs: SoftmaxAttrs = node.attrs
    x = activation_of(inputs[0])
    if x is None or attrs.kind.name != "SOFTMAX":
        return None
    form = Int8Attrs(attrs, x, output)
    return QuantForm(
        "softmax", form, (inputs[0].value, exponentials(x.scale)), result_type(node.outputs[0].type.shape, output)
    )


def params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_softmax_s8_params``."""
    real: SoftmaxAttrs = node.attrs.real
    return {"softmax": {"kind": int(real.kind), "axis": real.axis}, "scales": scales(node.attrs)}


def samples(every: Iterable[tuple[tuple[int, ...], SoftmaxAttrs]]) -> Iterable[Sample]:
    """To int8 and to float32, along the last axis and along others."""
    for i, (shape, attrs) in enumerate(every):
        x = Quant(0.05, (0, -128, 5)[i % 3])
        output = (Quant(1 / 256, -128), None)[i % 2]
        operands = (TensorType(DType.I8, shape), exponentials(x.scale))
        yield Sample(Int8Attrs(attrs, x, output), operands, (1,), f"int8-{shape}-{attrs.axis}")
