"""``precision="best"``: int8 but for the fewest layers without which the model's error stays under a bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from ingot.builder.ir import Graph
from ingot.builder.precision.corrected import Corrector
from ingot.builder.precision.engine import mixed_runner
from ingot.builder.precision.layers import candidates, multiplications
from ingot.builder.precision.record import Record
from ingot.builder.precision.samples import Judged
from ingot.builder.precision.search import Layer, fewest
from ingot.builder.precision.sqnr import measurable, node_sqnr
from ingot.builder.precision.trials import Bench, Trial
from ingot.builder.quantization.forms import LAYERS
from ingot.builder.quantization.request import Request
from ingot.errors import BuildError

#: relative error of the outputs that is allowed when nothing is said
MAX_ERROR = 0.02
#: the most samples: that trials are judged on, without and with labels; that layers are ranked on; for SQNR; for biases
JUDGED, LABELLED, RANKED, SQNR, CORRECTED = 64, 512, 16, 8, 64
#: memory that samples and the float outputs may take
MOST_BYTES = 512 << 20
#: multiplications that all trials of one kind may take: larger models are judged on fewer samples
WORK = 128e9
#: trials that a search is expected to take
TRIALS = 16

GENERATED = "generated inputs"

Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What was asked for: the relative error of every output, and the points of top-1 accuracy that may be lost."""

    max_error: float | None = None
    max_drop: float | None = None

    def __post_init__(self) -> None:
        if self.max_error is not None and not 0 < self.max_error < math.inf:
            raise BuildError(f"max_error {self.max_error!r}: give a number above 0, e.g. 0.02 for 2%")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise BuildError(f"max_accuracy_drop {self.max_drop!r}: give points of top-1 accuracy, from 0 to 100")

    def hold(self, trial: Trial) -> bool:
        """Whether a trial is within them."""
        return (self.max_error is None or trial.error <= self.max_error) and (
            self.max_drop is None or trial.drop <= self.max_drop
        )

    def excess(self, trial: Trial) -> float:
        """How far a trial is off, for finding the best of several: the larger, the worse."""
        return trial.drop if self.max_drop is not None and trial.drop > self.max_drop else trial.error


def bounds(max_error: float | None, max_drop: float | None) -> Bounds:
    """As given; an error of :data:`MAX_ERROR` when nothing is."""
    return Bounds(MAX_ERROR if max_error is None and max_drop is None else max_error, max_drop)


def judges(graph: Graph, wanted: Bounds, labels: Sequence[Any] | None, generated: bool) -> Judged:
    """Keeps as many samples as will be judged on, and fit into :data:`MOST_BYTES`."""
    most = LABELLED if wanted.max_drop is not None else affordable(graph, TRIALS, 8, JUDGED)
    return Judged(min(most, fitting(graph)), labels, generated)


@dataclass(slots=True)
class Search:
    """Finds which layers of a graph stay out of int8, by trials. ``means`` gives the means of channels for biases.

    A trial of some layers corrects biases by ``means``, which hold for any choice of layers; the choice that is made is
    tried again with what samples show of it (``corrector``), which is better and takes longer. Both are None where
    biases stay as they are.
    """

    graph: Graph
    request: Request
    wanted: Bounds
    bench: Bench
    means: Callable[[], Mapping[str, np.ndarray]] | None
    corrector: Corrector | None
    log: Log | None = None
    seen: dict[tuple[str, frozenset[str]], Trial] = field(default_factory=dict)

    def run(self) -> tuple[frozenset[str], Trial, dict[str, Trial]]:
        """The layers kept out, how the engine does, and what each layer costs alone, if that was looked at.

        The request gets the corrections that belong to the choice. Raises BuildError, naming the best that was reached,
        when no choice stays within the bounds.
        """
        layers = candidates(self.graph, self.request)
        plain = self._trial("int8", lambda: self.request, frozenset())
        if self.wanted.hold(plain):
            return frozenset(), plain, {}
        if self.means is not None:
            self.request.corrections, self.request.means = {}, self.means()
        costs = self._costs(list(layers))
        macs = {name: sum(map(multiplications, nodes)) for name, nodes in layers.items()}
        ranked = [Layer(name, costs[name].error, macs[name]) for name in layers]
        chosen = fewest(ranked, lambda names: bool(names) and self.wanted.hold(self._mixed(names)))
        if chosen is None:
            raise unreachable(self.wanted, self.seen, len(layers))
        trial = self._mixed(chosen)
        if self.corrector is not None:
            chosen, trial = self._corrected(sorted(chosen, key=lambda name: (costs[name].error, name)), trial)
        return chosen, trial, costs

    def _costs(self, layers: list[str]) -> dict[str, Trial]:
        samples = affordable(self.graph, len(layers), 2, RANKED)
        costs = {}
        alone = replace(self.request, fallback="fp32")  # nothing but the layer is to cost anything
        for index, name in enumerate(layers):
            if self.log:
                self.log(f"best: layer {index + 1} of {len(layers)} alone in int8")
            others = [other for other in layers if other != name]
            make = partial(mixed_runner, self.graph, alone, others)
            costs[name] = self.bench.judge("alone", make, others, samples)
        return costs

    def _mixed(self, names: frozenset[str]) -> Trial:
        return self._trial("mixed", lambda: self.request, names)

    def _trial(self, kind: str, make: Callable[[], Request], names: frozenset[str]) -> Trial:
        if (kind, names) not in self.seen:
            if self.log:
                self.log(f"best: trial {len(self.seen) + 1}, {len(names)} layers kept out of int8")
            self.seen[kind, names] = self.bench.judge(kind, lambda: mixed_runner(self.graph, make(), names), names)
        return self.seen[kind, names]

    def _corrected(self, order: list[str], trial: Trial) -> tuple[frozenset[str], Trial]:
        """With corrected biases: as few of the layers, which come in the order of their costs, as then do."""

        def with_biases(back: int) -> Trial:
            names = frozenset(order[back:])
            return self._trial("corrected", lambda: self.corrector.correct(self.request, names), names)

        if not self.wanted.hold(with_biases(0)):
            return frozenset(order), trial
        low, high = 0, len(order)  # so many go back to int8: `low` do, `high` would be too many
        while high - low > 1:
            middle = (low + high) // 2
            if self.wanted.hold(with_biases(middle)):
                low = middle
            else:
                high = middle
        names = frozenset(order[low:])
        corrected = self.corrector.correct(self.request, names, settled=True)
        self.request.corrections, self.request.means = corrected.corrections, corrected.means
        return names, with_biases(low)


def choose(search: Search) -> None:
    """Fill ``kept_out``, ``sqnr`` and ``measured`` of the request, for a graph that stays as it is."""
    graph, request, record, judged = search.graph, search.request, search.bench.record, search.bench.samples
    request.sqnr = measured_sqnr(graph, request, record, judged)
    chosen, trial, costs = search.run()
    layers = candidates(graph, request)
    why = f"kept in {request.fallback} by best"
    request.kept_out = {name: f"{why}: {cost_of(costs[name])}" for name in layers if name in chosen}
    request.measured = summary(trial, len(chosen), len(layers), basis_of(record, judged))
    report = f"{len(chosen)} of {len(layers)} layers kept in {request.fallback}, error {trial.error:.3g}"
    graph.report.append(("best", report))


def measured_sqnr(graph: Graph, request: Request, record: Record, judged: Judged) -> dict[tuple[str, ...], float]:
    """SQNR on samples by the ONNX nodes that a node does the work of."""

    def measure() -> dict[str, float]:
        return node_sqnr(graph, request, [item.arrays for item in judged.take(SQNR)])

    return by_source(graph, record.get("sqnr", [], measurable(graph, request), measure))


def by_source(graph: Graph, found: dict[str, float]) -> dict[tuple[str, ...], float]:
    """From names of results to the ONNX nodes behind them; the least of several nodes of one."""
    rows: dict[tuple[str, ...], float] = {}
    for node in graph.nodes:
        name = node.outputs[0].name
        if name in found and node.source:
            rows[node.source] = min(rows.get(node.source, math.inf), found[name])
    return rows


def correction_samples(graph: Graph) -> int:
    """How many samples biases are corrected on."""
    return affordable(graph, 4 * TRIALS, 8, CORRECTED)


def fitting(graph: Graph) -> int:
    """How many samples, with their outputs, fit into :data:`MOST_BYTES`."""
    size = sum(value.type.nbytes for value in [*graph.inputs, *graph.outputs])
    return max(MOST_BYTES // max(size, 1), 1)


def affordable(graph: Graph, trials: int, least: int, most: int) -> int:
    """How many samples so many trials may take."""
    macs = sum(multiplications(node) for node in graph.nodes if node.op.name in LAYERS)
    return int(min(max(WORK // max(macs * max(trials, 1), 1), least), most))


def cost_of(cost: Trial) -> str:
    """What the ledger says of the cost of a layer."""
    return f"alone it costs {cost.error:.2g} of the output `{cost.worst}`"


def basis_of(record: Record, judged: Judged, most: int | None = None) -> dict[str, float]:
    """On how many samples was judged, and whether they were generated."""

    def basis() -> dict[str, float]:
        return {"samples": float(len(judged.take(most))), "generated": float(judged.generated)}

    return record.get("basis", [], ["samples", "generated"], basis)


def summary(trial: Trial, kept: int, layers: int, basis: dict[str, float]) -> dict[str, Any]:
    """What the metadata say of the choice."""
    on = GENERATED if basis["generated"] else "calibration data"
    said: dict[str, Any] = {"on": on, "samples": int(basis["samples"])}
    said |= {"kept_out": kept, "layers": layers}
    said["errors"] = {name: error for name, error in trial.errors.items() if math.isfinite(error)}
    return said if trial.drop is None else said | {"accuracy_drop": trial.drop}


def unreachable(wanted: Bounds, seen: Mapping[tuple[str, frozenset[str]], Trial], layers: int) -> BuildError:
    """What to say when no trial was within the bounds."""
    (_, names), best = min(seen.items(), key=lambda entry: (wanted.excess(entry[1]), sorted(entry[0][1])))
    asked, reached = [], []
    if wanted.max_error is not None:
        asked.append(f"max_error {wanted.max_error:g}")
        reached.append(f"an error of {best.error:.3g} (output `{best.worst}`)")
    if wanted.max_drop is not None:
        asked.append(f"max_accuracy_drop {wanted.max_drop:g}")
        reached.append(f"{best.drop:.3g} points of top-1 lost")
    return BuildError(
        f"precision best: {' and '.join(asked)} cannot be had: the best that was reached is {' and '.join(reached)}, "
        f"with {len(names)} of {layers} layers out of int8. Allow more, or ask for int8 in fewer layers"
    )
