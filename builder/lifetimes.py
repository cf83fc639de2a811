"""From a graph to buffers: what needs memory in the arena, from which step to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.plan_memory import Buffer, Plan, plan
from ingot.kernels.spec import Tactic


def tactic_of(node: Node, backend: str = "cpu") -> Tactic | None:
    """The chosen tactic; before one is chosen the default of the backend."""
    if node.tactic is not None:
        return node.tactic
    able = (t for t in node.op.tactics if t.is_for(backend) and t.is_plain and t.when(node))
    return next(able, None)


def root_of(graph: Graph, value: Value) -> Value:
    """The value whose memory this one lies in: itself, unless it is a view."""
    view = graph.views.get(value)
    return value if view is None else view.base


@dataclass(frozen=True, slots=True)
class Arena:
    """Places for the roots and the workspaces that need one; the graph's inputs and outputs are the caller's memory."""

    offsets: dict[Value, int]  #: bytes, of roots; a view lies ``View.offset`` elements behind its base
    workspaces: dict[Node, int]
    plan: Plan


def plan_graph(graph: Graph) -> Arena:
    """Place everything, for the nodes in the order they have. Tactics that work in place do where they can."""
    lives = Lifetimes(graph)
    made = plan(lives.buffers, lives.may_share)
    offsets = {value: made.offsets[i] for i, value in enumerate(lives.owners) if isinstance(value, Value)}
    workspaces = {node: made.offsets[i] for i, node in enumerate(lives.owners) if isinstance(node, Node)}
    return Arena(offsets, workspaces, made)


class Lifetimes:
    """The buffers of a graph whose nodes run in the given order (default: the graph's)."""

    def __init__(self, graph: Graph, order: Sequence[Node] | None = None) -> None:
        self._graph = graph
        self.owners: list[Value | Node] = []
        self.buffers: list[Buffer] = []
        self.may_share: list[tuple[int, int]] = []
        nodes = graph.nodes if order is None else order
        bound = {root_of(graph, value) for value in [*graph.inputs, *graph.outputs]}
        first: dict[Value, int] = {}
        last: dict[Value, int] = {}
        for step, node in enumerate(nodes):
            for value in [*node.inputs, *node.outputs]:
                if value is not None and not value.is_constant:
                    root = root_of(graph, value)
                    first.setdefault(root, step)
                    last[root] = step
        for root in first:
            if root not in bound:
                self._add(root, Buffer(root.name, root.type.nbytes, first[root], last[root]))
        index = {owner: i for i, owner in enumerate(self.owners) if isinstance(owner, Value)}
        for step, node in enumerate(nodes):
            tactic = tactic_of(node, graph.backend)
            if tactic is None:
                continue
            self._share(node, tactic, index)
            size = tactic.workspace(node)
            if size:
                self._add(node, Buffer(f"{node.name} workspace", size, step, step))

    def _add(self, owner: Value | Node, buffer: Buffer) -> None:
        self.owners.append(owner)
        self.buffers.append(buffer)

    def _share(self, node: Node, tactic: Tactic, index: dict[Value, int]) -> None:
        """Which inputs the first result may overwrite: whole roots, read by nothing else in this step."""
        result = node.outputs[0]
        if not tactic.kernel or not tactic.inplace or result in self._graph.views or result not in index:
            return
        for position in tactic.inplace:
            value = node.inputs[position] if position < len(node.inputs) else None
            if value is None or value.is_constant or value.stored.shape != result.stored.shape:
                continue
            root = root_of(self._graph, value)
            if root not in index or root.type.nbytes != result.type.nbytes or not self._dense(value):
                continue
            others = [v for i, v in enumerate(node.inputs) if v is not None and i not in tactic.inplace]
            if all(v.is_constant or root_of(self._graph, v) is not root for v in [*others, *node.outputs]):
                self.may_share.append((index[result], index[root]))

    def _dense(self, value: Value) -> bool:
        view = self._graph.views.get(value)
        return view is None or (view.offset == 0 and view.pitch == (value.type.shape[-1] if value.type.rank else 1))
