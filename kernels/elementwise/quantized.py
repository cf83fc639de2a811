"""The integer form of a program between dequantised operands and a quantised result: one node, exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ingot.kernels.common.quantized import activation_of, inverse
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, TensorType, ValueView

from . import lower
from .program import Insn, Program

#: functions made of operations that IEEE 754 defines to the last bit
EXACT = frozenset(
    [
        "Abs", "Add", "Ceil", "Clip", "Div", "Floor", "LeakyRelu", "Max", "Min",
        "Mul", "MulAdd", "Neg", "PRelu", "Relu", "Round", "Sign", "Sqrt", "Sub",
    ]
)  # fmt: skip

_MOVES = frozenset(["Dequantize", "Quantize", "QuantizeLinear", "BitCast", "Where", "Equal", "Less", "LessOrEqual"])


def is_exact(program: Program) -> bool:
    """Whether it gives the same bits on every processor."""
    return all(insn.function in EXACT | _MOVES or not insn.dtype.is_float for insn in program.insns)


def rounding(value: int, output: Quant) -> Insn:
    """The instruction that makes a result of ``output`` of real numbers.

    Where a model says so it is its QuantizeLinear, which divides; else a multiplication, which takes less time.
    """
    if output.rounds_as is not None:
        return Insn("QuantizeLinear", DType.I8, (value,), output.scale, float(output.zero_point))
    return Insn("Quantize", DType.I8, (value,), inverse(output), float(output.zero_point))


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """The program with its operands dequantised inside and its result quantised."""
    program: Program = node.attrs
    if output is None or not all(insn.function in EXACT and insn.dtype is DType.F32 for insn in program.insns):
        return None
    found = _stored_sum(node, inputs, output) or _dequantised(node, inputs, output)
    if found is None:
        return None
    quantised, operands = found
    kinds = [DType.F32 if isinstance(x, np.ndarray) else x.type.dtype for x in operands]
    if not lower.fits(quantised, kinds):
        return None
    kind = TensorType(DType.I8, node.outputs[0].type.shape, output)
    return QuantForm("elementwise", quantised, tuple(operands), kind)


Found = tuple[Program, list[ValueView | np.ndarray]]


def _dequantised(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant) -> Found | None:
    """Its instructions one after the other, in real numbers."""
    operands: list[ValueView] = []
    begin: list[Insn] = []
    count = len(node.inputs)
    numbers = list(range(count))
    for index, (value, given) in enumerate(zip(node.inputs, inputs)):
        quant = activation_of(given)
        if quant is not None:
            operands.append(given.value)
            begin.append(Insn("Dequantize", DType.F32, (index,), quant.scale, float(quant.zero_point)))
            numbers[index] = count + len(begin) - 1
        elif value.data is not None and value.type.dtype is DType.F32:
            operands.append(value)
        else:
            return None
    middle = []
    for insn in node.attrs.insns:
        middle.append(replace(insn, args=tuple(numbers[arg] for arg in insn.args)))
        numbers.append(count + len(begin) + len(middle) - 1)
    return (Program((*begin, *middle, rounding(numbers[-1], output))), operands) if begin else None


def _stored_sum(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant) -> Found | None:
    """a + b of tensors that a model has quantised: rounded as onnxruntime's QLinearAdd does it, in steps of the result.

    ``fma(a, ra, fma(b, rb, zy - fma(ra, za, rb * zb)))`` with ra = sa / sy, rb = sb / sy, in float32, of numbers and
    zero points as ``rounds_as`` says. A ReLU behind it that saturation does anyway is left out.
    """
    (add, *rest), quants = node.attrs.insns, [activation_of(given) for given in inputs]
    relu = [insn.function for insn in rest] == ["Relu"] and output.zero_point == -128
    joined = output.rounds_as is DType.I8 or all(q is not None and q.rounds_as is DType.U8 for q in (*quants, output))
    if add.function != "Add" or None in quants or not joined or (rest and not relu):
        return None
    if any(given.value.type.shape != node.outputs[0].type.shape for given in inputs):
        return None
    a, b = (quants[arg] for arg in add.args)
    step = np.float32(output.scale)
    ra, rb = np.float32(a.scale) / step, np.float32(b.scale) / step
    raised = 128 if output.rounds_as is DType.U8 else 0
    za, zb, zy = (quant.zero_point + raised for quant in (a, b, output))
    offset = np.float32(np.float64(ra) * za + np.float64(rb * np.float32(zb)))
    operands = [given.value for given in inputs] + [np.array([np.float32(zy) - offset], np.float32)]
    count = len(operands)
    insns = [Insn("Dequantize", DType.F32, (arg,), 1.0, float(-raised)) for arg in add.args]
    insns.append(Insn("MulAdd", DType.F32, (count + 1, count - 1), float(rb)))
    insns.append(Insn("MulAdd", DType.F32, (count, count + 2), float(ra)))
    insns.append(Insn("Quantize", DType.I8, (count + 3,), 1.0, float(-raised)))
    return Program(tuple(insns)), operands
