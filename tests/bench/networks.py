"""Well-known networks with random weights, as ONNX: their speed does not depend on what the weights are.

``python tests/bench/networks.py FOLDER`` writes all of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Shape = tuple[int, ...]

STAGES = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


class Net:
    """Nodes and weights as they are added; batch normalisation counts as folded where a convolution precedes it."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.random = np.random.default_rng(0)

    def node(self, kind: str, inputs: list[str], outputs: int = 1, **attrs: object) -> str:
        """Name of the last output."""
        names = [f"t{len(self.nodes)}_{i}" if outputs > 1 else f"t{len(self.nodes)}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, name=names[-1], **attrs))
        return names[-1]

    def constant(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, *shape: int, spread: float, around: float = 0.0) -> str:
        return self.constant(self.random.normal(around, spread, shape).astype(np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def conv(
        self, x: str, channels: int, out: int, size: int, stride: int = 1, gain: float = 2.0, groups: int = 1
    ) -> str:
        fan = channels // groups * size * size
        w = self.weight(out, channels // groups, size, size, spread=(gain / fan) ** 0.5)
        bias = self.weight(out, spread=0.1)
        return self.node(
            "Conv", [x, w, bias], strides=[stride] * 2, pads=[size // 2] * 4, kernel_shape=[size] * 2, group=groups
        )

    def relu(self, x: str) -> str:
        return self.node("Relu", [x])

    def scale(self, x: str, channels: int) -> str:
        """Batch normalisation that nothing precedes which could take it in."""
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        held = [
            self.weight(channels, spread=0.1, around=0.7),
            self.weight(channels, spread=0.1),
            self.constant(zeros),
            self.constant(ones),
        ]
        return self.node("BatchNormalization", [x, *held])

    def linear(self, x: str, width: int, out: int, gain: float = 1.0) -> str:
        """x @ w + bias over the last axis of a tensor of any rank."""
        product = self.node("MatMul", [x, self.weight(width, out, spread=(gain / width) ** 0.5)])
        return self.node("Add", [product, self.weight(out, spread=0.1)])

    def classifier(self, x: str, channels: int, out: int = 1000) -> str:
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])])
        return self.node("Gemm", [x, self.weight(channels, out, spread=channels**-0.5), self.weight(out, spread=0.1)])

    def model(self, name: str, shape: Shape, out: Shape) -> onnx.ModelProto:
        """From ``x`` to ``y``, the output of the last node."""
        self.nodes[-1].output[0] = "y"
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, out)
        graph = helper.make_graph(self.nodes, name, [x], [y], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# -- convolutional ----------------------------------------------------------------------------------------------------


def _residual(net: Net, x: str, channels: int, width: int, stride: int, deep: bool) -> tuple[str, int]:
    """Two convolutions of 3x3, or one between two of 1x1, and what goes around them."""
    out = 4 * width if deep else width
    around = x if stride == 1 and channels == out else net.conv(x, channels, out, 1, stride, gain=1.0)
    y = net.relu(net.conv(x, channels, width, 1) if deep else net.conv(x, channels, width, 3, stride))
    if deep:
        y = net.relu(net.conv(y, width, width, 3, stride))
    y = net.conv(y, width, out, 1 if deep else 3, gain=0.2)
    return net.relu(net.node("Add", [y, around])), out


def _stem(net: Net) -> str:
    x = net.relu(net.conv("x", 3, 64, 7, 2))
    return net.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


def resnet(depth: int) -> Net:
    """ResNet-``depth`` of K. He et al., "Deep Residual Learning for Image Recognition", 2016 (the stride of a deep
    block in its 3x3 convolution)."""
    net, deep = Net(), depth == 50
    x, channels = _stem(net), 64
    for stage, blocks in enumerate(STAGES[depth]):
        for i in range(blocks):
            x, channels = _residual(net, x, channels, 64 << stage, 2 if i == 0 and stage > 0 else 1, deep)
    net.classifier(x, channels)
    return net


def densenet121() -> Net:
    """G. Huang et al., "Densely Connected Convolutional Networks", 2017: growth 32, blocks of 6, 12, 24 and 16."""
    net = Net()
    x, channels = _stem(net), 64
    for stage, layers in enumerate((6, 12, 24, 16)):
        if stage:
            channels //= 2
            x = net.conv(net.relu(net.scale(x, 2 * channels)), 2 * channels, channels, 1)
            x = net.node("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
        for _ in range(layers):
            y = net.conv(net.relu(net.scale(x, channels)), channels, 128, 1)
            x = net.node("Concat", [x, net.conv(net.relu(y), 128, 32, 3)], axis=1)
            channels += 32
    net.classifier(net.relu(net.scale(x, channels)), channels)
    return net


def _shuffled(net: Net, left: str, right: str, channels: int, size: int) -> str:
    """Both halves with their channels in turns."""
    x = net.node("Concat", [left, right], axis=1)
    x = net.node("Reshape", [x, net.integers(1, 2, channels // 2, size, size)])
    x = net.node("Transpose", [x], perm=[0, 2, 1, 3, 4])
    return net.node("Reshape", [x, net.integers(1, channels, size, size)])


def shufflenet_v2() -> Net:
    """N. Ma et al., "ShuffleNet V2", 2018, of width 1.0."""
    net = Net()
    x = net.relu(net.conv("x", 3, 24, 3, 2))
    x = net.node("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    channels, size = 24, 56
    for out, blocks in ((116, 4), (232, 8), (464, 4)):
        half, size = out // 2, size // 2
        for block in range(blocks):
            if block == 0:
                left = net.conv(x, channels, channels, 3, 2, gain=1.0, groups=channels)
                left = net.relu(net.conv(left, channels, half, 1))
                right, width, stride = x, channels, 2
            else:
                right = net.node("Split", [x, net.integers(half, half)], 2, axis=1)
                left, width, stride = right[:-1] + "0", half, 1
            right = net.relu(net.conv(right, width, half, 1))
            right = net.relu(net.conv(net.conv(right, half, half, 3, stride, gain=1.0, groups=half), half, half, 1))
            x, channels = _shuffled(net, left, right, out, size), out
    net.classifier(net.relu(net.conv(x, channels, 1024, 1)), 1024)
    return net


# -- transformers -----------------------------------------------------------------------------------------------------


def _norm(net: Net, x: str, width: int) -> str:
    scale, bias = net.weight(width, spread=0.1, around=1.0), net.weight(width, spread=0.1)
    return net.node("LayerNormalization", [x, scale, bias], axis=-1, epsilon=1e-5)


def _gelu(net: Net, x: str) -> str:
    half, one, root = (net.constant(np.float32(v)) for v in (0.5, 1.0, math.sqrt(2.0)))
    erf = net.node("Erf", [net.node("Div", [x, root])])
    return net.node("Mul", [net.node("Mul", [x, net.node("Add", [erf, one])]), half])


def _attention(net: Net, x: str, rows: int, width: int, heads: int) -> str:
    def head(perm: Sequence[int]) -> str:
        y = net.node("Reshape", [net.linear(x, width, width), net.integers(1, rows, heads, width // heads)])
        return net.node("Transpose", [y], perm=perm)

    q, k, v = head((0, 2, 1, 3)), head((0, 2, 3, 1)), head((0, 2, 1, 3))
    scores = net.node("Mul", [net.node("MatMul", [q, k]), net.constant(np.float32((width / heads) ** -0.5))])
    y = net.node("MatMul", [net.node("Softmax", [scores], axis=-1), v])
    y = net.node("Reshape", [net.node("Transpose", [y], perm=(0, 2, 1, 3)), net.integers(1, rows, width)])
    return net.linear(y, width, width)


def _mlp(net: Net, x: str, width: int) -> str:
    return net.linear(_gelu(net, net.linear(x, width, 4 * width)), 4 * width, width)


def vit_tiny() -> Net:
    """ViT-Ti/16 (A. Dosovitskiy et al., 2021; H. Touvron et al., 2021): 12 layers of width 192 with 3 heads."""
    net, width, rows = Net(), 192, 197
    w, bias = net.weight(width, 3, 16, 16, spread=768**-0.5), net.weight(width, spread=0.1)
    x = net.node("Conv", ["x", w, bias], strides=[16, 16], kernel_shape=[16, 16])
    x = net.node("Transpose", [net.node("Reshape", [x, net.integers(1, width, rows - 1)])], perm=(0, 2, 1))
    x = net.node("Concat", [net.weight(1, 1, width, spread=0.02), x], axis=1)
    x = net.node("Add", [x, net.weight(1, rows, width, spread=0.02)])
    for _ in range(12):
        x = net.node("Add", [x, _attention(net, _norm(net, x, width), rows, width, 3)])
        x = net.node("Add", [x, _mlp(net, _norm(net, x, width), width)])
    first = net.node("Gather", [_norm(net, x, width), net.constant(np.int64(0))], axis=1)
    net.linear(first, width, 1000)
    return net


def encoder() -> Net:
    """Six layers as in BERT (J. Devlin et al., 2019) of width 384 with 12 heads, on 128 embeddings that are given."""
    net, x, width, rows = Net(), "x", 384, 128
    for _ in range(6):
        x = _norm(net, net.node("Add", [x, _attention(net, x, rows, width, 12)]), width)
        x = _norm(net, net.node("Add", [x, _mlp(net, x, width)]), width)
    net.node("Identity", [x])
    return net


# -- recurrent, and a policy ------------------------------------------------------------------------------------------


def _recurrent(kind: str, gates: int, steps: int, width: int, hidden: int) -> Net:
    net = Net()
    w = net.weight(1, gates * hidden, width, spread=width**-0.5)
    r = net.weight(1, gates * hidden, hidden, spread=hidden**-0.5)
    bias = net.weight(1, 2 * gates * hidden, spread=0.1)
    attrs = {"linear_before_reset": 1} if kind == "GRU" else {}
    y = net.node(kind, ["x", w, r, bias], hidden_size=hidden, **attrs)
    net.node("Squeeze", [y, net.integers(1)])
    return net


def lstm() -> Net:
    """32 steps of 64 numbers through 128 units."""
    return _recurrent("LSTM", 4, 32, 64, 128)


def gru() -> Net:
    """32 steps of 64 numbers through 128 units."""
    return _recurrent("GRU", 3, 32, 64, 128)


def policy() -> Net:
    """What a walking robot's controller looks like: 48-256-128-12 with ELU."""
    net = Net()
    x = net.node("Elu", [net.linear("x", 48, 256)])
    x = net.node("Elu", [net.linear(x, 256, 128)])
    net.linear(x, 128, 12)
    return net


@dataclass(frozen=True)
class Network:
    make: Callable[[], Net]
    shape: Shape
    out: Shape


_IMAGE, _SCORES = (1, 3, 224, 224), (1, 1000)

NETWORKS = {
    "resnet18_random": Network(lambda: resnet(18), _IMAGE, _SCORES),
    "resnet50_random": Network(lambda: resnet(50), _IMAGE, _SCORES),
    "densenet121_random": Network(densenet121, _IMAGE, _SCORES),
    "shufflenet_v2_random": Network(shufflenet_v2, _IMAGE, _SCORES),
    "vit_tiny_random": Network(vit_tiny, _IMAGE, _SCORES),
    "encoder_random": Network(encoder, (1, 128, 384), (1, 128, 384)),
    "lstm_random": Network(lstm, (32, 1, 64), (32, 1, 128)),
    "gru_random": Network(gru, (32, 1, 64), (32, 1, 128)),
    "policy_random": Network(policy, (1, 48), (1, 12)),
}


def model(name: str) -> onnx.ModelProto:
    """One of ``NETWORKS``, from ``x`` to ``y``."""
    network = NETWORKS[name]
    return network.make().model(name, network.shape, network.out)


def sample(name: str) -> dict[str, np.ndarray]:
    """An input of it, always the same."""
    return {"x": np.random.default_rng(0).normal(size=NETWORKS[name].shape).astype(np.float32)}


if __name__ == "__main__":
    for each in NETWORKS:
        path = Path(sys.argv[1], f"{each}.onnx")
        onnx.save(model(each), path)
        print(path)
