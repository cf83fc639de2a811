"""Ranges of values that only tables read: what the function maps to one result needs no numbers of its own.

A SiLU gives about 0 for everything below -6, whatever it was; a convolution in front of it often reaches far below.
The numbers of int8 are spread over where the function still changes, which need not be symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingot.builder.evaluate import evaluate
from ingot.builder.ir import Node, Value
from ingot.builder.passes.match import uniform
from ingot.builder.passes.rewrite import is_op
from ingot.kernels.spec import DType, Quant, TensorType

#: points at which a function is looked at
POINTS = 1024
#: results that differ by less than this part of a step of the result are one
SAME = 0.5


def is_table(node: Node, value: Value) -> bool:
    """Whether the node is a function of this one value and of numbers."""
    if not is_op(node, "elementwise") or node.output.type.shape != value.type.shape:
        return False
    return all(v is value or (v.type.dtype is DType.F32 and uniform(v) is not None) for v in node.inputs)


def quant_for(readers: Sequence[tuple[Node, Quant]], value: Value, low: float, high: float) -> Quant:
    """How the value, which lies in [low, high], is to be stored for these functions and the scales of their results."""
    low, high = min(low, 0.0), max(high, 0.0)
    x = low + (high - low) * np.arange(POINTS) / (POINTS - 1)
    first, last = POINTS - 1, 0
    for node, output in readers:
        y = _results(node, value, x.astype(np.float32)).astype(np.float64)
        step = SAME * output.scale
        changed = np.flatnonzero(~(np.abs(y - y[0]) <= step))
        first = min(first, int(changed[0]) - 1 if changed.size else POINTS - 1)
        changed = np.flatnonzero(~(np.abs(y - y[-1]) <= step))
        last = max(last, int(changed[-1]) + 1 if changed.size else 0)
    if first < last:
        low, high = min(float(x[first]), 0.0), max(float(x[last]), 0.0)
    scale = float(np.float32((high - low) / 255))
    if not scale > 0 or not np.isfinite(scale):
        return Quant(float(np.float32(1.0 / 127)))
    return Quant(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def _results(node: Node, value: Value, x: np.ndarray) -> np.ndarray:
    kind = TensorType(DType.F32, x.shape)
    inputs = [Value("x", kind, x if v is value else np.full(x.shape, uniform(v), np.float32)) for v in node.inputs]
    probe = Node(node.op, node.attrs, inputs, [], ())
    probe.outputs = [Value("y", kind, None, probe)]
    return evaluate(probe)[0]
