"""ResNet-18 and ResNet-50 with random weights: their speed does not depend on what the weights are."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


class _Net:
    """Nodes and weights as they are added; batch normalisation counts as folded."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(0)

    def node(self, kind: str, inputs: list[str], **attrs: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attrs))
        return name

    def weight(self, *shape: int, spread: float) -> str:
        name = f"w{len(self.weights)}"
        array = self.random.normal(0.0, spread, shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def conv(self, x: str, channels: int, out: int, size: int, stride: int = 1, gain: float = 2.0) -> str:
        w = self.weight(out, channels, size, size, spread=(gain / (channels * size * size)) ** 0.5)
        bias = self.weight(out, spread=0.1)
        return self.node("Conv", [x, w, bias], strides=[stride] * 2, pads=[size // 2] * 4, kernel_shape=[size] * 2)

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def block(self, x: str, channels: int, width: int, stride: int, deep: bool) -> tuple[str, int]:
        """Two convolutions of 3x3, or one between two of 1x1, and what goes around them."""
        out = 4 * width if deep else width
        around = x if stride == 1 and channels == out else self.conv(x, channels, out, 1, stride, gain=1.0)
        y = self.relu(self.conv(x, channels, width, 1) if deep else self.conv(x, channels, width, 3, stride))
        if deep:
            y = self.relu(self.conv(y, width, width, 3, stride))
        y = self.conv(y, width, out, 1 if deep else 3, gain=0.2)
        return self.relu(self.node("Add", [y, around])), out


def resnet(depth: int, size: int = 224) -> onnx.ModelProto:
    """ResNet-``depth`` of K. He et al., "Deep Residual Learning for Image Recognition", 2016 (the stride of a deep
    block in its 3x3 convolution), for one image [1, 3, size, size]; scores [1, 1000]."""
    net, deep = _Net(), depth == 50
    x = net.relu(net.conv("image", 3, 64, 7, 2))
    x = net.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels = 64
    for stage, blocks in enumerate(STAGES[depth]):
        for i in range(blocks):
            x, channels = net.block(x, channels, 64 << stage, 2 if i == 0 and stage > 0 else 1, deep)
    x = net.node("Flatten", [net.node("GlobalAveragePool", [x])])
    w, bias = net.weight(channels, 1000, spread=channels**-0.5), net.weight(1000, spread=0.1)
    net.node("Gemm", [x, w, bias])
    net.nodes[-1].output[0] = "scores"
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, size, size])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1000])
    graph = helper.make_graph(net.nodes, f"resnet{depth}_random", [image], [scores], net.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
