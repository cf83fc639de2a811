"""The graph: values, nodes, and the order they run in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ingot.kernels.spec import DENSE, Layout, OpSpec, Tactic, TensorType
from ingot.targets import Target


@dataclass(frozen=True, slots=True)
class ModelTensor:
    """A tensor of the model: its name there, its shape, and the order in which a value has its axes.

    Channel c of ``axis`` is multiplied by 2 to the power ``powers[c]`` where channels were equalised. ``cut``: numbers
    that all readers take alike are not told apart.
    """

    name: str
    shape: tuple[int, ...]
    perm: tuple[int, ...]
    powers: tuple[int, ...] = ()
    axis: int = 0
    cut: bool = False

    def axes_of(self, shape: tuple[int, ...]) -> bool:
        """Whether a value of this shape has the tensor's axes, not only its elements in order."""
        return shape == tuple(self.shape[axis] for axis in self.perm)


@dataclass(slots=True, eq=False)
class Value:
    """A tensor. ``data`` is set for constants and read-only; ``producer`` for results of nodes.

    ``provenance`` says which tensors of the model it holds, side by side on its last axis: mostly one, none where
    nobody knows. See :mod:`ingot.builder.provenance`. ``layout`` says how the elements follow each other in memory;
    only chosen tactics make it another than row-major.
    """

    name: str
    type: TensorType
    data: np.ndarray | None = None
    producer: Node | None = None
    provenance: tuple[ModelTensor, ...] = ()
    layout: Layout = DENSE

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def stored(self) -> TensorType:
        """The type that a kernel sees."""
        return self.layout.stored(self.type)


@dataclass(slots=True, eq=False)
class Node:
    """An internal operator applied to values. ``source`` keeps the ONNX node names it does the work of."""

    op: OpSpec
    attrs: Any
    inputs: list[Value | None]
    outputs: list[Value]
    source: tuple[str, ...] = ()
    tactic: Tactic | None = None

    @property
    def output(self) -> Value:
        return self.outputs[0]

    @property
    def name(self) -> str:
        return "+".join(dict.fromkeys(self.source)) or self.outputs[0].name


@dataclass(frozen=True, slots=True)
class View:
    """A value that lies inside another: its rows (last axis) start at ``offset`` of ``base``, ``pitch`` apart."""

    base: Value
    offset: int  #: elements
    pitch: int  #: elements; the last extent when the view is dense


@dataclass(slots=True)
class Graph:
    """Nodes in an order in which they can run. Constants belong to no list: they hang on the nodes that use them."""

    inputs: list[Value]
    outputs: list[Value]
    nodes: list[Node]
    name: str = ""
    #: values without memory of their own; a base is never a view itself
    views: dict[Value, View] = field(default_factory=dict)
    #: what passes did, in order: (pass, message)
    report: list[tuple[str, str]] = field(default_factory=list)
    #: what it is to run on; None: any processor
    target: Target | None = None

    @property
    def backend(self) -> str:
        """Whose kernels its nodes are done by."""
        return self.target.backend if self.target else "cpu"

    def users(self) -> dict[Value, list[Node]]:
        """For each value the nodes that read it, each as often as it reads it; graph outputs are not among them."""
        users: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                if value is not None:
                    users.setdefault(value, []).append(node)
        return users

    def replace(self, old: Value, new: Value) -> None:
        """Let everybody who reads ``old`` read ``new``; an output of the graph keeps its position."""
        for node in self.nodes:
            node.inputs = [new if value is old else value for value in node.inputs]
        self.outputs = [new if value is old else value for value in self.outputs]

    def copy(self) -> Graph:
        """A graph of its own nodes and values; operators, attributes and the data of constants are shared."""
        copies: dict[Value, Value] = {}

        def of(value: Value | None, producer: Node | None = None) -> Value | None:
            if value is None:
                return None
            if value not in copies:
                copies[value] = replace(value, producer=producer)
            return copies[value]

        inputs, nodes = [of(value) for value in self.inputs], []
        for node in self.nodes:
            twin = replace(node, inputs=[of(value) for value in node.inputs], outputs=[])
            twin.outputs = [of(value, twin) for value in node.outputs]
            nodes.append(twin)
        views = {of(value): replace(view, base=of(view.base)) for value, view in self.views.items()}
        return Graph(
            inputs, [of(value) for value in self.outputs], nodes, self.name, views, list(self.report), self.target
        )

    def constants(self) -> Iterator[Value]:
        """Each constant once, in the order of first use."""
        seen: set[int] = set()
        for value in [v for node in self.nodes for v in node.inputs] + self.outputs:
            if value is not None and value.is_constant and id(value) not in seen:
                seen.add(id(value))
                yield value

    def __str__(self) -> str:
        """One line a node: what ``--dump-after`` prints and golden tests compare."""
        lines = [f"graph {self.name}"]
        lines += [f"  input {v.name}: {v.type}" for v in self.inputs]
        for node in self.nodes:
            results = ", ".join(f"{v.name}: {v.type}" for v in node.outputs)
            args = ", ".join("-" if v is None else f"{v.name}{'*' if v.is_constant else ''}" for v in node.inputs)
            lines.append(f"  {results} = {node.op.name}({args}) {node.attrs}")
        lines += [f"  output {v.name}: {v.type}" for v in self.outputs]
        return "\n".join(lines)
