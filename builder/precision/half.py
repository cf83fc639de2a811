"""``fp16`` and ``bf16`` within a bound: the fewest layers stay in float32 without which the model errs by more.

The float graph is the finished one. A *layer* is a node with work of its own and what follows it up to the next one: an
addition or an activation is stored in half only if its neighbours are. What only moves elements does as they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from ingot.builder.ir import Graph, Node
from ingot.builder.passes import half
from ingot.builder.precision.alone import alone
from ingot.builder.precision.best import TRIALS, affordable, basis_of, cost_of, summary
from ingot.builder.precision.engine import Runner
from ingot.builder.precision.layers import multiplications
from ingot.builder.precision.search import Layer, fewest
from ingot.builder.precision.trials import Bench, Trial
from ingot.builder.quantization.forms import LAYERS
from ingot.builder.quantization.request import Request
from ingot.errors import BuildError

#: the relative error of every output that is promised (docs/numerics.md)
PROMISED = {"fp16": 5e-3, "bf16": 5e-2}
#: the share of it that judged samples may show, since others do worse: calibration data, generated inputs
ON_DATA, ON_GENERATED = 0.5, 0.35
#: samples that trials are judged on, at least and at most; that the costs of layers are measured on at most
LEAST, MOST, RANKED = 2, 16, 8


def layers(graph: Graph, request: Request) -> dict[str, list[Node]]:
    """The nodes that a choice is about by the name of their layer: those in half that nobody asked for by name."""
    found: dict[str, list[Node]] = {}
    layer: dict[Node, str] = {}
    for node in half.plan(graph, replace(request, refused={})).wanted:
        before = [layer[v.producer] for v in node.inputs if v is not None and v.producer in layer]
        own = node.op.name in LAYERS or not (before or node.op.half.moves)
        if own or before:
            layer[node] = node.name if own else before[0]
        if not node.op.half.moves and request.named(node) is None:
            found.setdefault(layer[node], []).append(node)
    return found


def reference(graph: Graph) -> Runner:
    """The graph in float32."""
    return Runner(graph.copy())


@dataclass(slots=True)
class Search:
    """Finds which layers of ``graph`` stay in float32. ``max_error`` is the bound that was asked for, if one was."""

    graph: Graph
    request: Request
    max_error: float | None
    bench: Bench
    log: Callable[[str], None] | None = None
    seen: dict[frozenset[str], Trial] = field(default_factory=dict)

    def run(self) -> None:
        """Fill ``kept_out`` and ``measured`` of the request. BuildError where ``max_error`` cannot be had."""
        named = layers(self.graph, self.request)
        if not named and not half.plan(self.graph, replace(self.request, refused={})).wanted:
            return
        plain, bound = self._mixed(frozenset()), self.bound
        chosen: frozenset[str] | None = frozenset()
        costs: dict[str, Trial] = {}
        if plain.error > bound:
            costs = self._costs(named)
            ranked = [Layer(n, costs[n].error, sum(map(_work, nodes))) for n, nodes in named.items()]
            chosen = fewest(ranked, lambda names: self._holds(names, costs))
        if chosen is None:
            chosen = self._out_of_reach(frozenset(named))
        for name in sorted(chosen):
            why = f"kept in fp32: in {self.request.precision} {cost_of(costs[name])}"
            self.request.kept_out |= dict.fromkeys([node.name for node in named[name]], why)
        trial, basis = self._mixed(chosen), basis_of(self.bench.record, self.bench.samples, self._samples)
        self.request.measured = summary(trial, len(chosen), len(named), basis)
        report = f"{len(chosen)} of {len(named)} layers kept in fp32, error {trial.error:.3g}"
        report += f" (max_error {bound:.3g})"
        self.graph.report.append((self.request.precision, report))

    def _holds(self, kept: frozenset[str], costs: dict[str, Trial]) -> bool:
        """Whether the bound holds by the sum of what the other layers cost, and then on the samples.

        Errors of few roundings may cancel on few samples: what is chosen by trials alone is chosen by luck.
        """
        rest = sum(cost.error * cost.error for name, cost in costs.items() if name not in kept)
        return math.sqrt(rest) <= self.bound and self._mixed(kept).error <= self.bound

    @property
    def bound(self) -> float:
        """The largest error that samples may show."""
        if self.max_error is not None:
            return self.max_error
        return PROMISED[self.request.precision] * (ON_GENERATED if self.bench.samples.generated else ON_DATA)

    @property
    def _samples(self) -> int:
        return affordable(self.graph, TRIALS, LEAST, MOST)

    def _costs(self, named: dict[str, list[Node]]) -> dict[str, Trial]:
        plan, costs = half.plan(self.graph, replace(self.request, refused={})), {}
        samples = affordable(self.graph, len(named), LEAST, RANKED)
        for index, (name, nodes) in enumerate(named.items()):
            self._say(f"layer {index + 1} of {len(named)} alone in it")
            costs[name] = self.bench.judge("alone", partial(_alone, self.graph, plan, nodes), [name], samples)
        return costs

    def _mixed(self, names: frozenset[str]) -> Trial:
        if names not in self.seen:
            self._say(f"trial {len(self.seen) + 1}, {len(names)} layers kept in fp32")
            self.seen[names] = self.bench.judge("half", lambda: self._runner(names), names, self._samples)
        return self.seen[names]

    def _runner(self, names: Iterable[str]) -> Runner:
        named, copy = layers(self.graph, self.request), self.graph.copy()
        kept = [node.name for name in names for node in named[name]]
        half.run(copy, replace(self.request, kept_out=dict.fromkeys(kept, "-"), refused={}))
        return Runner(copy)

    def _out_of_reach(self, everything: frozenset[str]) -> frozenset[str]:
        """What is done where layers that were asked for by name cost more than the bound allows."""
        trial = self._mixed(everything)
        text = f"with all layers in fp32 but those asked for by name output `{trial.worst}` is off by {trial.error:.3g}"
        if self.max_error is not None:
            raise BuildError(f"precision {self.request.precision}: max_error {self.max_error:g} cannot be had: {text}")
        self.graph.report.append(("half", f"warning: {text}"))
        return frozenset()

    def _say(self, text: str) -> None:
        if self.log:
            self.log(f"{self.request.precision}: {text}")


def _alone(graph: Graph, plan: half.Plan, nodes: Sequence[Node]) -> Runner:
    return Runner(alone(graph, plan, nodes))


def _work(node: Node) -> int:
    return multiplications(node) if node.op.name in LAYERS else 0
