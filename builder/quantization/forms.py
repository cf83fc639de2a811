"""The integer form of a node: by the rule of its operator, or as a table when it is a function of one int8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ingot.builder.evaluate import evaluate, select_tactic
from ingot.builder.ir import Node, Value
from ingot.builder.passes.match import uniform
from ingot.builder.passes.rewrite import is_op, op
from ingot.builder.quantization.weights import centred, weight_axes
from ingot.kernels.dequantize.op import DequantizeAttrs, dequantized
from ingot.kernels.elementwise.program import Program
from ingot.kernels.elementwise.quantized import rounding
from ingot.kernels.spec import DType, Quant, QuantForm, QuantInput, QuantWeights, TensorType, Unsupported, axes_of

#: layers whose work is worth int8 by itself: one that was asked for it and cannot have it is an error
LAYERS = ("conv", "conv_transpose", "matmul", "recurrent")
#: operators whose result stands for the numbers of their first input
CARRIES = ("reshape", "transpose", "slice", "expand", "gather", "pad")


def in_int8(node: Node) -> bool:
    """Whether a node reads numbers that int8 stands for, activations or weights."""
    weights = node.op.weights(node)
    return any(
        v is not None and v.type.dtype is DType.I8 and (not v.is_constant or index in weights)
        for index, v in enumerate(node.inputs)
    )


def quant_of(value: Value) -> Quant | None:
    """How a value stands for real numbers: as its type says, or as what it was moved from does."""
    while value.type.quant is None and is_op(value.producer, *CARRIES):
        value = value.producer.inputs[0]
    return value.type.quant


def quantised_input(value: Value | None) -> QuantInput | None:
    """How an input arrives quantised: through a dequantize of an int8 value, or of constant weights."""
    node = value.producer if value is not None else None
    if not is_op(node, "dequantize") or node.inputs[0].type.dtype is not DType.I8:
        return None
    source, attrs = node.inputs[0], node.attrs
    if source.data is not None:
        if any(attrs.zero_points):
            return None  # see quantised_inputs
        return QuantInput(weights=QuantWeights(source.data, np.array(attrs.scales, np.float32), attrs.axis))
    if attrs.axis is not None:
        return None
    if source.type.quant is None:
        moved = quant_of(source)
        source.type = replace(source.type, quant=replace(attrs.quant, rounds_as=moved and moved.rounds_as))
    return QuantInput(value=source) if source.type.quant == attrs.quant else None


def quantised_inputs(node: Node) -> list[QuantInput | None]:
    """How each input arrives quantised; weights around a zero point are made symmetric."""
    inputs = [None if i in node.op.states else quantised_input(value) for i, value in enumerate(node.inputs)]
    for index, axis in weight_axes(node).items():
        maker = node.inputs[index].producer
        if not is_op(maker, "dequantize") or maker.inputs[0].data is None or not any(maker.attrs.zero_points):
            continue
        attrs = maker.attrs
        if set(axes_of(attrs.axis)) <= set(axes_of(axis)):
            scales, zeros = np.array(attrs.scales, np.float32), np.array(attrs.zero_points)
            inputs[index] = QuantInput(weights=centred(maker.inputs[0].data, scales, zeros, attrs.axis))
    return inputs


def integer_form(node: Node, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """The node in int8, or ``None``; the form has a kernel."""
    if node.op.float_only(node) or any(value.type.dtype is not DType.F32 for value in node.outputs):
        return None
    form = as_table(node, inputs, output)
    if form is None and node.op.quantize is not None:
        form = node.op.quantize(node, inputs, output)
    return form if form is not None and has_kernel(form) else None


def has_kernel(form: QuantForm) -> bool:
    """Whether some tactic can do the form."""
    inputs = [_constant(x) if isinstance(x, np.ndarray) else x for x in form.inputs]
    spec = op(form.op)
    try:
        kinds = spec.infer(form.attrs, [None if v is None else v.type for v in inputs])
        node = Node(spec, form.attrs, inputs, [Value("form", kind) for kind in kinds], ())
        select_tactic(node)
    except Unsupported:
        return False
    return True


def _constant(array: np.ndarray) -> Value:
    return Value("constant", TensorType(DType.of(array.dtype), array.shape), array)


def as_table(node: Node, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """A program on one int8 tensor and numbers is a table of its 256 results."""
    if output is None or not is_op(node, "elementwise"):
        return None
    shape, dtype = node.output.type.shape, DType.F32
    sources = [given.value for given in inputs if given is not None and given.value is not None]
    if not sources or any(source is not sources[0] for source in sources) or sources[0].type.shape != shape:
        return None
    every = np.arange(-128, 128).astype(np.int8)
    quant = sources[0].type.quant
    x = dequantized(DequantizeAttrs((quant.scale,), (quant.zero_point,)), every)
    operands = []
    for value, given in zip(node.inputs, inputs):
        if given is not None and given.value is not None:
            operands.append(_constant(x))
            continue
        number = uniform(value)
        if number is None or value.type.dtype is not dtype:
            return None
        operands.append(_constant(np.full(256, number, np.float32)))
    return QuantForm("lookup", op("lookup").attrs(output), (sources[0], table(node.attrs, operands, output)),
                     TensorType(DType.I8, shape, output))  # fmt: skip


def table(program: Program | None, operands: Sequence[Value], output: Quant) -> np.ndarray:
    """int8 [256]: the program (``None``: nothing) on constants of 256 elements, quantised."""
    insns = program.insns if program is not None else ()
    last = len(operands) + len(insns) - 1
    node = Node(op("elementwise"), Program((*insns, rounding(last, output))), list(operands), [], ())
    node.outputs = [Value("table", TensorType(DType.I8, (256,)), None, node)]
    return evaluate(node)[0]


def requantised(quant: Quant, output: Quant) -> np.ndarray:
    """The table that turns int8 of one kind into int8 of another."""
    every = np.arange(-128, 128).astype(np.int8)
    x = dequantized(DequantizeAttrs((quant.scale,), (quant.zero_point,)), every)
    return table(None, [_constant(x)], output)
