"""Layout: as few bytes as possible are moved by transposes.

Importers emit channels-last operators between transposes, and models bring transposes of their own. Most operators
between two of them do not care in which order their axes come (``OpSpec.permute``), so there is a choice, and the
choice is made for whole regions at once: a *move* gives every node of a region an alternative layout, the one with
which a certain transpose would vanish, and a minimum cut says which nodes should take theirs so that the conversions
left are the fewest bytes. Conversions of constants happen at build time and cost nothing; those that move axes of
extent 1 only are reshapes and cost nothing either. A move is made when the bytes fall, and moves are tried until none
helps. So the measure never grows.

A transpose node is nothing but a wish: its result is its operand in another layout. All of them are removed when a
move is made, and conversions put in where a node needs a layout that is not there. Reshapes that only move axes of
extent 1 are taken for transposes while the pass works.

Of moves that leave the same bytes those with fewer conversions win, and conversions are kept away from between a
convolution and what is applied to its result, so that both can become one step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.layout_matmul import absorb, matrix_swap, spell_out, swaps_matrix
from ingot.builder.passes.mincut import INFINITE, MinCut
from ingot.builder.passes.permutation import (
    Perm,
    after,
    identity,
    inverse,
    is_identity,
    memory_order,
    permuted,
    through_reshape,
)
from ingot.builder.passes.rewrite import Sweep, drop_dead, is_op, moves_bytes, op, plural, to_fixpoint
from ingot.kernels.spec import TensorType, Unsupported

MAX_MOVES = 1000
#: what one byte costs, in conversions: any number of conversions is better than a byte
BYTE = 1 << 16
#: what a conversion costs that stands between an operator and its epilogue (between parts of an epilogue: 2; else 1)
APART = 3
#: what it costs to work along an axis that is not the last
STRIDED = 4


def run(graph: Graph) -> None:
    """Move, cancel and absorb transposes until nothing improves."""
    before = _measure(graph)
    to_fixpoint(graph, _normalise)
    _apply(graph, {})  # equal transposes become one, inverse ones cancel
    number: int | None = 0
    for _ in range(MAX_MOVES):
        number = _improve(graph, number)
        if number is None:
            break
    to_fixpoint(graph, absorb)
    to_fixpoint(graph, _settle_units)
    behind = _measure(graph)
    if before != behind:
        text = f"transposes: {plural(before[0], 'node')} moving {before[1]} bytes became {behind[0]} moving {behind[1]}"
        graph.report.append(("layout", text))


def transposed_bytes(graph: Graph) -> int:
    """The pass's measure: bytes that transposes move in one run."""
    return _measure(graph)[1]


def _measure(graph: Graph) -> tuple[int, int]:
    moving = [node for node in graph.nodes if _is_moving_transpose(node)]
    return len(moving), sum(node.output.type.nbytes for node in moving)


def _is_moving_transpose(node: Node) -> bool:
    return is_op(node, "transpose") and moves_bytes(node.inputs[0].type.shape, node.attrs.perm)


def _normalise(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """Forms in which axes can be permuted: operands of full rank, transposes in place of reshapes and flags."""
    if is_op(node, "elementwise"):
        return _full_rank(sweep, node)
    if is_op(node, "matmul"):
        return spell_out(sweep, node)
    if is_op(node, "reshape"):
        perm = _unit_moves(node.inputs[0].type.shape, node.output.type.shape)
        if perm is not None:
            attrs = op("transpose").attrs(perm)
            return [sweep.emit("transpose", attrs, node.inputs, outputs=node.outputs)]
    return None


def _unit_moves(before: Sequence[int], behind: Sequence[int]) -> Perm | None:
    """The transpose that a reshape is, when all it does is to move axes of extent 1."""
    if len(before) != len(behind) or before == behind or 0 in before:
        return None
    real = [axis for axis, extent in enumerate(before) if extent != 1]
    if [before[axis] for axis in real] != [extent for extent in behind if extent != 1]:
        return None
    units = iter(axis for axis, extent in enumerate(before) if extent == 1)
    rest = iter(real)
    return tuple(next(units) if extent == 1 else next(rest) for extent in behind)


def _settle_units(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """Transposes that move nothing are reshapes after all, and those that change nothing are nothing."""
    if not is_op(node, "transpose") or _is_moving_transpose(node):
        return None
    x, y = node.inputs[0], node.output
    if x.type == y.type and (x.producer is not None or not sweep.is_output(y)):
        return [x]
    return [sweep.emit("reshape", _reshape_attrs(y.type.shape), [x], outputs=[y])]


def _full_rank(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    rank = node.output.type.rank
    if all(value is None or value.type.rank in (0, rank) for value in node.inputs):
        return None

    def lift(value: Value | None) -> Value | None:
        if value is None or value.type.rank in (0, rank):
            return value
        return sweep.reshape(value, (1,) * (rank - value.type.rank) + value.type.shape)

    return [sweep.emit("elementwise", node.attrs, [lift(value) for value in node.inputs], outputs=node.outputs)]


def _reshape_attrs(shape: Sequence[int]) -> Any:
    return op("reshape").attrs(tuple(shape))


@dataclasses.dataclass(frozen=True, slots=True)
class _Choice:
    """What a node may become: its results in layout ``perm``, reading each input in the layout ``inputs`` says.

    ``swapped``: a transposed product is the product of the transposed operands in the other order.
    """

    perm: Perm
    attrs: Any
    inputs: tuple[Perm, ...]
    swapped: bool = False

    def position(self, index: int) -> int:
        """Where input ``index`` of the old node stands in the new one."""
        return 1 - index if self.swapped and index < 2 else index

    def order(self, inputs: list) -> list:
        """The operands in the order in which the new node takes them."""
        return [inputs[1], inputs[0], *inputs[2:]] if self.swapped else inputs


class _Region:
    """The nodes one move could touch, each with its alternative layout."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.users: dict[Value, list[tuple[Node, int]]] = {}
        for node in graph.nodes:
            for index, value in enumerate(node.inputs):
                if value is not None and not value.is_constant:
                    self.users.setdefault(value, []).append((node, index))
        self.outputs = {id(value) for value in graph.outputs}
        self.choices: dict[Node, _Choice] = {}
        self._known: dict[tuple[Node, Perm], _Choice | None] = {}

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
                    offered = _from_input(user, index, choice.perm)
                    if offered is not None and self._choose(user, offered):
                        queue.append(user)
        return True

    def _choose(self, node: Node, perm: Perm) -> bool:
        if node in self.choices or is_identity(perm):
            return False
        key = node, perm
        if key not in self._known:
            self._known[key] = _alternative(node, perm)
        choice = self._known[key]
        if choice is None:
            return False
        self.choices[node] = choice
        return True


def _default_inputs(node: Node) -> tuple[Perm, ...]:
    if is_op(node, "transpose"):
        return (node.attrs.perm,)
    return tuple(identity(value.type.rank) if value is not None else () for value in node.inputs)


def _alternative(node: Node, perm: Perm) -> _Choice | None:
    """How the node gives its results in layout ``perm``, if it can."""
    if any(value.type.rank != len(perm) for value in node.outputs):
        return None
    if is_op(node, "transpose"):
        return _Choice(perm, node.attrs, (after(node.attrs.perm, perm),))
    if is_op(node, "reshape"):
        x = node.inputs[0].type.shape
        wanted = through_reshape(node.output.type.shape, x, perm)
        attrs = _reshape_attrs(permuted(node.output.type.shape, perm))
        return None if wanted is None else _Choice(perm, attrs, (wanted,))
    if is_op(node, "matmul"):
        return _transposed_product(node, perm)
    if node.op.permute is None:
        return None
    attrs = node.op.permute(node.attrs, perm, node)
    if attrs is None:
        return None
    inputs = tuple(
        () if value is None else perm if value.type.rank == len(perm) else identity(value.type.rank)
        for value in node.inputs
    )
    return _Choice(perm, attrs, inputs) if _agrees(node, perm, attrs, inputs) else None


def _transposed_product(node: Node, perm: Perm) -> _Choice | None:
    """(a b)^T = b^T a^T; flags are spelled out. Constant operands stay, as they are packed for the place they have."""
    a, b, bias, residual = [*node.inputs, None, None][:4]
    shape, swap = node.output.type.shape, matrix_swap(len(perm))
    if a.is_constant or b.is_constant or bias is not None or memory_order(shape, perm) != memory_order(shape, swap):
        return None
    wanted = [matrix_swap(value.type.rank) for value in (a, b)]
    rest = [() if value is None else swap for value in (bias, residual)]
    return _Choice(swap, node.attrs, (*wanted, *rest)[: len(node.inputs)], swapped=True)


def _agrees(node: Node, perm: Perm, attrs: Any, inputs: Sequence[Perm]) -> bool:
    """Whether the permuted operator gives the permuted types, as it must."""
    operands = [
        None if value is None else TensorType(value.type.dtype, permuted(value.type.shape, order))
        for value, order in zip(node.inputs, inputs)
    ]
    try:
        types = node.op.infer(attrs, operands)
    except Unsupported:
        return False
    return list(types) == [TensorType(v.type.dtype, permuted(v.type.shape, perm)) for v in node.outputs]


def _from_input(node: Node, index: int, perm: Perm) -> Perm | None:
    """The layout of the node's results that goes with input ``index`` in layout ``perm``."""
    shape = node.inputs[index].type.shape
    if is_op(node, "transpose"):
        return after(inverse(node.attrs.perm), perm)
    if is_op(node, "reshape"):
        return through_reshape(shape, node.output.type.shape, perm)
    return perm if len(shape) == node.output.type.rank else None


def _improve(graph: Graph, start: int) -> int | None:
    """Try moves, from number ``start`` on and round, until one helps; make it and say where to go on."""
    region = _Region(graph)
    now = _total(region, {})
    seeds = list(_seeds(graph))
    for count in range(len(seeds)):
        number = (start + count) % len(seeds)
        if not region.grow(*seeds[number]):
            continue
        taken = _cheapest(region)
        if taken and _total(region, taken) < now:
            _apply(graph, taken)
            return number
    return None


def _seeds(graph: Graph) -> Iterator[tuple[Node, Perm]]:
    """Each transpose: let it sink into what follows it, or rise into what computes its operand."""
    for node in [node for node in graph.nodes if is_op(node, "transpose")]:
        yield node, inverse(node.attrs.perm)
        producer = node.inputs[0].producer
        if producer is not None:
            yield producer, node.attrs.perm


def _cost(value: Value, held: Perm, wanted: Perm, node: Node | None, position: int) -> int:
    """What it costs to bring ``value`` from one layout into that in which ``node`` takes it at ``position``."""
    if held == wanted:
        return 0
    shape = value.type.shape
    if is_op(node, "matmul") and position < 2 and swaps_matrix(permuted(shape, held), after(inverse(held), wanted)):
        return 2 - position  # read the other way round; the left operand is more work
    producer = _origin(value, held)[0].producer
    nodes = 1
    if is_op(node, "elementwise", "transpose"):
        nodes = (
            APART if is_op(producer, "conv", "conv_transpose", "matmul") else 2 if is_op(producer, "elementwise") else 1
        )
    in_place = 0 in shape or memory_order(shape, held) == memory_order(shape, wanted)
    return nodes + (0 if in_place else value.type.nbytes * BYTE)


def _strides(node: Node, perm: Perm, attrs: Any) -> int:
    """What it costs the node to work along an axis that is not the last one in memory."""
    axis = getattr(attrs, "axis", None) if is_op(node, "softmax", "arg_reduce", "cumsum", "topk") else None
    if axis is None:
        return 0
    return STRIDED if any(extent != 1 for extent in permuted(node.output.type.shape, perm)[axis + 1 :]) else 0


def _readers(region: _Region, value: Value) -> list[tuple[Node | None, int]]:
    readers: list[tuple[Node | None, int]] = list(region.users.get(value, ()))
    if id(value) in region.outputs:
        readers.append((None, 0))
    return readers


def _wanted(choices: dict[Node, _Choice], node: Node | None, index: int, value: Value) -> tuple[Perm, int]:
    """The layout in which a reader wants the value, and the position at which it takes it."""
    if node is None:
        return identity(value.type.rank), 0
    choice = choices.get(node)
    if choice is None:
        return _default_inputs(node)[index], index
    return choice.inputs[index], choice.position(index)


def _cheapest(region: _Region) -> dict[Node, _Choice]:
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


def _add_costs(cut: MinCut, region: _Region, variables: dict[Node, int], value: Value) -> None:
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


def _origin(value: Value, wanted: Perm) -> tuple[Value, Perm]:
    """The value that transposes were applied to, and the layout of it that is ``value`` in layout ``wanted``."""
    while is_op(value.producer, "transpose"):
        wanted = after(value.producer.attrs.perm, wanted)
        value = value.producer.inputs[0]
    return value, wanted


def _total(region: _Region, taken: dict[Node, _Choice]) -> int:
    """What all conversions cost when the nodes of ``taken`` take their alternative."""
    conversions: dict[tuple[Value, Perm], int] = {}  # one for each layout that is wanted
    moves: dict[tuple[Value, Perm], int] = {}  # one for each order of the bytes
    outputs: list[tuple[Node | None, int, Value]] = [(None, 0, value) for value in region.graph.outputs]
    reads = [(n, i, v) for n in region.graph.nodes if not is_op(n, "transpose") for i, v in enumerate(n.inputs)]
    for node, index, value in reads + outputs:
        if value is None:
            continue
        layout, position = _wanted(taken, node, index, value)
        origin, wanted = _origin(value, layout)
        if origin.is_constant:
            continue
        choice = taken.get(origin.producer)
        held = choice.perm if choice is not None else identity(origin.type.rank)
        cost = _cost(origin, held, wanted, node, position)
        if cost:
            conversions[origin, wanted] = max(cost % BYTE, conversions.get((origin, wanted), 0))
            moves[origin, memory_order(origin.type.shape, wanted)] = cost - cost % BYTE
    strides = 0
    for node in region.graph.nodes:
        choice = taken.get(node)
        attrs, perm = (node.attrs, identity(node.output.type.rank)) if choice is None else (choice.attrs, choice.perm)
        strides += _strides(node, perm, attrs)
    return sum(conversions.values()) + sum(moves.values()) + strides


def _apply(graph: Graph, taken: dict[Node, _Choice]) -> None:
    """Rewrite the graph: no transposes, alternatives where they were taken, conversions where layouts differ."""
    held: dict[Value, dict[Perm, Value]] = {}

    def fetch(sweep: Sweep, value: Value, wanted: Perm) -> Value:
        origin, wanted = _origin(value, wanted)
        layouts = held.setdefault(origin, {identity(origin.type.rank): origin})
        if wanted not in layouts:
            order = memory_order(origin.type.shape, wanted)
            alike = [p for p in layouts if memory_order(origin.type.shape, p) == order]
            start = alike[0] if alike else next(iter(layouts))
            layouts[wanted] = _convert(sweep, layouts[start], after(inverse(start), wanted))
        return layouts[wanted]

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        if is_op(node, "transpose"):
            return _settle(sweep, node.output, fetch) if sweep.is_output(node.output) else node.outputs
        choice = taken.get(node)
        wanted = choice.inputs if choice is not None else _default_inputs(node)
        inputs = [None if v is None else fetch(sweep, v, order) for v, order in zip(node.inputs, wanted)]
        if choice is None:
            if inputs == node.inputs:
                return None
            sweep.emit_all(node.op.name, node.attrs, inputs, outputs=node.outputs)
            return node.outputs
        results = sweep.emit_all(node.op.name, choice.attrs, choice.order(inputs))
        for value, result in zip(node.outputs, results):
            held[value] = {choice.perm: result}
        return [_settle(sweep, v, fetch)[0] if sweep.is_output(v) else v for v in node.outputs]

    Sweep(graph).run(rule)
    drop_dead(graph)


def _convert(sweep: Sweep, x: Value, perm: Perm) -> Value:
    """As ``sweep.transpose``, but a transpose even where a reshape would do: the next move wants to see it."""
    return sweep.transpose(x, perm) if x.is_constant else sweep.emit("transpose", op("transpose").attrs(perm), [x])


def _settle(sweep: Sweep, value: Value, fetch: Callable[[Sweep, Value, Perm], Value]) -> Sequence[Value]:
    """An output of the graph in the layout its caller knows, under its own name."""
    result = fetch(sweep, value, identity(value.type.rank))
    if result.producer is None or sweep.is_output(result):  # its memory is the caller's too: a copy
        sweep.emit("reshape", _reshape_attrs(value.type.shape), [result], outputs=[value])
        return [value]
    return [result]
