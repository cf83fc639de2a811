"""What the passes share: one sweep over the nodes in which a rule may replace each of them.

Rewriting is functional: a rule appends new nodes and names values that take the place of the old ones; what nobody
reads any more is dropped at the end of the sweep. So a rule can never break a graph, at worst it repeats work, and
the new nodes stand where the node they replace stood, after everything it reads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ingot import kernels
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.provenance import give, hand_back, provenance_of
from ingot.kernels.spec import DType, OpSpec, TensorType

#: Gives the values that replace the node's outputs, or ``None`` to leave the node alone.
Rule = Callable[["Sweep", Node], "Sequence[Value] | None"]


def op(name: str) -> OpSpec:
    """The operator of that name."""
    return kernels.load()[name]


def has_op(name: str) -> bool:
    return name in kernels.load()


def is_op(node: Node | None, *names: str) -> bool:
    return node is not None and node.op.name in names


def frozen(array: np.ndarray) -> np.ndarray:
    """The array dense and read-only, as constants are kept. The caller gives up his own reference."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    if array.flags.writeable:
        array.flags.writeable = False
    return array


def drop_dead(graph: Graph) -> int:
    """Remove the nodes nobody needs; how many there were."""
    alive = {id(value) for value in graph.outputs}
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if any(id(value) in alive for value in node.outputs):
            kept.append(node)
            alive.update(id(value) for value in node.inputs if value is not None)
    dead = len(graph.nodes) - len(kept)
    graph.nodes = kept[::-1]
    return dead


def use_counts(graph: Graph) -> dict[Value, int]:
    """How often each value is read, the graph's outputs included."""
    counts: dict[Value, int] = {}
    for value in itertools.chain.from_iterable([*(node.inputs for node in graph.nodes), graph.outputs]):
        if value is not None:
            counts[value] = counts.get(value, 0) + 1
    return counts


class Names:
    """Names no value of the graph has."""

    def __init__(self, graph: Graph) -> None:
        self._taken = {value.name for value in graph.inputs}
        self._taken.update(value.name for node in graph.nodes for value in node.outputs)
        self._taken.update(value.name for value in graph.constants())
        self._next: dict[str, int] = {}

    def fresh(self, stem: str) -> str:
        """``stem`` itself when it is free, else with the first number that makes it so."""
        name = stem
        while name in self._taken:
            self._next[stem] = self._next.get(stem, 0) + 1
            name = f"{stem}.{self._next[stem]}"
        self._taken.add(name)
        return name


class Sweep:
    """One pass over the nodes of a graph, in order. ``uses`` counts the readers at the sweep's beginning."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.uses = use_counts(graph)
        self._readers: dict[Value, list[Node]] | None = None
        self.names = Names(graph)
        self.changes = 0
        self._done: list[Node] = []
        self._position: dict[Node, int] = {}
        self._instead: dict[Value, Value] = {}
        self._outputs = {id(value) for value in graph.outputs}
        self._source: tuple[str, ...] = ()
        self._stem = ""

    def run(self, rule: Rule) -> int:
        """Offer every node to the rule; how many it replaced."""
        for node in self.graph.nodes:
            node.inputs = [self._instead.get(value, value) if value is not None else None for value in node.inputs]
            self._source, self._stem = node.source, node.outputs[0].name
            mark = len(self._done)
            new = rule(self, node)
            if new is None or not all(self._replaceable(a, b) for a, b in zip(node.outputs, new)):
                del self._done[mark:]
                for value in node.outputs:
                    value.producer = node
                self._append(node)
                continue
            self.changes += 1
            for old, value in zip(node.outputs, new):
                if old is not value:
                    self._replace(old, value)
        self.graph.nodes = self._done
        self.graph.outputs = [self._instead.get(value, value) for value in self.graph.outputs]
        drop_dead(self.graph)
        return self.changes

    def _append(self, node: Node) -> None:
        self._position[node] = len(self._position)
        self._done.append(node)

    def position(self, node: Node) -> int:
        """Where the node stands among those that have been visited or made."""
        return self._position[node]

    def single_use(self, value: Value | None) -> bool:
        """Whether one node reads the value, once, and it is no output of the graph."""
        return value is not None and self.uses.get(value, 0) == 1 and not self.is_output(value)

    def readers(self, value: Value) -> list[Node]:
        """The nodes that read a value of the graph, as it was at the sweep's beginning."""
        if self._readers is None:
            self._readers = self.graph.users()
        return self._readers.get(value, [])

    def is_output(self, value: Value) -> bool:
        return id(value) in self._outputs

    def emit(
        self,
        name: str,
        attrs: Any,
        inputs: Iterable[Value | None],
        *,
        source: Iterable[Node] = (),
        outputs: Sequence[Value] | None = None,
    ) -> Value:
        """Append a node and give its first result.

        ``source`` are nodes it does the work of, besides the one being replaced. ``outputs`` are values to produce
        (those of the node being replaced, so that their names stay); without it new ones are made.
        """
        return self.emit_all(name, attrs, inputs, source=source, outputs=outputs)[0]

    def emit_all(
        self,
        name: str,
        attrs: Any,
        inputs: Iterable[Value | None],
        *,
        source: Iterable[Node] = (),
        outputs: Sequence[Value] | None = None,
    ) -> list[Value]:
        """As :meth:`emit`, giving all results."""
        spec, operands = op(name), list(inputs)
        types = spec.infer(attrs, [None if value is None else value.type for value in operands])
        origin = tuple(dict.fromkeys([s for node in source for s in node.source] + list(self._source)))
        if outputs is None:
            outputs = [Value(self.names.fresh(f"{self._stem}.{name}"), t) for t in types]
        else:
            for value, inferred in zip(outputs, types, strict=True):
                if not alike(value.type, inferred):
                    raise AssertionError(f"{value.name}: {value.type} would become {inferred}")
        node = Node(spec, attrs, operands, list(outputs), origin)
        for value in outputs:
            value.producer = node
            hand_back(value)
            self.uses.setdefault(value, 1)
        self._append(node)
        return list(outputs)

    def constant(self, data: np.ndarray, stem: str = "", dtype: DType | None = None) -> Value:
        """A new constant. ``dtype`` is needed for bfloat16 only, which NumPy does not know."""
        kind = TensorType(dtype or DType.of(data.dtype), tuple(data.shape))
        return Value(self.names.fresh(stem or f"{self._stem}.const"), kind, frozen(data))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """``x`` in another shape: itself, a constant, or a node."""
        shape = tuple(int(extent) for extent in shape)
        if x.type.shape == shape:
            return x
        if x.data is not None:
            return self.constant(x.data.reshape(shape), f"{x.name}.reshape", x.type.dtype)
        return self.emit("reshape", op("reshape").attrs(shape), [x])

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        """``x`` with its axes in another order: itself, a constant, a reshape when no byte moves, or a node."""
        perm = tuple(int(axis) for axis in perm)
        if perm == tuple(range(len(perm))):
            return x
        if x.data is not None:
            return self.constant(x.data.transpose(perm), f"{x.name}.transpose", x.type.dtype)
        if not moves_bytes(x.type.shape, perm):
            return self.reshape(x, [x.type.shape[axis] for axis in perm])
        return self.emit("transpose", op("transpose").attrs(perm), [x])

    def note(self, name: str, text: str) -> None:
        self.graph.report.append((name, text))

    def _replaceable(self, old: Value, new: Value) -> bool:
        """An output of the graph keeps its name, so what replaces it must be free to take that name over."""
        if old is new or not self.is_output(old):
            return True
        return new.producer is not None and not self.is_output(new)

    def _replace(self, old: Value, new: Value) -> None:
        if not alike(old.type, new.type):
            raise AssertionError(f"{old.name}: {old.type} would become {new.type}")
        self._instead[old] = new
        give(new, provenance_of(old))
        self.uses[new] = self.uses.get(new, 0) + self.uses.get(old, 0) - 1
        if self.is_output(old):
            old.name, new.name = new.name, old.name
            self._outputs.discard(id(old))
            self._outputs.add(id(new))


def alike(one: TensorType, other: TensorType) -> bool:
    """Whether two types have the same elements and shape; what int8 stands for is not looked at."""
    return (one.dtype, one.shape) == (other.dtype, other.shape)


def moves_bytes(shape: Sequence[int], perm: Sequence[int]) -> bool:
    """Whether the transpose changes the order of elements in memory: axes of extent 1 move for nothing."""
    real = [axis for axis in perm if shape[axis] != 1]
    return 0 not in shape and real != sorted(real)


def to_fixpoint(graph: Graph, rule: Rule, limit: int = 100) -> int:
    """Sweep until the rule finds nothing more (or ``limit`` times); how many nodes it replaced."""
    total = 0
    for _ in range(limit):
        changes = Sweep(graph).run(rule)
        total += changes
        if not changes:
            break
    return total


def plural(count: int, what: str) -> str:
    """``3 nodes``, ``1 node``, ``2 copies``."""
    if count == 1:
        return f"1 {what}"
    return f"{count} {what[:-1]}ies" if what.endswith("py") else f"{count} {what}s"
