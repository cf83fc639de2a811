"""Weight equalisation: channels of one tensor are brought to like ranges, so that one scale serves all of them.

What a convolution gives in channel c is multiplied by a power of two, and the weights by which the next one reads
that channel are divided by it. Between them may stand what commutes with positive factors: a clamp at 0, padding with
zeros, poolings. An upper clamp (ReLU6) stays where it is, which for a channel that was multiplied means that it
saturates at the largest value seen in it, as int8 itself does. All other results are the same bits as before.

After M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, with the
largest magnitudes of activations in place of those of weights: weights have a scale for each channel anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Names, frozen, is_op, plural
from ingot.builder.provenance import scale_channels
from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.spec import DType, TensorType

#: channels are multiplied by at most 2 to this power
MOST = 6
#: and stay this power of two below the largest of all, as other inputs may be larger
MARGIN = 1


@dataclass(frozen=True, slots=True)
class Pair:
    """A convolution whose result ``value`` only ``reader`` reads, perhaps through what commutes with factors."""

    maker: Node
    reader: Node
    #: from the maker's result to what the reader reads
    values: tuple[Value, ...]

    @property
    def value(self) -> Value:
        return self.maker.output


def pairs(graph: Graph) -> list[Pair]:
    """All pairs whose channels can be equalised."""
    users = graph.users()
    outputs = {id(value) for value in graph.outputs}
    found = []
    for node in graph.nodes:
        if not _may_make(node) or id(node.output) in outputs:
            continue
        pair = _pair(node, users, outputs)
        if pair is not None:
            found.append(pair)
    return found


def run(graph: Graph, found: Sequence[Pair], largest: Mapping[str, np.ndarray]) -> None:
    """Equalise. ``largest`` gives the largest magnitude seen in each channel of each pair's value, by its name."""
    names = Names(graph)
    changed = 0
    for pair in found:
        powers = _powers(pair, largest[pair.value.name])
        if not powers.any():
            continue
        factors = np.exp2(powers).astype(np.float32)
        _scale(pair.maker, 1, factors.reshape(-1, *[1] * (pair.maker.inputs[1].type.rank - 1)), names)
        if pair.maker.inputs[2] is not None:
            _scale(pair.maker, 2, factors, names)
        for value in pair.values:
            scale_channels(value, powers.astype(int).tolist())
        _scale(pair.reader, 1, _for_reader(pair.reader, 1 / factors), names)
        changed += 1
    if changed:
        graph.report.append(("equalize", f"channels of {plural(changed, 'tensor')} brought to like ranges"))


def _may_make(node: Node) -> bool:
    if not is_op(node, "conv") or node.inputs[3] is not None or not _constant(node.inputs[1]):
        return False
    activation = node.attrs.activation
    clamps = activation.kind is ActivationKind.CLIP and activation.alpha == 0.0
    passes = clamps or activation.kind in (ActivationKind.NONE, ActivationKind.RELU)
    return passes and (node.inputs[2] is None or _constant(node.inputs[2]))


def _constant(value: Value | None) -> bool:
    return value is not None and value.data is not None and value.type.dtype is DType.F32


def _pair(maker: Node, users: Mapping[Value, list[Node]], outputs: set[int]) -> Pair | None:
    values = [maker.output]
    while True:
        value = values[-1]
        readers = users.get(value, ())
        if len(readers) != 1 or id(value) in outputs:
            return None
        (node,) = readers
        if is_op(node, "conv") and node.inputs[0] is value:
            fits = _constant(node.inputs[1]) and node.inputs[3] is not value
            return Pair(maker, node, tuple(values)) if fits else None
        zeros = is_op(node, "pad") and node.attrs.mode == "constant" and node.attrs.value == 0
        if not (zeros and not (node.attrs.before[-1] or node.attrs.after[-1])) and not _is_pool(node):
            return None
        values.append(node.output)


def _is_pool(node: Node) -> bool:
    return is_op(node, "pool") and node.attrs.kind.name != "LP" and len(node.outputs) == 1


def _powers(pair: Pair, largest: np.ndarray) -> np.ndarray:
    """The power of two for each channel: almost up to the largest of all, half the way where weights mix channels."""
    largest = np.asarray(largest, np.float64)
    top = largest.max(initial=0.0)
    if not np.isfinite(top) or top <= 0:
        return np.zeros(len(largest))
    room = np.log2(top / np.maximum(largest, top * 2.0**-30)) - MARGIN
    if not _is_depthwise(pair.reader):
        room = room / 2
    powers = np.clip(np.floor(room), 0, MOST)
    return np.where(largest > 0, powers, 0)


def _is_depthwise(node: Node) -> bool:
    return node.attrs.groups == node.inputs[0].type.shape[-1]


def _for_reader(node: Node, factors: np.ndarray) -> np.ndarray:
    """The factors of input channels in a shape that broadcasts over the weights [O, C / groups, *kernel]."""
    w = node.inputs[1].type.shape
    by_group = np.repeat(factors.reshape(node.attrs.groups, -1), w[0] // node.attrs.groups, axis=0)
    return by_group.reshape(w[0], w[1], *[1] * (len(w) - 2))


def _scale(node: Node, index: int, factors: np.ndarray, names: Names) -> None:
    old = node.inputs[index]
    data = frozen(old.data * factors)
    node.inputs[index] = Value(names.fresh(f"{old.name}.equalized"), TensorType(DType.F32, data.shape), data)
