"""Small random networks, and their way through the builder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ingot.builder import onnx_model, quantize_graph
from ingot.builder.calibrate import calibrate_graph
from ingot.builder.ir import Graph
from ingot.builder.onnx_import import import_model
from ingot.builder.pipeline import TO_QUANTIZE, run_passes
from ingot.builder.quantization.ranges import Calibrate, correct_biases
from ingot.builder.quantization.request import Request


class Net:
    """An ONNX model under construction."""

    def __init__(self, shape: tuple[int, ...], seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shape = shape
        self.count = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def constant(self, array: np.ndarray) -> str:
        name = self.name("c")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def op(self, op_type: str, *inputs: str, **attributes) -> str:
        name = self.name(op_type.lower())
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=f"n_{name}", **attributes))
        return name

    def conv(self, x: str, channels: int, out: int, kernel: int = 3, group: int = 1, **attributes) -> str:
        w = self.rng.standard_normal((out, channels // group, kernel, kernel)).astype(np.float32)
        w *= self.rng.uniform(0.2, 2, (out, 1, 1, 1)).astype(np.float32) / np.float32(np.sqrt(w[0].size))
        bias = self.constant(self.rng.standard_normal(out).astype(np.float32) / 4)
        pads = [kernel // 2] * 4
        return self.op("Conv", x, self.constant(w), bias, group=group, pads=pads, **attributes)

    def model(self, output: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=9)

    def samples(self, count: int) -> list[dict[str, np.ndarray]]:
        return [{"x": self.rng.standard_normal(self.shape).astype(np.float32)} for _ in range(count)]


def mixed(seed: int) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    """Convolutions of all kinds, a residual, a sum, a table, max pooling and a concat."""
    net = Net((1, 3, 11, 9), seed)
    a = net.op("Relu", net.conv("x", 3, 17))
    b = net.op("Clip", net.conv(a, 17, 17, group=17), net.constant(np.float32(0)), net.constant(np.float32(1.5)))
    c = net.op("Relu", net.op("Add", net.conv(b, 17, 17, kernel=1), a))
    d = net.op("HardSwish", net.conv(c, 17, 20, strides=[2, 2])) if seed % 2 else net.op(
        "LeakyRelu", net.conv(c, 17, 20, strides=[2, 2]), alpha=0.1
    )  # fmt: skip
    e = net.op("MaxPool", c, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    f = net.op("Concat", d, e, axis=1)
    g = net.op("Sigmoid", net.conv(f, 37, 8, kernel=1))
    h = net.op("Tanh", net.conv(f, 37, 8, kernel=3))
    return net.model(net.conv(net.op("Mul", g, h), 8, 5, kernel=1)), net.samples(6)


def integer_graph(model: onnx.ModelProto, samples: list[dict[str, np.ndarray]], **options) -> tuple[Graph, Request]:
    """The graph that an int8 build lowers, and the request with what was refused."""
    source = onnx_model.read(model)
    graph = import_model(source, {})
    run_passes(graph, TO_QUANTIZE)
    request = Request(ranges=calibrate_graph(graph, samples, source, method="minmax"), **options)
    correct_biases(graph, source, Calibrate(), request, None)
    correct_biases(graph, source, Calibrate(), request, None)
    quantize_graph(graph, request)
    return graph, request


def outputs(engine, sample: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    with engine.context() as context:
        return [np.array(array) for array in context.run(sample).values()]
