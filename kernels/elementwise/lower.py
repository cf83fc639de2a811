"""From a program to the kernel's parameters: conversions spelled out, registers assigned."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.spec import DType

from .functions import CASTS, ELEMENTWISE, cast_path, computed_in
from .program import Insn, Program, value_types

# the limits of elementwise.h
MAX_INSNS = 32
MAX_INPUTS = 12
MAX_REGISTERS = 12


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction the kernel has: what a :class:`Insn` becomes."""

    code: int
    dtype: DType
    args: tuple[int, ...]
    alpha: float = 0.0
    beta: float = 0.0


class _Lowering:
    """Collects steps; values are numbered as in programs."""

    def __init__(self, inputs: Sequence[DType]) -> None:
        self.types = list(inputs)
        self.steps: list[Step] = []
        self.known: dict[Step, int] = {}

    def add(self, step: Step) -> int:
        """The value of a step; the same step twice is done once."""
        if step not in self.known:
            self.steps.append(step)
            self.types.append(step.dtype)
            self.known[step] = len(self.types) - 1
        return self.known[step]

    def cast(self, value: int, dtype: DType) -> int:
        path = cast_path(self.types[value], dtype)
        for source, target in itertools.pairwise(path):
            value = self.add(Step(CASTS[source, target], target, (value,)))
        return value

    def lower(self, insn: Insn, args: tuple[int, ...]) -> int:
        if insn.function == "Cast":
            return self.cast(args[0], insn.dtype)
        function = ELEMENTWISE[insn.function]
        if insn.function == "BitCast":
            return self.add(Step(function.code, insn.dtype, args))
        own = self.types[args[-1]]
        dtype = computed_in(function, own)
        if dtype is not own:
            args = tuple(self.cast(arg, dtype) for arg in args)
        if function.swapped:
            args = args[::-1]
        value = self.add(Step(function.code, function.gives or dtype, args, insn.alpha, insn.beta))
        return value if function.gives else self.cast(value, own)


@functools.lru_cache(maxsize=4096)
def lower(program: Program, inputs: tuple[DType, ...]) -> tuple[Step, ...]:
    """The kernel's instructions for inputs of these types; the last one is the result."""
    value_types(program, inputs)
    lowering = _Lowering(inputs)
    numbers = list(range(len(inputs)))
    for insn in program.insns:
        numbers.append(lowering.lower(insn, tuple(numbers[arg] for arg in insn.args)))
    result = numbers[-1]
    if result < len(inputs):  # a conversion between like types: nothing to do but to copy
        result = lowering.add(Step(ELEMENTWISE["BitCast"].code, lowering.types[result], (result,)))
    return tuple(lowering.steps[: result - len(inputs) + 1])


def _last_uses(steps: Sequence[Step]) -> dict[int, int]:
    """Value number -> index of the last step that reads it."""
    return {arg: index for index, step in enumerate(steps) for arg in step.args}


def assign_registers(steps: Sequence[Step], input_count: int) -> list[int]:
    """The register of each step but the last, which writes the output and gets 0.

    A step may take over the register of an operand that it is the last to read, when the elements are of one size.
    """
    last = _last_uses(steps)
    held: dict[int, int] = {}  # value -> register
    free: list[int] = []
    count = 0
    registers: list[int] = []
    for index, step in enumerate(steps[:-1]):
        dying = [v for v in held if last.get(v, -1) <= index]
        same = [v for v in dying if steps[v - input_count].dtype.size == step.dtype.size or last.get(v, -1) < index]
        free += [held.pop(v) for v in same]
        if free:
            register = min(free)
            free.remove(register)
        else:
            register, count = count, count + 1
        free += [held.pop(v) for v in dying if v in held]
        held[input_count + index] = register
        registers.append(register)
    return [*registers, 0]


def fits(program: Program, inputs: Sequence[DType]) -> bool:
    """Whether the kernel can run the program."""
    if not 1 <= len(inputs) <= MAX_INPUTS:
        return False
    steps = lower(program, tuple(inputs))
    return len(steps) <= MAX_INSNS and max(assign_registers(steps, len(inputs))) < MAX_REGISTERS


def params(program: Program, inputs: Sequence[DType]) -> dict[str, Any]:
    """The fields of ``ingot_elementwise_params``."""
    steps = lower(program, tuple(inputs))
    registers = assign_registers(steps, len(inputs))

    def operand(value: int) -> int:
        return value if value < len(inputs) else MAX_INPUTS + registers[value - len(inputs)]

    insns = [
        {
            "function": step.code,
            "dtype": step.dtype.value,
            "dst": register,
            "args": [operand(arg) for arg in step.args],
            "alpha": step.alpha,
            "beta": step.beta,
        }
        for step, register in zip(steps, registers)
    ]
    count = 1 + max(registers[:-1]) if len(steps) > 1 else 0
    return {"insn_count": len(steps), "register_count": count, "insns": insns}
