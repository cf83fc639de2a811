"""A slow model of the integer graph in NumPy: int64 sums, and every rounding as docs/numerics.md says it.

It reads the graph that ``fold_qdq`` leaves and shares no arithmetic with the kernels.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.conv.attrs import QConvAttrs
from ingot.kernels.matmul.attrs import QMatMulAttrs
from ingot.kernels.spec import DType, Quant

sys.path.insert(0, str(Path(__file__).resolve().parent))
import cells

F32 = np.float32


def run(graph: Graph, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every value of the graph by name. KeyError for an operator that has no model here."""
    values: dict[str, np.ndarray] = dict(inputs)

    def of(value: Value | None) -> np.ndarray | None:
        return None if value is None else value.data if value.data is not None else values[value.name]

    with np.errstate(all="ignore"):
        for node in graph.nodes:
            found = OPERATORS[node.op.name](node, [of(value) for value in node.inputs])
            found = found if isinstance(found, list) else [found]
            values |= {value.name: array for value, array in zip(node.outputs, found, strict=True)}
    return values


def fma(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a * b + c in float32, rounded once: the exact sum is rounded to odd in float64 first."""
    product = a.astype(np.float64) * b.astype(np.float64)
    c = np.broadcast_to(np.asarray(c, np.float64), product.shape)
    total = product + c
    part = total - product
    error = (product - (total - part)) + (c - part)
    bits = total.view(np.int64)
    odd = np.where((error != 0) & (bits & 1 == 0), bits + np.where((error > 0) == (total > 0), 1, -1), bits)
    return odd.view(np.float64).astype(F32)


def requantised(v: np.ndarray, quant: Quant) -> np.ndarray:
    """float32 -> int8 by multiplication with the reciprocal of the scale."""
    return rounded(v * F32(1.0 / float(quant.scale)), quant.zero_point)


def rounded(y: np.ndarray, zero: int) -> np.ndarray:
    y = np.where(np.isnan(y), F32(0), y)
    return (np.rint(np.clip(y, -128 - zero, 127 - zero)).astype(np.int64) + zero).astype(np.int8)


def finished(attrs: QConvAttrs | QMatMulAttrs, total: np.ndarray, bias, residual, scale) -> np.ndarray:
    """From exact sums to the result."""
    if bias is not None and bias.dtype == np.int32:
        total, bias = total + bias, None
    assert np.abs(total).max(initial=0) < 2**31
    v = fma(total.astype(F32), scale, F32(0) if bias is None else bias)
    if residual is not None:
        offset = (residual.astype(np.int64) - attrs.residual.zero_point).astype(F32)
        v = fma(offset, np.broadcast_to(F32(attrs.residual.scale), v.shape), v)
    kind = attrs.activation.kind
    if kind is ActivationKind.RELU:
        v = np.where(v < 0, F32(0), v)
    elif kind is ActivationKind.CLIP:
        v = np.clip(v, F32(attrs.activation.alpha), F32(attrs.activation.beta))
    if attrs.steps:
        return rounded(v, attrs.output.zero_point)
    return v if attrs.output is None else requantised(v, attrs.output)


def conv(node: Node, inputs: list) -> np.ndarray:
    x, w, bias, residual, _, scale = inputs
    attrs: QConvAttrs = node.attrs
    w = w.astype(np.int64) if attrs.parts == 1 else w.astype(np.int64).sum(axis=2)
    space, groups = len(attrs.kernel), attrs.groups
    amounts = [(0, 0), *zip(attrs.pads[:space], attrs.pads[space:]), (0, 0)]
    x = np.pad(x.astype(np.int64) - attrs.x.zero_point, amounts)
    shape = node.output.type.shape
    total = np.zeros(shape, np.int64)
    wide = x.reshape(*x.shape[:-1], groups, -1)
    for tap in itertools.product(*map(range, attrs.kernel)):
        place = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, attrs.dilations, shape[1:-1], attrs.strides)
        )
        weights = w[(slice(None), slice(None), *tap)].reshape(groups, shape[-1] // groups, -1)
        total += np.einsum("...gc,goc->...go", wide[(slice(None), *place)], weights).reshape(shape)
    return finished(attrs, total, bias, residual, scale)


def matmul(node: Node, inputs: list) -> np.ndarray:
    a, b, bias, residual, _, scale = inputs
    attrs: QMatMulAttrs = node.attrs
    a = a.astype(np.int64) - attrs.a.zero_point
    b = b.astype(np.int64) - (attrs.b.zero_point if attrs.b is not None else 0)
    b = b if attrs.parts == 1 else b.sum(axis=0)
    total = (a.swapaxes(-1, -2) if attrs.trans_a else a) @ (b.swapaxes(-1, -2) if attrs.trans_b else b)
    return finished(attrs, total, bias, residual, scale)


FUNCTIONS = {
    "Dequantize": lambda insn, x: (x.astype(F32) - F32(insn.beta)) * F32(insn.alpha),
    "Quantize": lambda insn, x: rounded(x * F32(insn.alpha), int(insn.beta)),
    "QuantizeLinear": lambda insn, x: rounded(x / F32(insn.alpha), int(insn.beta)),
    "Add": lambda insn, x, y: x + y,
    "MulAdd": lambda insn, x, y: fma(x, np.broadcast_to(F32(insn.alpha), x.shape), y),
    "Sub": lambda insn, x, y: x - y,
    "Mul": lambda insn, x, y: x * y,
    "Relu": lambda insn, x: np.where(x < 0, F32(0), x),
    "Clip": lambda insn, x: np.clip(x, F32(insn.alpha), F32(insn.beta)),
}


def elementwise(node: Node, inputs: list) -> np.ndarray:
    values = list(inputs)
    for insn in node.attrs.insns:
        values.append(FUNCTIONS[insn.function](insn, *(values[arg] for arg in insn.args)))
        assert DType.of(values[-1].dtype) is insn.dtype
    return np.broadcast_to(values[-1], node.output.type.shape)


def pool(node: Node, inputs: list) -> np.ndarray:
    attrs = node.attrs
    assert attrs.kind.name == "MAX"
    (x,) = inputs
    space = len(attrs.kernel)
    least = np.int8(-128) if x.dtype == np.int8 else F32(-np.inf)
    shape = node.output.type.shape
    behind = [
        max(0, (n - 1) * s + (k - 1) * d + 1 - size - p)
        for n, s, k, d, size, p in zip(
            shape[1:-1], attrs.strides, attrs.kernel, attrs.dilations, x.shape[1:-1], attrs.pads[:space]
        )
    ]
    x = np.pad(x, [(0, 0), *zip(attrs.pads[:space], behind), (0, 0)], constant_values=least)
    result = np.full(shape, least)
    for tap in itertools.product(*map(range, attrs.kernel)):
        place = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, attrs.dilations, shape[1:-1], attrs.strides)
        )
        result = np.maximum(result, x[(slice(None), *place)])
    return result


def recurrent(node: Node, inputs: list) -> list[np.ndarray]:
    y, *states = cells.recurrent(node, inputs, fma)
    return [y if node.attrs.output is None else requantised(y, node.attrs.output), *states]


OPERATORS = {
    "conv": conv,
    "matmul": matmul,
    "elementwise": elementwise,
    "pool": pool,
    "recurrent": recurrent,
    "lookup": lambda node, inputs: inputs[1][inputs[0].astype(np.int64) + 128],
    "reshape": lambda node, inputs: inputs[0].reshape(node.attrs.shape),
    "transpose": lambda node, inputs: inputs[0].transpose(node.attrs.perm),
    "concat": lambda node, inputs: np.concatenate(inputs, node.attrs.axis),
}
