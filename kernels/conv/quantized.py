"""The integer form of a convolution between dequantised operands."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ingot.kernels.common.quantized import (
    activation_of,
    combined_scale,
    epilogue,
    in_parts,
    is_exact,
    may_overflow,
    result_type,
)
from ingot.kernels.spec import NodeView, Quant, QuantForm, QuantInput

from .attrs import ConvAttrs, QConvAttrs


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """int8 activations, constant weights of integers with one scale or one for each output channel."""
    attrs: ConvAttrs = node.attrs
    bias = node.inputs[2]
    x, weights = activation_of(inputs[0]), inputs[1].weights if inputs[1] is not None else None
    if x is None or weights is None or weights.axis not in (None, 0) or not is_exact(attrs.activation):
        return None
    if bias is not None and bias.data is None:
        return None
    residual = activation_of(inputs[3])
    if node.inputs[3] is not None and residual is None:
        return None
    w = weights.data
    rows = w.reshape(w.shape[0], -1)
    data = None if bias is None else bias.data
    end = epilogue(combined_scale(x, weights, w.shape[0]), data, attrs.activation, residual, output)
    if may_overflow(rows, end.bias):
        return None
    fields = {field.name: getattr(attrs, field.name) for field in dataclasses.fields(ConvAttrs)}
    parts = in_parts(w, axis=2)
    fields |= {"activation": end.activation, "steps": end.steps, "parts": 1 if parts is w else parts.shape[2]}
    quantised = QConvAttrs(**fields, x=x, residual=residual, output=output)
    operands = (
        inputs[0].value,
        parts,
        end.bias,
        None if residual is None else inputs[3].value,
        rows.sum(axis=1, dtype=np.int32),
        end.scale,
    )
    shape = node.outputs[0].type.shape
    return QuantForm("conv", quantised, operands, result_type(shape, output))
