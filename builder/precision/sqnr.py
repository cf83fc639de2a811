"""The error each step makes by itself in int8: its quantised form on float inputs, against the float form.

One engine computes the float graph and, beside it, the quantised form of every node on the float values, rounded. So
no node sees the errors of another. The rounding of a result counts for the nodes that read it, not for the one that
gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes import quantize
from ingot.builder.passes.rewrite import Names, drop_dead, is_op, op
from ingot.builder.pipeline import FROM_QUANTIZE, run_passes
from ingot.builder.precision.engine import Runner
from ingot.builder.precision.judge import Distance
from ingot.builder.quantization.request import Request
from ingot.kernels.elementwise.program import single
from ingot.kernels.spec import DType, OpSpec, TensorType

Sample = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A node by name, its float result and what its quantised form gives."""

    name: str
    wanted: Value
    got: Value


def node_sqnr(
    graph: Graph, request: Request, samples: Sequence[Sample], factors: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Signal-to-quantisation-noise ratio in dB of every node that would compute in int8, by the name of its result.

    Infinite where nothing is lost. ``factors``: what to multiply values by before a node reads them.
    """
    made = _SideBySide(graph, request, factors or {})
    if not made.pairs:
        return {}
    names = [pair.name for pair in made.pairs]
    merged = made.graph()
    run_passes(merged, FROM_QUANTIZE)
    runner = Runner(merged)
    found = {name: Distance() for name in names}
    for sample in samples:
        results = runner.run(sample)
        for index, name in enumerate(names):
            found[name].add(results[2 * index + 1], results[2 * index])
    return {name: distance.decibels for name, distance in found.items()}


def measurable(graph: Graph, request: Request) -> list[str]:
    """The names of the results that :func:`node_sqnr` is about."""
    return [pair.name for pair in _SideBySide(graph, request, {}).pairs]


class _SideBySide:
    """The float graph, and the quantised nodes that read its values."""

    def __init__(self, graph: Graph, request: Request, factors: Mapping[str, float]) -> None:
        self.floats = graph.copy()
        self.values = {v.name: v for v in [*self.floats.inputs, *(v for n in self.floats.nodes for v in n.outputs)]}
        self.names = Names(self.floats)
        self.constants = {value.name: value for value in self.floats.constants()}
        self.factors = factors
        self.scaled: dict[str, Value] = {}
        self.rounded: dict[str, Value] = {}
        self.nodes: list[Node] = list(self.floats.nodes)
        self.pairs: list[_Pair] = []
        forced = graph.copy()
        quantize.run(forced, replace(request, allow_fallback=True, refused={}))
        for node in forced.nodes:
            if not is_op(node, "quantize") and not is_op(node, "dequantize"):
                self._add(node)

    def graph(self) -> Graph:
        """Its outputs are the pairs: float result, quantised result."""
        outputs = [value for pair in self.pairs for value in (pair.wanted, pair.got)]
        merged = Graph(self.floats.inputs, outputs, self.nodes, self.floats.name)
        drop_dead(merged)
        return merged

    def _add(self, node: Node) -> None:
        reads = [v.producer is not None and is_op(v.producer, "dequantize") for v in node.inputs if v is not None]
        if not any(reads):
            return
        name = node.output.name
        got = self._copy(node, [self._quantised(v) for v in node.inputs])
        wanted = self.values[name]
        if self.factors:
            original = wanted.producer
            wanted = self._copy(original, [self._scaled(v) for v in original.inputs])
        self.pairs.append(_Pair(name, wanted, got))

    def _copy(self, node: Node, inputs: list[Value | None]) -> Value:
        kinds = [value.type for value in node.outputs]
        return self._emit(node.op, node.attrs, inputs, *kinds, source=node.source)

    def _quantised(self, value: Value | None) -> Value | None:
        """What the quantised form reads for an input of it."""
        if value is None or value.is_constant:
            return value and self.constants.setdefault(value.name, value)
        maker = value.producer
        if not is_op(maker, "dequantize"):
            return self._scaled(value)
        source = maker.inputs[0]
        if source.is_constant:
            return self._emit(maker.op, maker.attrs, [source], value.type)
        rounding = source.producer
        name = rounding.inputs[0].name
        if name not in self.rounded:
            self.rounded[name] = self._round(self._scaled(rounding.inputs[0]), rounding)
        return self.rounded[name]

    def _round(self, value: Value, rounding: Node) -> Value:
        """The value rounded as this quantize node does."""
        q = self._emit(rounding.op, rounding.attrs, [value], rounding.output.type)
        attrs = op("dequantize").attrs((rounding.attrs.quant.scale,), (rounding.attrs.quant.zero_point,))
        return self._emit(op("dequantize"), attrs, [q], value.type)

    def _scaled(self, value: Value | None) -> Value | None:
        if value is None or value.is_constant:
            return value
        value, factor = self.values[value.name], self.factors.get(value.name, 1.0)
        if factor == 1.0:
            return value
        if value.name not in self.scaled:
            number = np.array(factor, np.float32)
            constant = Value(self.names.fresh(f"{value.name}.factor"), TensorType(DType.F32, ()), number)
            program = single("Mul", [value.type, constant.type])
            self.scaled[value.name] = self._emit(op("elementwise"), program, [value, constant], value.type)
        return self.scaled[value.name]

    def _emit(
        self, spec: OpSpec, attrs: object, inputs: list[Value | None], *kinds: TensorType, source: tuple[str, ...] = ()
    ) -> Value:
        """The first result of a new node."""
        results = [Value(self.names.fresh(f"sqnr.{len(self.nodes)}.{index}"), kind) for index, kind in enumerate(kinds)]
        node = Node(spec, attrs, inputs, results, source)
        for value in results:
            value.producer = node
        self.nodes.append(node)
        return results[0]
