"""Products of what is stored in float16 or bfloat16 with a constant matrix that is, too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.common.half import HALF, narrow, pack_half, takes_weights, widen
from ingot.kernels.spec import DType, Half, NodeView, Sample, Tactic, TensorType

from .attrs import HalfMatMulAttrs, MatMulAttrs, infer


def to_half(node: NodeView, inputs: Sequence[DType | None], output: DType) -> HalfMatMulAttrs:
    """The attributes of the node in half."""
    plain = {f.name: getattr(node.attrs, f.name) for f in fields(MatMulAttrs)}
    return HalfMatMulAttrs(**plain, output=output)


def pack(node: NodeView, b: np.ndarray) -> np.ndarray:
    """[K, N], or its transpose with ``trans_b`` -> [ceil(N / 16), ceil(K / 2), 32]; ``alpha`` is a power of two."""
    attrs: HalfMatMulAttrs = node.attrs
    dtype = node.inputs[1].type.dtype
    matrix = b.reshape(b.shape[-2:])
    columns = matrix if attrs.trans_b else matrix.T
    if attrs.alpha != 1.0:
        columns = narrow(widen(columns, dtype) * np.float32(attrs.alpha), dtype)
    return pack_half(columns)


def _params(node: NodeView) -> dict[str, Any]:
    return {"trans_a": 0, "trans_b": 0, "alpha": 1.0, "reserved": 0, "activation": node.attrs.activation.params()}


def _tactic(kernel: str, dtype: DType) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_matmul_params",
        params=_params,
        when=lambda node: takes_weights(node, HalfMatMulAttrs, dtype),
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    )


TACTICS = (_tactic("matmul_f16_n16", DType.F16), _tactic("matmul_bf16_n16k2", DType.BF16))


def _able(node: NodeView) -> bool:
    a, b = node.inputs[0].type, node.inputs[1]
    one_matrix = b.data is not None and math.prod(b.type.shape[:-2]) == 1 and b.type.rank <= a.rank
    return one_matrix and not node.attrs.trans_a and math.frexp(abs(node.attrs.alpha))[0] == 0.5


RULE = Half(able=_able, operands=(0, 3), weights=lambda node: (1,), attrs=to_half)


def _sample(
    name: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    half: DType,
    left: DType | None = None,
    output: DType | None = None,
    residual: DType | None = None,
    bias: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    activation: Activation = NO_ACTIVATION,
) -> Sample:
    attrs = HalfMatMulAttrs(False, trans_b, alpha, activation, output or half)
    inputs = [TensorType(left or half, a), TensorType(half, b), None, None]
    shape = infer(attrs, inputs)[0].shape
    inputs[2] = TensorType(DType.F32, shape[-1:]) if bias else None
    inputs[3] = TensorType(residual, shape) if residual else None
    return Sample(attrs, tuple(inputs), (1, 2) if bias else (1,), f"{half.name.lower()} {name}")


def samples() -> Iterable[Sample]:
    """Vectors, tall and wide matrices, batches; operands and results in half and in float32."""
    relu = Activation(ActivationKind.RELU)
    for half in HALF:
        for m, k, n in ((1, 48, 256), (1, 129, 12), (2, 5, 17), (3, 33, 40), (10, 16, 15), (23, 17, 33), (49, 64, 16)):
            yield _sample(f"{m}x{k}x{n}", (m, k), (k, n), half=half, bias=True, activation=relu)
        for kind in (ActivationKind.GELU, ActivationKind.SILU):
            yield _sample(kind.name, (21, 18), (18, 37), half=half, bias=True, activation=Activation(kind))
        yield _sample("of float32", (12, 31), (31, 20), half=half, left=DType.F32, bias=True)
        yield _sample("row of float32", (1, 30), (30, 20), half=half, left=DType.F32, output=DType.F32)
        yield _sample("to float32", (13, 30), (30, 140), half=half, output=DType.F32, residual=half)
        yield _sample("batch", (2, 3, 5, 7), (7, 20), half=half, residual=DType.F32)
        yield _sample("transposed", (2, 13, 7), (20, 7), half=half, trans_b=True, alpha=-0.25)
        yield _sample(
            "activation", (11, 8), (8, 19), half=half, residual=half, activation=Activation(ActivationKind.SIGMOID)
        )
        yield _sample("many weights", (21, 700), (700, 150), half=half, bias=True)
        yield _sample("no depth", (3, 0), (0, 5), half=half, bias=True)
