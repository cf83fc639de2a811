"""Plans whose packed constants stay within bounds: some tactics store weights transformed, and larger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ingot.builder.ir import Graph, Node
from ingot.builder.tuning.candidates import Option
from ingot.builder.tuning.choose import Choice, Plan, choose
from ingot.builder.tuning.costs import Costs
from ingot.kernels.spec import Tactic

#: how many times the bytes of the constants that the defaults store
LIMIT = 2.0


class _Sizes:
    """Bytes of a node's constants as a tactic stores them; equal nodes are looked at once."""

    def __init__(self) -> None:
        self.known: dict[tuple, int] = {}

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


def choose_within(graph: Graph, options: Mapping[Node, Sequence[Option]], costs: Costs, limit: float = LIMIT) -> Plan:
    """The cheapest options, and where those store more than ``limit`` times what the defaults do: without the ones that
    save the least time a byte."""
    left, sizes = dict(options), _Sizes()
    while True:
        plan = choose(graph, left, costs)
        usual = sum(sizes.of(choice.node, choice.default.tactic) for choice in plan.choices)
        growing = [(choice, sizes.growth(choice, choice.option)) for choice in plan.choices]
        excess = sum(more for _, more in growing) - (limit - 1) * usual
        if excess <= 0:
            return plan
        growing = [(choice, more) for choice, more in growing if more > 0]
        growing.sort(key=lambda pair: (costs.of(pair[0].default.candidate).ns - pair[0].cost.ns) / pair[1])
        for choice, more in growing:
            left[choice.node] = [o for o in left[choice.node] if sizes.growth(choice, o) < more]
            excess -= more
            if excess <= 0:
                break
