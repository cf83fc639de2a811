"""The integer form of a matrix product between dequantised operands."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ingot.kernels.common.quantized import (
    INT32,
    Epilogue,
    activation_of,
    combined_scale,
    epilogue,
    in_parts,
    is_exact,
    may_overflow,
    result_type,
)
from ingot.kernels.spec import NodeView, Quant, QuantForm, QuantInput

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
    make = _by_activations if b.weights is None else _by_weights
    right = make(node, a, b, None if bias is None else bias.data, residual, output)
    if right is None:
        return None
    matrix, sums, end = right
    fields = {field.name: getattr(attrs, field.name) for field in dataclasses.fields(MatMulAttrs)}
    parts = 1 if b.weights is None or matrix is b.weights.data else len(matrix)
    fields |= {"activation": end.activation, "steps": end.steps, "parts": parts}
    quantised = QMatMulAttrs(**fields, a=a, b=activation_of(b), residual=residual, output=output)
    operands = (
        inputs[0].value,
        b.value if matrix is None else matrix,
        end.bias,
        None if residual is None else inputs[3].value,
        sums,
        end.scale,
    )
    return QuantForm("matmul", quantised, operands, result_type(node.outputs[0].type.shape, output))


def _by_weights(
    node: NodeView, a: Quant, b: QuantInput, bias: np.ndarray | None, residual: Quant | None, output: Quant | None
) -> tuple[np.ndarray, np.ndarray, Epilogue] | None:
    """The right operand, its sums, and the epilogue."""
    weights, attrs = b.weights, node.attrs
    w = weights.data
    axis = w.ndim - 2 if attrs.trans_b else w.ndim - 1
    if math.prod(w.shape[:-2]) != 1 or weights.axis not in (None, axis) or w.ndim > node.inputs[0].type.rank:
        return None
    columns = w.reshape(w.shape[-2:]) if attrs.trans_b else w.reshape(w.shape[-2:]).T
    scale = combined_scale(a, weights, columns.shape[0], attrs.alpha)
    end = epilogue(scale, bias, attrs.activation, residual, output)
    if may_overflow(columns, end.bias):
        return None
    matrix = w if w.dtype == np.int8 else in_parts(w.reshape(w.shape[-2:]), axis=0)
    return matrix, columns.sum(axis=1, dtype=np.int32), end


def _by_activations(
    node: NodeView, a: Quant, b: QuantInput, bias: np.ndarray | None, residual: Quant | None, output: Quant | None
) -> tuple[None, None, Epilogue] | None:
    """The same for an operand that comes as it is."""
    attrs, right = node.attrs, activation_of(b)
    depth = node.inputs[0].type.shape[-2 if attrs.trans_a else -1]
    if right is None or depth * 255 * 255 >= INT32:
        return None
    scale = np.array([np.float64(a.scale) * np.float64(right.scale) * np.float64(attrs.alpha)])
    if bias is not None:
        return None, None, Epilogue(bias.astype(np.float32), scale.astype(np.float32), attrs.activation, False)
    return None, None, epilogue(scale, None, attrs.activation, residual, output)
