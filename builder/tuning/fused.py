"""A node and the producers that its tactic absorbs, as one node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ingot.builder.ir import Node, Value
from ingot.kernels.spec import NodeView, OpSpec, Params, Tactic, TensorType


@dataclass(frozen=True, slots=True)
class Part:
    """A node that became part of another; ``index`` is the input of the reader that it computes."""

    index: int
    op: OpSpec
    attrs: Any
    inputs: int


@dataclass(frozen=True, slots=True)
class FusedAttrs:
    """The reader and what it absorbs. ``reader`` is the node as it was, which the tactic's functions are given."""

    op: OpSpec
    attrs: Any
    parts: tuple[Part, ...]
    reader: Node = field(repr=False)

    def __repr__(self) -> str:
        """Parts by name: nodes with equal attributes pack their constants alike."""
        parts = ", ".join(f"{part.index}: {part.op.name} {part.attrs}" for part in self.parts)
        return f"{self.op.name} {self.attrs} of {{{parts}}}"


def operands(node: Node, absorbs: Sequence[int]) -> list[Value | None]:
    """What the kernel of a tactic that absorbs these inputs reads, in its order."""
    own = [value for index, value in enumerate(node.inputs) if index not in absorbs]
    return own + [value for index in absorbs for value in node.inputs[index].producer.inputs]


def fused(node: Node, tactic: Tactic) -> Node:
    """The node together with the producers that the tactic absorbs; it takes over the node's results."""
    producers = [node.inputs[index].producer for index in tactic.absorbs]
    parts = tuple(Part(i, p.op, p.attrs, len(p.inputs)) for i, p in zip(tactic.absorbs, producers))
    reader = replace(node, inputs=list(node.inputs), outputs=list(node.outputs))
    name = "+".join([*(producer.op.name for producer in producers), node.op.name])
    spec = OpSpec(name=name, attrs=FusedAttrs, infer=_infer, work=node.op.work and _work)
    source = tuple(dict.fromkeys(s for each in [*producers, node] for s in each.source))
    attrs = FusedAttrs(node.op, node.attrs, parts, reader)
    return Node(spec, attrs, operands(node, tactic.absorbs), node.outputs, source, _bound(tactic, reader))


def _infer(attrs: FusedAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    at = len(inputs) - sum(part.inputs for part in attrs.parts)
    types = list(inputs[:at])
    for part in attrs.parts:  # in the order of `absorbs`, which is ascending
        (absorbed,) = part.op.infer(part.attrs, inputs[at : at + part.inputs])
        types.insert(part.index, absorbed)
        at += part.inputs
    return attrs.op.infer(attrs.attrs, types)


def _work(node: NodeView) -> Any:
    reader: Node = node.attrs.reader
    own = reader.op.work(reader)
    absorbed = [reader.inputs[part.index].producer for part in node.attrs.parts]
    more = sum(each.op.work(each).ops for each in absorbed if each.op.work)
    return replace(own, ops=own.ops + more)


def _bound(tactic: Tactic, reader: Node) -> Tactic:
    """The tactic for the fused node: its functions still see the reader."""

    def seen(function: Any) -> Any:
        return lambda node, *args: function(reader, *args)

    def packed(function: Any) -> Any:
        return lambda node, array: np.ascontiguousarray(function(reader, array))

    params: Params = seen(tactic.params)
    return replace(
        tactic,
        params=params,
        when=lambda node: isinstance(node.attrs, FusedAttrs) and tactic.when(reader),
        pack={index: packed(function) for index, function in tactic.pack.items()},
        workspace=seen(tactic.workspace),
        efficiency=tactic.efficiency and seen(tactic.efficiency),
        launch=tactic.launch and seen(tactic.launch),
        absorbs=(),
    )
