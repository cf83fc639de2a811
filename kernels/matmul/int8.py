"""The kernels of int8 matrix products: how they want their operands, and when they can do a node."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.conv.int8 import PANEL, pack_s8, s8_numbers, s8_operands, storable
from ingot.kernels.spec import NodeView, Quant, Sample, Tactic
from ingot.targets import Target

from .attrs import QMatMulAttrs

_X, _Y = Quant(0.05, 3), Quant(0.03, -5)  # of samples


def s8_fields(node: NodeView, trans_b: bool) -> dict[str, Any]:
    """The fields of the C struct ``ingot_matmul_s8_params``; ``alpha`` is part of the scale."""
    attrs: QMatMulAttrs = node.attrs
    return {
        "matmul": {
            "trans_a": int(attrs.trans_a),
            "trans_b": int(trans_b),
            "alpha": 1.0,
            "activation": attrs.activation.params(),
        },
        "numbers": s8_numbers(attrs.a, attrs.residual, attrs.output, attrs.steps),
        "b_zero": 0 if attrs.b is None else attrs.b.zero_point,
    }


def _pack(node: NodeView, b: np.ndarray) -> np.ndarray:
    """int8 [parts, K, N], or its transpose with ``trans_b`` -> [ceil(N / 16), parts * ceil(K / 4), 64]."""
    parts = b.reshape(-1, *b.shape[-2:])
    return np.concatenate([pack_s8(part if node.attrs.trans_b else part.T) for part in parts], axis=1)


def _packed(node: NodeView) -> bool:
    b, attrs = node.inputs[1], node.attrs
    if not isinstance(attrs, QMatMulAttrs) or attrs.b is not None or b.data is None:
        return False
    one_matrix = math.prod(b.type.shape[:-2]) == 1 and b.type.rank <= node.inputs[0].type.rank
    return (one_matrix or attrs.parts > 1) and storable(attrs.output)


def _free(node: NodeView) -> bool:
    return isinstance(node.attrs, QMatMulAttrs) and node.attrs.b is not None and storable(node.attrs.output)


def _columns(node: NodeView) -> int:
    return node.outputs[0].type.shape[-1]


def _rows(node: NodeView) -> int:
    return node.outputs[0].type.count // max(_columns(node), 1)


#: a sum as deep as this takes as long as beginning and storing it; fewer rows are bound by reading weights
_SHALLOW, _FEW = 16, 12


def _efficiency(share: float = 1.0, few: float = 1.0) -> Callable[[NodeView, Target], float]:
    """As measured on Zen 4. ``share``: what a way of cutting leaves of the usual, and ``few`` where rows are few."""

    def efficiency(node: NodeView, target: Target) -> float:
        if _rows(node) < _FEW:
            return few
        depth = max(node.inputs[0].type.shape[-2 if node.attrs.trans_a else -1], 1)
        columns = _columns(node)
        return 0.97 * share * depth / (depth + _SHALLOW) * columns / (-(-columns // PANEL) * PANEL)

    return efficiency


def _constant(
    variant: str = "",
    when: Callable[[NodeView], bool] = lambda node: True,
    share: float = 1.0,
    few: float = 1.0,
    **tuning: int,
) -> Tactic:
    """``tuning``: fields of the C struct ``ingot_s8_tuning``."""
    return Tactic(
        kernel="matmul_s8_n16k4",
        params_type="ingot_matmul_s8_params",
        params=lambda node: s8_fields(node, trans_b=False) | {"tuning": tuning},
        when=lambda node: _packed(node) and when(node),
        pack={1: _pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=variant,
        efficiency=_efficiency(share, few),
    )


#: the C enumerator INGOT_MATMUL_S8_BY_ROWS
BY_ROWS = 1

TACTICS = (
    _constant(),
    _constant("rows=8", lambda node: _rows(node) > 8, 0.99, rows=8),
    _constant("slice=2", lambda node: _columns(node) > 2 * PANEL, 0.97, 0.75, slice=2),
    _constant("slice=16", lambda node: _columns(node) > 8 * PANEL, slice=16),
    _constant("order=rows", lambda node: _rows(node) > 10 and node.inputs[1].type.count > 192 * 1024, way=BY_ROWS),
    Tactic(
        kernel="matmul_s8",
        params_type="ingot_matmul_s8_params",
        params=lambda node: s8_fields(node, node.attrs.trans_b),
        when=_free,
        pitched_inputs=(0, 1, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
    ),
)


def _sample(
    name: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    b_quant: Quant | None = None,
    residual: Quant | None = None,
    output: Quant | None = _Y,
    bias: bool = True,
    **fields: Any,
) -> Sample:
    attrs = QMatMulAttrs(**fields, a=_X, b=b_quant, residual=residual, output=output)
    random = np.random.default_rng(len(name))
    left = random.integers(-128, 128, a).astype(np.int8)
    right = random.integers(-128, 128, (attrs.parts, *b) if attrs.parts > 1 else b).astype(np.int8)
    m, n = a[-1] if attrs.trans_a else a[-2], b[-2] if attrs.trans_b else b[-1]
    shape = (*np.broadcast_shapes(a[:-2], b[:-2]), m, n)
    matrix = right.reshape(-1, *b[-2:])[: attrs.parts].sum(axis=0, dtype=np.int16)
    columns = matrix if attrs.trans_b else matrix.T
    offset, rest, sums, scale = s8_operands(columns, shape, attrs)
    if b_quant is not None:
        sums, scale = None, scale[:1]
    constant = [1] if b_quant is None else []
    inputs = (left, right, offset if bias else None, rest, sums, scale)
    return Sample(attrs, inputs, (*constant, *(i for i in (2, 4, 5) if inputs[i] is not None)), name)


def samples() -> Iterable[Sample]:
    """All bytes; vectors, tall and wide matrices, batches, transposes; by constants and by activations."""
    relu = Activation(ActivationKind.RELU)
    other, near = Quant(0.2, -9), Quant(0.11, 7)
    for m, k, n in ((1, 48, 256), (1, 130, 12), (2, 5, 17), (3, 33, 40), (10, 16, 15), (23, 17, 90), (49, 64, 16)):
        yield _sample(f"int8 {m}x{k}x{n}", (m, k), (k, n), activation=relu)
        yield _sample(f"int8 to float {m}x{k}x{n}", (m, k), (k, n), output=None, residual=near)
        yield _sample(f"int8 free {m}x{k}x{n}", (m, k), (k, n), b_quant=other, residual=near)
        yield _sample(f"int8 free transposed {m}x{k}x{n}", (k, m), (n, k), trans_a=True, trans_b=True, b_quant=other)
    for m, k, n in ((1, 24, 700), (12, 772, 270), (13, 770, 270), (31, 9, 33)):
        yield _sample(f"int8 wide {m}x{k}x{n}", (m, k), (k, n), residual=near)
    yield _sample("int8 deep", (13, 2100), (2100, 24), residual=near)
    yield _sample("int8 batch", (2, 3, 5, 7), (7, 20), residual=near, bias=False)
    yield _sample("int8 free batch", (2, 3, 5, 7), (3, 7, 20), b_quant=other, residual=near)
    yield _sample("int8 transposed", (2, 7, 13), (20, 7), trans_a=True, trans_b=True)
    yield _sample("int8 steps", (5, 24), (24, 40), steps=True, activation=Activation(ActivationKind.CLIP, 0.0, 90.0))
    for parts in (2, 3):
        yield _sample(f"int8 {parts} parts", (13, 24), (24, 40), parts=parts, residual=near)
        yield _sample(f"int8 {parts} parts transposed", (3, 7, 5), (20, 7), parts=parts, trans_a=True, trans_b=True)
    yield _sample("int8 broadcast", (3, 1, 5, 7), (2, 7, 18), b_quant=Quant(0.1), output=None)
    yield _sample("int8 broadcast left", (5, 7), (2, 3, 7, 18), b_quant=Quant(0.1, -128), bias=False)
