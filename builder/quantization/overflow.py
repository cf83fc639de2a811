"""Whether float16 can hold the weights and the results of a layer. bfloat16 has the range of float32."""

from __future__ import annotations

import numpy as np

from ingot.builder.ir import Node, Value
from ingot.builder.quantization.request import Request
from ingot.kernels.common.half import narrow, widen
from ingot.kernels.spec import DType

LARGEST = 65504.0  #: the largest finite float16
#: rounding to 11 bits costs a layer's weights at most 2^-11 of their norm; subnormal numbers have fewer bits
MOST_LOST = 1e-3


def obstacle(node: Node, dtype: DType, request: Request) -> str:
    """Why a layer has to stay in float32; empty when it need not."""
    if dtype is not DType.F16:
        return ""
    if node.op.half.moves:
        return ""
    for index in node.op.half.weights(node):
        reason = _weights_obstacle(node.inputs[index])
        if reason:
            return reason
    value = node.output
    if node.op.half.results and not request.fits_half(value.name):
        return f"would overflow fp16: largest {request.largest[value.name]:.3g} seen in {value.name}"
    return ""


def _weights_obstacle(value: Value) -> str:
    data = value.data
    largest = float(np.abs(data).max(initial=0.0))
    if not largest <= LARGEST:
        return f"would overflow fp16: its weights reach {largest:.3g}"
    norm = _norm(data)
    lost = _norm(widen(narrow(data, DType.F16), DType.F16) - data)
    if lost > MOST_LOST * norm:
        return f"its weights are too small for fp16: they would lose {100 * lost / norm:.2g} % of their norm"
    return ""


def _norm(array: np.ndarray) -> float:
    """Of all elements, added from first to last on any machine."""
    squares = np.square(array.ravel(), dtype=np.float64)
    return float(np.sqrt(np.cumsum(squares)[-1])) if squares.size else 0.0
