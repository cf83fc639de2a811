"""Empirical bias correction: what rounding adds to each channel of a layer's result on average goes into its bias.

Layers are taken in their order. Each reads what the quantised layers before it, already corrected, make of the samples;
the mean of its result in every channel is compared with that of the float model, and the difference leaves the bias.
That takes away what no single layer shows: noise that a clamp turns into an offset, and errors that repeat because
pictures have flat regions. After M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
Correction", ICCV 2019, appendix D.

A mean over few samples is itself noise, so each difference d is shrunk by d^2 / (d^2 + v), v being the variance of the
mean over samples. Portable kernels compute all of it: any machine finds the same corrections.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.builder.calibrate.corrections import Corrections, bfloat16
from ingot.builder.calibrate.means import channel_mean
from ingot.builder.calibrate.observe import Observation, observe
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.fold_qdq import spell_out
from ingot.builder.passes.rewrite import frozen, is_op
from ingot.builder.quantization.bias import shifted_bias
from ingot.builder.quantization.tables import is_table
from ingot.kernels.spec import DType, TensorType

Sample = Mapping[str, np.ndarray]
#: samples used: at most, at least, and so many that a value of all of them has this many elements at most
MOST, LEAST, ELEMENTS = 64, 8, 1 << 26


def graph_digest(quantised: Graph) -> str:
    """SHA-256 of the graph's text, in hex: every operator, attribute and scale, no data of weights."""
    return hashlib.sha256(str(quantised).encode()).hexdigest()


def sample_count(graph: Graph) -> int:
    """How many samples are used."""
    largest = max((v.type.count for node in graph.nodes for v in node.outputs), default=1)
    return min(max(ELEMENTS // max(largest, 1), LEAST), MOST)


def measure(
    graph: Graph, quantised: Graph, samples: Sequence[Sample], log: Callable[[str], None] | None = None
) -> Corrections:
    """The corrections for ``quantised``, made of ``graph`` by quantize and dequantize nodes. They go into its biases.

    Empty with fewer than two samples: they could not tell an offset from chance.
    """
    digest = graph_digest(quantised)
    layers = [node for node in quantised.nodes if _correctable(node)]
    if len(samples) < 2 or not layers:
        return Corrections(digest)
    seen = _seen(graph, [node.output.name for node in layers])
    wanted = _means(observe(graph, [*seen.values()], isa="portable"), samples)
    made = {value.name: value for node in quantised.nodes for value in node.outputs}
    walk = _Walk(quantised, [made[name] for name in seen.values()], samples)
    shifts = {}
    for index, layer in enumerate(layers):
        if log:
            log(f"bias correction: layer {index} of {len(layers)}")
        name = layer.output.name
        shift = _shift(walk.means(index), wanted[seen[name]])
        if shift.any():
            layer.inputs[2] = _with_bias(layer, shift)
            shifts[name] = shift
        walk.advance(index)
    return Corrections(digest, shifts)


def _seen(graph: Graph, names: Sequence[str]) -> dict[str, str]:
    """By the name of a layer's result the name of the value that is compared: a function's of it, if all that read it.

    In a picture the mean in front of a SiLU or a sigmoid is that of the background, which the function all but removes:
    a shift that brings it back would move what is let through. With one row a sample there is no background.
    """
    users = graph.users()
    outputs = {id(value) for value in graph.outputs}
    seen = {}
    for value in (value for node in graph.nodes for value in node.outputs):
        readers = list(dict.fromkeys(users.get(value, ())))
        function = len(readers) == 1 and id(value) not in outputs and is_table(readers[0], value)
        function = function and value.type.count > value.type.shape[-1]
        seen[value.name] = readers[0].output.name if function else value.name
    return {name: seen[name] for name in names}


def _correctable(node: Node) -> bool:
    """Whether the node has quantised weights and a bias to correct."""
    maker = node.inputs[1].producer if len(node.inputs) > 2 and node.inputs[1] is not None else None
    channels = node.output.type.shape[-1:]
    return is_op(maker, "dequantize") and shifted_bias(node, np.zeros(channels)) is not None


def _with_bias(layer: Node, shift: np.ndarray) -> Value:
    bias = frozen(shifted_bias(layer, shift))
    return Value(f"{layer.output.name}.bias", TensorType(DType.F32, bias.shape), bias)


def _means(observation: Observation, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """For each observed value float64 [samples, channels]."""
    rows: dict[str, list[np.ndarray]] = {name: [] for name in observation.names}
    for sample in samples:
        for name, array in observation.run(sample).items():
            rows[name].append(channel_mean(array))
    return {name: np.stack(found) for name, found in rows.items()}


def _shift(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """What the bias gains, from means [samples, channels] as they are and as they should be."""
    difference = wanted - found
    count = len(difference)
    mean = _mean(difference)
    variance = _mean((difference - mean) ** 2) / (count - 1)
    square = mean * mean
    with np.errstate(all="ignore"):
        shift = np.where(square > 0, mean * (square / (square + variance)), 0.0)
    return bfloat16(np.where(np.isfinite(shift), shift, 0.0))


def _mean(rows: np.ndarray) -> np.ndarray:
    """Over the first axis, from left to right on any machine."""
    return np.cumsum(rows, axis=0)[-1] / len(rows)


@dataclass(frozen=True, slots=True)
class _Segment:
    """The nodes that compute a value of what is there, what they read, and what later segments read of theirs."""

    nodes: list[Node]
    reads: list[Value]
    keeps: list[Value]


class _Walk:
    """Runs a graph from value to value over all samples; what lies behind a layer sees its corrected bias."""

    def __init__(self, graph: Graph, values: Sequence[Value], samples: Sequence[Sample]) -> None:
        self.values = values
        self.segments = _segments(graph, [value.producer for value in values])
        self.held = {value: [sample[value.name] for sample in samples] for value in graph.inputs}
        self.count = len(samples)

    def means(self, index: int) -> np.ndarray:
        """float64 [samples, channels]: the value, biases as they stand."""
        return np.stack([channel_mean(out[0]) for out in self._run(index, [self.values[index]])])

    def advance(self, index: int) -> None:
        """Compute what later layers read, and forget what they do not."""
        segment = self.segments[index]
        results = list(self._run(index, segment.keeps, copy=True)) if segment.keeps else []
        self.held |= {value: [row[i] for row in results] for i, value in enumerate(segment.keeps)}
        needed = {value for later in self.segments[index + 1 :] for value in later.reads}
        self.held = {value: rows for value, rows in self.held.items() if value in needed}

    def _run(self, index: int, values: Sequence[Value], copy: bool = False):
        """For each sample the arrays of ``values``."""
        segment = self.segments[index]
        part = Graph(segment.reads, list(values), segment.nodes).copy()
        spell_out(part)
        names = [value.name for value in values]
        observation = Observation(part, names, min(os.cpu_count() or 1, 4), "portable")
        for i in range(self.count):
            found = observation.run({value.name: self.held[value][i] for value in segment.reads})
            yield [found[name].copy() if copy else found[name] for name in names]


def _segments(graph: Graph, layers: Sequence[Node]) -> list[_Segment]:
    there = set(graph.inputs)
    order = {id(node): index for index, node in enumerate(graph.nodes)}
    cones = []
    for layer in layers:
        nodes = sorted(_cone(layer, there), key=lambda node: order[id(node)])
        made = {value for node in nodes for value in node.outputs}
        reads = [v for node in nodes for v in node.inputs if v is not None and not v.is_constant and v not in made]
        # Quantised values are cheap to make again, and what makes them is smaller than they are as floats.
        kept = [v for node in nodes if not _is_rounding(node) for v in node.outputs]
        there.update(kept)
        cones.append((nodes, list(dict.fromkeys(reads)), kept))
    segments = []
    for index, (nodes, reads, kept) in enumerate(cones):
        later = {value for _, more, _ in cones[index + 1 :] for value in more}
        segments.append(_Segment(nodes, reads, [value for value in kept if value in later]))
    return segments


def _is_rounding(node: Node) -> bool:
    return is_op(node, "dequantize") or is_op(node, "quantize")


def _cone(layer: Node, there: set[Value]) -> list[Node]:
    """The node and all it depends on, up to values that are there."""
    found: dict[int, Node] = {}
    waiting = [layer]
    while waiting:
        node = waiting.pop()
        if id(node) in found:
            continue
        found[id(node)] = node
        waiting += [v.producer for v in node.inputs if v is not None and v.producer is not None and v not in there]
    return list(found.values())
