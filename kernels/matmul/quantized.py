"""The integer form of a matrix product between dequantised operands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ingot.kernels.common.quantized import (
    INT32,
    activation_of,
    combined_scale,
    is_exact,
    may_overflow,
    result_type,
)
from ingot.kernels.spec import NodeView, Quant, QuantForm, QuantInput, QuantWeights

from .attrs import MatMulAttrs, QMatMulAttrs


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """int8 activations by constant int8 weights with one scale or one a column, or by int8 activations."""
    attrs: MatMulAttrs = node.attrs
    a, b, bias = activation_of(inputs[0]), inputs[1], node.inputs[2]
    if a is None or b is None or not is_exact(attrs.activation) or not math.isfinite(attrs.alpha):
        return None
    if bias is not None and bias.data is None:
        return None
    residual = activation_of(inputs[3])
    if node.inputs[3] is not None and residual is None:
        return None
    right = _by_weights(node, a, b.weights) if b.weights is not None else _by_activations(node, a, activation_of(b))
    if right is None:
        return None
    matrix, sums, scale = right
    fields = {field.name: getattr(attrs, field.name) for field in dataclasses.fields(MatMulAttrs)}
    quantised = QMatMulAttrs(**fields, a=a, b=activation_of(b), residual=residual, output=output)
    operands = (
        inputs[0].value,
        b.value if matrix is None else matrix,
        None if bias is None else bias.data.astype(np.float32),
        None if residual is None else inputs[3].value,
        sums,
        scale,
    )
    return QuantForm("matmul", quantised, operands, result_type(node.outputs[0].type.shape, output))


def _by_weights(node: NodeView, a: Quant, weights: QuantWeights) -> tuple | None:
    w, attrs = weights.data, node.attrs
    axis = w.ndim - 2 if attrs.trans_b else w.ndim - 1
    if math.prod(w.shape[:-2]) != 1 or weights.axis not in (None, axis) or w.ndim > node.inputs[0].type.rank:
        return None
    columns = w.reshape(w.shape[-2:]) if attrs.trans_b else w.reshape(w.shape[-2:]).T
    if may_overflow(columns):
        return None
    sums = columns.sum(axis=1, dtype=np.int32)
    return w, sums, combined_scale(a, weights, columns.shape[0], attrs.alpha)


def _by_activations(node: NodeView, a: Quant, b: Quant | None) -> tuple | None:
    depth = node.inputs[0].type.shape[-2 if node.attrs.trans_a else -1]
    if b is None or depth * 255 * 255 >= INT32:
        return None
    scale = np.float64(a.scale) * np.float64(b.scale) * np.float64(node.attrs.alpha)
    return None, None, np.array([scale]).astype(np.float32)
