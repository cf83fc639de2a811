"""Elementwise nodes that feed one another become one program, which passes over memory once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, is_op, plural
from ingot.kernels.elementwise.op import Program, compose


def run(graph: Graph) -> None:
    """Merge each elementwise node with the elementwise nodes that only it reads.

    An operand that is broadcast to a larger result stays a step of its own: it would be computed again and again.
    ``compose`` knows what a kernel can hold (instructions, inputs, registers).
    """
    fuse(graph)


def fuse(graph: Graph, accept: Callable[[Program, list[Value]], bool] = lambda program, inputs: True) -> None:
    """The same, as long as ``accept`` likes the merged program and its inputs."""
    merged = 0

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        nonlocal merged
        if not is_op(node, "elementwise"):
            return None
        program, inputs, inside = node.attrs, list(node.inputs), [node]
        while (grown := _absorb_one(sweep, node, program, inputs, inside, accept)) is not None:
            program, inputs = grown
        if len(inside) == 1:
            return None
        merged += len(inside) - 1
        return [sweep.emit("elementwise", program, inputs, source=inside[:0:-1], outputs=node.outputs)]

    Sweep(graph).run(rule)
    if merged:
        graph.report.append(("fuse_elementwise", f"merged {plural(merged, 'elementwise node')} into others"))


def _absorb_one(
    sweep: Sweep,
    node: Node,
    program: Program,
    inputs: list[Value],
    inside: list[Node],
    accept: Callable[[Program, list[Value]], bool],
) -> tuple[Program, list[Value]] | None:
    """The program with one more operand's computation inside, its node appended to ``inside``; ``None`` at the end."""
    for value in inputs:
        producer = value.producer
        if not is_op(producer, "elementwise") or sweep.is_output(value) or value.type.shape != node.output.type.shape:
            continue
        reads = sum(operand is value for each in inside for operand in each.inputs)
        if sweep.uses[value] != reads:
            continue
        joined = compose(producer.attrs, producer.inputs, program, inputs, value)
        if joined is not None and accept(*joined):
            inside.append(producer)
            return joined
    return None
