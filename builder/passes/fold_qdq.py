"""From a graph with quantize and dequantize to one that computes in int8.

``dequantize -> operator -> quantize`` becomes one node of integers wherever the operator has an integer form
(``OpSpec.quantize``, or a table for functions of one tensor). This pass fixes every rounding point of the engine: what
comes after it may not move, add or remove one. What has no integer form stays float between its dequantize and its
quantize, which are spelled out as elementwise programs so that they merge with their neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, is_op, op, plural
from ingot.builder.provenance import give, provenance_of
from ingot.builder.quantization.forms import integer_form, quantised_input, quantised_inputs, requantised
from ingot.kernels.dequantize.op import DequantizeAttrs, dequantized
from ingot.kernels.dequantize.op import program as dequantize_program
from ingot.kernels.elementwise.program import cast_program, single
from ingot.kernels.quantize.op import program as quantize_program
from ingot.kernels.spec import DType, Quant, QuantForm, QuantInput, scale_shape


def run(graph: Graph) -> None:
    """Integer nodes wherever there is a rule; then the quantize and dequantize nodes that are left, spelled out."""
    users = graph.users()
    outputs = {id(value) for value in graph.outputs}
    folded = Sweep(graph).run(_Fold(users, outputs))
    if folded:
        graph.report.append(("fold_qdq", f"{plural(folded, 'node')} in int8"))
    spell_out(graph)


def spell_out(graph: Graph) -> None:
    """quantize and dequantize become constants or elementwise programs."""
    Sweep(graph).run(_spell_out)


class _Fold:
    """The rule of the sweep. ``users`` and ``outputs`` are those of the graph before it."""

    def __init__(self, users: dict[Value, list[Node]], outputs: set[int]) -> None:
        self.users = users
        self.outputs = outputs

    def __call__(self, sweep: Sweep, node: Node) -> Sequence[Value] | None:
        if is_op(node, "quantize"):
            given = quantised_input(node.inputs[0])
            return None if given is None or given.value is None else [_requantise(sweep, given.value, node.attrs.quant)]
        return None if is_op(node, "dequantize") else self._integers(sweep, node)

    def _integers(self, sweep: Sweep, node: Node) -> Sequence[Value] | None:
        """The results of the integer form; where the first is int8, dequantised for a quantize to take away again."""
        reader = self._quantize_behind(node)
        output = None if reader is None else reader.attrs.quant
        inputs = self._inputs(sweep, node, output)
        if not any(inputs):
            return None
        form = integer_form(node, inputs, output)
        if form is None:
            return None
        first, *rest = _emit(sweep, form, node, [node] if reader is None else [node, reader])
        if first.type.dtype is DType.F32:
            return [first, *rest]
        quant = form.output.quant
        if quant == output:
            give(first, provenance_of(reader.output))
        return [sweep.emit("dequantize", DequantizeAttrs((quant.scale,), (quant.zero_point,)), [first]), *rest]

    def _quantize_behind(self, node: Node) -> Node | None:
        """The quantize that the node's first result goes to, if it goes nowhere else."""
        readers = self.users.get(node.output, ())
        alone = len(readers) == 1 and id(node.output) not in self.outputs
        return readers[0] if alone and is_op(readers[0], "quantize") else None

    def _inputs(self, sweep: Sweep, node: Node, output: Quant | None) -> list[QuantInput | None]:
        inputs = quantised_inputs(node)
        if is_op(node, "concat") and output is not None:
            return [
                given and given.value and QuantInput(value=_requantise(sweep, given.value, output)) for given in inputs
            ]
        return inputs


def _emit(sweep: Sweep, form: QuantForm, node: Node, source: Sequence[Node]) -> list[Value]:
    """The results of the node of an integer form, in place of a float one; it does the work of ``source``."""
    inputs = [
        sweep.constant(x, f"{node.output.name}.{index}") if isinstance(x, np.ndarray) else x
        for index, x in enumerate(form.inputs)
    ]
    values = sweep.emit_all(form.op, form.attrs, inputs, source=source)
    values[0].type = form.output
    return values


def _requantise(sweep: Sweep, value: Value, quant: Quant) -> Value:
    """The value as int8 that stands for numbers in the way wanted: itself, or by a table."""
    if value.type.quant == quant:
        return value
    constant = sweep.constant(requantised(value.type.quant, quant), f"{value.name}.requantised")
    result = sweep.emit("lookup", op("lookup").attrs(quant), [value, constant])
    give(result, provenance_of(value))
    return result


def _spell_out(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    if is_op(node, "quantize"):
        return [sweep.emit("elementwise", quantize_program(node.attrs), node.inputs, outputs=node.outputs)]
    if not is_op(node, "dequantize"):
        return None
    (x,), attrs = node.inputs, node.attrs
    if x.data is not None and not sweep.is_output(node.output):
        return [sweep.constant(dequantized(attrs, x.data), f"{x.name}.dequantized")]
    if attrs.axis is None and x.type.dtype is DType.I8:
        return [sweep.emit("elementwise", dequantize_program(attrs), [x], outputs=node.outputs)]
    return [_per_axis(sweep, x, attrs, node)]


def _per_axis(sweep: Sweep, x: Value, attrs: DequantizeAttrs, node: Node) -> Value:
    """(int32(x) - zero) in integers, then to float32 and one multiplication."""
    shape = scale_shape(attrs.axis, x.type.shape)
    if x.type.dtype is not DType.I32:
        x = sweep.emit("elementwise", cast_program(x.type.dtype, DType.I32), [x])
    if any(attrs.zero_points):
        zero = sweep.constant(np.array(attrs.zero_points, np.int32).reshape(shape))
        x = sweep.emit("elementwise", single("Sub", [x.type, zero.type]), [x, zero])
    x = sweep.emit("elementwise", cast_program(DType.I32, DType.F32), [x])
    scale = sweep.constant(np.array(attrs.scales, np.float32).reshape(shape))
    return sweep.emit("elementwise", single("Mul", [x.type, scale.type]), [x, scale], outputs=node.outputs)
