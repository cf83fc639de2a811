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

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.layout_choice import Choice, default_inputs, origin_of
from ingot.builder.passes.layout_cost import Region, cheapest
from ingot.builder.passes.layout_matmul import absorb, spell_out
from ingot.builder.passes.permutation import Perm, after, groups, identity, inverse, memory_order
from ingot.builder.passes.rewrite import Sweep, drop_dead, is_op, moves_bytes, op, plural, to_fixpoint
from ingot.builder.provenance import give, provenance_of, transposed

MAX_ROUNDS = 1000


def run(graph: Graph) -> None:
    """Move, cancel and absorb transposes until nothing improves."""
    before = _measure(graph)
    to_fixpoint(graph, _normalise)
    _apply(graph, {})  # equal transposes become one, inverse ones cancel
    for _ in range(MAX_ROUNDS):
        if not _improve(graph):
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
        return _stacked(sweep, node)
    return None


def _stacked(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """Equal pieces joined along an axis that the reshape then splits: joined along an axis of their own instead."""
    concat = node.inputs[0].producer
    if not is_op(concat, "concat") or not sweep.single_use(concat.output) or 0 in concat.output.type.shape:
        return None
    axis, shape, pieces = concat.attrs.axis, concat.inputs[0].type.shape, concat.inputs
    if shape[axis] == 1 or any(piece.type.shape != shape for piece in pieces):
        return None
    stack = (*shape[:axis], len(pieces), *shape[axis:])
    result = node.output.type.shape
    if len(groups(stack, result)) == len(groups(concat.output.type.shape, result)):
        return None
    rows = [sweep.reshape(piece, (*shape[:axis], 1, *shape[axis:])) for piece in pieces]
    joined = sweep.emit("concat", concat.attrs, rows, source=[concat])
    return [sweep.emit("reshape", node.attrs, [joined], outputs=node.outputs)]


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


def _improve(graph: Graph) -> bool:
    """One round: try the move of every transpose, and make those that help together; whether there were any."""
    region = Region(graph)
    taken: dict[Node, Choice] = {}
    gain = 0
    for seed, perm in _seeds(graph):
        if seed in taken or not region.grow(seed, perm):
            continue
        move = {node: choice for node, choice in cheapest(region).items() if not is_op(node, "transpose")}
        if not move or any(node in taken for node in move):
            continue
        both = region.gain({**taken, **move})
        if both > gain:
            taken, gain = {**taken, **move}, both
    if taken:
        _apply(graph, taken)
    return bool(taken)


def _seeds(graph: Graph) -> Iterator[tuple[Node, Perm]]:
    """Each transpose: let it sink into what follows it, or rise into what computes its operand."""
    for node in [node for node in graph.nodes if is_op(node, "transpose")]:
        yield node, inverse(node.attrs.perm)
        producer = node.inputs[0].producer
        if producer is not None:
            yield producer, node.attrs.perm


def _apply(graph: Graph, taken: dict[Node, Choice]) -> None:
    """Rewrite the graph: no transposes, alternatives where they were taken, conversions where layouts differ."""
    held: dict[Value, dict[Perm, Value]] = {}

    def fetch(sweep: Sweep, value: Value, wanted: Perm) -> Value:
        origin, wanted = origin_of(value, wanted)
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
        wanted = choice.inputs if choice is not None else default_inputs(node)
        inputs = [None if v is None else fetch(sweep, v, order) for v, order in zip(node.inputs, wanted)]
        if choice is None:
            if inputs == node.inputs:
                return None
            sweep.emit_all(node.op.name, node.attrs, inputs, outputs=node.outputs)
            return node.outputs
        results = sweep.emit_all(node.op.name, choice.attrs, choice.order(inputs))
        for value, result in zip(node.outputs, results):
            give(result, transposed(value, provenance_of(value), choice.perm))
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
