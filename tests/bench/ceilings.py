"""What this machine's core reaches at most, measured by ``ceilings.c``, and how many operations a model takes."""

from __future__ import annotations

import subprocess
import tempfile
from functools import cache
from math import prod
from pathlib import Path

import onnx
from onnx import shape_inference
from peers import Inputs


@cache
def ceiling(kind: str) -> float:
    """Operations (fp32, bf16, int8) or bytes (l2, l3, dram) a nanosecond of one core; 0 where the processor has no
    instruction for it. A disturbed moment makes it too low, so it is the best of several tries."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "ceilings")
        source = Path(__file__).with_suffix(".c")
        subprocess.run(["cc", "-O3", "-march=native", "-o", str(program), str(source)], check=True)
        return max(float(subprocess.check_output([str(program), kind], text=True)) for _ in range(3))


def operations(model: onnx.ModelProto, inputs: Inputs) -> int:
    """Of convolutions, matrix products and recurrent layers, a multiply-add being two; what else there is counts as
    nothing. 0 where shapes of one of them are not known before the model runs."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for info in fixed.graph.input:
        if info.name in inputs:
            info.type.tensor_type.shape.CopyFrom(_shape(inputs[info.name].shape))
    graph = shape_inference.infer_shapes(fixed, data_prop=True).graph
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for info in (*graph.input, *graph.value_info, *graph.output):
        if info.type.tensor_type.HasField("shape"):
            shapes.setdefault(info.name, tuple(d.dim_value for d in info.type.tensor_type.shape.dim))
    try:
        return sum(_OPERATIONS[node.op_type](node, shapes) for node in graph.node if node.op_type in _OPERATIONS)
    except KeyError:
        return 0


def _shape(dims: tuple[int, ...]) -> onnx.TensorShapeProto:
    return onnx.TensorShapeProto(dim=[onnx.TensorShapeProto.Dimension(dim_value=d) for d in dims])


Shapes = dict[str, tuple[int, ...]]


def _conv(node: onnx.NodeProto, shapes: Shapes) -> int:
    return 2 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])


def _conv_transpose(node: onnx.NodeProto, shapes: Shapes) -> int:
    return 2 * prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])


def _product(node: onnx.NodeProto, shapes: Shapes) -> int:
    a = shapes[node.input[0]]
    turned = any(attr.name == "transA" and attr.i for attr in node.attribute)
    return 2 * prod(shapes[node.output[0]]) * (a[0] if turned else a[-1])


def _recurrent(node: onnx.NodeProto, shapes: Shapes) -> int:
    x, w, r = (shapes[name] for name in node.input[:3])
    return 2 * x[0] * x[1] * (prod(w) + prod(r))


_OPERATIONS = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MatMul": _product,
    "Gemm": _product,
    "LSTM": _recurrent,
    "GRU": _recurrent,
}
