"""Single layers in INT8, as quantisation would leave them: random numbers, results that fill their range."""

from __future__ import annotations

import math

import numpy as np

from ingot import kernels
from ingot.builder.ir import Node, Value
from ingot.kernels.conv.attrs import ConvAttrs, QConvAttrs
from ingot.kernels.matmul.attrs import MatMulAttrs, QMatMulAttrs
from ingot.kernels.spec import DType, Quant, TensorType

X, Y = Quant(0.05, 3), Quant(0.03, -5)


def int8_node(op: str, attrs: ConvAttrs | MatMulAttrs, x: tuple[int, ...], w: tuple[int, ...]) -> Node:
    """A convolution [1, size, size, C] or a product [rows, depth] with constant weights, alone in a graph."""
    rng = np.random.default_rng(0)
    given = {name: getattr(attrs, name) for name in attrs.__dataclass_fields__}
    quantised = QConvAttrs(**given, x=X, output=Y) if op == "conv" else QMatMulAttrs(**given, a=X, output=Y)
    weights = rng.integers(-127, 128, w).astype(np.int8)
    rows = weights.reshape(w[0], -1) if op == "conv" else weights.T
    out, terms = rows.shape
    scale = np.full(out, Y.scale / (70 * math.sqrt(terms)), np.float32)
    arrays = {"w": weights, "b": np.ones(out, np.float32), "sums": rows.sum(axis=1, dtype=np.int32), "scale": scale}
    constants = {name: Value(name, TensorType(DType.of(a.dtype), a.shape), a) for name, a in arrays.items()}
    image = Value("x", TensorType(DType.I8, x, X))
    inputs = [image, constants["w"], constants["b"], None, constants["sums"], constants["scale"]]
    spec = kernels.load()[op]
    (kind,) = spec.infer(quantised, [v and v.type for v in inputs])
    node = Node(spec, quantised, inputs, [], (op,))
    node.outputs = [Value("y", kind, None, node)]
    return node
