"""Chooses the tactics of a whole graph together: the least sum of step times and conversions between steps.

Variables are the nodes that have a choice, and, for each value that might have to be converted, whether it is there in
a layout: so a conversion that several readers share is paid once. What a node's readers absorb costs nothing and must
be absorbed by all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.tuning import search
from ingot.builder.tuning.candidates import ABSORBED, Option, conversion_candidate
from ingot.builder.tuning.costs import Cost, Costs
from ingot.builder.tuning.fused import operands
from ingot.builder.tuning.keys import Candidate
from ingot.kernels.spec import DENSE, Layout

#: operators whose operands, or result, may be views of other tensors: kernels that leave gaps between rows save a copy
JOINS, CUTS = ("concat",), ("slice",)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a node. ``runner_up`` is the best of the others; costs are those of the steps alone."""

    node: Node
    option: Option
    cost: Cost
    runner_up: Option | None
    runner_up_cost: Cost | None
    default: Option


@dataclass(frozen=True, slots=True)
class Plan:
    """The choice for each node, in the order of the graph, and what they cost together.

    ``bound``: nothing can cost less; below ``ns`` where the search was cut short. ``default_ns``: the defaults' cost.
    """

    choices: tuple[Choice, ...]
    ns: float
    bound: float
    default_ns: float

    def tactics(self) -> dict:
        """By node, as :func:`ingot.builder.tuning.apply.run` wants them."""
        return {c.node: c.option.tactic for c in self.choices if c.option.tactic}

    @property
    def is_default(self) -> bool:
        return all(choice.option is choice.default for choice in self.choices)


def choose(graph: Graph, options: Mapping[Node, Sequence[Option]], costs: Costs, limit: int = search.LIMIT) -> Plan:
    """The cheapest options; of equal ones the first in the registry's order."""
    return _Problem(graph, options, costs).solve(limit)


def defaults(plan: Plan, costs: Costs) -> Plan:
    """The plan that takes every node's default instead; what had been chosen is the runner-up."""

    def usual(choice: Choice) -> Choice:
        if choice.option is choice.default:
            return choice
        default = choice.default
        other = (choice.option, choice.cost) if choice.option.tactic else (None, None)
        return Choice(choice.node, default, costs.of(default.candidate), *other, default)

    bound = plan.default_ns if plan.bound == plan.ns else plan.bound
    return Plan(tuple(map(usual, plan.choices)), plan.default_ns, bound, plan.default_ns)


def conversions(node: Node, options: Sequence[Option], backend: str) -> list[Candidate]:
    """The steps between layouts that these options of a node might need."""
    found = []
    for option in options:
        for value, layout in _reads(node, option):
            if layout.block:
                found.append(conversion_candidate(value.type, DENSE, layout, backend))
        if option.writes.block:
            found.append(conversion_candidate(node.output.type, option.writes, DENSE, backend))
    return found


def _reads(node: Node, option: Option) -> list[tuple[Value, Layout]]:
    """What a step reads from memory and in which layout."""
    if option.tactic is None:
        return []
    read = operands(node, option.absorbs)
    return [(v, option.tactic.reads.get(i, DENSE)) for i, v in enumerate(read) if v is not None and not v.is_constant]


def _are_alike(option: Option, other: Option) -> bool:
    """Whether both are the same CUDA kernel, cut differently."""
    one, two = option.tactic, other.tactic
    return one is not None and two is not None and one.kernel == two.kernel and one.launch is not None


class _Problem:
    def __init__(self, graph: Graph, options: Mapping[Node, Sequence[Option]], costs: Costs) -> None:
        self.graph, self.options, self.costs = graph, options, costs
        self.users = graph.users()
        self.nodes = [node for node, choices in options.items() if len(choices) > 1]
        self.number = {node: i for i, node in enumerate(self.nodes)}
        self.option_costs = {n: [self._cost(option) for option in choices] for n, choices in options.items()}
        self.unary = [[self._unary(node, i) for i in range(len(options[node]))] for node in self.nodes]
        self.pairs: dict[tuple[int, int], np.ndarray] = {}
        for node in self.nodes:
            self._absorption(node)
        for value in [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]:
            self._layouts(value)

    def solve(self, limit: int) -> Plan:
        solution = search.minimise(self.unary, self.pairs, limit)
        fixed = sum(costs[0].ns for node, costs in self.option_costs.items() if node not in self.number)
        default = fixed + sum(costs[0] for costs in self.unary[: len(self.nodes)])
        choices = []
        for node, found in self.options.items():
            at = solution.values[self.number[node]] if node in self.number else 0
            second, second_cost = self._runner_up(node, at)
            choices.append(Choice(node, found[at], self.option_costs[node][at], second, second_cost, found[0]))
        return Plan(tuple(choices), fixed + solution.cost, fixed + solution.bound, default)

    def _runner_up(self, node: Node, chosen: int) -> tuple[Option | None, Cost | None]:
        others = [i for i, option in enumerate(self.options[node]) if i != chosen and option.tactic]
        if not others:
            return None, None
        best = min(others, key=lambda i: (self.option_costs[node][i].ns, i))
        return self.options[node][best], self.option_costs[node][best]

    def _cost(self, option: Option) -> Cost:
        return self.costs.of(option.candidate) if option.candidate else Cost(0.0)

    def _unary(self, node: Node, index: int) -> float:
        """The cost of an option; that of what it would replace where it is not better by more than noise."""
        option = self.options[node][index]
        if option is ABSORBED:
            return 0.0
        own, incumbent = self.option_costs[node][index], self.option_costs[node][0]
        for absorbed in option.absorbs:
            producer = node.inputs[absorbed].producer
            if producer not in self.number or ABSORBED not in self.options[producer]:
                return math.inf
            incumbent = incumbent + self.option_costs[producer][0]
        alike = _are_alike(option, self.options[node][0])
        ns = own.ns if index == 0 or own.replaces(incumbent, alike) else max(own.ns, incumbent.ns)
        return ns + self._lost_views(node, option)

    def _lost_views(self, node: Node, option: Option) -> float:
        """What it costs to copy where the default's kernel would have left, or skipped, gaps between rows."""
        usual, tactic, ns = self.options[node][0].tactic, option.tactic, 0.0
        joined = any(reader.op.name in JOINS for reader in self.users.get(node.output, ()))
        if joined and 0 in usual.pitched_outputs and 0 not in tactic.pitched_outputs:
            ns += self.costs.copy_ns(node.output.type.nbytes)
        for index, value in enumerate(node.inputs):
            cut = value is not None and value.producer is not None and value.producer.op.name in CUTS
            if cut and not option.absorbs and index in usual.pitched_inputs and index not in tactic.pitched_inputs:
                ns += self.costs.copy_ns(value.type.nbytes)
        return ns

    def _add(self, a: int, b: int, table: np.ndarray) -> None:
        """Add a table whose axes are the variables a and b."""
        pair, costs = ((a, b), table) if a < b else ((b, a), table.T)
        self.pairs[pair] = self.pairs[pair] + costs if pair in self.pairs else costs

    def _absorption(self, reader: Node) -> None:
        for index, value in enumerate(reader.inputs):
            producer = value.producer if value is not None else None
            if producer not in self.number or ABSORBED not in self.options[producer]:
                continue
            gone = np.array([option is ABSORBED for option in self.options[producer]])
            takes = np.array([index in option.absorbs for option in self.options[reader]])
            # a reader that is absorbed itself does not read, and absorbs nothing
            self._add(
                self.number[producer], self.number[reader], np.where(gone[:, None] == takes[None, :], 0.0, math.inf)
            )

    def _layouts(self, value: Value) -> None:
        """Variables for the layouts in which the value may have to be there."""
        producer = value.producer if value.producer in self.number else None
        written = [option.writes for option in self.options[producer]] if producer else [DENSE]
        if producer and value is not producer.output:
            written = [DENSE] * len(written)
        wanted: dict[Layout, dict[Node, np.ndarray]] = {}
        for reader in self._readers(value):
            for at, option in enumerate(self.options[reader]):
                for read, layout in _reads(reader, option):
                    if read is value:
                        users = wanted.setdefault(layout, {})
                        users.setdefault(reader, np.zeros(len(self.options[reader]), bool))[at] = True
        always = value in self.graph.outputs or any(user not in self.number for user in self.users.get(value, ()))
        if always:
            wanted.setdefault(DENSE, {})
        for layout in sorted(wanted, key=lambda layout: layout.block):
            if all(layout == each for each in written):
                continue
            there = len(self.unary)
            price = [
                0.0 if option is ABSORBED else self._conversion(value, each, layout)
                for option, each in zip(self.options[producer] if producer else [None], written)
            ]
            forced = [math.inf, 0.0] if always and layout == DENSE else [0.0, 0.0]
            self.unary.append(forced if producer else [forced[0], forced[1] + price[0]])
            if producer:
                self._add(self.number[producer], there, np.array([[0.0, ns] for ns in price]))
            for reader, needs in wanted[layout].items():
                self._add(there, self.number[reader], np.array([np.where(needs, math.inf, 0.0), np.zeros(len(needs))]))

    def _readers(self, value: Value) -> list[Node]:
        """The nodes with a choice that may read the value: its readers, and those that might absorb them."""
        direct = [user for user in self.users.get(value, ()) if user in self.number]
        through = [
            reader
            for user in direct
            if ABSORBED in self.options[user]
            for reader in self.users.get(user.output, ())
            if reader in self.number
        ]
        return list(dict.fromkeys([*direct, *through]))

    def _conversion(self, value: Value, source: Layout, target: Layout) -> float:
        if source == target:
            return 0.0
        if source.block and target.block:
            return self._conversion(value, source, DENSE) + self._conversion(value, DENSE, target)
        return self.costs.of(conversion_candidate(value.type, source, target, self.graph.backend)).ns
