"""What a recurrent layer is: its attributes in float and in int8, and the shapes of its results."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.common.quantized import UNIT, result_type
from ingot.kernels.spec import DType, Quant, TensorType, Unsupported


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
    #: of x in float32 where the products are those of int8: see :data:`PARTS`
    fine: float | None = None


@dataclass(frozen=True, slots=True)
class QRecurrentAttrs(RecurrentAttrs):
    """The same of int8: how x stands for real numbers, and Y; ``output`` None: Y is float32.

    Inputs: x int8, or float32 where ``fine`` is given; W and R int8 and symmetric; bias as in float; h0 and c0 float32
    or None; sums of the rows of W and of R, int32 ``[D, 2, G H]``; scales, float32 ``[D, 2, G H]``: of x times those of
    the rows of W, and those of the rows of R over :data:`PARTS`. Y_h and Y_c are float32.
    """

    x: Quant = UNIT
    output: Quant | None = None


#: Hidden states, which lie in [-1, 1], take part in products as PARTS h, two numbers of eight bits: 128 a + b. So does
#: x in float32, as x / ``fine``, ``fine`` being its largest magnitude over PARTS.
PARTS = 127 * 128


def with_fine(attrs: RecurrentAttrs, largest: float) -> RecurrentAttrs:
    """For x in float32 up to a magnitude."""
    return replace(attrs, fine=float(np.float32(largest / PARTS)))


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
    outputs = ((steps, d, batch, h), state, state)[: 3 if attrs.kind is RecurrentKind.LSTM else 2]
    if isinstance(attrs, QRecurrentAttrs):
        _check_quantised(attrs, inputs, state)
        return (result_type(outputs[0], attrs.output), *(TensorType(DType.F32, shape) for shape in outputs[1:]))
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
    return tuple(TensorType(x.dtype, shape) for shape in outputs)


def _check_quantised(attrs: QRecurrentAttrs, inputs: Sequence[TensorType | None], state: tuple[int, ...]) -> None:
    d, _, h = state
    rows = attrs.kind.gates * h
    wanted = (
        (DType.I8 if attrs.fine is None else DType.F32, inputs[0].shape),
        (DType.I8, (d, rows, inputs[0].shape[2])),
        (DType.I8, (d, rows, h)),
        (DType.F32, (d, 2 * rows)),
        (DType.F32, state),
        (DType.F32, state),
        (DType.I32, (d, 2, rows)),
        (DType.F32, (d, 2, rows)),
    )
    for index, (value, kind) in enumerate(zip(inputs, wanted, strict=True)):
        if value is None and index in (4, 5):
            continue
        if value is None or (value.dtype, value.shape) != kind:
            raise Unsupported(f"an int8 {attrs.kind.name}: input {index} is {value}", f"{kind[0].name} {kind[1]}")
