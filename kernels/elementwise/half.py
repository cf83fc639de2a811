"""Programs over what is stored in float16 or bfloat16: conversions in front of and behind float32 arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingot.kernels.spec import DType, Half, NodeView

from .program import Insn, Program


def to_half(node: NodeView, inputs: Sequence[DType | None], output: DType) -> Program:
    """The program with these inputs in half, ``None`` for those as they were, and a result of type ``output``."""
    count = len(node.inputs)
    insns: list[Insn] = []

    def append(insn: Insn) -> int:
        insns.append(insn)
        return count + len(insns) - 1

    numbers = list(range(count))
    for index, dtype in enumerate(inputs):
        if dtype is not None:
            numbers[index] = append(Insn("Cast", DType.F32, (index,)))
    for insn in node.attrs.insns:
        numbers.append(append(replace(insn, args=tuple(numbers[arg] for arg in insn.args))))
    if output is not DType.F32:
        append(Insn("Cast", output, (numbers[-1],)))
    return Program(tuple(insns))


RULE = Half(attrs=to_half)
