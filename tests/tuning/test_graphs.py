"""Tactics of whole graphs: layouts are converted as seldom as pays, producers absorbed by all readers or by none."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingot._kernel import kernels
from ingot.builder import lower
from ingot.builder.ir import Graph, Value
from ingot.builder.tuning import apply
from ingot.builder.tuning.candidates import ABSORBED, options_of
from ingot.builder.tuning.choose import Plan, choose, conversions
from ingot.builder.tuning.costs import Costs
from ingot.builder.tuning.keys import Key, Timing
from ingot.builder.tuning.problem import problem_of
from ingot.builder.tuning.roofline import Roofline
from ingot.builder.verify import GraphError, verify
from ingot.builder.writer import Variant, write_engine
from ingot.kernels.elementwise.op import Program, single
from ingot.kernels.spec import DENSE, DType
from ingot.targets import get

sys.path.insert(0, str(Path(__file__).resolve().parent))
from toys import BLOCKS, Net, array

import ingot

CPU = get("cpu")
ABIS = {info.name: info.abi for info in kernels().values()}


def plan_of(graph: Graph, times: dict[str, float], spread: float = 0.0) -> Plan:
    """The plan with these times by tactic key; conversions are "into" and "out", all else takes 100 ns."""
    options = options_of(graph)
    costs = Costs(Roofline.of(CPU), "here", 1, ABIS, {})
    candidates = [option.candidate for choices in options.values() for option in choices if option.candidate]
    between = [each for node, choices in options.items() for each in conversions(node, choices, graph.backend)]
    for candidate in [*candidates, *between]:
        key = candidate.tactic.key
        if candidate.node.op.name == "reorder":
            key = "into" if candidate.node.attrs.target.block else "out"
        costs.timings[costs.key(candidate)] = Timing(times.get(key, 100.0), spread, 9)
    return choose(graph, options, costs)


def applied(graph: Graph, plan: Plan) -> Graph:
    apply.run(graph, plan.tactics())
    verify(graph)
    return graph


def results(graph: Graph) -> list[np.ndarray]:
    """What an engine of the graph computes for fixed inputs."""
    kinds = [value.type for value in graph.inputs]
    program = lower(graph, "net", [f"y{i}" for i in range(len(graph.outputs))])
    engine = ingot.load(write_engine([Variant("cpu", [program])], {}, {n: (abi, size(n)) for n, abi in ABIS.items()}))
    found = engine.context().run({v.name: array(kind, i) for i, (v, kind) in enumerate(zip(graph.inputs, kinds))})
    return [found[f"y{i}"] for i in range(len(graph.outputs))]


def size(name: str) -> int:
    return kernels()[name].params_size


def chain(length: int) -> Graph:
    net = Net()
    x = net.input(1, 6, 5, 32)
    for function in ["Abs", "Neg", "Exp", "Tanh", "Sqrt"][:length]:
        x = net.toy(x, function)
    return net.graph(x)


BLOCKED = "elementwise blocked"


class TestLayouts:
    def test_a_long_chain_is_worth_two_conversions(self) -> None:
        times = {BLOCKED: 60.0, "into": 70.0, "out": 70.0}
        graph = chain(5)
        plan = plan_of(graph, times)
        assert plan.ns == 5 * 60 + 140 == plan.bound and plan.default_ns == 500
        applied(graph, plan)
        assert [node.op.name for node in graph.nodes] == ["reorder", *["toy"] * 5, "reorder", "reshape"]
        assert graph.nodes[3].inputs[0].layout == BLOCKS and graph.outputs[0].layout == DENSE

    def test_a_short_one_is_not(self) -> None:
        plan = plan_of(chain(3), {BLOCKED: 60.0, "into": 70.0, "out": 70.0})
        assert plan.is_default and plan.ns == 300

    @pytest.mark.parametrize("length", [1, 2, 5])
    def test_results_are_those_of_the_defaults(self, length: int) -> None:
        wanted, graph = results(chain(length)), chain(length)
        applied(graph, plan_of(graph, {BLOCKED: 1.0, "into": 2.0, "out": 2.0}))
        for got, want in zip(results(graph), wanted, strict=True):
            assert got.tobytes() == want.tobytes()

    def test_readers_share_a_conversion(self) -> None:
        """Three readers of an input: one conversion pays for all of them; for a single one it would not."""

        def fan(readers: int) -> Graph:
            net = Net()
            x = net.input(1, 4, 16)
            return net.graph(*(net.toy(x, function) for function in ["Abs", "Neg", "Exp"][:readers]))

        times = {BLOCKED: 10.0, "into": 150.0, "out": 20.0}
        assert plan_of(fan(1), times).is_default
        graph = fan(3)
        plan = plan_of(graph, times)
        assert plan.ns == 150 + 3 * (10 + 20)
        wanted = results(fan(3))
        applied(graph, plan)
        assert sum(node.op.name == "reorder" and node.attrs.target == BLOCKS for node in graph.nodes) == 1
        for got, want in zip(results(graph), wanted, strict=True):
            assert got.tobytes() == want.tobytes()

    def test_a_result_read_in_both_layouts(self) -> None:
        net = Net()
        x = net.toy(net.toy(net.input(2, 3, 16), "Abs"), "Tanh")
        graph = net.graph(net.toy(x, "Neg"), x)
        wanted = results(graph.copy())
        applied(graph, plan_of(graph, {BLOCKED: 1.0, "into": 2.0, "out": 2.0}))
        assert all(value.layout == DENSE for value in graph.outputs)
        for got, want in zip(results(graph), wanted, strict=True):
            assert got.tobytes() == want.tobytes()

    def test_channels_that_blocks_do_not_divide(self) -> None:
        net = Net()
        graph = net.graph(net.toy(net.input(1, 4, 24)))
        assert [len(choices) for choices in options_of(graph).values()] == [1]

    def test_the_verifier_sees_a_missing_conversion(self) -> None:
        graph = chain(2)
        first, second = graph.nodes
        first.tactic, second.tactic = first.op.tactics[1], second.op.tactics[0]
        with pytest.raises(GraphError, match="x0 is row-major, blocked by 16 is read"):
            verify(graph)
        graph.inputs[0].layout = BLOCKS
        with pytest.raises(GraphError, match="n0 is row-major, blocked by 16 is written"):
            verify(graph)
        first.output.layout = BLOCKS
        with pytest.raises(GraphError, match="n0 is blocked by 16, row-major is read"):
            verify(graph)


class TestAbsorption:
    TWICE = "strided_copy twice"

    def pair(self, extra_reader: bool = False, output: bool = False, readers: int = 1) -> Graph:
        net = Net()
        inner = net.turn(net.input(2, 3, 5, 7), 0, 2, 3, 1)
        outer = [net.turn(inner, *perm) for perm in ((3, 1, 0, 2), (1, 0, 2, 3))[:readers]]
        outputs = [*outer, *([net.toy(inner)] if extra_reader else []), *([inner] if output else [])]
        return net.graph(*outputs)

    def test_fused_where_it_is_faster(self) -> None:
        graph = self.pair()
        wanted = results(self.pair())
        plan = plan_of(graph, {self.TWICE: 150.0})
        assert plan.ns == 150 and [c.option is ABSORBED for c in plan.choices] == [True, False]
        applied(graph, plan)
        assert [node.op.name for node in graph.nodes] == ["turn+turn"] and graph.nodes[0].source == ("n0", "n1")
        for got, want in zip(results(graph), wanted, strict=True):
            assert got.tobytes() == want.tobytes()

    def test_separate_where_that_is_faster(self) -> None:
        assert plan_of(self.pair(), {self.TWICE: 250.0}).is_default

    @pytest.mark.parametrize("spread", [0.0, 40.0])
    def test_not_for_less_than_the_noise(self, spread: float) -> None:
        assert plan_of(self.pair(), {self.TWICE: 150.0}, spread).is_default == bool(spread)

    @pytest.mark.parametrize("what", ["extra_reader", "output"])
    def test_not_where_somebody_else_reads_it(self, what: str) -> None:
        graph = self.pair(**{what: True})
        assert plan_of(graph, {self.TWICE: 1.0}).is_default

    def test_by_all_readers_or_none(self) -> None:
        assert plan_of(self.pair(readers=2), {self.TWICE: 160.0}).ns == 300
        graph = self.pair(readers=2)
        wanted = results(self.pair(readers=2))
        plan = plan_of(graph, {self.TWICE: 140.0})
        assert plan.ns == 280
        applied(graph, plan)
        assert [node.op.name for node in graph.nodes] == ["turn+turn"] * 2
        for got, want in zip(results(graph), wanted, strict=True):
            assert got.tobytes() == want.tobytes()

    def test_what_is_absorbed_absorbs_nothing(self) -> None:
        net = Net()
        x = net.input(2, 3, 5)
        for _ in range(3):
            x = net.turn(x, 1, 2, 0)
        graph = net.graph(x)
        plan = plan_of(graph, {self.TWICE: 110.0})
        assert plan.ns == 210
        applied(graph, plan)
        assert sorted(node.op.name for node in graph.nodes) == ["turn", "turn+turn"]

    def test_roundings_stay_where_they_are(self) -> None:
        """A tactic that does not promise the same bits may not hide an int8 result."""
        net = Net()
        inner = net.turn(net.input(2, 3, 5, dtype=DType.I8), 1, 2, 0)
        graph = net.graph(net.turn(inner, 1, 2, 0))
        node = graph.nodes[1]
        assert [len(options) for options in options_of(graph).values()] == [2, 2]
        node.op = replace(node.op, tactics=tuple(replace(t, numerics="fp32") for t in node.op.tactics))
        assert [len(options) for options in options_of(graph).values()] == [1, 1]


class TestProblems:
    def test_equal_work_is_one_problem(self) -> None:
        graph, again = chain(2), chain(2)
        assert [problem_of(n) for n in graph.nodes] == [problem_of(n) for n in again.nodes]
        assert len({problem_of(n) for n in graph.nodes}) == 2

    def test_names_and_scales_are_no_part_of_it(self) -> None:
        net = Net()
        x = net.input(3, 16)
        a, b = (net.node(net.toy(x).producer.op, _clip(x, high), x) for high in (1.0, 6.0))
        assert problem_of(a.producer) == problem_of(b.producer)
        assert "\t" not in problem_of(a.producer) and x.name not in problem_of(a.producer)

    def test_constants_differ_from_activations(self) -> None:
        net = Net()
        x = net.input(3, 16)
        sums = [net.add(x, other).producer for other in (net.input(3, 16), _constant(x))]
        assert problem_of(sums[0]) != problem_of(sums[1])

    def test_keys_are_text_and_back(self) -> None:
        node = chain(1).nodes[0]
        key = Key("cpu/1", problem_of(node), "elementwise blocked", 3, 2)
        assert Key.parse(key.text) == key


def _clip(x: Value, high: float) -> Program:
    return single("Clip", [x.type], 0.0, high)


def _constant(x: Value) -> Value:
    return Value("c", x.type, array(x.type))
