"""Pointwise convolutions of few pixels on CUDA: ``few_rows.cu``."""

from __future__ import annotations

from ingot.kernels.common.cuda import CPP, activation_kind
from ingot.kernels.common.cuda_few_rows import FEW_TILES, MOST_ROWS, FewTile, few_efficiency
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from . import cuda
from .attrs import conv_params
from .int8 import s8_params


def _few(node: NodeView) -> bool:
    return cuda.way(node) == "CONV_POINTS" and 1 <= cuda.extent(node)[0] <= MOST_ROWS


def _real(kernel: str, dtype: DType, tile: FewTile) -> Tactic:
    def launch(node: NodeView, target: Target) -> Launch:
        stored, kind = CPP[node.inputs[0].type.dtype], activation_kind(node.attrs.activation)
        rows, columns, _ = cuda.extent(node)
        return tile.launch("conv/few_rows.cu", "conv_few", f"{CPP[dtype]}, {stored}, {kind}", rows, columns)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_params",
        params=conv_params,
        when=lambda node: cuda.is_product(node, dtype) and _few(node),
        pack={1: cuda.pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=tile.variant,
        efficiency=lambda node, target: few_efficiency(tile, cuda.product(node, dtype.name.lower(), 1.0), target),
        launch=launch,
    )


def _exact(tile: FewTile) -> Tactic:
    def launch(node: NodeView, target: Target) -> Launch:
        rows, columns, _ = cuda.extent(node)
        return tile.launch("conv/few_rows.cu", "conv_few_s8", "", rows, columns, exact=True)

    return Tactic(
        kernel="conv_s8_few_cuda",
        params_type="ingot_conv_s8_params",
        params=s8_params,
        when=lambda node: cuda.is_product(node, DType.I8) and _few(node),
        pack={1: cuda.pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=tile.variant,
        efficiency=lambda node, target: few_efficiency(tile, cuda.product(node, "i8", 1.0), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_real("conv_f16_few_cuda", DType.F16, tile) for tile in FEW_TILES),
    *(_real("conv_bf16_few_cuda", DType.BF16, tile) for tile in FEW_TILES),
    *(_real("conv_f32_few_cuda", DType.F32, tile) for tile in FEW_TILES),
    *(_exact(tile) for tile in FEW_TILES),
)
