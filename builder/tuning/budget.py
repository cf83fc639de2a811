"""Plans whose weights stay in bounds: some tactics store them transformed, and larger, or let contexts do it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingot.builder.ir import Graph, Node
from ingot.builder.tuning.candidates import Option
from ingot.builder.tuning.choose import Choice, Plan, choose
from ingot.builder.tuning.costs import Costs
from ingot.kernels.spec import Tactic


@dataclass(frozen=True, slots=True)
class Limits:
    """How large weights may become.

    ``stored``: how many times the bytes of the constants that the defaults store. ``made``: the bytes that a context
    makes for itself, which take time when it is made and memory of each: what is worth it fits into caches.
    """

    stored: float = 2.0
    made: int = 4 << 20


@dataclass
class _Sizes:
    """Bytes of a node's constants as a tactic stores them, and what contexts make of them; equal nodes are looked at
    once."""

    known: dict[tuple, int] = field(default_factory=dict)

    def of(self, node: Node, tactic: Tactic) -> int:
        kinds = tuple(v.type if v is not None and v.is_constant else None for v in node.inputs)
        key = (node.op.name, repr(node.attrs), kinds, tactic.key)
        if key not in self.known:
            self.known[key] = sum(
                tactic.pack[i](node, v.data).nbytes if i in tactic.pack else v.type.nbytes
                for i, v in enumerate(node.inputs)
                if v is not None and v.is_constant
            )
        return self.known[key]

    def growth(self, choice: Choice, option: Option) -> int:
        """Bytes beyond those of the default; what absorbs or is absorbed stores the same as the kernels it replaces."""
        if option.tactic is None or option.absorbs:
            return 0
        return self.of(choice.node, option.tactic) - self.of(choice.node, choice.default.tactic)

    def made(self, choice: Choice, option: Option) -> int:
        """Bytes that a context makes."""
        return 0 if option.tactic is None or option.absorbs else option.tactic.made(choice.node)


def choose_within(graph: Graph, options: Mapping[Node, Sequence[Option]], costs: Costs, limits: Limits) -> Plan:
    """The cheapest options, and where those need more than ``limits``: without the ones that save the least time a
    byte."""
    left, sizes = dict(options), _Sizes()
    while True:
        plan = choose(graph, left, costs)
        usual = sum(sizes.of(choice.node, choice.default.tactic) for choice in plan.choices)
        dropped = [
            *_beyond(plan, sizes.growth, (limits.stored - 1) * usual, costs),
            *_beyond(plan, sizes.made, limits.made, costs),
        ]
        if not dropped:
            return plan
        for choice, need, size in dropped:
            left[choice.node] = [o for o in left[choice.node] if size(choice, o) < need]


def _beyond(
    plan: Plan, size: Callable[[Choice, Option], int], room: float, costs: Costs
) -> Iterator[tuple[Choice, int, Callable[[Choice, Option], int]]]:
    """The choices for which there is no room, those that save the least time a byte first: with their bytes, and how
    these are counted."""
    needs = [(choice, size(choice, choice.option)) for choice in plan.choices]
    excess = sum(need for _, need in needs) - room
    needs = [(choice, need) for choice, need in needs if need > 0]
    needs.sort(key=lambda pair: (costs.of(pair[0].default.candidate).ns - pair[0].cost.ns) / pair[1])
    for choice, need in needs:
        if excess <= 0:
            return
        yield choice, need, size
        excess -= need
