"""Folds of few long rows, which are spread over blocks: how, and what the runtime's check asks for."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ingot import targets
from ingot._kernel import Description, make_params, refusal
from ingot.builder.ir import Node
from ingot.kernels.arg_reduce.op import ArgReduceAttrs
from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind
from ingot.kernels.spec import DType, Launch, Sample, Tactic, TensorType

sys.path.append(str(Path(__file__).parents[1] / "kernels"))
import samples


def reduced(shape: tuple[int, ...], axes: tuple[int, ...], kind: ReduceKind = ReduceKind.SUM) -> tuple[Node, Tactic]:
    sample = Sample(ReduceAttrs(kind, axes), (TensorType(DType.F32, shape),))
    node, _ = samples.make_node(samples.SPECS["reduce"], sample)
    return node, tactic_of(node)


@pytest.mark.parametrize(
    ("shape", "axes", "kind", "parts"),
    [
        ((1, 1 << 20), (1,), ReduceKind.SUM, 64),
        ((1, 1 << 20), (1,), ReduceKind.LOG_SUM_EXP, 1),
        ((64, 1 << 16), (1,), ReduceKind.SUM, 2),
        ((1000, 1 << 16), (1,), ReduceKind.SUM, 1),
        ((1, 1 << 12), (1,), ReduceKind.SUM, 1),
        ((1, 1 << 14, 64), (1,), ReduceKind.MAX, 64),
        ((1, 49, 2048), (1,), ReduceKind.MEAN, 1),
        ((0, 7), (0,), ReduceKind.SUM, 1),
    ],
)
def test_parts_are_for_few_long_results(
    shape: tuple[int, ...], axes: tuple[int, ...], kind: ReduceKind, parts: int
) -> None:
    node, tactic = reduced(shape, axes, kind)
    launch = tactic.launch(node, targets.get("h200"))
    results = node.outputs[0].type.count
    assert launch.grid[1] == parts and launch.grid[2] == 1
    assert launch.counters == (results if parts > 1 else 0)
    assert tactic.workspace(node) == (8 * parts * results if parts > 1 else 0)


def refused(node: Node, tactic: Tactic, launch: Launch, workspace: int, **fields: int) -> str | None:
    """Why the runtime refuses the step with that launch; ``fields`` are parameters in place of the node's."""
    operands = [Description(v.type.dtype.value, v.type.shape) for v in (*node.inputs, *node.outputs)]
    params = make_params(tactic.params_type, {**tactic.params(node), **fields})
    started = (*launch.grid, launch.block, 1, 1, launch.shared, launch.counters)
    return refusal(tactic.kernel, operands[:1], operands[1:], params, workspace, started)


def tactic_of(node: Node) -> Tactic:
    """The default, which does any shape."""
    (tactic,) = (t for t in node.op.tactics if t.backend == "cuda" and not t.variant and t.when(node))
    return tactic


@pytest.mark.parametrize("operator", ["reduce", "arg_reduce"])
def test_the_check_asks_for_counters_and_a_workspace(operator: str) -> None:
    attrs = ReduceAttrs(ReduceKind.SUM, (1,)) if operator == "reduce" else ArgReduceAttrs(1)
    sample = Sample(attrs, (TensorType(DType.F32, (3, 1 << 17)),))
    node, _ = samples.make_node(samples.SPECS[operator], sample)
    tactic = tactic_of(node)
    launch, whole = tactic.launch(node, targets.get("h200")), tactic.workspace(node)
    assert launch.grid[1] > 1 and launch.counters == 3 and refused(node, tactic, launch, whole) is None
    assert "parts" in refused(node, tactic, launch, whole - 1)
    assert "parts" in refused(node, tactic, replace(launch, counters=2), whole)
    assert "parts" in refused(node, tactic, replace(launch, grid=(3, launch.grid[1] + 1, 1)), whole)
    assert refused(node, tactic, replace(launch, grid=(3, 1, 1), counters=0), 0) is None


def test_what_is_folded_in_two_passes_has_no_parts() -> None:
    node, tactic = reduced((3, 1 << 17), (1,))
    launch, whole = tactic.launch(node, targets.get("h200")), tactic.workspace(node)
    assert "two passes" in refused(node, tactic, launch, whole, kind=int(ReduceKind.LOG_SUM_EXP))
