"""What layouts cost, and which nodes of a region should change theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.layout_choice import Choice, alternative, default_inputs, from_input, origin_of
from ingot.builder.passes.layout_matmul import swaps_matrix
from ingot.builder.passes.mincut import INFINITE, MinCut
from ingot.builder.passes.permutation import Perm, after, identity, inverse, is_identity, memory_order, permuted
from ingot.builder.passes.rewrite import is_op

#: what one byte costs, in conversions: any number of conversions is better than a byte
BYTE = 1 << 16
#: what a conversion costs that stands between an operator and its epilogue, and between parts of an epilogue; else 1
APART = {"conv": 3, "conv_transpose": 3, "matmul": 3, "elementwise": 2}
#: what it costs to work along an axis that is not the last
STRIDED = 4


class Region:
    """The nodes one move could touch, each with its alternative layout."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users: dict[Value, list[tuple[Node, int]]] = {}
        for node in graph.nodes:
            for index, value in enumerate(node.inputs):
                if value is not None and not value.is_constant:
                    self.users.setdefault(value, []).append((node, index))
        self.outputs = {id(value) for value in graph.outputs}
        self._reads = self._by_origin()
        self.choices: dict[Node, Choice] = {}
        self._known: dict[tuple[Node, Perm], Choice | None] = {}

    def grow(self, seed: Node, perm: Perm) -> bool:
        """Give ``seed`` the layout and let it spread over the graph as far as operators follow; whether it could."""
        self.choices = {}
        if not self._choose(seed, perm):
            return False
        queue = [seed]
        for node in queue:
            choice = self.choices[node]
            for value, wanted in zip(node.inputs, choice.inputs):
                if value is not None and value.producer is not None and self._choose(value.producer, wanted):
                    queue.append(value.producer)
            for value in node.outputs:
                for user, index in self.users.get(value, ()):
                    offered = from_input(user, index, choice.perm)
                    if offered is not None and self._choose(user, offered):
                        queue.append(user)
        return True

    def _choose(self, node: Node, perm: Perm) -> bool:
        if node in self.choices or is_identity(perm):
            return False
        key = node, perm
        if key not in self._known:
            self._known[key] = alternative(node, perm)
        choice = self._known[key]
        if choice is None:
            return False
        self.choices[node] = choice
        return True

    def _by_origin(self) -> dict[Value, list[tuple[Node | None, int, Value]]]:
        """Who reads a value in the end, transposes between or not: reader, input, the value as the reader knows it."""
        reads: dict[Value, list[tuple[Node | None, int, Value]]] = {}
        nodes = [node for node in self.graph.nodes if not is_op(node, "transpose")]
        inputs = [(node, index, value) for node in nodes for index, value in enumerate(node.inputs)]
        for reader in [*inputs, *((None, 0, value) for value in self.graph.outputs)]:
            if reader[2] is not None:
                origin = origin_of(reader[2], identity(reader[2].type.rank))[0]
                if not origin.is_constant:
                    reads.setdefault(origin, []).append(reader)
        return reads

    def gain(self, taken: dict[Node, Choice]) -> int:
        """What the graph saves when the nodes of ``taken`` (no transposes) take their alternative."""
        touched: dict[Value, None] = {}
        strides = 0
        for node, choice in taken.items():
            for value in [*node.inputs, *node.outputs]:
                if value is not None:
                    touched[origin_of(value, identity(value.type.rank))[0]] = None
            strides += _strides(node, identity(len(choice.perm)), node.attrs)
            strides -= _strides(node, choice.perm, choice.attrs)
        return strides + sum(self._conversions(origin, {}) - self._conversions(origin, taken) for origin in touched)

    def _conversions(self, origin: Value, taken: dict[Node, Choice]) -> int:
        """What the conversions of one value cost: each layout that is wanted once, each order of the bytes once."""
        choice = taken.get(origin.producer)
        held = choice.perm if choice is not None else identity(origin.type.rank)
        layouts: dict[Perm, int] = {}
        moves: dict[Perm, int] = {}
        for node, index, value in self._reads.get(origin, ()):
            layout, position = _wanted(taken, node, index, value)
            wanted = origin_of(value, layout)[1]
            moved, converted = divmod(_cost(origin, held, wanted, node, position), BYTE)
            layouts[wanted] = max(converted, layouts.get(wanted, 0))
            moves[memory_order(origin.type.shape, wanted)] = moved
        return sum(layouts.values()) + sum(moves.values()) * BYTE


def _cost(value: Value, held: Perm, wanted: Perm, node: Node | None, position: int) -> int:
    """What it costs to bring ``value`` from one layout into that in which ``node`` takes it at ``position``."""
    if held == wanted:
        return 0
    shape = value.type.shape
    if is_op(node, "matmul") and position < 2 and swaps_matrix(permuted(shape, held), after(inverse(held), wanted)):
        return 2 - position  # read the other way round; the left operand is more work
    producer = origin_of(value, held)[0].producer
    apart = APART.get(producer.op.name, 1) if producer is not None and is_op(node, "elementwise", "transpose") else 1
    in_place = 0 in shape or memory_order(shape, held) == memory_order(shape, wanted)
    return apart + (0 if in_place else value.type.nbytes * BYTE)


def _strides(node: Node, perm: Perm, attrs: Any) -> int:
    """What it costs the node to work along an axis that is not the last one in memory."""
    axis = getattr(attrs, "axis", None) if is_op(node, "softmax", "arg_reduce", "cumsum", "topk") else None
    if axis is None:
        return 0
    return STRIDED if any(extent != 1 for extent in permuted(node.output.type.shape, perm)[axis + 1 :]) else 0


def _readers(region: Region, value: Value) -> list[tuple[Node | None, int]]:
    readers: list[tuple[Node | None, int]] = list(region.users.get(value, ()))
    if id(value) in region.outputs:
        readers.append((None, 0))
    return readers


def _wanted(choices: dict[Node, Choice], node: Node | None, index: int, value: Value) -> tuple[Perm, int]:
    """The layout in which a reader wants the value, and the position at which it takes it."""
    if node is None:
        return identity(value.type.rank), 0
    choice = choices.get(node)
    if choice is None:
        return default_inputs(node)[index], index
    return choice.inputs[index], choice.position(index)


def cheapest(region: Region) -> dict[Node, Choice]:
    """The nodes that should take their alternative, by a minimum cut: 0 stays as it is, 1 takes it."""
    cut = MinCut()
    variables = {node: cut.variable() for node in region.choices}
    values = dict.fromkeys(v for node in region.choices for v in [*node.inputs, *node.outputs])
    for value in values:
        if value is not None and not value.is_constant:
            _add_costs(cut, region, variables, value)
    for node, choice in region.choices.items():
        cut.if_zero(variables[node], _strides(node, identity(len(choice.perm)), node.attrs))
        cut.if_one(variables[node], _strides(node, choice.perm, choice.attrs))
    solution = cut.solve()
    return {node: choice for node, choice in region.choices.items() if solution[variables[node]]}


def _add_costs(cut: MinCut, region: Region, variables: dict[Node, int], value: Value) -> None:
    """The conversions between a value and its readers, for each combination of their states."""
    producer = variables.get(value.producer, cut.ZERO)
    same = identity(value.type.rank)
    held = same, region.choices[value.producer].perm if producer else same
    edges: list[tuple[int, list[int], tuple[Perm, Perm]]] = []
    for node, index in _readers(region, value):
        variable = variables.get(node, cut.ZERO) if node is not None else cut.ZERO
        states = _wanted({}, node, index, value), _wanted(region.choices if variable else {}, node, index, value)
        costs = [_cost(value, held[a], states[b][0], node, states[b][1]) for a in (0, 1) for b in (0, 1)]
        edges.append((variable, costs, (states[0][0], states[1][0])))
    if all(costs[0] == 0 and (not producer or costs[3] == 0 or not variable) for variable, costs, _ in edges):
        _shared_conversions(cut, producer, edges)
        return
    for variable, costs, _ in edges:  # readers that share a transpose share its cost
        share = [sum(other == costs for _, other, _ in edges)] * 4
        cut_costs = [cost // n for cost, n in zip(costs, share)]
        _pair(cut, producer, variable, cut_costs)


def _pair(cut: MinCut, a: int, b: int, costs: Sequence[int]) -> None:
    if a and b:
        cut.pair(a, b, tuple(costs))
    elif a:
        cut.if_zero(a, costs[0])
        cut.if_one(a, costs[2])
    elif b:
        cut.if_zero(b, costs[0])
        cut.if_one(b, costs[1])


def _shared_conversions(cut: MinCut, producer: int, edges: list[tuple[int, list[int], tuple[Perm, Perm]]]) -> None:
    """One conversion serves all readers that differ from the producer in the same way."""
    apart: dict[tuple[int, int, Perm], list[int]] = {}
    for variable, costs, wanted in edges:
        if variable and costs[1]:
            apart.setdefault((0, costs[1], wanted[1]), []).append(variable)
        if producer and costs[2]:
            apart.setdefault((1, costs[2], wanted[0]), []).append(variable)
    for (state, cost, _), readers in apart.items():
        one = cut.variable()
        for reader in readers:  # `one` is 1 (0) as soon as one reader is
            if state == 0:
                cut.if_zero_one(one, reader, INFINITE)
            else:
                cut.if_zero_one(reader, one, INFINITE)
        if state == 0:
            cut.if_zero_one(producer, one, cost)
        else:
            cut.if_zero_one(one, producer, cost)
