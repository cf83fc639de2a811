"""Candidates are what their kernels' own checks take: a tactic that promises too much is no option."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ingot import kernels, targets
from ingot.builder.ir import Graph, Node
from ingot.builder.tuning.candidates import options_of
from ingot.builder.tuning.checks import Checks
from ingot.builder.tuning.keys import Candidate
from ingot.errors import BuildError

sys.path.insert(0, str(Path(__file__).resolve().parent))
from nodes import candidates_of, node_of

SPECS = kernels.load()


def node(op: str, name: str) -> Node:
    spec = SPECS[op]
    made = node_of(spec, next(sample for sample in spec.samples() if sample.name == name))
    for value in made.outputs:
        value.producer = made
    return made


def keys(node: Node) -> list[str]:
    graph = Graph([v for v in node.inputs if v is not None and not v.is_constant], node.outputs, [node], "net")
    return [option.tactic.key for option in options_of(graph)[node]]


@pytest.mark.parametrize("device", ["cpu", "jetson-orin-nano-8gb", "h200"])
@pytest.mark.parametrize("name", sorted(SPECS))
def test_kernels_take_what_tactics_promise(name: str, device: str) -> None:
    target = targets.get(device)
    checks = Checks(target)
    for candidate in candidates_of(SPECS[name], target.backend):
        twin = replace(candidate.node, tactic=candidate.tactic)
        assert checks.refusal(Candidate(candidate.problem, candidate.tactic, twin)) is None, candidate.tactic.key


def test_a_tactic_that_promises_too_much_is_dropped() -> None:
    wide = node("conv", "int8 depthwise stride 2")  # its window goes neither by columns nor in pairs
    right = keys(wide)
    assert "conv_s8_dw" in right and "conv_s8_dw by=columns" not in right
    promised = tuple(replace(t, when=lambda node: True) if t.kernel == "conv_s8_dw" else t for t in wide.op.tactics)
    wide.op = replace(wide.op, tactics=promised)
    assert keys(wide) == right


def test_the_default_must_be_taken() -> None:
    dense = node("conv", "int8 3x3 of 6x6 24->40")
    depthwise = next(t for t in dense.op.tactics if t.kernel == "conv_s8_dw")
    dense.op = replace(dense.op, tactics=(replace(depthwise, when=lambda node: True, pack={}), *dense.op.tactics))
    with pytest.raises(BuildError, match=r"layer int8 3x3 of 6x6 24->40: conv_s8_dw cannot do it: .*conv: weights"):
        keys(dense)
