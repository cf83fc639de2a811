"""A tuning run with a measurer that answers from a table: what is measured, kept, trusted, confirmed and reported."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingot.builder.errors import CacheError
from ingot.builder.ir import Graph
from ingot.builder.tuning.cache import PLAN, TimingCache
from ingot.builder.tuning.candidates import options_of
from ingot.builder.tuning.keys import Timing
from ingot.builder.tuning.report import Report
from ingot.builder.tuning.tuner import REFINEMENTS, Request, Tuner, pooled
from ingot.errors import BuildError
from ingot.targets import get

sys.path.insert(0, str(Path(__file__).resolve().parent))
from toys import Fake, Net

#: blocks are worth two conversions in a chain of five
FAST = {
    "elementwise": 100.0,
    "elementwise blocked": 40.0,
    "strided_copy block=16": 50.0,
}
BROKEN = Fake({}, stop_after=0)  #: a machine that measures nothing


def chain(length: int = 5, functions: str = "Abs") -> Graph:
    net = Net()
    x = net.input(1, 6, 5, 32)
    for _ in range(length):
        x = net.toy(x, functions)
    return net.graph(x)


def tune(fake: Fake, graph: Graph | None = None, target: str = "cpu", **options: Any) -> tuple[Report, Graph]:
    graph = graph or chain()
    request = Request(**{"tune": True, **options})
    return Tuner(get(target), request, fake).run(graph, lambda graph: b""), graph


def tactics(graph: Graph) -> list[str]:
    return [node.tactic.key for node in graph.nodes if node.op.name == "toy"]


def with_another(graph: Graph, last: int, name: str) -> Graph:
    """All nodes with two tactics that fit anywhere, equal to the model; node ``last`` is an operator of that name."""
    for index, node in enumerate(graph.nodes):
        plain = node.op.tactics[0]
        both = (plain, replace(plain, variant="other"))
        node.op = replace(node.op, tactics=both, name=name if index == last else node.op.name)
    return graph


class TestMeasuring:
    def test_equal_problems_are_measured_once(self) -> None:
        fake = Fake(FAST)
        report, graph = tune(fake)
        assert report.measured == len(fake.seen) == 4, "two tactics, two conversions"
        assert tactics(graph) == ["elementwise blocked"] * 5

    def test_what_is_known_is_not_measured_again(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        tune(Fake(FAST), cache=path)
        before = path.read_bytes()
        fake = Fake(FAST)
        report, _ = tune(fake, cache=path)
        assert (report.measured, report.reused, fake.seen, fake.compared) == (0, 4, [], 0)
        assert path.read_bytes() == before

    def test_an_interrupt_keeps_what_was_measured(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        with pytest.raises(KeyboardInterrupt):
            tune(Fake(FAST, stop_after=2), cache=path)
        assert len(TimingCache.load(path).entries) == 2
        fake = Fake(FAST)
        tune(fake, cache=path)
        assert len(fake.seen) == 2, "it goes on from there"

    def test_other_peoples_entries_stay_in_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        tune(Fake(FAST), cache=path)
        found = TimingCache.load(path)
        foreign = {replace(key, target="gpu/1"): timing for key, timing in found.entries.items()}
        old = {replace(key, abi=key.abi + 1): timing for key, timing in found.entries.items() if key.abi}
        TimingCache(foreign | old).save(path)
        fake = Fake(FAST)
        report, _ = tune(fake, cache=path)
        assert len(fake.seen) == 4, "foreign and outdated entries were trusted"
        assert (report.outdated.targets, report.outdated.abis) == (len(foreign), len(old))
        assert TimingCache.load(path).entries.keys() >= foreign.keys() | old.keys()

    @pytest.mark.parametrize(("effort", "measured"), [(0, 0), (1, 0), (2, 4), (3, 4)])
    def test_effort(self, effort: int, measured: int) -> None:
        """The model expects blocks to be ten times slower: effort 1 leaves them out, and then there is no choice."""
        graph = chain()
        for node in graph.nodes:
            plain, blocked = node.op.tactics
            slow = replace(blocked, efficiency=lambda node, target: 0.001)
            node.op = replace(node.op, tactics=(replace(plain, efficiency=lambda node, target: 0.9), slow))
        fake = Fake(FAST)
        tune(fake, graph, effort=effort)
        assert len({(c.problem, c.tactic.key) for c in fake.seen}) == measured

    def test_near_ties_are_measured_again_at_effort_3(self) -> None:
        fake = Fake({**FAST, "elementwise blocked": 99.0})
        tune(fake, effort=3)
        assert len(fake.seen) > 4

    @pytest.mark.parametrize(("effort", "near", "far"), [(1, 1, 1), (2, 1, 1), (3, 1 + REFINEMENTS, 1)])
    def test_near_ties_alone_are_measured_again(self, effort: int, near: int, far: int) -> None:
        graph = with_another(chain(2), 1, "far")
        fake = Fake({"elementwise": 100.0, "elementwise other": 99.0, ("far", "elementwise other"): 50.0})
        _, graph = tune(fake, graph, effort=effort)
        assert Counter((c.node.op.name, c.tactic.key) for c in fake.seen) == {
            ("toy", "elementwise"): near,
            ("toy", "elementwise other"): near,
            ("far", "elementwise"): far,
            ("far", "elementwise other"): far,
        }
        assert graph.nodes[1].tactic.key == "elementwise other"

    @pytest.mark.parametrize(("effort", "chosen"), [(2, "elementwise"), (3, "elementwise other")])
    def test_effort_3_decides_what_noise_left_open(self, effort: int, chosen: str) -> None:
        fake = Fake({"elementwise": 100.0, "elementwise other": 97.0}, spread=2.0)
        _, graph = tune(fake, with_another(chain(1), 0, "toy"), effort=effort)
        assert tactics(graph) == [chosen]

    def test_pooled(self) -> None:
        found = pooled(Timing(10.0, 1.0, 30), Timing(14.0, 1.0, 10))
        assert (found.median_ns, found.spread_ns, found.samples) == (11.0, 2.0, 40)


class TestChoosing:
    def test_within_the_noise_the_default_stays(self) -> None:
        _, graph = tune(Fake({**FAST, "elementwise blocked": 75.0, "strided_copy block=16": 1.0}, spread=20.0))
        assert tactics(graph) == ["elementwise"] * 5

    def test_the_whole_program_must_be_faster_too(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        report, graph = tune(Fake(FAST, whole=(100.0, 101.0)), cache=path)
        assert report.kept_default and tactics(graph) == ["elementwise"] * 5
        assert {row["tactic"] for row in report.metadata()} == {"elementwise"}
        report, graph = tune(BROKEN, cache=path, tune=False)
        assert report.kept_default and tactics(graph) == ["elementwise"] * 5, "the comparison is in the cache"

    def test_no_fast_math(self) -> None:
        graph = chain(1)
        (node,) = graph.nodes
        quick = replace(node.op.tactics[0], variant="quick", numerics="fast")
        node.op = replace(node.op, tactics=(node.op.tactics[0], quick))
        fake = Fake({"elementwise": 100.0, "elementwise quick": 1.0})
        tune(fake, graph.copy(), fast_math=False)
        assert not fake.seen, "nothing to choose from"
        _, graph = tune(fake, graph)
        assert tactics(graph) == ["elementwise quick"]

    def test_without_times_only_a_clear_model_speaks(self) -> None:
        def found(target: str, share: float, **options: Any) -> list[str]:
            graph = chain(1)
            (node,) = graph.nodes
            plain = replace(node.op.tactics[0], efficiency=lambda node, target: 0.5)
            other = replace(plain, variant="other", efficiency=lambda node, target: share)
            node.op = replace(node.op, tactics=(plain, other))
            return tactics(tune(BROKEN, graph, target, tune=False, **options)[1])

        assert found("cpu-x86-64-v4", 0.9) == ["elementwise other"]
        assert found("cpu-x86-64-v4", 0.52) == ["elementwise"], "not clearly"
        assert found("cpu", 0.9) == ["elementwise"], "a target that gives no figures has no opinion"

    def test_a_guess_never_replaces_a_measured_default(self) -> None:
        def with_guess(graph: Graph) -> Graph:
            (node,) = graph.nodes
            plain = replace(node.op.tactics[0], efficiency=lambda node, target: 0.01)
            guess = replace(plain, variant="guess", efficiency=lambda node, target: 0.9)
            node.op = replace(node.op, tactics=(plain, guess))
            return graph

        tuner = Tuner(get("cpu-x86-64-v4"), Request(), BROKEN)
        graph = with_guess(chain(1))
        (_, default), (_, other) = tuner.wanted(options_of(graph))
        assert other.tactic.variant == "guess"
        tuner.costs.timings[tuner.costs.key(default)] = Timing(100.0, 1.0, 9)
        tuner.run(graph, lambda graph: b"")
        assert tactics(graph) == ["elementwise"]


class TestCacheOnly:
    def test_a_machine_that_measures_nothing_chooses_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        first, tuned = tune(Fake(FAST), cache=path)
        for only in (False, True):
            second, graph = tune(BROKEN, cache=path, tune=False, cache_only=only)
            assert str(graph) == str(tuned) and tactics(graph) == tactics(tuned)
            assert second.metadata() == first.metadata()

    def test_a_miss_names_layer_and_problem(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        tune(Fake(FAST), cache=path)
        found = TimingCache.load(path)
        found.entries = {k: t for k, t in found.entries.items() if k.tactic != "elementwise blocked"}
        found.save(path)
        with pytest.raises(BuildError, match=r"no time of elementwise blocked for layer n0: toy\(f32\[1x6x5x32\]\)"):
            tune(BROKEN, cache=path, tune=False, cache_only=True)
        assert tactics(tune(BROKEN, cache=path, tune=False)[1]) == ["elementwise"] * 5

    def test_times_for_other_threads_are_no_times(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        tune(Fake(FAST), cache=path)
        with pytest.raises(BuildError, match=r"2 thread\(s\)"):
            tune(BROKEN, cache=path, tune=False, cache_only=True, threads=2)

    @pytest.mark.parametrize("tuning", [False, True])
    def test_a_damaged_cache_is_refused_and_kept(self, tmp_path: Path, tuning: bool) -> None:
        path = tmp_path / "t.timings"
        path.write_text("ingot timing cache 1\nnonsense\n")
        with pytest.raises(CacheError, match=":2: damaged"):
            tune(Fake(FAST), cache=path, tune=tuning)
        assert path.read_text() == "ingot timing cache 1\nnonsense\n"

    def test_bad_requests(self, tmp_path: Path) -> None:
        with pytest.raises(BuildError, match="No such file"):
            tune(BROKEN, cache=tmp_path / "none", tune=False)
        for options in ({"effort": 4}, {"cache_only": True}, {"cache_only": True, "cache": "x"}):
            with pytest.raises(BuildError):
                tune(BROKEN, **options)


class TestReport:
    def test_metadata_has_no_times(self) -> None:
        slow, _ = tune(Fake({key: ns * 3 for key, ns in FAST.items()}))
        fast, _ = tune(Fake(FAST))
        assert slow.metadata() == fast.metadata()
        assert fast.metadata()[0] == {
            "layer": "n0",
            "tactic": "elementwise blocked",
            "why": "measured",
            "runner_up": "elementwise",
        }

    def test_text_and_json(self) -> None:
        report, _ = tune(Fake(FAST))
        text = "\n".join(report.text())
        assert "4 candidates measured" in text and "(2.000 times as fast, +- 2.0%)" in text
        assert "n0: elementwise blocked (measured: 0.0 us; elementwise 0.1 us)" in text
        found = json.loads(json.dumps(report.json()))
        assert found["expected_ns"] == 5 * 40 + 100 and found["default_ns"] == 500
        assert found["steps"][0]["candidates"]["elementwise"]["median_ns"] == 100

    def test_the_cache_holds_the_comparison(self, tmp_path: Path) -> None:
        path = tmp_path / "t.timings"
        tune(Fake(FAST), cache=path)
        plans = [k for k in TimingCache.load(path).entries if k.tactic.startswith(f"{PLAN} ")]
        assert len(plans) == 2 and len({key.problem for key in plans}) == 1
