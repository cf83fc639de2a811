"""Large products by packed constants on sm_90a, whose operands tensor maps bring (``gemm_tma.cu``)."""

from __future__ import annotations

from ingot.kernels.common.cuda import CPP, activation_kind
from ingot.kernels.common.cuda_gemm_tma import ARCH, TMA_TILES, TmaTile, efficiency
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .cuda import extent, is_packed, is_packed_s8, pack, pack_s8, packed_fields, product
from .int8 import s8_fields

SOURCE = "matmul/gemm_tma.cu"


def half_tactic(dtype: DType, tile: TmaTile) -> Tactic:
    """A product of half operands by a constant, both of ``dtype``."""
    name = dtype.name.lower()

    def when(node: NodeView) -> bool:
        known = node.inputs[0].type.dtype is dtype and is_packed(node, dtype)
        return known and tile.takes(dtype, *extent(node, True))

    def launch(node: NodeView, target: Target) -> Launch:
        kernel = f"matmul_tma<{CPP[dtype]}, {activation_kind(node.attrs.activation)}, "
        return tile.launch(SOURCE, kernel, *extent(node, True)[:2], target)

    return Tactic(
        kernel=f"matmul_{name}_tma_cuda",
        params_type="ingot_matmul_params",
        params=packed_fields,
        when=when,
        pack={1: pack},
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=tile.variant,
        arch=ARCH,
        efficiency=lambda node, target: efficiency(tile, product(node, True, name, 1.0), target),
        launch=launch,
    )


def s8_tactic(tile: TmaTile) -> Tactic:
    """A product of int8 by a constant, which may come in parts."""

    def launch(node: NodeView, target: Target) -> Launch:
        return tile.launch(SOURCE, "matmul_tma_s8<", *extent(node, True)[:2], target, exact=True)

    return Tactic(
        kernel="matmul_s8_tma_cuda",
        params_type="ingot_matmul_s8_params",
        params=lambda node: s8_fields(node, False),
        when=lambda node: is_packed_s8(node) and tile.takes(DType.I8, *extent(node, True)),
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
    *(half_tactic(dtype, tile) for dtype in (DType.F16, DType.BF16) for tile in TMA_TILES),
    *(s8_tactic(tile) for tile in TMA_TILES),
)
