"""LSTM, GRU and RNN."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.common.half import HALF, pack_half
from ingot.kernels.spec import Builder, DType, Half, NodeView, OpSpec, Sample, Tactic, TensorType, Unsupported, onnx_op

from . import cuda, int8
from .attrs import (
    AFFINE,
    SCALED_TANH,
    TANH,
    Direction,
    GateActivation,
    QRecurrentAttrs,
    RecurrentAttrs,
    RecurrentKind,
    infer,
    with_fine,
)
from .packing import pack_bias, pad_gates


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


def pack_weights(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[D, G H, n] -> [D, G Hp / 16, n, 16]."""
    padded = pad_gates(node, array)
    d, rows, n = padded.shape
    return np.ascontiguousarray(padded.reshape(d, rows // 16, 16, n).transpose(0, 1, 3, 2))


def pack_half_weights(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[D, G H, n] -> [D, G Hp / 16, ceil(n / 2), 32]."""
    return np.stack([pack_half(rows) for rows in pad_gates(node, array)])


def _has_constant_weights(node: NodeView) -> bool:
    return _is_float(node) and all(v is None or v.data is not None for v in node.inputs[1:4])


def _is_float(node: NodeView) -> bool:
    return not isinstance(node.attrs, QRecurrentAttrs)


def _is_plain(node: NodeView) -> bool:
    return _is_float(node) and node.inputs[1].type.dtype is DType.F32


def _takes_packed(node: NodeView, dtype: DType) -> bool:
    return _has_constant_weights(node) and node.inputs[1].type.dtype is node.inputs[2].type.dtype is dtype


def samples() -> Iterable[Sample]:
    def case(
        kind, steps, batch, width, hidden, constant=True, lens=None, optional=True, half=DType.F32, peeps=True, **attrs
    ) -> Sample:
        a = RecurrentAttrs(kind, hidden, **attrs)
        d, g = a.direction.count, kind.gates
        f32 = lambda *shape: TensorType(DType.F32, shape)  # noqa: E731
        inputs = [f32(steps, batch, width)]
        inputs += [TensorType(half, (d, g * hidden, width)), TensorType(half, (d, g * hidden, hidden))]
        inputs += [f32(d, 2 * g * hidden), lens, f32(d, batch, hidden)] if optional else [None, None, None]
        lstm = kind is RecurrentKind.LSTM and optional
        inputs += [f32(d, batch, hidden), f32(d, 3 * hidden) if peeps else None] if lstm else [None, None]
        name = f"{kind.name}-{steps}x{batch}x{width}-{hidden}-{a.direction.name}-{half.name}"
        # where states are rounded too, weights that make no more of small differences
        spread = max(width, hidden) ** -0.5 if half is DType.BF16 else 1.0
        return Sample(a, tuple(inputs), (1, 2, 3) if constant else (), name, spread)

    def small(kind: TensorType) -> np.ndarray:
        numbers = np.random.default_rng(kind.shape[-1]).standard_normal(kind.shape)
        return (numbers / math.sqrt(kind.shape[-1])).astype(kind.dtype.numpy)

    for kind in RecurrentKind:
        for direction in Direction:
            yield case(kind, 5, 3, 7, 16, direction=direction)
        yield case(kind, 1, 1, 257, 128, optional=False)
        yield case(kind, 33, 1, 8, 4, direction=Direction.BIDIRECTIONAL)
        yield case(kind, 2, 33, 8, 8, linear_before_reset=kind is RecurrentKind.GRU)
        yield case(kind, 4, 2, 5, 21, constant=False, clip=0.5)
        for half in HALF:
            yield case(kind, 5, 3, 8, 20, half=half, direction=Direction.BIDIRECTIONAL)
            yield case(kind, 2, 1, 257, 63, half=half, direction=Direction.BIDIRECTIONAL)
            yield case(kind, 3, 7, 6, 34, half=half, linear_before_reset=kind is RecurrentKind.GRU)
        yield case(kind, 6, 3, 5, 9, lens=np.array([6, 2, 0], np.int32), direction=Direction.BIDIRECTIONAL)
    for kind in RecurrentKind:  # units of several blocks, with weights that make no more of small differences
        usual = {"activations": (TANH,) * 6} if kind is RecurrentKind.RNN else {}
        one = {"peeps": False, "linear_before_reset": kind is RecurrentKind.GRU, **usual}
        several = (
            case(kind, 35, 1, 13, 37, direction=Direction.BIDIRECTIONAL, **one),
            case(kind, 40, 1, 50, 16, direction=Direction.REVERSE, lens=np.array([29], np.int32), **one),
            case(kind, 7, 9, 3, 33, constant=False, **one),
            case(kind, 5, 1, 20, 200, linear_before_reset=kind is RecurrentKind.GRU, peeps=False, **usual),
            case(kind, 5, 2, 9, 193, half=DType.F16, direction=Direction.BIDIRECTIONAL, optional=False, **usual),
        )
        yield case(kind, 35, 1, 13, 37, half=DType.BF16, direction=Direction.BIDIRECTIONAL, **one)
        yield case(kind, 18, 1, 64, 48, half=DType.BF16, lens=np.array([11], np.int32), **one)
        yield from (
            replace(each, inputs=(each.inputs[0], *map(small, each.inputs[1:3]), *each.inputs[3:])) for each in several
        )
    lens = np.array([6, 0, 4, 2, 1], np.int32)
    yield case(RecurrentKind.GRU, 6, 5, 8, 256, lens=lens, half=DType.BF16, direction=Direction.REVERSE)
    yield from int8.samples()


def _tactic(kernel: str, **more: Any) -> Tactic:
    return Tactic(kernel, "ingot_recurrent_params", _params, **more)


def _cuda_tactic(kernel: str, dtype: DType, pack: Any) -> Tactic:
    return _tactic(
        kernel,
        when=lambda node: _takes_packed(node, dtype),
        pack={1: pack, 2: pack, 3: pack_bias},
        workspace=cuda.workspace,
        launch=lambda node, target: cuda.launch(node, target, plain=False),
    )


SPEC = OpSpec(
    name="recurrent",
    attrs=RecurrentAttrs,
    infer=infer,
    tactics=(
        _tactic(
            "recurrent_f32_n16",
            when=lambda node: _takes_packed(node, DType.F32),
            pack={1: pack_weights, 2: pack_weights, 3: pack_bias},
        ),
        *(
            _tactic(
                kernel,
                when=lambda node, dtype=dtype: _takes_packed(node, dtype),
                pack={1: pack_half_weights, 2: pack_half_weights, 3: pack_bias},
            )
            for kernel, dtype in (("recurrent_f16_n16", DType.F16), ("recurrent_bf16_n16k2", DType.BF16))
        ),
        *int8.TACTICS,
        _tactic("recurrent_f32", when=_is_plain),
        _cuda_tactic("recurrent_f32_cuda", DType.F32, pack_weights),
        _cuda_tactic("recurrent_f16_cuda", DType.F16, pack_half_weights),
        _cuda_tactic("recurrent_bf16_cuda", DType.BF16, pack_half_weights),
        _tactic(
            "recurrent_plain_cuda",
            when=_is_plain,
            workspace=cuda.workspace,
            launch=lambda node, target: cuda.launch(node, target, plain=True),
        ),
    ),
    samples=samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
    quantize=int8.quantize,
    float_only=int8.float_only,
    weights=lambda node: {1: (0, 1), 2: (0, 1)},
    states=(5, 6),
    fine=with_fine,
    half=Half(able=_has_constant_weights, operands=(), weights=lambda node: (1, 2), results=False),
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
