"""Plans may not let an engine grow without bounds."""

from __future__ import annotations

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import kernels as kernel_table
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.tuning.budget import Limits, choose_within
from ingot.builder.tuning.candidates import options_of
from ingot.builder.tuning.choose import Plan
from ingot.builder.tuning.costs import Costs
from ingot.builder.tuning.keys import fingerprint
from ingot.builder.tuning.roofline import Roofline
from ingot.kernels.conv.attrs import ConvAttrs
from ingot.kernels.spec import DType, TensorType
from ingot.targets import get


def convolutions(sizes: list[tuple[int, int, int]]) -> Graph:
    """One after the other: [extent, channels, side of the window], padded so that the extents stay."""
    conv, random = kernels.load()["conv"], np.random.default_rng(0)
    extent, channels, _ = sizes[0]
    first = x = Value("x", TensorType(DType.F32, (1, extent, extent, channels)))
    nodes = []
    for i, (_, out, side) in enumerate(sizes):
        shape = (out, x.type.shape[-1], side, side)
        w = Value(f"w{i}", TensorType(DType.F32, shape), random.standard_normal(shape).astype(np.float32))
        node = Node(conv, ConvAttrs((side,) * 2, (1, 1), (side // 2,) * 4, (1, 1)), [x, w, None, None], [], (f"n{i}",))
        x = Value(f"y{i}", conv.infer(node.attrs, [x.type, w.type])[0], None, node)
        node.outputs = [x]
        nodes.append(node)
    return Graph([first], [x], nodes)


#: contexts make nothing
STORED = Limits(made=0)


def plan_of(graph: Graph, limits: Limits) -> Plan:
    """By the figures of a target alone."""
    target = get("cpu-x86-64-v4")
    abis = {info.name: info.abi for info in kernel_table().values()}
    costs = Costs(Roofline.of(target), fingerprint(target), 1, abis, {})
    return choose_within(graph, options_of(graph), costs, limits)


def stored(plan: Plan) -> tuple[int, int]:
    """Bytes of weights, as chosen and by default."""

    def of(tactics: list) -> int:
        return sum(tactic.pack[1](choice.node, choice.node.inputs[1].data).nbytes for choice, tactic in tactics)

    chosen = [(choice, choice.option.tactic) for choice in plan.choices]
    return of(chosen), of([(choice, choice.default.tactic) for choice in plan.choices])


WINDOWS = [(28, 64, 3), (28, 64, 3), (28, 64, 3), (28, 128, 3)]


@pytest.mark.parametrize("limit", [2.0, 1.5, 3.0, 1.0])
@pytest.mark.parametrize("made", [0, 1 << 20, 4 << 20])
def test_weights_stay_within_the_limits(limit: float, made: int) -> None:
    plan = plan_of(convolutions(WINDOWS), Limits(limit, made))
    packed, usual = stored(plan)
    assert packed <= limit * usual
    assert sum(choice.option.tactic.made(choice.node) for choice in plan.choices) <= made


def test_without_a_limit_they_grow() -> None:
    """So the limit is what holds them back."""
    plan = plan_of(convolutions(WINDOWS), Limits(100.0, 0))
    packed, usual = stored(plan)
    assert packed > 3 * usual and not plan.is_default


def test_what_fits_is_used() -> None:
    plan = plan_of(convolutions(WINDOWS), STORED)
    assert "conv_f32_winograd" in {choice.option.tactic.kernel for choice in plan.choices}


def test_nothing_changes_where_there_is_room() -> None:
    """A large product beside a small window."""
    graph = convolutions([(16, 32, 3), (16, 512, 1), (16, 512, 1)])
    bound, free = ([c.option.tactic.key for c in plan_of(graph, limit).choices] for limit in (STORED, Limits(100.0, 0)))
    assert bound == free and "conv_f32_winograd" in free[0]


def test_contexts_make_what_may_not_be_stored() -> None:
    """So every layer has the tiles it would have with a file of any size."""
    free, bound = (plan_of(convolutions(WINDOWS), limits) for limits in (Limits(100.0, 0), Limits()))
    tiles = [[choice.option.tactic.variant.split()[0] for choice in plan.choices] for plan in (free, bound)]
    assert tiles[0] == tiles[1]
    packed, usual = stored(bound)
    assert packed <= 2 * usual
    assert any(choice.option.tactic.made(choice.node) for choice in bound.choices)
