"""Tactics for one build: candidates, what is known of their times, what has to be measured, the plan, its proof."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ingot._kernel import kernels
from ingot.builder.ir import Graph, Node
from ingot.builder.tuning import apply
from ingot.builder.tuning.budget import Limits, choose_within
from ingot.builder.tuning.cache import PLAN, Outdated, TimingCache, as_kept, usable
from ingot.builder.tuning.candidates import ABSORBED, Option, options_of, unique
from ingot.builder.tuning.choose import Plan, conversions, defaults
from ingot.builder.tuning.costs import Cost, Costs
from ingot.builder.tuning.keys import Candidate, Key, Timing, fingerprint, named
from ingot.builder.tuning.report import Report
from ingot.builder.tuning.roofline import Roofline
from ingot.errors import BuildError
from ingot.targets import Target

#: candidates that the model expects to take more than this many times as long as the best are not measured (effort 1)
WITHIN = 2.0
#: candidates this near the chosen one are measured again (effort 3), so many times
NEAR, REFINEMENTS = 1.05, 2
#: seconds between two writes of the cache while measuring
SAVE_SECONDS = 5.0
EFFORTS = range(4)

Log = Callable[[str], None]
#: a graph whose tactics are chosen -> the bytes of its engine
Compile = Callable[[Graph], bytes]


@dataclass(frozen=True, slots=True)
class Request:
    """How tactics are to be chosen.

    ``effort``: 0 by the model alone, 1 measure what the model says is within twice the best, 2 measure all, 3 measure
    near ties again. ``cache`` is read when it is there and, with ``tune``, written. ``cache_only``: what is not in it
    is an error. ``threads`` is what the engine will run with.
    """

    tune: bool = False
    effort: int = 1
    cache: str | os.PathLike[str] | None = None
    cache_only: bool = False
    fast_math: bool = True
    threads: int = 1

    def check(self) -> None:
        """:class:`BuildError` for requests that contradict themselves."""
        if self.effort not in EFFORTS:
            raise BuildError(f"effort {self.effort!r}: use 0 to {EFFORTS[-1]}")
        if self.cache_only and self.cache is None:
            raise BuildError("timing_cache_only needs a timing_cache")
        if self.cache_only and self.tune:
            raise BuildError("timing_cache_only measures nothing: leave tune out")


class Measurer(Protocol):
    """Measures on this machine."""

    def remark(self) -> str:
        """A line about this machine, which begins with "#"."""

    def steps(
        self, candidates: Sequence[Candidate], target: Target, threads: int, between_bytes: int, log: Log | None
    ) -> Iterator[Mapping[Key, Timing]]:
        """Times of the candidates, problem by problem as they are done; those of one problem compare."""

    def programs(self, engines: Sequence[bytes], threads: int) -> Sequence[Timing]:
        """Times of whole engines, measured in turns."""


class Tuner:
    """Chooses the tactics of graphs for one target. :class:`BuildError` when the cache cannot be used."""

    def __init__(self, target: Target, request: Request, measurer: Measurer, log: Log | None = None) -> None:
        request.check()
        if target.backend != "cpu":
            request = replace(request, threads=1)  # the device does the work
        self.target, self.request, self.measurer, self.log = target, request, measurer, log
        self.name = fingerprint(target)
        self.abis = {info.name: info.abi for info in kernels().values()}
        self.model = Roofline.of(target)
        self.cache, self.outdated = TimingCache(), Outdated()
        if request.cache is not None and (os.path.exists(request.cache) or not request.tune):
            self.cache = TimingCache.load(request.cache)
        timings, self.outdated = usable(self.cache, self.abis, {self.name})
        self.costs = Costs(self.model, self.name, request.threads, self.abis, timings)
        self._saved = time.monotonic()

    def run(self, graph: Graph, compile: Compile) -> Report:
        """Give the graph its tactics, in place. ``compile`` builds copies of it, to compare them as wholes."""
        start = time.perf_counter()
        options = options_of(graph, fast_math=self.request.fast_math)
        wanted = self.wanted(options)
        reused = sum(self.costs.timing(candidate) is not None for _, candidate in wanted)
        if self.request.cache_only:
            self._require(wanted)
        lost = {c.problem for _, c in wanted if self.costs.timing(c) is None}
        missing = [c for _, c in wanted if c.problem in lost] if self._measures else []  # whole problems: they compare
        between = _touched(graph)
        measured = self._measure(missing, between)
        plan = self._plan(graph, options)
        for _ in range(REFINEMENTS if self._measures and self.request.effort == 3 else 0):
            measured += self._measure(self._near(plan, options), between, again=True)
            plan = self._plan(graph, options)
        report = Report(plan, self.outdated, measured, reused)
        self._confirm(graph, report, compile)
        apply.run(graph, report.plan.tactics())
        report.tried = self._tried(options)
        report.seconds = time.perf_counter() - start
        return report

    @property
    def _measures(self) -> bool:
        return self.request.tune and self.request.effort > 0

    def wanted(self, options: Mapping[Node, Sequence[Option]]) -> list[tuple[Node, Candidate]]:
        """The candidates to be measured, each once, with the first node that has it."""
        if self.request.effort == 0:
            return []
        found: dict[tuple[str, str], tuple[Node, Candidate]] = {}
        for node, choices in options.items():
            near = self._near_best(choices)
            if len(near) > 1 or ABSORBED in choices:
                for candidate in [option.candidate for option in near] + conversions(node, near, self.target.backend):
                    found.setdefault((candidate.problem, candidate.tactic.key), (node, candidate))
        return list(found.values())

    def _near_best(self, choices: Sequence[Option]) -> list[Option]:
        """The default, and what the model expects to be nearly as good as the best, or all with more effort."""
        steps = [option for option in choices if option.tactic and option.tactic.kernel]
        guesses = [self.model.ns(option.candidate.node) for option in steps]
        limit = WITHIN * min(guesses, default=0.0) if self.request.effort == 1 else math.inf
        return [option for option, ns in zip(steps, guesses) if ns <= limit or option is choices[0]]

    def _require(self, wanted: Iterable[tuple[Node, Candidate]]) -> None:
        lost = [(node, candidate) for node, candidate in wanted if self.costs.timing(candidate) is None]
        if lost:
            node, candidate = lost[0]
            more = f" ({len(lost) - 1} more)" if len(lost) > 1 else ""
            raise BuildError(
                f"{os.fspath(self.request.cache)}: no time of {candidate.tactic.key} for layer {node.name}: "
                f"{candidate.problem}, {self.request.threads} thread(s), target {self.name}{more}; "
                "ingot tune measures what is missing"
            )

    def _plan(self, graph: Graph, options: Mapping[Node, Sequence[Option]]) -> Plan:
        every = [option.candidate for choices in options.values() for option in choices if option.candidate]
        self.costs.calibrate(candidate for group in unique(every).values() for candidate in group)
        return choose_within(graph, options, self.costs, Limits())

    def _measure(self, candidates: Sequence[Candidate], between: int, *, again: bool = False) -> int:
        """Measure them, keep what was measured whatever happens; how many there were."""
        count = 0
        if not candidates:
            return count
        try:
            for times in self.measurer.steps(candidates, self.target, self.request.threads, between, self.log):
                self.cache.remarks.add(self.measurer.remark())
                for key, timing in times.items():
                    before = self.costs.timings.get(key)
                    self._keep(key, pooled(before, timing) if again and before else timing)
                count += len(times)
                if time.monotonic() - self._saved > SAVE_SECONDS:
                    self._save()
        finally:
            if count:
                self._save()
        return count

    def _keep(self, key: Key, timing: Timing) -> None:
        self.costs.timings[key] = self.cache.entries[key] = as_kept(timing)

    def _save(self) -> None:
        if self.request.cache is not None and self.request.tune:
            self.cache.save(self.request.cache)
            self._saved = time.monotonic()

    def _near(self, plan: Plan, options: Mapping[Node, Sequence[Option]]) -> list[Candidate]:
        """The measured candidates of steps where another is nearly as good as what was chosen."""
        found = []
        for choice in plan.choices:
            costs = [(o.candidate, self.costs.of(o.candidate)) for o in options[choice.node] if o.candidate]
            limit = choice.cost.ns * NEAR
            near = [candidate for candidate, cost in costs if cost.timing and cost.ns <= limit]
            found += near if len(near) > 1 else []
        return [candidate for group in unique(found).values() for candidate in group]

    def _confirm(self, graph: Graph, report: Report, compile: Compile) -> None:
        """Keep the default plan where the chosen one, as a whole, is not faster by more than noise."""
        if report.plan.is_default:
            return
        usual = defaults(report.plan, self.costs)
        keys = [self._plan_key(plan) for plan in (usual, report.plan)]
        if self._measures and any(key not in self.costs.timings for key in keys):
            if self.log:
                self.log("comparing the whole program with its default tactics")
            engines = [compile(_with(graph, plan)) for plan in (usual, report.plan)]
            for key, timing in zip(keys, self.measurer.programs(engines, self.request.threads)):  # or none
                self._keep(key, timing)
            self._save()
        found = [self.costs.timings.get(key) for key in keys]
        if None in found:
            return
        report.default, report.chosen = found
        default, chosen = (Cost(timing.median_ns, timing) for timing in found)
        if not chosen.replaces(default):
            report.kept_default = True
            report.plan = usual

    def _plan_key(self, plan: Plan) -> Key:
        """The key of a whole program: a digest of its problems, and one of the tactics and their kernels' abis."""
        problems, tactics = [], []
        for choice in plan.choices:
            problems.append(choice.default.candidate.problem)
            option = choice.option
            tactics.append(self._described(option.candidate) if option.tactic else "")
        names = [hashlib.sha256("\n".join(each).encode()).hexdigest()[:16] for each in (problems, tactics)]
        return Key(self.name, f"program {names[0]}", f"{PLAN} {names[1]}", 0, self.request.threads)

    def _described(self, candidate: Candidate) -> str:
        name = named(candidate.tactic, candidate.node, self.target)
        return f"{name} {self.abis.get(candidate.tactic.kernel, 0)}"

    def _tried(self, options: Mapping[Node, Sequence[Option]]) -> dict[str, dict[str, Cost]]:
        found: dict[str, dict[str, Cost]] = {}
        for choices in options.values():
            known = {o.candidate.tactic.key: self.costs.of(o.candidate) for o in choices if o.candidate}
            found.setdefault(choices[0].candidate.problem, known)
        return found


def pooled(one: Timing, other: Timing) -> Timing:
    """Two measurements of one thing as one: means weighted by samples, and the spread that they leave."""
    total = one.samples + other.samples
    shares = one.samples / total, other.samples / total
    median = shares[0] * one.median_ns + shares[1] * other.median_ns
    spread = ((shares[0] * one.spread_ns) ** 2 + (shares[1] * other.spread_ns) ** 2) ** 0.5
    return Timing(median, max(spread, abs(one.median_ns - other.median_ns) / 2), total)


def _with(graph: Graph, plan: Plan) -> Graph:
    """A copy of the graph with the plan's tactics."""
    number = {node: i for i, node in enumerate(graph.nodes)}
    twin = graph.copy()
    apply.run(twin, {twin.nodes[number[node]]: tactic for node, tactic in plan.tactics().items()})
    return twin


def _touched(graph: Graph) -> int:
    """About how many bytes a run of the model touches: its constants, and the largest step's operands."""
    constants = sum(value.type.nbytes for value in graph.constants())
    steps = (sum(v.type.nbytes for v in [*n.inputs, *n.outputs] if v and not v.is_constant) for n in graph.nodes)
    return constants + max(steps, default=0)
