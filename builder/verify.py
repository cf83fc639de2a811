"""The graph's invariants, checked after every pass."""

from __future__ import annotations

from ingot.builder.ir import Graph, Node, Value
from ingot.kernels.spec import DENSE


class GraphError(AssertionError):
    """A graph that breaks an invariant: a defect of the pass that ran last, never of the model."""


def verify(graph: Graph) -> None:
    """Raise :class:`GraphError` naming the node when the graph is not sound.

    Every input of a node is an input of the graph, a constant or an earlier result; types are what the operator
    infers; names are unique; constants' data agree with their types; outputs and views exist.
    """
    defined: dict[Value, str] = {}
    names: dict[str, Value] = {}

    def claim(value: Value, where: str) -> None:
        if names.setdefault(value.name, value) is not value:
            raise GraphError(f"{where}: two values are called {value.name}")

    for value in graph.inputs:
        if value in defined:
            raise GraphError(f"graph: input {value.name} stands twice")
        if value.data is not None or value.producer is not None:
            raise GraphError(f"graph: input {value.name} is a constant or a result")
        claim(value, "graph")
        defined[value] = "graph"
    for node in graph.nodes:
        where = f"{node.op.name} {node.name}"
        for index, value in enumerate(node.inputs):
            if value is not None:
                _check_input(value, defined, f"{where}: input {index}")
                claim(value, where)
        _check_types(node, where)
        _check_layouts(node, where)
        for value in node.outputs:
            if value in defined:
                raise GraphError(f"{where}: {value.name} is also a result of {defined[value]}")
            if value.producer is not node:
                raise GraphError(f"{where}: {value.name} names another producer")
            if value.data is not None:
                raise GraphError(f"{where}: result {value.name} has constant data")
            claim(value, where)
            defined[value] = where
    for value in graph.outputs:
        _check_input(value, defined, "graph: output")
        if value.layout.block:
            raise GraphError(f"graph: output {value.name} is {value.layout}")
        claim(value, "graph")
    for value, view in graph.views.items():
        if value not in defined:
            raise GraphError(f"graph: {value.name} has a view and no producer")
        _check_view(value, view, graph)


def _check_input(value: Value, defined: dict[Value, str], where: str) -> None:
    if value.data is None:
        if value not in defined:
            raise GraphError(f"{where}: {value.name} is not computed before it is read")
        return
    if value.producer is not None:
        raise GraphError(f"{where}: constant {value.name} has a producer")
    if value.data.dtype != value.type.dtype.numpy or value.data.shape != value.type.shape:
        found = f"{value.data.dtype}{list(value.data.shape)}"
        raise GraphError(f"{where}: constant {value.name} is {value.type} but holds {found}")


def _check_types(node: Node, where: str) -> None:
    try:
        inferred = node.op.infer(node.attrs, [None if value is None else value.type for value in node.inputs])
    except Exception as error:
        raise GraphError(f"{where}: {error}") from error
    if len(inferred) != len(node.outputs):
        raise GraphError(f"{where}: has {len(node.outputs)} results, the operator gives {len(inferred)}")
    for value, kind in zip(node.outputs, inferred):
        # What an int8 result stands for is decided where the node is made, not by its operands.
        if (value.type.dtype, value.type.shape) != (kind.dtype, kind.shape):
            raise GraphError(f"{where}: {value.name} is {value.type}, the operator gives {kind}")


def _check_layouts(node: Node, where: str) -> None:
    """What a tactic reads and writes lies as it says; without one all is row-major."""
    reads = node.tactic.reads if node.tactic else {}
    for index, value in enumerate(node.inputs):
        if value is not None and not value.is_constant and value.layout != reads.get(index, DENSE):
            raise GraphError(f"{where}: {value.name} is {value.layout}, {reads.get(index, DENSE)} is read")
    for index, value in enumerate(node.outputs):
        written = node.tactic.writes if node.tactic and index == 0 else DENSE
        if value.layout != written or not written.takes(value.type):
            raise GraphError(f"{where}: {value.name} is {value.layout}, {written} is written")


def _check_view(value: Value, view, graph: Graph) -> None:
    base = view.base
    if base is value or base in graph.views:
        raise GraphError(f"graph: view {value.name} does not stand on a root but on {base.name}")
    if value.layout.block or base.layout.block:
        raise GraphError(f"graph: view {value.name} and its base {base.name} are not both row-major")
    if value.type.dtype != base.type.dtype:
        raise GraphError(f"graph: view {value.name} is {value.type}, its base {base.name} {base.type}")
    row = value.type.shape[-1] if value.type.rank else 1
    rows = value.type.count // row if row else 0
    if view.offset < 0 or view.pitch < row:
        raise GraphError(f"graph: view {value.name} has offset {view.offset}, pitch {view.pitch}")
    if rows and view.offset + (rows - 1) * view.pitch + row > base.type.count:
        raise GraphError(f"graph: view {value.name} leaves its base {base.name}")
