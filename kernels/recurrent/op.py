"""LSTM, GRU and RNN."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.spec import Builder, DType, NodeView, OpSpec, Sample, Tactic, TensorType, Unsupported, onnx_op


class RecurrentKind(enum.IntEnum):
    """Values of the C enum ``ingot_recurrent_kind``; the gates in ONNX's order."""

    RNN = 0  #: one gate
    GRU = 1  #: z, r, h
    LSTM = 2  #: i, o, f, c

    @property
    def gates(self) -> int:
        return (1, 3, 4)[self]


class Direction(enum.IntEnum):
    """Values of the C enum ``ingot_recurrent_direction``."""

    FORWARD = 0
    REVERSE = 1
    BIDIRECTIONAL = 2

    @property
    def count(self) -> int:
        return 2 if self is Direction.BIDIRECTIONAL else 1


AFFINE, SCALED_TANH = 100, 101  #: what the C header has beside ``ingot_activation_kind``


@dataclass(frozen=True, slots=True)
class GateActivation:
    """``kind`` is an :class:`ActivationKind`, AFFINE or SCALED_TANH."""

    kind: int
    alpha: float = 0.0
    beta: float = 0.0

    def params(self) -> dict[str, Any]:
        return {"kind": int(self.kind), "alpha": self.alpha, "beta": self.beta, "reserved": 0}


SIGMOID = GateActivation(ActivationKind.SIGMOID)
TANH = GateActivation(ActivationKind.TANH)


@dataclass(frozen=True, slots=True)
class RecurrentAttrs:
    """``activations``: three a direction (LSTM f, g, h; GRU f, g; RNN f; the others unused)."""

    kind: RecurrentKind
    hidden: int
    direction: Direction = Direction.FORWARD
    activations: tuple[GateActivation, ...] = (SIGMOID, TANH, TANH) * 2
    clip: float = math.inf
    linear_before_reset: bool = False
    input_forget: bool = False


def infer(attrs: RecurrentAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """x [T, B, I], W [D, G H, I], R [D, G H, H], bias [D, 2 G H], lens int32 [B], h0, c0 [D, B, H], peepholes [D, 3 H]
    -> Y [T, D, B, H], Y_h [D, B, H] and for LSTM Y_c [D, B, H]; what follows R is optional.
    """
    x = inputs[0]
    if x.rank != 3:
        raise Unsupported(f"{attrs.kind.name} of rank {x.rank}", "an input [T, B, I]")
    if x.dtype is DType.F64:
        raise Unsupported(f"{attrs.kind.name} in float64", "a cast to float32 before it")
    (steps, batch, width), d, g, h = x.shape, attrs.direction.count, attrs.kind.gates, attrs.hidden
    state = (d, batch, h)
    wanted = {
        1: (d, g * h, width),
        2: (d, g * h, h),
        3: (d, 2 * g * h),
        4: (batch,),
        5: state,
        6: state,
        7: (d, 3 * h),
    }
    for index, value in enumerate(inputs[1:], 1):
        if value is not None and value.shape != wanted[index]:
            raise Unsupported(f"{attrs.kind.name}: input {index} has shape {value.shape}", f"shape {wanted[index]}")
    outputs = ((steps, d, batch, h), state, state)[: 3 if attrs.kind is RecurrentKind.LSTM else 2]
    return tuple(TensorType(x.dtype, shape) for shape in outputs)


def _params(node: NodeView) -> dict[str, Any]:
    attrs: RecurrentAttrs = node.attrs
    return {
        "kind": int(attrs.kind),
        "direction": int(attrs.direction),
        "linear_before_reset": int(attrs.linear_before_reset),
        "input_forget": int(attrs.input_forget),
        "clip": attrs.clip,
        "activations": [a.params() for a in attrs.activations],
    }


def _pad_gates(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[..., G H, n] -> [..., G Hp, n], each gate padded with zeros to a multiple of 16."""
    attrs: RecurrentAttrs = node.attrs
    split = array.reshape(*array.shape[:-2], attrs.kind.gates, attrs.hidden, array.shape[-1])
    pad = [(0, 0)] * (split.ndim - 2) + [(0, -attrs.hidden % 16), (0, 0)]
    padded = np.pad(split, pad)
    return padded.reshape(*array.shape[:-2], -1, array.shape[-1])


def pack_weights(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[D, G H, n] -> [D, G Hp / 16, n, 16]."""
    padded = _pad_gates(node, array)
    d, rows, n = padded.shape
    return np.ascontiguousarray(padded.reshape(d, rows // 16, 16, n).transpose(0, 1, 3, 2))


def pack_bias(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[D, 2 G H] -> [D, 2, G Hp]: what is added to the gates, then what is added to R h alone."""
    attrs: RecurrentAttrs = node.attrs
    gates, hidden = attrs.kind.gates, attrs.hidden
    of_w, of_r = np.split(array.reshape(-1, 2, gates, hidden), 2, axis=1)
    apart = np.zeros((gates, 1), bool)
    if attrs.kind is RecurrentKind.GRU and attrs.linear_before_reset:
        apart[2] = True
    both = np.concatenate([np.where(apart, of_w, of_w + of_r), np.where(apart, of_r, np.float32(0))], axis=1)
    packed = _pad_gates(node, both.reshape(-1, 2, gates * hidden, 1))
    return np.ascontiguousarray(packed[..., 0].astype(array.dtype))


def _has_constant_weights(node: NodeView) -> bool:
    return all(v is None or v.data is not None for v in node.inputs[1:4])


def samples() -> Iterable[Sample]:
    def case(kind, steps, batch, width, hidden, constant=True, lens=None, optional=True, **attrs) -> Sample:
        a = RecurrentAttrs(kind, hidden, **attrs)
        d, g = a.direction.count, kind.gates
        f32 = lambda *shape: TensorType(DType.F32, shape)  # noqa: E731
        inputs = [f32(steps, batch, width), f32(d, g * hidden, width), f32(d, g * hidden, hidden)]
        inputs += [f32(d, 2 * g * hidden), lens, f32(d, batch, hidden)] if optional else [None, None, None]
        lstm = kind is RecurrentKind.LSTM and optional
        inputs += [f32(d, batch, hidden), f32(d, 3 * hidden)] if lstm else [None, None]
        name = f"{kind.name}-{steps}x{batch}x{width}-{hidden}-{a.direction.name}"
        return Sample(a, tuple(inputs), (1, 2, 3) if constant else (), name)

    for kind in RecurrentKind:
        for direction in Direction:
            yield case(kind, 5, 3, 7, 16, direction=direction)
        yield case(kind, 1, 1, 257, 128, optional=False)
        yield case(kind, 33, 1, 8, 4, direction=Direction.BIDIRECTIONAL)
        yield case(kind, 2, 33, 8, 8, linear_before_reset=kind is RecurrentKind.GRU)
        yield case(kind, 4, 2, 5, 21, constant=False, clip=0.5)
        yield case(kind, 6, 3, 5, 9, lens=np.array([6, 2, 0], np.int32), direction=Direction.BIDIRECTIONAL)


def _tactic(kernel: str, **more: Any) -> Tactic:
    return Tactic(kernel, "ingot_recurrent_params", _params, **more)


SPEC = OpSpec(
    name="recurrent",
    attrs=RecurrentAttrs,
    infer=infer,
    tactics=(
        _tactic(
            "recurrent_f32_n16",
            when=_has_constant_weights,
            pack={1: pack_weights, 2: pack_weights, 3: pack_bias},
        ),
        _tactic("recurrent_f32"),
    ),
    samples=samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)

#: name in ONNX: kind, and the constants it takes when the node gives none; None where it takes none
_ACTIVATIONS: dict[str, tuple[int, float | None, float | None]] = {
    "sigmoid": (ActivationKind.SIGMOID, None, None),
    "tanh": (ActivationKind.TANH, None, None),
    "relu": (ActivationKind.RELU, None, None),
    "softsign": (ActivationKind.SOFTSIGN, None, None),
    "softplus": (ActivationKind.SOFTPLUS, None, None),
    "leakyrelu": (ActivationKind.LEAKY_RELU, 0.01, None),
    "thresholdedrelu": (ActivationKind.THRESHOLDED_RELU, 1.0, None),
    "elu": (ActivationKind.ELU, 1.0, None),
    "hardsigmoid": (ActivationKind.HARD_SIGMOID, 0.2, 0.5),
    "affine": (AFFINE, 1.0, 0.0),
    "scaledtanh": (SCALED_TANH, 1.0, 1.0),
}
_DEFAULTS = {
    RecurrentKind.LSTM: ("Sigmoid", "Tanh", "Tanh"),
    RecurrentKind.GRU: ("Sigmoid", "Tanh"),
    RecurrentKind.RNN: ("Tanh",),
}


def _activations(b: Builder, kind: RecurrentKind, directions: int) -> tuple[GateActivation, ...]:
    """Three a direction for two directions; alphas and betas belong, in order, to the functions that take them."""
    each = len(_DEFAULTS[kind])
    names = b.attr("activations") or list(_DEFAULTS[kind]) * directions
    alphas, betas = iter(b.attr("activation_alpha") or ()), iter(b.attr("activation_beta") or ())
    if len(names) != each * directions:
        raise Unsupported(f"{len(names)} activations", f"{each} a direction")
    found = []
    for name in names:
        if name.lower() not in _ACTIVATIONS:
            raise Unsupported(f"activation {name}", f"one of {', '.join(_ACTIVATIONS)}")
        function, alpha, beta = _ACTIVATIONS[name.lower()]
        alpha = 0.0 if alpha is None else next(alphas, alpha)
        found.append(GateActivation(function, alpha, 0.0 if beta is None else next(betas, beta)))
    rows = [tuple(found[i * each : (i + 1) * each]) + (TANH,) * (3 - each) for i in range(directions)]
    return rows[0] + rows[-1]


@onnx_op("RNN", "GRU", "LSTM")
def import_recurrent(b: Builder):
    """All forms; with ``layout`` 1 the batch comes first in everything but the weights."""
    kind = RecurrentKind[b.op_type]
    directions = {"forward": Direction.FORWARD, "reverse": Direction.REVERSE, "bidirectional": Direction.BIDIRECTIONAL}
    name = b.attr("direction", "forward")
    if name not in directions:
        raise Unsupported(f"direction {name!r}", "forward, reverse or bidirectional")
    direction = directions[name]
    batch_first = bool(b.attr("layout", 0))
    attrs = RecurrentAttrs(
        kind,
        b.attr("hidden_size", None) or b.input(2).type.shape[-1],
        direction,
        _activations(b, kind, direction.count),
        b.attr("clip", 0.0) or math.inf,
        bool(b.attr("linear_before_reset", 0)),
        bool(b.attr("input_forget", 0)),
    )

    def swap(value):
        return b.transpose(value, (1, 0, 2)) if batch_first and value is not None else value

    lens = b.input(4)
    x = swap(b.input(0))
    if lens is not None and lens.data is not None and (lens.data == x.type.shape[0]).all():
        lens = None
    if lens is not None:
        lens = b.cast(lens, DType.I32)
    inputs = [x, b.input(1), b.input(2), b.input(3), lens, swap(b.input(5)), swap(b.input(6)), b.input(7)]
    y, *states = b.emit("recurrent", attrs, inputs)
    return [b.transpose(y, (2, 0, 1, 3)) if batch_first else y, *map(swap, states)]
