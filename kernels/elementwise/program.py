"""Straight-line programs over elements: the attributes of the elementwise operator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingot.kernels.spec import DType, TensorType, Unsupported, ValueView, broadcast_shape

from .functions import ELEMENTWISE


@dataclass(frozen=True, slots=True)
class Insn:
    """One instruction. ``args`` are value numbers: the node's inputs from 0 on, then one for each instruction."""

    function: str
    dtype: DType  #: of the result
    args: tuple[int, ...]
    alpha: float = 0.0
    beta: float = 0.0

    def __str__(self) -> str:
        constants = f"; {self.alpha:g}, {self.beta:g}" if self.alpha or self.beta else ""
        kind = f"<{self.dtype.name.lower()}>" if self.function == "Cast" else ""
        return f"{self.function}{kind}({', '.join(map(str, self.args))}{constants})"


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions in an order in which they can run; the last one is the result."""

    insns: tuple[Insn, ...]

    def __str__(self) -> str:
        return "; ".join(map(str, self.insns))


def result_type(insn: Insn, types: Sequence[DType]) -> DType:
    """The element type an instruction gives for operands of these types; Unsupported when it takes no such."""
    function = ELEMENTWISE.get(insn.function)
    if function is None:
        raise Unsupported(f"elementwise function {insn.function} does not exist")
    if len(types) != function.arity:
        raise Unsupported(f"{insn.function} with {len(types)} operands", f"{function.arity}")
    data = types[1:] if insn.function == "Where" else types
    if insn.function == "Where" and types[0] is not DType.BOOL:
        raise Unsupported(f"Where with a condition of type {types[0].name.lower()}", "bool")
    if any(t is not data[0] for t in data):
        raise Unsupported(f"{insn.function} of {' and '.join(t.name.lower() for t in types)}", "operands of one type")
    if data[0] not in function.types:
        allowed = ", ".join(d.name.lower() for d in DType if d in function.types)
        raise Unsupported(f"{insn.function} of {data[0].name.lower()}", allowed)
    if insn.function == "BitCast" and insn.dtype.size != data[0].size:
        raise Unsupported(f"BitCast of {data[0].name.lower()} to {insn.dtype.name.lower()}", "a type of the same width")
    if insn.function in ("Cast", "BitCast"):
        return insn.dtype
    return function.gives or data[0]


def value_types(program: Program, inputs: Sequence[DType]) -> list[DType]:
    """The element type of every value number; Unsupported when an instruction's own claim is not what it gives."""
    types = list(inputs)
    if not program.insns:
        raise Unsupported("an elementwise program without instructions")
    for insn in program.insns:
        if any(not 0 <= arg < len(types) for arg in insn.args):
            raise Unsupported(f"elementwise instruction {insn} reads a value that does not exist yet")
        dtype = result_type(insn, [types[arg] for arg in insn.args])
        if dtype is not insn.dtype:
            raise Unsupported(f"{insn} gives {dtype.name.lower()}, not {insn.dtype.name.lower()}")
        types.append(dtype)
    return types


def infer(program: Program, inputs: Sequence[TensorType | None]) -> tuple[TensorType]:
    """The result: all inputs broadcast together, of the last instruction's element type."""
    if any(t is None for t in inputs):
        raise Unsupported("an elementwise operator with an absent input")
    types = value_types(program, [t.dtype for t in inputs])
    return (TensorType(types[-1], broadcast_shape(*(t.shape for t in inputs))),)


def single(function: str, types: Sequence[TensorType], alpha: float = 0.0, beta: float = 0.0) -> Program:
    """The program that applies one function to inputs of these types, in their order."""
    probe = Insn(function, DType.F32, tuple(range(len(types))), float(alpha), float(beta))
    return Program((replace(probe, dtype=result_type(probe, [t.dtype for t in types])),))


def cast_program(source: DType, target: DType) -> Program:
    """The program that converts ``source`` to ``target``."""
    del source  # any type converts to any
    return Program((Insn("Cast", target, (0,)),))


def compose(
    producer: Program,
    producer_inputs: Sequence[ValueView],
    consumer: Program,
    consumer_inputs: Sequence[ValueView],
    produced: ValueView,
) -> tuple[Program, list[ValueView]] | None:
    """One program for ``consumer`` with ``produced``, the producer's result, computed inside it; and its inputs.

    ``None`` when the kernel's limits do not allow it. Fusing a producer whose shape is smaller than the consumer's
    is right but repeats work: that is for the caller to weigh.
    """
    from .lower import fits

    inputs: list[ValueView] = []
    for value in [*producer_inputs, *consumer_inputs]:
        if value is not produced and not any(value is known for known in inputs):
            inputs.append(value)
    insns: list[Insn] = []

    def append(program: Program, operands: Sequence[int]) -> int:
        numbers = list(operands)
        for insn in program.insns:
            moved = replace(insn, args=tuple(numbers[arg] for arg in insn.args))
            if moved not in insns:
                insns.append(moved)
            numbers.append(len(inputs) + insns.index(moved))
        return numbers[-1]

    def place(value: ValueView) -> int:
        return next(i for i, known in enumerate(inputs) if known is value)

    result = append(producer, [place(v) for v in producer_inputs])
    last = append(consumer, [result if v is produced else place(v) for v in consumer_inputs])
    if last != len(inputs) + len(insns) - 1:
        return None  # the consumer only repeats the producer: nothing comes after it
    program = Program(tuple(insns))
    return (program, inputs) if fits(program, [v.type.dtype for v in inputs]) else None
