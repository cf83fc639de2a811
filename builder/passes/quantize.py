"""Where a float graph is rounded to int8: quantize and dequantize nodes put in by calibrated ranges.

A value is stored in int8 when a layer that computes in int8 reads it. Layers with work of their own (convolutions,
products) do so whenever they can; everything else does so only between them, where it saves going to float and back.
Operators that only move elements, max pooling and concat give their operands and results one scale. After this pass
the graph is like a model that arrived quantised, and ``fold_qdq`` makes integers of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Names, op, plural
from ingot.builder.provenance import cut, give, provenance_of
from ingot.builder.quantization.bias import CORRECTED, corrected_bias, shifted_bias
from ingot.builder.quantization.forms import CARRIES, LAYERS, integer_form
from ingot.builder.quantization.request import Request
from ingot.builder.quantization.signs import lower_bounds
from ingot.builder.quantization.tables import is_table, quant_for
from ingot.builder.quantization.weights import has_weights, quantise, weight_axes
from ingot.kernels.dequantize.op import DequantizeAttrs
from ingot.kernels.quantize.op import QuantizeAttrs
from ingot.kernels.spec import DType, Quant, QuantInput, QuantWeights, TensorType

_ANY = Quant(0.0625)


def run(graph: Graph, request: Request) -> None:
    """Insert the nodes. Why layers stay in float32 is noted in ``request.refused``."""
    plan = Plan(graph, request)
    if plan.integer:
        _Insertion(graph, plan, request).run()
        text = f"{plural(len(plan.stored), 'value')} in int8, {plural(len(plan.integer), 'layer')} computing in it"
        graph.report.append(("quantize", text))


def _data(node: Node) -> list[Value]:
    """The inputs that are activations, states left out."""
    given = [v for i, v in enumerate(node.inputs) if v is not None and i not in node.op.states]
    return [v for v in given if not v.is_constant and v.type.dtype is DType.F32]


class Plan:
    """Which nodes compute in int8 (``integer``), which values are stored in it (``stored``), and with which scale."""

    def __init__(self, graph: Graph, request: Request) -> None:
        self.graph = graph
        self.request = request
        self.users = graph.users()
        self.weights: dict[Node, dict[int, QuantWeights]] = {}
        self.integer = self._choose()
        self.fine = {node for node in self.integer if node.op.fine and node.inputs[0].producer not in self.integer}
        read = [value for node in graph.nodes if node in self.integer for value in self._in_int8(node)]
        self.stored = list(dict.fromkeys(read))
        self.cut: set[Value] = set()  # those whose range is what their readers look at
        self.quants = self._scales()

    def _in_int8(self, node: Node) -> list[Value]:
        """What a node that computes in int8 reads in int8."""
        return _data(node)[1:] if node in self.fine else _data(node)

    def _choose(self) -> set[Node]:
        able = {node for node in self.graph.nodes if self._is_able(node)}
        alive: set[Node] = set()
        for node in self.graph.nodes:  # what is not a layer itself goes on in int8 only where int8 comes in
            made_of = [v.producer for v in _data(node)]
            if node in able and (node.op.name in LAYERS or any(producer in alive for producer in made_of)):
                alive.add(node)
        integer: set[Node] = set()
        for node in reversed(self.graph.nodes):
            wanted = any(user in integer for value in node.outputs for user in self.users.get(value, ()))
            if node in alive and (node.op.name in LAYERS or wanted):
                integer.add(node)
        return integer

    def _is_able(self, node: Node) -> bool:
        if node.op.quantize is None or not _data(node) or node.outputs[0].type.dtype is not DType.F32:
            return False
        reason = self._obstacle(node)
        if reason:
            self.request.refused[node.name] = reason
        return not reason

    def _obstacle(self, node: Node) -> str:
        """Why the node cannot compute in int8; empty when it can."""
        if self.request.asked(node) not in ("int8", "best"):
            return "asked for"
        if node.name in self.request.kept_out:
            return self.request.kept_out[node.name]
        reason = node.op.float_only(node)
        if reason:
            return reason
        missing = [v for v in _data(node) if self.request.ranges.scale(v.name) is None]
        if missing:
            held = provenance_of(missing[0])
            return f"there is no calibrated range for {held[0].name if held else missing[0].name}"
        if has_weights(node):
            self.weights[node] = {i: quantise(node.inputs[i].data, axis) for i, axis in weight_axes(node).items()}
        elif any(node.inputs[i].is_constant for i in weight_axes(node)):
            return "its weights are not constant, finite float32"
        if integer_form(node, self._trial(node), _ANY) is not None:
            return ""
        return "no int8 kernel takes these operands"

    def _trial(self, node: Node) -> list[QuantInput | None]:
        """The inputs as they would be."""
        made: dict[Value, QuantInput] = {}
        inputs: list[QuantInput | None] = []
        for index, value in enumerate(node.inputs):
            if index in self.weights.get(node, {}):
                inputs.append(QuantInput(weights=self.weights[node][index]))
            elif value is None or value.is_constant or value.type.dtype is not DType.F32 or index in node.op.states:
                inputs.append(None)
            else:
                kind = TensorType(DType.I8, value.type.shape, _ANY)
                inputs.append(made.setdefault(value, QuantInput(value=Value(f"{value.name}.trial", kind))))
        return inputs

    # -- scales ----------------------------------------------------------------------------------------------------

    def _scales(self) -> dict[Value, Quant]:
        """One scale for all values of a group: the largest that one of them needs."""
        group = {value: value for value in self.stored}

        def root(value: Value) -> Value:
            while group[value] is not value:
                value = group[value]
            return value

        for node in self.graph.nodes:
            result = node.outputs[0]
            if node not in self.integer or result not in group:
                continue
            for value in self._alike(node):
                if value in group:
                    group[root(value)] = root(result)
        scales: dict[Value, float] = {}
        for value in self.stored:
            scales[root(value)] = max(scales.get(root(value), 0.0), self.scale(value))
        bounds = lower_bounds(self.graph)
        low: dict[Value, float] = {}
        for value in self.stored:
            low[root(value)] = min(low.get(root(value), 0.0), bounds.get(value, -np.inf))
        quants = {value: _quant(scales[root(value)], low[root(value)]) for value in self.stored}
        alone = [value for value in self.stored if sum(root(other) is root(value) for other in self.stored) == 1]
        self.cut = {value for value in alone if self._only_tables(value)}
        return quants | {value: self._for_tables(value, quants) for value in alone if value in self.cut}

    def _only_tables(self, value: Value) -> bool:
        return all(node in self.integer and is_table(node, value) for node in self.users[value])

    def _for_tables(self, value: Value, quants: dict[Value, Quant]) -> Quant:
        """The range of a value that only functions of it read; ``quants`` are those of their results."""
        limit = self.scale(value) * 127
        seen = getattr(self.request.ranges, "ranges", {}).get(value.name)
        low, high = (max(seen.low, -limit), min(seen.high, limit)) if seen is not None else (-limit, limit)
        return quant_for([(node, quants[node.output]) for node in self.users[value]], value, low, high)

    def largest(self, value: Value) -> float:
        """The largest magnitude that a value is to stand for where there is no need to cut: all that was seen."""
        seen = getattr(self.request.ranges, "ranges", {}).get(value.name)
        return max(self.scale(value) * 127, *(() if seen is None else (-seen.low, seen.high)))

    def _alike(self, node: Node) -> Sequence[Value]:
        """The inputs that take the scale of the result."""
        if node.op.name in CARRIES or _picks(node):
            return node.inputs[:1]
        if node.op.name == "concat":
            return [value for value in node.inputs if len(self.users[value]) == 1]
        return ()

    def scale(self, value: Value) -> float:
        """That of int8, by calibration."""
        scale = float(np.float32(self.request.ranges.scale(value.name)))
        return scale if np.isfinite(scale) and scale > 0 else float(np.float32(1.0 / 127))


def _picks(node: Node) -> bool:
    """Whether every element of the result is one of the first input: another scale would gain nothing."""
    if node.op.name in ("pool", "reduce"):
        return node.attrs.kind.name in ("MAX", "MIN")
    return node.op.name == "resize" and node.attrs.mode == "nearest"


def _quant(scale: float, low: float) -> Quant:
    """Symmetric with this scale; what is never below ``low`` has all 256 numbers for the range from there up."""
    high = scale * 127
    if -low * 2 > high:
        return Quant(scale)
    finer = float(np.float32((high - low) / 255))
    return Quant(finer, int(np.clip(np.rint(-128 - low / finer), -128, 127)))


class _Insertion:
    """Puts the nodes in and lets the readers read them."""

    def __init__(self, graph: Graph, plan: Plan, request: Request) -> None:
        self.graph = graph
        self.plan = plan
        self.request = request
        self.names = Names(graph)
        self.nodes: list[Node] = []
        self.instead: dict[Value, Value] = {}

    def run(self) -> None:
        stored = set(self.plan.stored)
        for value in self.graph.inputs:
            if value in stored:
                self._store(value)
        for node in self.graph.nodes:
            x = node.inputs[0] if node.inputs else None
            node.inputs = [self._read(node, value) for value in node.inputs]
            if node in self.plan.fine:
                node.attrs = node.op.fine(node.attrs, self.plan.largest(x))
            if node in self.plan.integer and node in self.plan.weights:
                self._correct(node, x)
                for index, weights in self.plan.weights[node].items():
                    node.inputs[index] = self._weights(node.inputs[index], weights)
            self.nodes.append(node)
            for value in node.outputs:
                if value in stored:
                    self._store(value)
        self.graph.nodes = self.nodes

    def _read(self, node: Node, value: Value | None) -> Value | None:
        if value is None or value not in self.instead:
            return value
        made_in_int8 = value.producer in self.plan.integer and value is value.producer.output
        reads_int8 = node in self.plan.integer and node not in self.plan.fine
        return self.instead[value] if made_in_int8 or reads_int8 else value

    def _store(self, value: Value) -> None:
        quant = self.plan.quants[value]
        kind = TensorType(DType.I8, value.type.shape, quant)
        q = self._append("quantize", QuantizeAttrs(quant), value, Value(self.names.fresh(f"{value.name}.s8"), kind))
        held = provenance_of(value)
        give(q, cut(held) if value in self.plan.cut else held)
        back = Value(self.names.fresh(f"{value.name}.f32"), value.type)
        attrs = DequantizeAttrs((quant.scale,), (quant.zero_point,))
        self.instead[value] = self._append("dequantize", attrs, q, back)

    def _correct(self, node: Node, x: Value) -> None:
        if node.op.name not in CORRECTED:
            return
        shift, mean = self.request.corrections.get(node.output.name), self.request.means.get(x.name)
        if shift is not None:
            bias = shifted_bias(node, shift)
        else:
            bias = None if mean is None else corrected_bias(node, self.plan.weights[node][1], mean)
        if bias is None:
            return
        bias.flags.writeable = False
        name = self.names.fresh(f"{node.outputs[0].name}.bias")
        node.inputs[2] = Value(name, TensorType(DType.F32, bias.shape), bias)

    def _weights(self, w: Value, weights: QuantWeights) -> Value:
        data = weights.data
        data.flags.writeable = False
        constant = Value(self.names.fresh(f"{w.name}.s8"), TensorType(DType.I8, data.shape), data)
        attrs = DequantizeAttrs(tuple(weights.scales.tolist()), (0,) * len(weights.scales), weights.axis)
        return self._append("dequantize", attrs, constant, Value(self.names.fresh(f"{w.name}.f32"), w.type))

    def _append(self, name: str, attrs: object, x: Value, result: Value) -> Value:
        node = Node(op(name), attrs, [x], [result], ())
        result.producer = node
        self.nodes.append(node)
        return result
