"""The elementwise kernel of CUDA: a C++ function made of the program, in a frame made for the operands' shapes.

Nodes whose programs differ in their constants alone share a compiled instance: the constants stand in the parameters,
which are those of the CPU's kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ingot.kernels.common.cuda import CPP, blocks_for, ceil_div
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from . import lower
from .functions import CASTS, ELEMENTWISE
from .program import Program
from .quantized import is_exact

THREADS = 256
#: bytes of the widest access
VECTOR = 16

#: types as programs see them: halves are the bits that conversions take
_CPP = {**CPP, DType.F16: "uint16_t", DType.BF16: "uint16_t"}
_WHERE, _BIT_CAST = ELEMENTWISE["Where"].code, ELEMENTWISE["BitCast"].code
#: what the code of a conversion takes
_CAST_FROM = {code: source for (source, _), code in CASTS.items()}


def _statement(index: int, step: lower.Step, number: int, types: Sequence[DType]) -> str:
    """The C++ of one instruction, which gives value ``number``; the last of ``types`` is what is stored."""
    args = [f"v{arg}" for arg in step.args]
    kind = _CPP[step.dtype]
    if step.code == _WHERE:
        value = f"{args[0]} ? {args[1]} : {args[2]}"
    elif step.code == _BIT_CAST:
        value = f"ew_bits<{kind}>({args[0]})"
    else:
        operand = _CPP[_CAST_FROM.get(step.code, types[step.args[-1]])]
        constants = [f"insns[{index}].alpha", f"insns[{index}].beta"]
        rough = types[-1] in (DType.F16, DType.BF16) and operand == _CPP[DType.F32]
        function = f"ew_rough<{step.code}>" if rough else f"ew<{step.code}, {operand}>"
        value = f"{function}::of({', '.join(args + constants)})"
    return f"        const {kind} v{number} = {value};"


def program_source(program: Program, inputs: Sequence[DType]) -> str:
    """``ew_program`` of elementwise.cu for inputs of these types."""
    steps = lower.lower(program, tuple(inputs))
    types = [*inputs, *(step.dtype for step in steps)]
    count = len(inputs)
    operands = ", ".join(f"{_CPP[dtype]} v{i}" for i, dtype in enumerate(inputs))
    body = [_statement(i, step, count + i, types) for i, step in enumerate(steps)]
    return "\n".join(
        [
            "struct ew_program {",
            f"    using inputs = ew_types<{', '.join(_CPP[dtype] for dtype in inputs)}>;",
            f"    using result = {_CPP[types[-1]]};",
            f"    static DEVICE result of(const ingot_ew_insn *insns, {operands}) {{",
            *body,
            "        (void)insns;",
            f"        return v{len(types) - 1};",
            "    }",
            "};",
        ]
    )


def axis_groups(output: tuple[int, ...], inputs: Sequence[tuple[int, ...]]) -> list[tuple[int, tuple[bool, ...]]]:
    """The output's axes, neighbours joined that the same inputs have: first axis, which inputs have the group.

    Axes of extent 1 join any neighbour. At least one group, and the first begins at axis 0.
    """
    groups: list[tuple[int, tuple[bool, ...]]] = []
    for axis, extent in enumerate(output):
        if extent == 1:
            continue
        lacks = [len(output) - len(shape) for shape in inputs]
        has = tuple(axis >= lack and shape[axis - lack] != 1 for lack, shape in zip(lacks, inputs))
        if not groups or groups[-1][1] != has:
            groups.append((axis if groups else 0, has))
    return groups or [(0, (True,) * len(inputs))]


def shape_source(groups: Sequence[tuple[int, tuple[bool, ...]]]) -> str:
    """``ew_shape`` of elementwise.cu."""

    def choose(name: str, values: Sequence[int], otherwise: int) -> str:
        cases = "".join(f"{name} == {i} ? {value} : " for i, value in enumerate(values))
        return f"return {cases}{otherwise};"

    masks = [sum(1 << g for g, (_, has) in enumerate(groups) if has[k]) for k in range(len(groups[0][1]))]
    return "\n".join(
        [
            "struct ew_shape {",
            f"    static constexpr int groups = {len(groups)};",
            f"    static constexpr int begin(int group) {{ {choose('group', [axis for axis, _ in groups], 8)} }}",
            f"    static constexpr uint32_t has(int input) {{ {choose('input', masks, 0)} }}",
            "};",
        ]
    )


def vector_length(program: Program, node: NodeView, groups: Sequence[tuple[int, tuple[bool, ...]]]) -> int:
    """Elements a thread does at a time: as many as one access of the widest operand moves, if rows allow it."""
    output = node.outputs[0].type
    moved = [v.type.dtype.size for v, has in zip(node.inputs, groups[-1][1]) if has]
    length = VECTOR // max([output.dtype.size, *moved])
    if len(groups) > 1:
        length = math.gcd(length, math.prod(output.shape[groups[-1][0] :]))
    return length


def _is_exact(program: Program) -> bool:
    """Whether the CPU's bits are to be had: conversions round alike everywhere, too."""
    return is_exact(Program(tuple(insn for insn in program.insns if insn.function != "Cast")))


def launch(program: Program, node: NodeView) -> Launch:
    """How the program runs over the node's inputs."""
    types = [value.type.dtype for value in node.inputs]
    output = node.outputs[0].type
    groups = axis_groups(output.shape, [value.type.shape for value in node.inputs])
    length = vector_length(program, node, groups)
    sources = [program_source(program, types), shape_source(groups)]
    return Launch(
        source="elementwise/elementwise.cu",
        kernel=f"elementwise<ingot::ew_program, ingot::ew_shape, {length}>",
        grid=blocks_for(ceil_div(output.count, length), THREADS),
        block=THREADS,
        prelude="\n".join(['#include "elementwise/elementwise_cuda.h"', "namespace ingot {", *sources, "}"]),
        exact=_is_exact(program),
    )


def on_cuda(tactic: Tactic, program: Callable[[NodeView], Program]) -> Tactic:
    """The tactic of the kernel ``elementwise`` for CUDA; ``program`` is what it computes for a node."""

    def launch_node(node: NodeView, target: Target) -> Launch:
        return launch(program(node), node)

    def efficiency(node: NodeView, target: Target) -> float:
        return 0.8

    return replace(tactic, kernel="elementwise_cuda", launch=launch_node, efficiency=efficiency)
