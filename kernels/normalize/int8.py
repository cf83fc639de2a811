"""Normalisation of int8: exact moments, then float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ingot.kernels.common.int8 import TERMS_MAX, Int8Attrs, scales
from ingot.kernels.common.quantized import activation_of, result_type
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, Sample, TensorType

if TYPE_CHECKING:
    from ingot.kernels.normalize.op import NormalizeAttrs


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """All kinds with one output; factors and offsets stay float32."""
    attrs: NormalizeAttrs = node.attrs
    x = activation_of(inputs[0])
    if x is None or attrs.outputs != 1 or node.inputs[0].type.count > TERMS_MAX:
        return None
    if any(f is not None and f.type.dtype is not DType.F32 for f in node.inputs[1:]):
        return None
    operands = (inputs[0].value, *node.inputs[1:])
    return QuantForm(
        "normalize", Int8Attrs(attrs, x, output), operands, result_type(node.outputs[0].type.shape, output)
    )


def params(node: NodeView, normalize: dict[str, Any]) -> dict[str, Any]:
    """The fields of the C struct ``ingot_normalize_s8_params``, given those of ``ingot_normalize_params``."""
    return {"normalize": normalize, "scales": scales(node.attrs)}


def samples(real: Iterable[Sample]) -> Iterable[Sample]:
    """The integer forms of samples in float32."""
    for i, sample in enumerate(real):
        output = (Quant(0.03, -3), None)[i % 2]
        form = Int8Attrs(sample.attrs, Quant(0.05, (0, -128, 5)[i % 3]), output)
        operands = (TensorType(DType.I8, sample.inputs[0].shape), *sample.inputs[1:])
        yield replace(sample, attrs=form, inputs=operands, name=f"int8-{sample.name}")
