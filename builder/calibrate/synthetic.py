"""Ranges without samples: the model is run on generated inputs. A guess, and reported as one.

Where the model has BatchNormalizations its twin that restores their statistics is observed (see :mod:`.twins`), so
that only what the first layers see is guessed. What inputs look like, in this order:

- a range that the caller gives
- the statistics of a BatchNormalization, or of ``(x - mean) * factor`` by constants, right behind the input
- pictures (one or three channels; see :mod:`.pictures`) in one of the usual scales, else independent normal numbers.
  The scale is the widest of the usual ones with which the first layer's biases are no smaller than what they are added
  to: training puts the two in balance. Where all biases are small, a classifier that is sure of itself only when it
  sees bytes was trained on bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ingot.builder.calibrate.histogram import Histogram
from ingot.builder.calibrate.observe import Observation, observe
from ingot.builder.calibrate.pictures import dead_leaves
from ingot.builder.ir import Graph, Node, Value
from ingot.errors import BuildError
from ingot.kernels.spec import DType

SAMPLES = 16
SEED = 0x1A607
#: what pictures are commonly scaled to, from narrow to wide
UNIT, CENTRED, STANDARD, BYTES = (0.0, 1.0), (-1.0, 1.0), (-2.1, 2.6), (0.0, 255.0)
CENTRED_BYTES = (-128.0, 127.0)
SCALES = (UNIT, CENTRED, STANDARD)
#: biases that outweigh the widest of these by this factor expect bytes
BYTE_RATIO = 10.0
#: mean of the largest probability: below the one nothing is recognised, above the other something is
UNSURE, SURE = 0.35, 0.5
#: ranges are rounded up to one of so many an octave: a guess has no more digits than that
STEPS = 16


#: (low, high) of what inputs hold, by name
InputRanges = Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Synthetic:
    """In place of data: generate it. ``ranges`` gives (low, high) of inputs by name, as far as they are known."""

    ranges: InputRanges = field(default_factory=dict)
    samples: int = SAMPLES


@dataclass(frozen=True, slots=True)
class _Input:
    """How samples of one input are generated; ``low`` and ``high`` for pictures."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    make: Callable[[np.random.Generator, tuple[float, float]], np.ndarray]
    known: tuple[float, float] | None = None
    is_picture: bool = False


def generate(
    graph: Graph,
    synthetic: Synthetic,
    normalisers: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Iterator[dict[str, np.ndarray]]:
    """Samples for the inputs of the graph; ``normalisers`` gives (mean, deviation) of inputs by name."""
    inputs = [_input(value, synthetic, normalisers) for value in graph.inputs]
    pictures = [i for i in inputs if i.is_picture and i.known is None]
    scale = _usual_scale(graph, inputs) if pictures else UNIT
    for index in range(synthetic.samples):
        yield _sample(inputs, index, scale)


def check_ranges(ranges: InputRanges, graph: Graph) -> None:
    """BuildError for a range of no input, or one that is none."""
    known = [value.name for value in graph.inputs]
    for name, (low, high) in ranges.items():
        if name not in known:
            raise BuildError(f"no input is called {name!r}; inputs: {', '.join(known)}")
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise BuildError(f"the range of input {name!r} is {low} to {high}: give two numbers, the smaller first")


def _sample(inputs: Sequence[_Input], index: int, scale: tuple[float, float]) -> dict[str, np.ndarray]:
    random = np.random.default_rng([SEED, index])
    return {i.name: i.make(random, i.known or scale).astype(i.dtype).reshape(i.shape) for i in inputs}


def _input(value: Value, synthetic: Synthetic, normalisers: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> _Input:
    shape, kind = value.type.shape, value.type.dtype
    known = synthetic.ranges.get(value.name)
    channels_first = len(shape) == 4 and shape[1] in (1, 3)
    channels_last = len(shape) == 4 and shape[3] in (1, 3) and not channels_first

    def zeros(random: np.random.Generator, scale: tuple[float, float]) -> np.ndarray:
        return np.zeros(shape)  # integers may be indices

    def normal(random: np.random.Generator, scale: tuple[float, float]) -> np.ndarray:
        mean, deviation = normalisers.get(value.name, (np.zeros(()), np.ones(())))
        return mean + deviation * _normal(random, shape)

    def between(random: np.random.Generator, scale: tuple[float, float]) -> np.ndarray:
        low, high = scale
        return np.clip((low + high) / 2 + (high - low) / 6 * _normal(random, shape), low, high)

    def picture(random: np.random.Generator, scale: tuple[float, float]) -> np.ndarray:
        low, high = scale
        height, width, channels = shape[1:] if channels_last else (*shape[2:], shape[1])
        leaves = np.stack([dead_leaves(random, height, width, channels) for _ in range(shape[0])])
        return low + (high - low) * (leaves if channels_last else leaves.transpose(0, 3, 1, 2))

    plain = value.name not in normalisers and (kind.is_float or known is not None)
    is_picture = (channels_first or channels_last) and plain
    make = picture if is_picture else between if known else normal
    generated = kind.is_float or (known is not None and kind is not DType.BOOL)
    return _Input(value.name, shape, kind.numpy, make if generated else zeros, known, is_picture)


def _normal(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Nearly normal: the sum of twelve uniform numbers, which every machine computes alike."""
    total = np.zeros(shape)
    for _ in range(12):
        total += random.random(shape)
    return total - 6.0


def _usual_scale(graph: Graph, inputs: Sequence[_Input]) -> tuple[float, float]:
    """The scale of pictures that the first layer looks trained for."""
    layer = _first_layer(graph)
    if layer is None:
        return UNIT
    observation = _observe(graph, [layer.output])
    bias = float(np.median(np.abs(layer.inputs[2].data.astype(np.float64))))
    ratios: dict[tuple[float, float], float] = {}
    for scale in SCALES:
        results = [observation.run(_sample(inputs, i, scale))[layer.output.name] for i in range(3)]
        rows = np.concatenate([r.reshape(-1, r.shape[-1]).astype(np.float64) for r in results])
        deviations = rows.std(axis=0)
        signal = float(np.median(deviations[deviations > 0])) if deviations.any() else 0.0
        ratios[scale] = bias / signal if signal else math.inf
    if ratios[STANDARD] > BYTE_RATIO:
        return BYTES
    small = CENTRED_BYTES if _is_sure_of_bytes(graph, inputs) else UNIT
    return next((scale for scale in reversed(SCALES) if ratios[scale] >= 1), small)


def _is_sure_of_bytes(graph: Graph, inputs: Sequence[_Input]) -> bool:
    found = [value for value in graph.outputs if value.producer is not None and value.producer.op.name == "softmax"]
    if not found:
        return False
    observation = _observe(graph, found[:1])
    means = []
    for scale in (UNIT, CENTRED_BYTES):
        largest = [observation.run(_sample(inputs, i, scale))[found[0].name].max() for i in range(4)]
        means.append(float(sum(largest)) / len(largest))
    return means[0] < UNSURE and means[1] > SURE


def _observe(graph: Graph, values: Sequence[Value]) -> Observation:
    """The same bits on any machine."""
    return observe(graph, [value.name for value in values], isa="portable")


def _first_layer(graph: Graph) -> Node | None:
    """The first convolution or product that has weights and biases."""
    for node in graph.nodes:
        if node.op.name in ("conv", "matmul") and all(v is not None and v.is_constant for v in node.inputs[1:3]):
            return node
    return None


def widen(amax: float) -> float:
    """Rounded up to a 16th of an octave."""
    if not amax:
        return 0.0
    mantissa, exponent = math.frexp(amax)  # mantissa in [0.5, 1)
    return math.ldexp(math.ceil(mantissa * 2 * STEPS) / (2 * STEPS), exponent)


def stem(name: str) -> str:
    """The name of the model's tensor that an internal value stands for: passes append what they did, after a point."""
    head, point, tail = name.rpartition(".")
    return head if point and tail in ("elementwise", "transpose", "conv", "concat", "pad", "pool") else name


def prefer(twins: Mapping[str, Histogram], plain: Mapping[str, Histogram]) -> dict[str, Histogram]:
    """For each value of the model what was seen in the twin, where the twin has it, else in the model itself."""
    by_stem = {stem(name): histogram for name, histogram in twins.items()}
    return {name: twins.get(name) or by_stem.get(stem(name)) or histogram for name, histogram in plain.items()}
