"""Matrix product with batch axes, either operand transposed, bias and residual."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.conv.panels import pack_panels
from ingot.kernels.spec import (
    SCALAR,
    Builder,
    DType,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    onnx_op,
)

from . import cuda, cuda_few_rows, cuda_plain, cuda_tma, half, int8
from .attrs import MatMulAttrs, infer, work
from .cuda_plain import PLAIN, is_plain
from .quantized import quantize


def _params(node: NodeView) -> dict[str, Any]:
    attrs: MatMulAttrs = node.attrs
    return {
        "trans_a": int(attrs.trans_a),
        "trans_b": int(attrs.trans_b),
        "alpha": attrs.alpha,
        "reserved": 0,
        "activation": attrs.activation.params(),
    }


def _packed_params(node: NodeView) -> dict[str, Any]:
    return _params(node) | {"trans_b": 0, "alpha": 1.0}


def pack(node: NodeView, b: np.ndarray) -> np.ndarray:
    """[K, N], or its transpose with ``trans_b`` -> [ceil(N / 16), K, 16], scaled by ``alpha``."""
    attrs: MatMulAttrs = node.attrs
    matrix = b.reshape(b.shape[-2:])
    columns = matrix if attrs.trans_b else matrix.T
    if attrs.alpha != 1.0:
        columns = columns * np.float32(attrs.alpha)
    return pack_panels(columns[None, :, None, :])[:, 0]


def _packed(node: NodeView) -> bool:
    a, b = node.inputs[0].type, node.inputs[1]
    one_matrix = b.data is not None and math.prod(b.type.shape[:-2]) == 1 and b.type.rank <= a.rank
    return one_matrix and a.dtype is b.type.dtype is DType.F32


def _free(node: NodeView) -> bool:
    return all(v.type.dtype is DType.F32 for v in node.inputs[:2])


#: (most rows of a tile, panels of a slice, whether the slices of a tile follow each other)
CUTS = ((10, 16, 1), (10, 16, 0), (10, 4, 1), (5, 4, 1))


def _cut(rows: int, panels: int, tile_major: int) -> Tactic:
    """The packed product cut otherwise than its kernel would."""
    cut = {"rows": rows, "slice": panels, "tile_major": tile_major}
    return Tactic(
        kernel="matmul_f32_n16_cut",
        params_type="ingot_matmul_cut_params",
        params=lambda node: {"matmul": _packed_params(node), "cut": cut},
        when=_packed,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=f"tile={rows}x{panels} order={'tiles' if tile_major else 'slices'}",
    )


TACTICS = (
    *int8.TACTICS,
    *half.TACTICS,
    Tactic(
        kernel="matmul_f32_n16",
        params_type="ingot_matmul_params",
        params=_packed_params,
        when=_packed,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    ),
    *(_cut(*cut) for cut in CUTS),
    Tactic(
        kernel="matmul_f32",
        params_type="ingot_matmul_params",
        params=_params,
        when=_free,
        pitched_inputs=(0, 1, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    ),
    Tactic(
        kernel="matmul_plain",
        params_type="ingot_matmul_params",
        params=_params,
        when=is_plain,
        inplace=(3,),
        efficiency=lambda node, target: SCALAR,
    ),
    *cuda_few_rows.TACTICS,
    *cuda.TACTICS,
    *cuda_tma.TACTICS,
    *cuda_plain.TACTICS,
)


def _sample(
    name: str,
    a: tuple[int, ...],
    b: tuple[int, ...],
    *,
    constant: tuple[int, ...] = (),
    bias: bool = False,
    residual: bool = False,
    dtype: DType = DType.F32,
    **fields: Any,
) -> Sample:
    attrs = MatMulAttrs(**fields)
    left, right = TensorType(dtype, a), TensorType(dtype, b)
    (result,) = infer(attrs, (left, right))
    inputs = (left, right, TensorType(dtype, result.shape[-1:]) if bias else None, result if residual else None)
    return Sample(attrs, inputs, constant, name)


def samples() -> Iterable[Sample]:
    """Vectors, tall and wide matrices, batches, transposes; packed, free and exact integers."""
    relu = Activation(ActivationKind.RELU)
    sigmoid = Activation(ActivationKind.SIGMOID)
    for m, k, n in ((1, 48, 256), (1, 128, 12), (2, 5, 17), (3, 33, 40), (10, 16, 15), (23, 17, 33), (49, 64, 16)):
        yield _sample(f"packed {m}x{k}x{n}", (m, k), (k, n), constant=(1, 2), bias=True, activation=relu)
        yield _sample(f"free {m}x{k}x{n}", (m, k), (k, n), bias=True, residual=True)
        yield _sample(f"free transposed {m}x{k}x{n}", (k, m), (n, k), trans_a=True, trans_b=True, alpha=0.5)
    yield _sample("packed batch", (2, 3, 5, 7), (7, 20), constant=(1,), residual=True, activation=sigmoid)
    yield _sample("packed transposed", (2, 7, 13), (20, 7), constant=(1,), trans_a=True, trans_b=True, alpha=0.25)
    yield _sample("constant batch", (4, 5, 7), (4, 7, 9), constant=(1,))
    yield _sample("broadcast", (3, 1, 5, 7), (2, 7, 18), activation=sigmoid)
    yield _sample("broadcast left", (5, 7), (2, 3, 7, 18))
    yield _sample("tall", (190, 20), (20, 35), bias=True)
    yield _sample("no depth", (3, 0), (0, 5), bias=True)
    for dtype in PLAIN:
        yield _sample(f"{dtype.name.lower()}", (2, 5, 9), (9, 33), dtype=dtype, bias=True, residual=True)
        yield _sample(f"{dtype.name.lower()} transposed", (9, 5), (3, 4, 9), dtype=dtype, trans_a=True, trans_b=True)
    yield from int8.samples()
    yield from half.samples()


def _weights(node: NodeView) -> dict[int, int]:
    """The right operand, by its columns."""
    return {1: node.inputs[1].type.rank - (2 if node.attrs.trans_b else 1)}


SPEC = OpSpec(
    name="matmul",
    attrs=MatMulAttrs,
    infer=infer,
    tactics=TACTICS,
    samples=samples,
    cast_to={
        DType.F16: DType.F32,
        DType.BF16: DType.F32,
        DType.I8: DType.I32,
        DType.I16: DType.I32,
        DType.U8: DType.U32,
        DType.U16: DType.U32,
    },
    quantize=quantize,
    half=half.RULE,
    weights=_weights,
    work=work,
)


@onnx_op("MatMul")
def _matmul(b: Builder) -> Any:
    x, y = b.input(0), b.input(1)
    if 0 in (x.type.rank, y.type.rank):
        raise Unsupported(f"MatMul of {x.type} and {y.type}", "operands of rank 1 or more")
    left = b.reshape(x, (1, *x.type.shape)) if x.type.rank == 1 else x
    right = b.reshape(y, (*y.type.shape, 1)) if y.type.rank == 1 else y
    z = b.emit("matmul", MatMulAttrs(), [left, right, None, None])[0]
    shape = list(z.type.shape)
    if y.type.rank == 1:
        del shape[-1]
    if x.type.rank == 1:
        del shape[-1 if y.type.rank == 1 else -2]
    return b.reshape(z, shape) if len(shape) < z.type.rank else z


@onnx_op("Gemm")
def _gemm(b: Builder) -> Any:
    x, y, c = b.input(0), b.input(1), b.input(2)
    alpha, beta = float(b.attr("alpha", 1.0)), float(b.attr("beta", 1.0))
    integer = not x.type.dtype.is_float
    if integer and (alpha != 1.0 or beta != 1.0):
        raise Unsupported(f"Gemm of {x.type.dtype.name} with alpha {alpha:g}, beta {beta:g}", "alpha 1 and beta 1")
    attrs = MatMulAttrs(bool(b.attr("transA", 0)), bool(b.attr("transB", 0)), alpha)
    if c is None or beta == 0.0:
        return b.emit("matmul", attrs, [x, y, None, None])[0]
    if beta != 1.0:
        c = b.elementwise("Mul", c, b.cast(b.constant(np.array(beta, np.float64)), c.type.dtype))
    (result,) = infer(attrs, (x.type, y.type))
    if c.type.shape == result.shape and result.shape[0] != 1:
        return b.emit("matmul", attrs, [x, y, None, c])[0]
    if c.type.count == result.shape[1] == c.type.shape[-1]:
        return b.emit("matmul", attrs, [x, y, b.reshape(c, (result.shape[1],)), None])[0]
    return b.elementwise("Add", b.emit("matmul", attrs, [x, y, None, None])[0], c)
