"""Looking at nodes: what an elementwise node computes, and whether a value is this or that constant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ingot.builder.ir import Node, Value
from ingot.builder.passes.rewrite import is_op

#: functions whose operands may change places
COMMUTATIVE = ("Add", "Mul", "Min", "Max")


def function_of(node: Node | None, *names: str) -> Any | None:
    """The instruction of an elementwise node that has just one (and, if names are given, one of these)."""
    if not is_op(node, "elementwise") or len(node.attrs.insns) != 1:
        return None
    (insn,) = node.attrs.insns
    return insn if not names or insn.function in names else None


def uniform(value: Value | None) -> Any | None:
    """The element that a constant consists of, or ``None``. Large constants are not looked at."""
    if value is None or value.data is None or not 0 < value.type.count <= 65536 or value.type.dtype.name == "BF16":
        return None
    first = value.data.flat[0]
    return first.item() if np.all(value.data == first) else None


# --- patterns: trees that a value's computation may match --------------------------------------------------------


@dataclass(slots=True)
class Match:
    """What a pattern found: values by name, the nodes inside the pattern."""

    values: dict[str, Any] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)


#: A pattern yields every way in which a value can match it; alternatives matter because operands commute.
Pattern = Callable[[Value, Match], Iterator[Match]]


def anything(name: str) -> Pattern:
    """Any value, bound to ``name``; where the name is bound already, the same value."""

    def pattern(value: Value, found: Match) -> Iterator[Match]:
        if found.values.get(name, value) is value:
            yield Match({**found.values, name: value}, found.nodes)

    return pattern


#: how far a constant of a model may be from the number it means: an activation changes less than D4 allows
TOLERANCE = 1e-5


def about(found: float | None, expected: float) -> bool:
    """Whether a constant that was found means the number."""
    return found is not None and abs(found - expected) <= TOLERANCE * abs(expected)


def number(expected: float | None = None, name: str = "") -> Pattern:
    """A constant with one element: of about ``expected``, or any number, bound to ``name``."""

    def pattern(value: Value, found: Match) -> Iterator[Match]:
        element = uniform(value)
        if element is None or value.type.count != 1:
            return
        if expected is None or about(element, expected):
            yield Match({**found.values, name: element} if name else found.values, found.nodes)

    return pattern


def call(function: str, *operands: Pattern, bind: str = "") -> Pattern:
    """An elementwise node of this one function. ``bind`` gives its node a name."""

    def pattern(value: Value, found: Match) -> Iterator[Match]:
        insn = function_of(value.producer, function)
        if insn is None or len(insn.args) != len(operands):
            return
        node = value.producer
        args = [node.inputs[index] for index in insn.args]
        orders = [args, args[::-1]] if function in COMMUTATIVE else [args]
        values = {**found.values, bind: node} if bind else found.values
        for order in orders:
            yield from _all(order, operands, Match(values, [*found.nodes, node]))

    return pattern


def operator(
    name: str, *operands: Pattern, bind: str = "", when: Callable[[Node], bool] = lambda node: True
) -> Pattern:
    """A node of the operator ``name`` that ``when`` accepts, its first inputs matching; ``bind`` gives it a name."""

    def pattern(value: Value, found: Match) -> Iterator[Match]:
        node = value.producer
        if not is_op(node, name) or len(node.inputs) < len(operands) or not when(node):
            return
        values = {**found.values, bind: node} if bind else found.values
        yield from _all(node.inputs, operands, Match(values, [*found.nodes, node]))

    return pattern


def either(*patterns: Pattern) -> Pattern:
    """Whichever of the patterns matches, the first ones first."""

    def pattern(value: Value, found: Match) -> Iterator[Match]:
        for choice in patterns:
            yield from choice(value, found)

    return pattern


def _all(values: list[Value | None], patterns: tuple[Pattern, ...], found: Match) -> Iterator[Match]:
    if not patterns:
        yield found
    elif values[0] is not None:
        for first in patterns[0](values[0], found):
            yield from _all(values[1:], patterns[1:], first)


def first_match(pattern: Pattern, value: Value) -> Match | None:
    return next(pattern(value, Match()), None)
