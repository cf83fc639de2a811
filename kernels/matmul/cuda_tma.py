"""Large products by packed constants on sm_90a, whose operands tensor maps bring (``gemm_tma.cu``)."""

from __future__ import annotations

from ingot.kernels.common.cuda import CPP, activation_kind
from ingot.kernels.common.cuda_gemm_tma import ALIGN, ARCH, TMA_TILES, TmaTile, efficiency
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .cuda import extent, is_packed, is_packed_s8, pack, pack_s8, packed_fields, product
from .int8 import s8_fields


def _fits(node: NodeView, dtype: DType, tile: TmaTile) -> bool:
    """Whether rows of the first operand, of ``dtype``, can be copied in boxes, and there is work for the tile."""
    rows, columns, depth = extent(node, True)
    return node.inputs[0].type.dtype is dtype and depth * dtype.size % ALIGN == 0 and tile.suits(rows, columns)


def _launch(kernel: str, tile: TmaTile, node: NodeView, target: Target, exact: bool = False) -> Launch:
    rows, columns, _ = extent(node, True)
    return Launch(
        source="matmul/gemm_tma.cu",
        kernel=kernel,
        grid=tile.grid(rows, columns, target),
        block=tile.threads,
        shared=tile.shared,
        prelude=tile.prelude,
        exact=exact,
    )


def _half(dtype: DType, tile: TmaTile) -> Tactic:
    name = dtype.name.lower()

    def launch(node: NodeView, target: Target) -> Launch:
        kind = activation_kind(node.attrs.activation)
        return _launch(f"matmul_tma<{CPP[dtype]}, {kind}, {tile.cpp}>", tile, node, target)

    return Tactic(
        kernel=f"matmul_{name}_tma_cuda",
        params_type="ingot_matmul_params",
        params=packed_fields,
        when=lambda node: is_packed(node, dtype) and _fits(node, dtype, tile),
        pack={1: pack},
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=tile.variant,
        arch=ARCH,
        efficiency=lambda node, target: efficiency(tile, product(node, True, name, 1.0), target),
        launch=launch,
    )


def _s8(tile: TmaTile) -> Tactic:
    def launch(node: NodeView, target: Target) -> Launch:
        return _launch(f"matmul_tma_s8<{tile.cpp}>", tile, node, target, exact=True)

    return Tactic(
        kernel="matmul_s8_tma_cuda",
        params_type="ingot_matmul_s8_params",
        params=lambda node: s8_fields(node, False),
        when=lambda node: is_packed_s8(node) and _fits(node, DType.I8, tile),
        pack={1: pack_s8},
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=tile.variant,
        arch=ARCH,
        efficiency=lambda node, target: efficiency(tile, product(node, True, "i8", 1.0), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_half(dtype, tile) for dtype in (DType.F16, DType.BF16) for tile in TMA_TILES),
    *(_s8(tile) for tile in TMA_TILES),
)
