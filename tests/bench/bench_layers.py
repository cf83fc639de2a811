"""Single layers, every tactic beside the default: ``python tests/bench/bench_layers.py [--layer PATTERN] [--int8]``.

Each tactic is a step in an engine of its own. Every round measures all of a layer in turn, so that they see the same
disturbances; what counts is how many times faster than the default a tactic is. GFLOP/s count what the layer is, not
what a tactic saves, so minimal filtering may reach more than the peak. The peak is ``--peak``, or else the best that a
product whose operands stay in the cache reaches. With ``--model`` whole models are measured, in FP32, with each tactic
of ``--force`` (keys, the first that can do a node) wherever it can.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import ingot
from ingot import kernels
from ingot._kernel import kernels as kernel_table
from ingot.builder import lower, onnx_model
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.onnx_import import import_model
from ingot.builder.passes.permutation import CHANNELS_LAST
from ingot.builder.pipeline import PASSES, run_passes
from ingot.builder.tuning import apply
from ingot.builder.writer import Variant, write_engine
from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.conv.op import ConvAttrs
from ingot.kernels.image_conv.attrs import ImageConvAttrs
from ingot.kernels.matmul.op import MatMulAttrs
from ingot.kernels.spec import DType, Tactic, TensorType

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "models"))
from bench_models import cases, measure
from int8_layers import int8_node

RELU = Activation(ActivationKind.RELU)


@dataclass(frozen=True)
class Layer:
    """A convolution of [1, size, size, channels], or a product of [rows, depth] by [depth, columns]."""

    name: str
    op: str
    attrs: ConvAttrs | MatMulAttrs
    x: tuple[int, ...]
    w: tuple[int, ...]

    def node(self, int8: bool = False) -> Node:
        """Alone in a graph, with random weights and a bias."""
        if int8:
            return int8_node(self.op, self.attrs, self.x, self.w)
        rng = np.random.default_rng(0)
        spec = kernels.load()[self.op]
        x = Value("x", TensorType(DType.F32, self.x))
        w = Value("w", TensorType(DType.F32, self.w), rng.normal(0, 0.1, self.w).astype(np.float32))
        (kind,) = spec.infer(self.attrs, [x.type, w.type])
        bias = Value("b", TensorType(DType.F32, kind.shape[-1:]), np.ones(kind.shape[-1:], np.float32))
        node = Node(spec, self.attrs, [x, w, bias, None], [], (self.name,))
        node.outputs = [Value("y", kind, None, node)]
        return node

    @property
    def operations(self) -> int:
        """Multiply-adds counted twice."""
        out = self.node().output.type
        depth = self.x[-1] if self.op == "matmul" else int(np.prod(self.w[1:]))
        return 2 * out.count * depth


def conv(name: str, size: int, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> Layer:
    attrs = ConvAttrs((kernel,) * 2, (stride,) * 2, (kernel // 2,) * 4, (1, 1), groups, RELU)
    return Layer(name, "conv", attrs, (1, size, size, channels), (out, channels // groups, kernel, kernel))


def product(name: str, rows: int, depth: int, columns: int) -> Layer:
    return Layer(name, "matmul", MatMulAttrs(activation=RELU), (rows, depth), (depth, columns))


@dataclass(frozen=True)
class Separable:
    """A depthwise convolution of 3x3 and a pointwise one that reads it."""

    name: str
    first: Layer
    second: Layer

    @property
    def operations(self) -> int:
        return self.first.operations + self.second.operations

    def graph(self, first: str, second: str) -> Graph:
        """With the tactics of these keys; an empty one: absorbed."""
        reader, producer = self.second.node(), self.first.node()
        for value in [*producer.inputs[1:], producer.output]:
            if value is not None:
                value.name += ".first"
        reader.inputs[0] = producer.output
        chosen = {n: t for n, key in ((producer, first), (reader, second)) for t in n.op.tactics if t.key == key}
        graph = Graph([producer.inputs[0]], [reader.output], [producer, reader])
        apply.run(graph, chosen)
        return graph


def separable(name: str, size: int, channels: int, out: int, stride: int = 1) -> Separable:
    pixels = (size - 1) // stride + 1
    first = conv(name, size, channels, channels, 3, stride, channels)
    return Separable(name, first, conv(name, pixels, channels, out, 1))


PAIRS = (
    separable("pair 112 32>16", 112, 32, 16),
    separable("pair 112 32>64", 112, 32, 64),
    separable("pair 112 stride 2 96>24", 112, 96, 24, 2),
    separable("pair 56 144>24", 56, 144, 24),
    separable("pair 56 128>128", 56, 128, 128),
    separable("pair 14 384>64", 14, 384, 64),
    separable("pair 14 512>512", 14, 512, 512),
    separable("pair 7 960>320", 7, 960, 320),
    separable("pair keywords 12 64>64", 12, 64, 64),
)
SEPARABLE = (
    ("conv_f32_dw", "conv_f32_n16"),
    ("conv_f32_dw_tile", "matmul_f32_n16"),
    ("", "conv_f32_dw_pw"),
)


@dataclass(frozen=True)
class First:
    """The first convolution of a network, of an image as it comes, and the two steps that it is otherwise."""

    name: str
    layer: Layer

    @property
    def operations(self) -> int:
        return self.layer.operations

    @property
    def x(self) -> tuple[int, ...]:
        n, h, w, c = self.layer.x
        return (n, c, h, w)

    def graphs(self) -> dict[str, Graph]:
        """By the kernels of their steps."""
        made = {}
        for apart in (True, False):
            node, image = self.layer.node(), Value("x", TensorType(DType.F32, self.x))
            nodes, moved = [node], node.inputs[0]
            if apart:
                transpose = kernels.load()["transpose"]
                moved.name = "moved"
                moved.producer = Node(transpose, transpose.attrs(CHANNELS_LAST), [image], [moved], ("moved",))
                nodes.insert(0, moved.producer)
            else:
                attrs = ImageConvAttrs(self.layer.attrs)
                node = Node(kernels.load()["image_conv"], attrs, [image, *node.inputs[1:3]], node.outputs, (self.name,))
                node.output.producer, nodes = node, [node]
            made["transpose+conv_f32_n16" if apart else "image_conv_f32_n16"] = Graph([image], [node.output], nodes)
        return made


FIRST = tuple(
    First(f"first {kernel}x{kernel} 224 3>{out}", conv("first", 224, 3, out, kernel, 2))
    for kernel, out in ((3, 8), (3, 32), (7, 64))
)

LAYERS = (
    conv("resnet 3x3 56", 56, 64, 64, 3),
    conv("resnet 3x3 28", 28, 128, 128, 3),
    conv("resnet 3x3 14", 14, 256, 256, 3),
    conv("resnet 3x3 7", 7, 512, 512, 3),
    conv("resnet 3x3 stride 2", 56, 128, 128, 3, 2),
    conv("resnet first", 224, 3, 64, 7, 2),
    conv("resnet 1x1 56 64>256", 56, 64, 256, 1),
    conv("resnet 1x1 28 512>128", 28, 512, 128, 1),
    conv("resnet 1x1 14 1024>256", 14, 1024, 256, 1),
    conv("resnet 1x1 7 512>2048", 7, 512, 2048, 1),
    conv("resnet20 3x3 32", 32, 16, 16, 3),
    conv("resnet20 3x3 16", 16, 32, 32, 3),
    conv("resnet20 3x3 8", 8, 64, 64, 3),
    conv("squeezenet expand 55", 55, 16, 64, 3),
    conv("squeezenet expand 13", 13, 64, 256, 3),
    conv("yolox 3x3 52", 52, 32, 32, 3),
    conv("yolox head 3x3 52", 52, 64, 64, 3),
    conv("mobilenet first", 224, 3, 32, 3, 2),
    conv("patches 7x7 56 3>64 stride 4", 56, 3, 64, 7, 4),
    conv("small 3x3 6 96>96", 6, 96, 96, 3),
    conv("mobilenet depthwise 112", 112, 32, 32, 3, 1, 32),
    conv("mobilenet depthwise 112 stride 2", 112, 96, 96, 3, 2, 96),
    conv("mobilenet depthwise 56", 56, 144, 144, 3, 1, 144),
    conv("mobilenet depthwise 14", 14, 384, 384, 3, 1, 384),
    conv("mobilenet depthwise 7", 7, 960, 960, 3, 1, 960),
    conv("mobilenet 1x1 112 32>16", 112, 32, 16, 1),
    conv("mobilenet 1x1 56 24>144", 56, 24, 144, 1),
    conv("mobilenet 1x1 14 384>64", 14, 384, 64, 1),
    conv("mobilenet 1x1 7 160>960", 7, 160, 960, 1),
    conv("depthwise 5x5 14", 14, 240, 240, 5, 1, 240),
    product("policy 1x48x256", 1, 48, 256),
    product("policy 1x512x256", 1, 512, 256),
    product("policies 4x512x256", 4, 512, 256),
    product("tokens 12x512x512", 12, 512, 512),
    product("tokens 500x512x512", 500, 512, 512),
    product("classifier 1x2048x1000", 1, 2048, 1000),
    product("tokens 64x256x256", 64, 256, 256),
    product("tokens 128x768x768", 128, 768, 768),
)


def engine(graph: Graph, outputs: Sequence[str]) -> bytes:
    """The nodes with the tactics they have; the default where they have none."""
    abi = {k.name: (k.abi, k.params_size) for k in kernel_table().values()}
    return write_engine([Variant("cpu", [lower(graph, graph.name or "main", list(outputs))])], {}, abi)


def tactics(node: Node) -> Iterator[Tactic]:
    """Those that can do the node between any neighbours, the default first, without the scalar kernels."""
    for tactic in node.op.tactics:
        slow = tactic.kernel in ("conv_plain", "matmul_plain")
        if tactic.is_for("cpu") and tactic.is_plain and not slow and tactic.when(node):
            yield tactic


def context(data: bytes, inputs: dict[str, np.ndarray], threads: int) -> ingot.Context:
    made = ingot.load(data).context(threads=threads, wait="block")
    for name, array in inputs.items():
        made.inputs[name][...] = array
    return made


def pair_contexts(pair: Separable, threads: int) -> dict[str, ingot.Context]:
    x = np.random.default_rng(1).normal(size=pair.first.x).astype(np.float32)
    return {
        "+".join(filter(None, keys)): context(engine(pair.graph(*keys), ["y"]), {"x": x}, threads) for keys in SEPARABLE
    }


def first_contexts(first: First, threads: int) -> dict[str, ingot.Context]:
    x = np.random.default_rng(1).normal(size=first.x).astype(np.float32)
    return {name: context(engine(graph, ["y"]), {"x": x}, threads) for name, graph in first.graphs().items()}


def layer_contexts(layer: Layer, threads: int, int8: bool = False, keys: str = "*") -> dict[str, ingot.Context]:
    """A context for the default, and for each tactic whose key matches."""
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, layer.x, np.int8) if int8 else rng.normal(size=layer.x).astype(np.float32)
    made = {}
    for tactic in tactics(layer.node(int8)):
        if made and not fnmatch.fnmatch(tactic.key, keys):
            continue
        node = layer.node(int8)
        node.tactic = tactic
        made[tactic.key] = context(engine(Graph([node.inputs[0]], [node.output], [node]), ["y"]), {"x": x}, threads)
    return made


def model_contexts(proto: object, inputs: dict[str, np.ndarray], forced: Sequence[str], threads: int) -> dict:
    made = {}
    for keys in ([], *([key] for key in forced)):
        graph = import_model(onnx_model.read(proto), {name: array.shape for name, array in inputs.items()}, None)
        names = [info.name for info in proto.graph.output]
        run_passes(graph, PASSES)
        for node in graph.nodes:
            matching = [t for pattern in keys for t in tactics(node) if fnmatch.fnmatch(t.key, pattern)]
            node.tactic = matching[0] if matching else None
        made[" ".join(keys) or "default"] = context(engine(graph, names), inputs, threads)
    return made


def error(contexts: dict[str, ingot.Context]) -> dict[str, float]:
    """Norm of the difference from the default's results over their norm, the largest of all outputs."""
    for one in contexts.values():
        one.run()
    reference = next(iter(contexts.values()))
    wanted = {name: array.astype(np.float64) for name, array in reference.outputs.items()}
    return {
        name: max(
            float(np.linalg.norm(one.outputs[o] - wanted[o]) / max(np.linalg.norm(wanted[o]), 1e-30))
            for o in one.outputs
        )
        for name, one in contexts.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="*", help="pattern of names, e.g. 'resnet*'; all when absent")
    parser.add_argument("--int8", action="store_true", help="the layers in INT8")
    parser.add_argument("--tactic", default="*", help="pattern of keys to measure beside the default; all when absent")
    parser.add_argument("--model", help="pattern of names of whole models instead of layers")
    parser.add_argument(
        "--force", action="append", default=[], help="pattern of keys, e.g. 'conv_f32_winograd tile=4*'"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.05, help="slice of each tactic in a round")
    parser.add_argument("--peak", type=float, help="GFLOP/s or GOP/s of one thread")
    args = parser.parse_args()

    def medians(contexts: dict[str, ingot.Context]) -> dict[str, float]:
        taken = measure({name: one.run for name, one in contexts.items()}, args.rounds, args.seconds)
        return {name: some["p50"] for name, some in taken.items()}

    if args.model:
        print("| model | tactics | ms | faster | error |\n| --- | --- | --- | --- | --- |")
        for case in cases():
            if not fnmatch.fnmatch(case.name, args.model):
                continue
            contexts = model_contexts(case.model(), case.inputs(), args.force, args.threads)
            took, errors = medians(contexts), error(contexts)
            for name, ms in took.items():
                print(
                    f"| {case.name} | {name} | {ms:.4f} | {took['default'] / ms:.2f} | {errors[name]:.1e} |", flush=True
                )
        return 0
    peak, unit = args.peak, "GOP/s" if args.int8 else "GFLOP/s"
    if peak is None:
        rows, depth, columns = (400, 960, 256) if args.int8 else (80, 128, 64)
        cached = product("peak", rows, depth, columns)
        peak = cached.operations / min(medians(layer_contexts(cached, 1, args.int8)).values()) * 1e-6
        print(f"peak: {peak:.0f} {unit}, a product of {rows}x{depth}x{columns}")
    print(f"| layer | tactic | us | {unit} | of the peak | faster | error |\n" + "| --- " * 7 + "|")
    for layer in LAYERS if args.int8 else LAYERS + PAIRS + FIRST:
        if not fnmatch.fnmatch(layer.name, args.layer):
            continue
        if isinstance(layer, Layer):
            contexts = layer_contexts(layer, args.threads, args.int8, args.tactic)
        elif isinstance(layer, Separable):
            contexts = pair_contexts(layer, args.threads)
        else:
            contexts = first_contexts(layer, args.threads)
        took, errors = medians(contexts), error(contexts)
        default = next(iter(took.values()))
        for name, ms in took.items():
            rate = layer.operations / ms * 1e-6
            print(
                f"| {layer.name} | {name} | {1e3 * ms:.1f} | {rate:.1f} | {rate / peak:.2f} | {default / ms:.2f} "
                f"| {errors[name]:.1e} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
