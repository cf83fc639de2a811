"""The integer form of a recurrent layer: when a node has one, what its kernel wants, and samples of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ingot.kernels.common.quantized import INT32, activation_of, inverse, result_type
from ingot.kernels.conv.int8 import pack_s8, storable
from ingot.kernels.spec import (
    NodeView,
    Quant,
    QuantForm,
    QuantInput,
    QuantWeights,
    Sample,
    Tactic,
    axes_of,
    scale_shape,
)

from . import cuda
from .attrs import (
    PARTS,
    SIGMOID,
    TANH,
    Direction,
    QRecurrentAttrs,
    RecurrentAttrs,
    RecurrentKind,
)
from .packing import pack_bias, pad_gates

#: magnitude at which fifteen bits saturate
_LARGEST = 127 * 128 + 63

_USUAL = {
    RecurrentKind.RNN: (TANH, TANH, TANH) * 2,
    RecurrentKind.GRU: (SIGMOID, TANH, TANH) * 2,
    RecurrentKind.LSTM: (SIGMOID, TANH, TANH) * 2,
}


def float_only(node: NodeView) -> str:
    """What there is no integer form with: names of ONNX's attributes and inputs."""
    attrs: RecurrentAttrs = node.attrs
    special = {
        "activations": attrs.activations != _USUAL[attrs.kind],
        "clip": attrs.clip < math.inf,
        "input_forget": attrs.input_forget,
    }
    if not isinstance(attrs, QRecurrentAttrs):
        special |= {"sequence_lens": node.inputs[4] is not None, "peepholes": node.inputs[7] is not None}
    found = [name for name, present in special.items() if present]
    return f"{attrs.kind.name} with {' and '.join(found)} has no int8 form" if found else ""


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """int8 x by constant int8 weights, R among them, with a scale for each row or fewer; states stay float32.

    x may be float32 where the attributes say how it is taken apart.
    """
    bias = node.inputs[3]
    if output is not None and output.rounds_as is not None:
        output = None  # a model's own QuantizeLinear divides: it is a step of its own
    x = activation_of(inputs[0]) if node.attrs.fine is None else Quant(node.attrs.fine)
    w, r = (given.weights if given is not None else None for given in inputs[1:3])
    if x is None or w is None or r is None or (bias is not None and bias.data is None):
        return None
    if not _is_usable(w, 255 if node.attrs.fine is None else _LARGEST) or not _is_usable(r, _LARGEST):
        return None
    of_w, of_r = _scales(w) * np.float64(x.scale), _scales(r) / PARTS
    d, rows = w.data.shape[:2]
    fields = {field.name: getattr(node.attrs, field.name) for field in dataclasses.fields(RecurrentAttrs)}
    operands = (
        inputs[0].value if node.attrs.fine is None else node.inputs[0],
        w.data,
        r.data,
        np.zeros((d, 2 * rows), np.float32) if bias is None else bias.data.astype(np.float32),
        node.inputs[5],
        node.inputs[6],
        np.stack([weights.data.sum(axis=2, dtype=np.int32) for weights in (w, r)], axis=1),
        np.stack([of_w, of_r], axis=1).astype(np.float32),
    )
    attrs = QRecurrentAttrs(**fields, x=x, output=output)
    return QuantForm("recurrent", attrs, operands, result_type(node.outputs[0].type.shape, output))


def _is_usable(weights: QuantWeights, largest: int) -> bool:
    """Whether a row has one scale, fits int8, and has sums with numbers up to ``largest`` that fit int32."""
    data = weights.data
    sums = np.abs(data.astype(np.int64)).sum(axis=2).max(initial=0) * largest
    return set(axes_of(weights.axis)) <= {0, 1} and data.dtype == np.int8 and int(sums) < INT32


def _scales(weights: QuantWeights) -> np.ndarray:
    """float64 [D, G H]."""
    given = weights.scales.astype(np.float64).reshape(scale_shape(weights.axis, weights.data.shape))
    return np.broadcast_to(given[..., 0], weights.data.shape[:2])


# -- the kernel --------------------------------------------------------------------------------------------------------


def _params(node: NodeView) -> dict[str, Any]:
    attrs: QRecurrentAttrs = node.attrs
    output = attrs.output or Quant(1.0)
    return {
        "kind": int(attrs.kind),
        "direction": int(attrs.direction),
        "linear_before_reset": int(attrs.linear_before_reset),
        "input_zero": attrs.x.zero_point,
        "inverse_scale": inverse(output),
        "output_zero": output.zero_point,
        "fine": 0.0 if attrs.fine is None else inverse(attrs.x),
    }


def _pack_weights(node: NodeView, array: np.ndarray) -> np.ndarray:
    """int8 [D, G H, n] -> [D, G Hp / 16, ceil(n / 4), 64]."""
    return np.stack([pack_s8(rows) for rows in pad_gates(node, array)])


def _pack_rows(node: NodeView, array: np.ndarray) -> np.ndarray:
    """[D, 2, G H] -> [D, 2, G Hp]."""
    return np.ascontiguousarray(pad_gates(node, array[..., None])[..., 0])


def _is_s8(node: NodeView) -> bool:
    if not isinstance(node.attrs, QRecurrentAttrs) or not storable(node.attrs.output) or not storable(node.attrs.x):
        return False
    return all(node.inputs[i].data is not None for i in (1, 2, 3, 6, 7))


_PACKS = {1: _pack_weights, 2: _pack_weights, 3: pack_bias, 6: _pack_rows, 7: _pack_rows}

TACTICS = (
    Tactic(
        kernel="recurrent_s8_n16k4",
        params_type="ingot_recurrent_s8_params",
        params=_params,
        when=_is_s8,
        pack=_PACKS,
        numerics="exact",
    ),
    Tactic(
        kernel="recurrent_s8_cuda",
        params_type="ingot_recurrent_s8_params",
        params=_params,
        when=_is_s8,
        pack=_PACKS,
        workspace=cuda.workspace_s8,
        numerics="exact",
        launch=cuda.launch_s8,
    ),
)


def _sample(
    kind: RecurrentKind, steps: int, batch: int, width: int, hidden: int, *, states: bool = True, **fields: Any
) -> Sample:
    activations = _USUAL[kind]
    fields = {"x": Quant(0.05, 3), "output": None} | fields
    if "fine" in fields:
        fields["x"] = Quant(fields["fine"])
    attrs = QRecurrentAttrs(kind, hidden, activations=activations, **fields)
    random = np.random.default_rng(steps * width + hidden)
    d, rows = attrs.direction.count, kind.gates * hidden
    x = random.integers(-128, 128, (steps, batch, width)).astype(np.int8)
    if attrs.fine is not None:
        x = (random.standard_normal(x.shape) * 6000 * attrs.fine).astype(np.float32)
    w, r = (random.integers(-128, 128, (d, rows, n)).astype(np.int8) for n in (width, hidden))
    bias = random.uniform(-1, 1, (d, 2 * rows)).astype(np.float32)
    h0, c0 = (random.uniform(-1, 1, (d, batch, hidden)).astype(np.float32) for _ in range(2))
    sums = np.stack([weights.sum(axis=2, dtype=np.int32) for weights in (w, r)], axis=1)
    terms = np.array([math.sqrt(width) * (1 if attrs.fine is None else 100), math.sqrt(hidden) * 100]).reshape(1, 2, 1)
    scale = (random.uniform(0.5, 2.0, (d, 2, rows)) / (5000 * terms)).astype(np.float32)
    inputs = (x, w, r, bias, h0 if states else None, c0 if states and kind is RecurrentKind.LSTM else None, sums, scale)
    name = f"int8 {kind.name} {steps}x{batch}x{width}-{hidden}-{attrs.direction.name}"
    return Sample(attrs, inputs, (1, 2, 3, 6, 7), name)


def samples() -> Iterable[Sample]:
    """All bytes; directions, batches, states, sizes that are no whole panels; Y in int8 and in float32."""
    near = Quant(0.0078, -5)
    for kind in RecurrentKind:
        after = {"linear_before_reset": True} if kind is RecurrentKind.GRU else {}
        for direction in Direction:
            yield _sample(kind, 5, 3, 7, 16, direction=direction, output=near)
            yield _sample(kind, 19, 3, 21, 16, direction=direction, fine=0.01, **after)
        yield _sample(kind, 1, 1, 130, 64, **after)
        yield _sample(kind, 3, 11, 48, 24, fine=0.01)
        yield _sample(kind, 19, 1, 8, 4, direction=Direction.BIDIRECTIONAL, states=False, **after)
        yield _sample(kind, 2, 19, 12, 21, output=near, x=Quant(0.05, -128), **after)
