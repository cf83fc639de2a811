"""Large convolutions of single pixels on sm_90a: products whose operands tensor maps bring (``gemm_tma.cu``)."""

from __future__ import annotations

from ingot.kernels.common.cuda import CPP, activation_kind
from ingot.kernels.common.cuda_gemm_tma import ARCH, TMA_TILES, TmaTile, efficiency
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import conv_params
from .cuda import extent, is_product, pack, product, way
from .int8 import s8_params

SOURCE = "conv/gemm_tma.cu"


def _takes(node: NodeView, dtype: DType, tile: TmaTile) -> bool:
    """Whether the rows of the product are those of an image of ``dtype``, and there is work for the tile."""
    x = node.inputs[0].type
    rows, columns, _ = extent(node)
    return x.dtype is dtype and way(node) == "CONV_POINTS" and tile.takes(dtype, rows, columns, x.shape[-1])


def half_tactic(dtype: DType, tile: TmaTile) -> Tactic:
    """A convolution of an image and weights of ``dtype``."""
    name = dtype.name.lower()

    def launch(node: NodeView, target: Target) -> Launch:
        kernel = f"conv_tma<{CPP[dtype]}, {activation_kind(node.attrs.activation)}, "
        return tile.launch(SOURCE, kernel, *extent(node)[:2], target)

    return Tactic(
        kernel=f"conv_{name}_tma_cuda",
        params_type="ingot_conv_params",
        params=conv_params,
        when=lambda node: is_product(node, dtype) and _takes(node, dtype, tile),
        pack={1: pack},
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=tile.variant,
        arch=ARCH,
        efficiency=lambda node, target: efficiency(tile, product(node, name, 1.0), target),
        launch=launch,
    )


def s8_tactic(tile: TmaTile) -> Tactic:
    """One of int8."""

    def launch(node: NodeView, target: Target) -> Launch:
        return tile.launch(SOURCE, "conv_tma_s8<", *extent(node)[:2], target, exact=True)

    return Tactic(
        kernel="conv_s8_tma_cuda",
        params_type="ingot_conv_s8_params",
        params=s8_params,
        when=lambda node: is_product(node, DType.I8) and _takes(node, DType.I8, tile),
        pack={1: pack},
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=tile.variant,
        arch=ARCH,
        efficiency=lambda node, target: efficiency(tile, product(node, "i8", 1.0), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(half_tactic(dtype, tile) for dtype in (DType.F16, DType.BF16) for tile in TMA_TILES),
    *(s8_tactic(tile) for tile in TMA_TILES),
)
