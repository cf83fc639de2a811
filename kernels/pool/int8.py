"""Maxima and averages of int8."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ingot.kernels.common.int8 import MODELS, TERMS_MAX, Int8Attrs, is_int8, scales
from ingot.kernels.common.quantized import activation_of, result_type
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, Sample, TensorType

if TYPE_CHECKING:
    from ingot.kernels.pool.op import PoolAttrs


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """A maximum stands for the same numbers as its input; an average is requantised, a model's own as ONNX has it."""
    attrs: PoolAttrs = node.attrs
    x = activation_of(inputs[0])
    if x is None or attrs.indices or attrs.kind.name == "LP":
        return None
    operands, shape = (inputs[0].value,), node.outputs[0].type.shape
    if attrs.kind.name == "MAX":
        return QuantForm("pool", attrs, operands, TensorType(DType.I8, shape, x))
    spatial = inputs[0].value.type.shape[1:-1]
    if math.prod(min(k, n) for k, n in zip(attrs.kernel, spatial, strict=True)) > TERMS_MAX:
        return None
    return QuantForm(
        "pool", Int8Attrs(attrs, x, _rounded(attrs, x, spatial, output)), operands, result_type(shape, output)
    )


def _rounded(attrs: PoolAttrs, x: Quant, spatial: tuple[int, ...], output: Quant | None) -> Quant | None:
    """``output`` as onnxruntime rounds: in integers where it has integer operators and the window is all there is."""
    if output is None or output.rounds_as is None:
        return output
    if output.rounds_as is DType.U8 and x.rounds_as is not DType.U8:
        return replace(output, rounds_as=DType.F32)
    whole = attrs.kernel == spatial and not any(attrs.pads)
    return replace(output, rounds_as=None) if whole and output.rounds_as is not DType.F32 else output


def takes(node: NodeView) -> bool:
    """Averages in their integer form, and maxima of int8."""
    if is_int8(node) or node.inputs[0].type.dtype is not DType.I8:
        return is_int8(node)
    return node.attrs.kind.name == "MAX" and not node.attrs.indices


def params(node: NodeView, pool: dict[str, Any]) -> dict[str, Any]:
    """The fields of the C struct ``ingot_pool_s8_params``, given those of ``ingot_pool_params``."""
    same = Quant(1.0)
    attrs = node.attrs if is_int8(node) else Int8Attrs(node.attrs, same, same)
    return {"pool": pool, "scales": scales(attrs), "model": MODELS[attrs.output and attrs.output.rounds_as]}


def samples(real: Iterable[Sample]) -> Iterable[Sample]:
    """The integer forms of samples in float32."""
    for i, sample in enumerate(real):
        x = Quant(0.05, (0, -128, 127, 5)[i % 4])
        models = (Quant(0.05, 3, DType.U8), Quant(0.05, -7, DType.F32))
        output = (Quant(0.04, -3), None, Quant(0.02), *models)[i % 5]
        kind = TensorType(DType.I8, sample.inputs[0].shape)
        if sample.attrs.kind.name == "MAX":
            yield Sample(sample.attrs, (kind,), name=f"int8-{sample.name}")
        else:
            yield Sample(Int8Attrs(sample.attrs, x, output), (kind,), name=f"int8-{sample.name}")
