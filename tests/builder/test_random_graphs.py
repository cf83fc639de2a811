"""Random graphs against ``onnx.reference``: whatever the passes make of them, the answers stay."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx.helper as oh
import onnx.printer
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

import ingot

_spec = importlib.util.spec_from_file_location("oracle", Path(__file__).parents[1] / "oracle.py")
oracle = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(oracle)

OPSET = 21


@dataclass
class Net:
    """A model under construction: values with their shapes, all float32."""

    draw: Callable
    rng: np.random.Generator
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int) -> str:
        fan = max(int(np.prod(shape[1:])), 1)
        return self.constant((self.rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attrs: object) -> None:
        name = f"v{len(self.shapes)}"
        self.nodes.append(oh.make_node(op, inputs, [name], name=f"{op}_{name}", **attrs))
        self.shapes[name] = shape

    def pick(self, what: Callable[[tuple[int, ...]], bool] = lambda s: True) -> str | None:
        """One of the values so far, the newest most likely."""
        names = [n for n, s in self.shapes.items() if what(s)]
        return None if not names else self.draw(st.sampled_from([*names, *names[-2:], names[-1]]))


def is_image(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and shape[2] >= 2 and shape[3] >= 2


def unary(net: Net) -> None:
    x = net.pick()
    op = net.draw(
        st.sampled_from(["Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu", "Elu", "Softplus", "Abs", "Neg"])
    )
    net.add(op, [x], net.shapes[x])


def scalar(net: Net) -> None:
    x = net.pick()
    value = net.constant(np.float32(net.draw(st.sampled_from([0.5, 2.0, -1.0, 1.0, 0.0]))))
    net.add(net.draw(st.sampled_from(["Add", "Mul", "Sub", "Max", "Min"])), [x, value], net.shapes[x])


def silu(net: Net) -> None:
    x = net.pick()
    net.add("Sigmoid", [x], net.shapes[x])
    net.add("Mul", [x, list(net.shapes)[-1]], net.shapes[x])


def per_channel(net: Net) -> None:
    x = net.pick(is_image)
    if x:
        net.add(net.draw(st.sampled_from(["Add", "Mul"])), [x, net.weights(net.shapes[x][1], 1, 1)], net.shapes[x])


def binary(net: Net) -> None:
    x = net.pick()
    y = net.pick(lambda s: s == net.shapes[x])
    net.add(net.draw(st.sampled_from(["Add", "Mul", "Sub"])), [x, y], net.shapes[x])


def conv(net: Net) -> None:
    x = net.pick(is_image)
    if not x:
        return
    n, c, h, w = net.shapes[x]
    k, stride = net.draw(st.sampled_from([1, 2, 3])), net.draw(st.sampled_from([1, 1, 2]))
    pad = net.draw(st.integers(0, k - 1))
    if h + 2 * pad < k or w + 2 * pad < k:
        return
    depthwise = net.draw(st.booleans())
    out = c if depthwise else net.draw(st.sampled_from([1, 3, 8, 16, 17]))
    shape = (n, out, (h + 2 * pad - k) // stride + 1, (w + 2 * pad - k) // stride + 1)
    inputs = [x, net.weights(out, 1 if depthwise else c, k, k)]
    if net.draw(st.booleans()):
        inputs.append(net.weights(out))
    net.add("Conv", inputs, shape, pads=[pad] * 4, strides=[stride] * 2, group=c if depthwise else 1)


def transposed_conv(net: Net) -> None:
    x = net.pick(is_image)
    if x and net.shapes[x][2] <= 8:
        n, c, h, w = net.shapes[x]
        net.add("ConvTranspose", [x, net.weights(c, 5, 2, 2)], (n, 5, 2 * h, 2 * w), strides=[2, 2])


def batch_norm(net: Net) -> None:
    x = net.pick(is_image)
    if x:
        c = net.shapes[x][1]
        variance = net.constant(np.abs(net.rng.standard_normal(c)).astype(np.float32) + np.float32(0.5))
        net.add("BatchNormalization", [x, net.weights(c), net.weights(c), net.weights(c), variance], net.shapes[x])


def pool(net: Net) -> None:
    x = net.pick(is_image)
    if x:
        n, c, h, w = net.shapes[x]
        op = net.draw(st.sampled_from(["MaxPool", "AveragePool"]))
        net.add(op, [x], (n, c, h // 2, w // 2), kernel_shape=[2, 2], strides=[2, 2])


def global_pool(net: Net) -> None:
    x = net.pick(is_image)
    if x:
        net.add("GlobalAveragePool", [x], (*net.shapes[x][:2], 1, 1))
        net.add("Mul", [x, list(net.shapes)[-1]], net.shapes[x])


def concat(net: Net) -> None:
    x = net.pick(is_image)
    if x:
        n, c, h, w = net.shapes[x]
        y = net.pick(lambda s: is_image(s) and s[2:] == (h, w))
        net.add("Concat", [x, y], (n, c + net.shapes[y][1], h, w), axis=1)


def split(net: Net) -> None:
    x = net.pick(lambda s: len(s) == 4 and s[1] >= 2)
    if x:
        n, c, h, w = net.shapes[x]
        first = net.draw(st.integers(1, c - 1))
        names = [f"v{len(net.shapes)}", f"v{len(net.shapes) + 1}"]
        sizes = net.constant(np.array([first, c - first], np.int64))
        net.nodes.append(oh.make_node("Split", [x, sizes], names, axis=1, name=f"Split_{names[0]}"))
        net.shapes[names[0]], net.shapes[names[1]] = (n, first, h, w), (n, c - first, h, w)


def transpose(net: Net) -> None:
    x = net.pick(lambda s: len(s) >= 2)
    perm = net.draw(st.permutations(range(len(net.shapes[x]))))
    net.add("Transpose", [x], tuple(net.shapes[x][p] for p in perm), perm=list(perm))


def flatten(net: Net) -> None:
    x = net.pick()
    shape = (net.shapes[x][0], int(np.prod(net.shapes[x][1:])))
    net.add("Reshape", [x, net.constant(np.array(shape, np.int64))], shape)


def matmul(net: Net) -> None:
    x = net.pick(lambda s: len(s) >= 2 and s[-1] <= 512)
    if x:
        out = net.draw(st.sampled_from([1, 5, 16, 33]))
        net.add("MatMul", [x, net.weights(net.shapes[x][-1], out)], (*net.shapes[x][:-1], out))


def softmax(net: Net) -> None:
    x = net.pick()
    net.add("Softmax", [x], net.shapes[x], axis=net.draw(st.integers(0, len(net.shapes[x]) - 1)))


def reduce(net: Net) -> None:
    x = net.pick(lambda s: len(s) >= 2)
    axis = net.draw(st.integers(1, len(net.shapes[x]) - 1))
    shape = tuple(1 if i == axis else n for i, n in enumerate(net.shapes[x]))
    net.add(
        net.draw(st.sampled_from(["ReduceMean", "ReduceMax"])), [x, net.constant(np.array([axis], np.int64))], shape
    )


def pad(net: Net) -> None:
    x = net.pick(is_image)
    if x:
        n, c, h, w = net.shapes[x]
        net.add("Pad", [x, net.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2], np.int64))], (n, c, h + 1, w + 2))


def resize(net: Net) -> None:
    x = net.pick(lambda s: is_image(s) and s[2] <= 8 and s[3] <= 8)
    if x:
        n, c, h, w = net.shapes[x]
        scales = net.constant(np.array([1, 1, 2, 2], np.float32))
        net.add(
            "Resize", [x, "", scales], (n, c, 2 * h, 2 * w), mode=net.draw(st.sampled_from(["nearest", "linear"])),
            coordinate_transformation_mode="half_pixel",
        )  # fmt: skip


def layer_norm(net: Net) -> None:
    x = net.pick(lambda s: len(s) >= 2 and s[-1] > 1)
    if x:
        c = net.shapes[x][-1]
        net.add("LayerNormalization", [x, net.weights(c), net.weights(c)], net.shapes[x], axis=-1)


GROW = (
    unary, scalar, silu, per_channel, binary, conv, conv, conv, transposed_conv, batch_norm, pool, global_pool, concat,
    split, transpose, flatten, matmul, softmax, reduce, pad, resize, layer_norm,
)  # fmt: skip


@st.composite
def networks(draw: Callable) -> tuple[onnx.ModelProto, np.ndarray]:
    """A model of up to 14 operators with one input and one or two outputs, and an input for it."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = Net(draw, rng)
    start = (
        draw(st.sampled_from([1, 1, 2])),
        draw(st.sampled_from([1, 3, 8, 16])),
        draw(st.integers(4, 9)),
        draw(st.integers(4, 9)),
    )
    net.shapes["x"] = start
    for _ in range(draw(st.integers(1, 14))):
        draw(st.sampled_from(GROW))(net)
    names = list(net.shapes)
    if len(names) == 1:
        unary(net)
        names = list(net.shapes)
    outputs = list(dict.fromkeys([names[-1], draw(st.sampled_from(names[1:]))]))
    graph = oh.make_graph(
        net.nodes, "random", [oh.make_tensor_value_info("x", TensorProto.FLOAT, start)],
        [oh.make_tensor_value_info(n, TensorProto.FLOAT, net.shapes[n]) for n in outputs], net.constants,
    )  # fmt: skip
    model = oh.make_model(graph, opset_imports=[oh.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model, rng.standard_normal(start).astype(np.float32)


@given(networks())
@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_random_graphs_agree(case: tuple[onnx.ModelProto, np.ndarray]) -> None:
    model, x = case
    note(onnx.printer.to_text(model))
    wanted = oracle.run(model, {"x": x})
    engine = ingot.build(model, self_test=False)
    with engine.context(threads=2) as context:
        got = context.run({"x": x})
    for name, expected in wanted.items():
        assert got[name].shape == expected.shape
        norm = np.linalg.norm(expected.astype(np.float64)) + 1e-6
        assert np.linalg.norm(got[name].astype(np.float64) - expected) <= 1e-4 * norm, name
