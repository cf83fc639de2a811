"""A small hand for building graphs, and what every pass must keep: the graph sound, the numbers the same."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ingot import kernels
from ingot.builder.ir import Graph, Node, Value, View
from ingot.builder.lifetimes import plan_graph, root_of, tactic_of
from ingot.builder.verify import verify
from ingot.kernels.spec import DType, TensorType


class Maker:
    """Builds one graph, node by node, and runs it on random inputs."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self._count = 0
        self._random = np.random.default_rng(1)

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"

    def input(self, *shape: int, dtype: DType = DType.F32) -> Value:
        value = Value(self._name("x"), TensorType(dtype, shape))
        self.inputs.append(value)
        return value

    def constant(self, data: Any, dtype: Any = np.float32) -> Value:
        data = np.array(data, dtype)
        return Value(self._name("c"), TensorType(DType.of(data.dtype), data.shape), data)

    def random(self, *shape: int) -> Value:
        """A constant of random numbers."""
        return self.constant(self._random.standard_normal(shape))

    def op(self, name: str, attrs: Any, *inputs: Value | None) -> Value:
        """A node; ``attrs`` are the operator's, or a dict of its fields."""
        spec = kernels.load()[name]
        attrs = spec.attrs(**attrs) if isinstance(attrs, dict) else attrs
        types = spec.infer(attrs, [None if v is None else v.type for v in inputs])
        name = self._name(name[0])
        node = Node(spec, attrs, list(inputs), [Value(name, t) for t in types], (name,))
        for value in node.outputs:
            value.producer = node
        self.nodes.append(node)
        return node.output

    def ew(self, function: str, *inputs: Value, dtype: DType | None = None, alpha: float = 0, beta: float = 0) -> Value:
        """One elementwise function."""
        elementwise = importlib.import_module("ingot.kernels.elementwise.op")
        if function == "Cast":
            return self.op("elementwise", elementwise.cast_program(inputs[0].type.dtype, dtype), *inputs)
        program = elementwise.single(function, [value.type for value in inputs], alpha, beta)
        return self.op("elementwise", program, *inputs)

    def reshape(self, x: Value, *shape: int) -> Value:
        return self.op("reshape", {"shape": shape}, x)

    def transpose(self, x: Value, *perm: int) -> Value:
        return self.op("transpose", {"perm": perm}, x)

    def slice(self, x: Value, *ranges: range) -> Value:
        starts, steps = tuple(r.start for r in ranges), tuple(r.step for r in ranges)
        return self.op("slice", {"starts": starts, "steps": steps, "shape": tuple(map(len, ranges))}, x)

    def concat(self, axis: int, *pieces: Value) -> Value:
        return self.op("concat", {"axis": axis}, *pieces)

    def matmul(self, a: Value, b: Value, bias: Value | None = None, residual: Value | None = None, **attrs) -> Value:
        return self.op("matmul", attrs, a, b, bias, residual)

    def conv(self, x: Value, out: int, kernel: int = 1, *, bias: bool = False, **attrs: Any) -> Value:
        """A convolution of random weights; ``x`` is channels-last."""
        spatial, groups = x.type.rank - 2, attrs.get("groups", 1)
        ones = (1,) * spatial
        shape, pads = (kernel,) * spatial, (0,) * 2 * spatial
        fields = {"kernel": shape, "strides": ones, "pads": pads, "dilations": ones, "groups": groups, **attrs}
        w = self.random(out, x.type.shape[-1] // groups, *shape)
        return self.op("conv", fields, x, w, self.random(out) if bias else None, None)

    def graph(self, *outputs: Value) -> Graph:
        graph = Graph(self.inputs, list(outputs), self.nodes, "test")
        verify(graph)
        return graph


def compute(graph: Graph, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of the graph, node by node, by the portable kernels."""
    evaluate = pytest.importorskip("ingot.builder.evaluate").evaluate
    known: dict[Value, np.ndarray] = dict(zip(graph.inputs, feeds))

    def fixed(value: Value | None) -> Value | None:
        return value if value is None or value.is_constant else Value(value.name, value.type, known[value])

    for node in graph.nodes:
        fixed_node = Node(node.op, node.attrs, list(map(fixed, node.inputs)), node.outputs)
        known.update(zip(node.outputs, evaluate(fixed_node)))
    return [known[v] if v.data is None else v.data for v in graph.outputs]


def compute_in_place(graph: Graph, feeds: Sequence[np.ndarray]) -> list[np.ndarray]:
    """As :func:`compute`, in one block of memory as planned: views are strides into it, aliases are no steps."""
    evaluate = pytest.importorskip("ingot.builder.evaluate").evaluate
    arena = plan_graph(graph)
    memory = np.full(arena.plan.size, 0xA5, np.uint8)
    bound = {value: np.zeros(value.type.shape, value.type.dtype.numpy) for value in graph.outputs}
    bound.update(zip(graph.inputs, feeds))

    def at(value: Value) -> np.ndarray:
        if value.data is not None:
            return value.data
        root, kind = root_of(graph, value), value.type
        width = kind.shape[-1] if kind.rank else 1
        view = graph.views.get(value) or View(root, 0, width)
        if root in bound:
            flat = bound[root].reshape(-1)
        else:
            begin = arena.offsets[root]
            flat = memory[begin : begin + root.type.nbytes].view(kind.dtype.numpy)
        if not kind.count:
            return np.zeros(kind.shape, kind.dtype.numpy)
        strides = [view.pitch * kind.dtype.size, kind.dtype.size]
        rows = np.lib.stride_tricks.as_strided(flat[view.offset :], (kind.count // width, width), strides)
        assert view.offset + (kind.count // width - 1) * view.pitch + width <= flat.size
        return rows

    for node in graph.nodes:
        tactic = tactic_of(node)
        if graph.views and tactic is not None and not tactic.kernel:
            continue
        inputs = [v and Value(v.name, v.type, np.array(at(v)).reshape(v.type.shape)) for v in node.inputs]
        for value, result in zip(node.outputs, evaluate(Node(node.op, node.attrs, inputs, node.outputs))):
            rows = at(value)
            rows[...] = result.reshape(rows.shape)
    return [bound[v] if v.data is None else v.data for v in graph.outputs]


def _feeds(graph: Graph) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [
        random.standard_normal(v.type.shape).astype(v.type.dtype.numpy)
        if v.type.dtype.is_float
        else random.integers(0, 2, v.type.shape).astype(v.type.dtype.numpy)
        for v in graph.inputs
    ]


@pytest.fixture
def make() -> Maker:
    return Maker()


@pytest.fixture
def check() -> Callable[..., Graph]:
    """``check(graph, "pass", ...)`` runs passes; checks soundness, determinism, and the outputs' names and numbers."""

    def check(graph: Graph, *names: str, rtol: float = 0, atol: float = 0, numbers: bool = True) -> Graph:
        before, twin = copy.deepcopy(graph), copy.deepcopy(graph)
        for name in names:
            run = importlib.import_module(f"ingot.builder.passes.{name}").run
            for each in (graph, twin):
                run(each)
                verify(each)
        assert str(graph) == str(twin)
        assert [(v.name, v.type) for v in graph.outputs] == [(v.name, v.type) for v in before.outputs]
        if numbers:
            feeds = _feeds(before)
            wanted = compute(before, feeds)
            for want, got in [*zip(wanted, compute(graph, feeds)), *zip(wanted, compute_in_place(graph, feeds))]:
                if rtol or atol:
                    np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)
                else:
                    np.testing.assert_array_equal(got, want)
        return graph

    return check


@pytest.fixture
def ops() -> Callable[[Graph], list[str]]:
    """The operators of a graph, in order."""
    return lambda graph: [node.op.name for node in graph.nodes]
