"""What picks elements has the scale of its operand: nothing is rounded a second time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot.builder.onnx_import import import_model
from ingot.builder.onnx_model import read
from ingot.builder.pipeline import TO_QUANTIZE, run_passes
from ingot.builder.quantization.signs import lower_bounds

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets


def picking(kind: str, activation: str):
    """Two branches, one of which picks elements, joined: the ranges differ."""
    net = nets.Net((1, 3, 12, 12), 7)
    x = net.op(activation, net.conv("x", 3, 8))
    if kind == "resize":
        scales = net.constant(np.array([1, 1, 2, 2], np.float32))
        attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        y = net.op("Resize", net.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), "", scales, **attributes)
    else:
        y = net.op("Add", net.op(kind, x, axes=[1]), x)
    z = net.op(activation, net.conv("x", 3, 8))
    return net.model(net.conv(net.op("Concat", y, z, axis=1), 16, 4)), net.samples(4)


@pytest.mark.parametrize("kind", ["resize", "ReduceMax", "ReduceMin"])
def test_no_requantisation(kind: str) -> None:
    graph, _ = nets.integer_graph(*picking(kind, "Relu"))
    name = kind if kind == "resize" else "reduce"
    (node,) = [node for node in graph.nodes if node.op.name == name]
    assert node.inputs[0].type.quant == node.output.type.quant is not None
    lookups = [n for n in graph.nodes if n.op.name == "lookup"]
    assert not [n for n in lookups if n.inputs[0] is node.output]


@pytest.mark.parametrize("kind", ["resize", "ReduceMax"])
def test_bounds_are_kept(kind: str) -> None:
    """Behind a hard swish nothing is below -0.375, picked or not."""
    model, _ = picking(kind, "HardSwish")
    graph = import_model(read(model), {})
    run_passes(graph, TO_QUANTIZE)
    bounds = lower_bounds(graph)
    name = kind if kind == "resize" else "reduce"
    (node,) = [node for node in graph.nodes if node.op.name == name]
    assert bounds[node.output] == bounds[node.inputs[0]] == -0.375
