"""Matrix products on CUDA: by constants, whose columns are packed, and of operands as they come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ingot.kernels.common.cuda import activation_kind, ceil_div
from ingot.kernels.common.cuda_gemm import (
    FMA_TILES,
    MMA_TILES,
    PACES,
    SPLIT_TILES,
    Product,
    Tile,
    Way,
    efficiency,
    instance,
    pack_rows,
    placed,
    product_of,
    ways,
)
from ingot.kernels.common.half import narrow, takes_weights, widen
from ingot.kernels.conv.int8 import storable
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import HalfMatMulAttrs, MatMulAttrs, QMatMulAttrs
from .int8 import s8_fields

SOURCE = "matmul/gemm.cu"
#: what the middle axis of a grid can count: batches beyond are gone through in a loop
MOST_BATCHES = 65535
#: tiles of products whose operands are brought into place element by element
FREE_TILES = (Tile(64, 64, 64, 3, (2, 2, 1)), Tile(32, 32, 128, 3, (1, 1, 4)))


def fields(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_matmul_params``."""
    attrs: MatMulAttrs = node.attrs
    flags = {"trans_a": int(attrs.trans_a), "trans_b": int(attrs.trans_b)}
    return {**flags, "alpha": attrs.alpha, "reserved": 0, "activation": attrs.activation.params()}


def packed_fields(node: NodeView) -> dict[str, Any]:
    """The same where b is packed: the activation is all that is left of them."""
    return fields(node) | {"trans_a": 0, "trans_b": 0, "alpha": 1.0}


def _columns(node: NodeView, b: np.ndarray) -> np.ndarray:
    """The matrix with one row for each column of the result, [N, K]."""
    matrix = b.reshape(b.shape[-2:])
    return matrix if node.attrs.trans_b else matrix.T


def pack(node: NodeView, b: np.ndarray) -> np.ndarray:
    """[K, N], or its transpose with ``trans_b``, of float32 or half -> [N, depth], scaled by ``alpha``."""
    columns, alpha, dtype = _columns(node, b), node.attrs.alpha, node.inputs[1].type.dtype
    if alpha != 1.0 and dtype is DType.F32:
        columns = columns * np.float32(alpha)
    elif alpha != 1.0:  # a power of two
        columns = narrow(widen(columns, dtype) * np.float32(alpha), dtype)
    return pack_rows(columns)


def pack_s8(node: NodeView, b: np.ndarray) -> np.ndarray:
    """int8 [parts, K, N], or its transpose with ``trans_b`` -> [N, parts * depth]."""
    parts = b.reshape(-1, *b.shape[-2:])
    return np.concatenate([pack_rows(_columns(node, part)) for part in parts], axis=1)


def _one_matrix(node: NodeView) -> bool:
    """Whether a is not transposed and b is one constant matrix."""
    a, b = node.inputs[0].type, node.inputs[1]
    parts = node.attrs.parts if isinstance(node.attrs, QMatMulAttrs) else 1
    matrices = math.prod(b.type.shape[:-2])
    rank = b.type.rank <= a.rank or parts > 1
    return b.data is not None and not node.attrs.trans_a and rank and matrices == parts


def is_packed(node: NodeView, dtype: DType) -> bool:
    """A product of float32 or half by a constant matrix of ``dtype``."""
    if dtype is DType.F32:
        known = all(v.type.dtype is dtype for v in node.inputs[:2]) and not isinstance(node.attrs, HalfMatMulAttrs)
    else:
        known = takes_weights(node, HalfMatMulAttrs, dtype)
    return known and _one_matrix(node)


def is_packed_s8(node: NodeView) -> bool:
    """A product of int8 by a constant matrix, which may come in parts."""
    attrs = node.attrs
    known = isinstance(attrs, QMatMulAttrs) and attrs.b is None and storable(attrs.output)
    return known and _one_matrix(node)


def _is_free_s8(node: NodeView) -> bool:
    return isinstance(node.attrs, QMatMulAttrs) and node.attrs.parts == 1 and storable(node.attrs.output)


def extent(node: NodeView, stacked: bool) -> tuple[int, int, int]:
    """Rows, columns and depth; ``stacked``: the rows of all matrices are those of one."""
    attrs: MatMulAttrs = node.attrs
    a, shape = node.inputs[0].type, node.outputs[0].type.shape
    rows = math.prod(shape[:-1]) if stacked else shape[-2]
    return rows, shape[-1], a.shape[-2 if attrs.trans_a else -1]


def product(node: NodeView, stacked: bool, pace: str, slowed: float) -> Product:
    """What the cost model asks for; of many small products it sees one as tall as all of them."""
    rows, columns, depth = extent(node, True)
    if not stacked:
        rows = ceil_div(rows, max(node.outputs[0].type.shape[-2], 1)) * ceil_div(extent(node, False)[0], 32) * 32
    return product_of(node, (rows, columns, depth), pace, slowed)


def _suits(node: NodeView, own: Way) -> bool:
    """Whether a tile fits a product by packed constants, and its depth as many blocks."""
    rows, columns, depth = extent(node, True)
    return own.suits(rows, columns, depth * node.inputs[1].type.dtype.size)


def _free_launch(kernel: str, tile: Tile, node: NodeView, exact: bool = False) -> Launch:
    rows, columns, _ = extent(node, False)
    batches = math.prod(node.outputs[0].type.shape[:-2])
    return Launch(
        source=SOURCE,
        kernel=kernel,
        grid=(tile.grid(rows, columns)[0], max(min(batches, MOST_BATCHES), 1), 1),
        block=tile.threads,
        shared=tile.shared,
        exact=exact,
    )


def _across(node: NodeView) -> str:
    """Template arguments: whether rows of a and columns of b lie across memory."""
    return f"{str(node.attrs.trans_a).lower()}, {str(not node.attrs.trans_b).lower()}"


def _packed(kernel: str, core: str, dtype: DType, own: Way, numerics: str = "fp32") -> Tactic:
    """A product of float32 or half by a constant of ``dtype``."""

    def launch(node: NodeView, target: Target) -> Launch:
        name, cut = placed(core, own, target)
        return cut.launch(SOURCE, instance("matmul_gemm", name, cut.tile, node), *extent(node, True)[:2])

    return Tactic(
        kernel=kernel,
        params_type="ingot_matmul_params",
        params=packed_fields,
        when=lambda node: is_packed(node, dtype) and _suits(node, own),
        pack={1: pack},
        workspace=lambda node: own.workspace(*extent(node, True)[:2]),
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics=numerics,
        variant=own.variant,
        efficiency=lambda node, target: efficiency(own, product(node, True, *PACES[core]), target),
        launch=launch,
    )


def _packed_s8(own: Way) -> Tactic:
    """A product of int8 by packed constants."""

    def launch(node: NodeView, target: Target) -> Launch:
        core, cut = placed("s8_core", own, target)
        kernel = f"matmul_gemm_s8<ingot::{core}, {str(node.attrs.parts > 1).lower()}, {cut.tile.cpp}>"
        return cut.launch(SOURCE, kernel, *extent(node, True)[:2], exact=True)

    return Tactic(
        kernel="matmul_s8_mma_cuda",
        params_type="ingot_matmul_s8_params",
        params=lambda node: s8_fields(node, False),
        when=lambda node: is_packed_s8(node) and _suits(node, own),
        pack={1: pack_s8},
        workspace=lambda node: own.workspace(*extent(node, True)[:2]),
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=own.variant,
        efficiency=lambda node, target: efficiency(own, product(node, True, "i8", 1.0), target),
        launch=launch,
    )


def _free(kernel: str, core: str, tile: Tile, numerics: str = "fp32") -> Tactic:
    """A product of two operands of float32."""

    def when(node: NodeView) -> bool:
        return all(v.type.dtype is DType.F32 for v in node.inputs[:2]) and tile.suits(*extent(node, False)[:2])

    def launch(node: NodeView, target: Target) -> Launch:
        kind = activation_kind(node.attrs.activation)
        return _free_launch(f"matmul_free<ingot::{core}, {_across(node)}, {kind}, {tile.cpp}>", tile, node)

    return Tactic(
        kernel=kernel,
        params_type="ingot_matmul_params",
        params=fields,
        when=when,
        pitched_inputs=(0, 1, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics=numerics,
        variant=tile.variant,
        efficiency=lambda node, target: efficiency(Way(tile), product(node, False, *PACES[core]), target),
        launch=launch,
    )


def _free_s8(tile: Tile) -> Tactic:
    """A product of int8 of operands as they come."""

    def launch(node: NodeView, target: Target) -> Launch:
        return _free_launch(f"matmul_free_s8<{_across(node)}, {tile.cpp}>", tile, node, exact=True)

    return Tactic(
        kernel="matmul_free_s8_cuda",
        params_type="ingot_matmul_s8_params",
        params=lambda node: s8_fields(node, node.attrs.trans_b),
        when=lambda node: _is_free_s8(node) and tile.suits(*extent(node, False)[:2]),
        pitched_inputs=(0, 1, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=tile.variant,
        efficiency=lambda node, target: efficiency(Way(tile), product(node, False, "i8", 1.0), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_packed("matmul_f16_mma_cuda", "f16_core", DType.F16, own) for own in ways(MMA_TILES)),
    *(_packed("matmul_bf16_mma_cuda", "bf16_core", DType.BF16, own) for own in ways(MMA_TILES)),
    *(_packed_s8(own) for own in ways(MMA_TILES)),
    *(_packed("matmul_f32_fma_cuda", "fma_core", DType.F32, own) for own in ways(FMA_TILES)),
    *(_packed("matmul_tf32_mma_cuda", "tf32_core", DType.F32, own, "fast") for own in ways(SPLIT_TILES)),
    *(_free("matmul_free_f32_cuda", "fma_core", tile) for tile in FMA_TILES),
    *(_free("matmul_free_tf32_cuda", "tf32_core", tile, "fast") for tile in SPLIT_TILES),
    *(_free_s8(tile) for tile in FREE_TILES),
)
