"""Elementwise nodes that feed one another become one program, which passes over memory once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, is_op, op, plural
from ingot.kernels.elementwise.op import Insn, Program


def run(graph: Graph) -> None:
    """Merge each elementwise node with the elementwise nodes that only it reads.

    An operand that is broadcast to a larger result stays a step of its own: it would be computed again and again.
    What a kernel can hold (instructions, inputs, registers) is asked of the tactics.
    """
    merged = 0

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        nonlocal merged
        if not is_op(node, "elementwise"):
            return None
        program, inputs, inside = node.attrs, list(node.inputs), [node]
        while (grown := _absorb_one(sweep, node, program, inputs, inside)) is not None:
            program, inputs = grown
        if len(inside) == 1:
            return None
        merged += len(inside) - 1
        return [sweep.emit("elementwise", program, inputs, source=inside[:0:-1], outputs=node.outputs)]

    Sweep(graph).run(rule)
    if merged:
        graph.report.append(("fuse_elementwise", f"merged {plural(merged, 'elementwise node')} into others"))


def _absorb_one(
    sweep: Sweep, node: Node, program: Program, inputs: list[Value], inside: list[Node]
) -> tuple[Program, list[Value]] | None:
    """The program with one more operand's computation inside, its node appended to ``inside``; ``None`` at the end."""
    for value in inputs:
        producer = value.producer
        if not is_op(producer, "elementwise") or sweep.is_output(value) or value.type.shape != node.output.type.shape:
            continue
        reads = sum(operand is value for each in inside for operand in each.inputs)
        if sweep.uses[value] != reads:
            continue
        joined, operands = compose(program, inputs, value, producer.attrs, producer.inputs)
        if _has_kernel(node, joined, operands):
            inside.append(producer)
            return joined, operands
    return None


def _has_kernel(node: Node, program: Program, inputs: list[Value]) -> bool:
    trial = Node(op("elementwise"), program, list(inputs), node.outputs)
    return any(tactic.when(trial) for tactic in trial.op.tactics)


def compose(
    outer: Program, outer_inputs: Sequence[Value], joint: Value, inner: Program, inner_inputs: Sequence[Value]
) -> tuple[Program, list[Value]]:
    """One program for ``outer``, with its operand ``joint`` computed by ``inner``; and its operands, each once."""
    inputs = list(dict.fromkeys([*(v for v in outer_inputs if v is not joint), *inner_inputs]))
    number = {value: i for i, value in enumerate(inputs)}
    insns: list[Insn] = []

    def append(insn: Insn, known: list[int]) -> int:
        moved = dataclasses.replace(insn, args=tuple(known[arg] for arg in insn.args))
        for at, other in enumerate(insns):
            if repr(other) == repr(moved):  # computed already; repr tells 0.0 from -0.0
                return len(inputs) + at
        insns.append(moved)
        return len(inputs) + len(insns) - 1

    known = [number[value] for value in inner_inputs]
    for insn in inner.insns:
        known.append(append(insn, known))
    result = known[-1]
    known = [result if value is joint else number[value] for value in outer_inputs]
    for insn in outer.insns:
        known.append(append(insn, known))
    return Program(tuple(insns[: known[-1] - len(inputs) + 1])), inputs
