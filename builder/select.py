"""Binds every node to a tactic and its constants to the arrangement that the tactic's kernel reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ingot.builder.errors import Problem, UnsupportedModel
from ingot.builder.evaluate import select_tactic
from ingot.builder.ir import Graph, Node, Value
from ingot.kernels.spec import DType, Tactic, TensorType, Unsupported
from ingot.targets import Target


def run(graph: Graph) -> None:
    """Give a tactic to every node that has none. Everything that no kernel can do is reported at once."""
    problems = []
    for node in graph.nodes:
        if node.tactic is not None:
            continue
        try:
            node.tactic = select_tactic(node, graph.backend)
        except Unsupported as problem:
            problems.append(Problem(node.name, node.op.name, problem.what, problem.nearest))
    if problems:
        raise UnsupportedModel(graph.name or "model", problems)


def pack(graph: Graph) -> None:
    """Replace constants by what the chosen kernels read. A constant packed the same way twice is stored once."""
    packed: dict[tuple[int, str, int, str], Value] = {}
    for node in graph.nodes:
        if node.tactic.launch:
            node.tactic = _settled(node, graph.target)
        for index, function in node.tactic.pack.items():
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is None or not value.is_constant:
                continue
            key = (id(value), node.tactic.key, index, repr(node.attrs))
            if key not in packed:
                array = np.ascontiguousarray(function(node, value.data))
                dtype = value.type.dtype if array.dtype == value.type.dtype.numpy else DType.of(array.dtype)
                name = f"{value.name}.packed{len(packed)}"
                packed[key] = Value(name, TensorType(dtype, array.shape), array)
            node.inputs[index] = packed[key]


def _settled(node: Node, target: Target) -> Tactic:
    """The node's tactic with what it says of the node as it is: shapes of packed constants would tell it otherwise."""
    tactic = node.tactic
    launch, params, workspace = tactic.launch(node, target), tactic.params(node), tactic.workspace(node)
    return replace(
        tactic,
        launch=lambda node, target: launch,
        params=lambda node: params,
        workspace=lambda node: workspace,
    )
