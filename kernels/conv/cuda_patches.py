"""CUDA tactics of convolutions whose windows lie side by side, with nothing around the image: a line of a window is
one run of elements, and windows are read as those of an image of fewer, wider pixels."""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.common.cuda import CPP, activation_kind, ceil_div
from ingot.kernels.common.cuda_gemm import (
    CHUNK,
    FMA_TILES,
    MMA_TILES,
    SPLIT_TILES,
    Product,
    Way,
    efficiency,
    placed,
    ways,
)
from ingot.kernels.common.half import takes_weights
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import HalfConvAttrs, QConvAttrs, conv_params
from .int8 import is_s8, s8_params
from .panels import is_float

#: lines of taps, of all axes together, that a kernel can tell apart
MOST_LINES = 31


def is_patches(node: NodeView) -> bool:
    """Whether windows lie side by side along the last axis, and a line of one is a whole number of chunks."""
    attrs, x, w = node.attrs, node.inputs[0].type, node.inputs[1].type
    *lines, width = attrs.kernel
    fills = x.shape[-2] % width == 0 and width * x.shape[-1] * w.dtype.size % CHUNK == 0
    alone = attrs.groups == 1 and not any(attrs.pads) and set(attrs.dilations) == {1}
    parts = attrs.parts if isinstance(attrs, QConvAttrs) else 1
    few_lines = sum(lines) + 1 + 3 - len(attrs.kernel) <= MOST_LINES
    return width > 1 and attrs.strides[-1] == width and fills and alone and parts == 1 and few_lines


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C, *kernel] -> [O, taps x C]."""
    return np.ascontiguousarray(np.moveaxis(w, 1, -1)).reshape(w.shape[0], -1)


def _extent(node: NodeView) -> tuple[int, int, int]:
    """Rows, columns and depth of the product."""
    x, y = node.inputs[0].type, node.outputs[0].type
    return math.prod(y.shape[:-1]), y.shape[-1], math.prod(node.attrs.kernel) * x.shape[-1]


def _lines(node: NodeView) -> int:
    """Of a window: taps of the image with wide pixels."""
    return math.prod(node.attrs.kernel[:-1])


def _suits(node: NodeView, own: Way) -> bool:
    rows, columns, depth = _extent(node)
    return own.suits(rows, columns, depth * node.inputs[1].type.dtype.size)


def _tactic(kernel: str, core: str, dtype: DType, own: Way, numerics: str = "fp32") -> Tactic:
    exact = dtype is DType.I8
    pace, slowed = ("f16", 1 / 6) if core == "tf32_core" else (dtype.name.lower(), 1.0)

    def can(node: NodeView) -> bool:
        kinds = {DType.I8: is_s8, DType.F32: is_float}
        known = kinds[dtype](node) if dtype in kinds else takes_weights(node, HalfConvAttrs, dtype)
        return known and is_patches(node) and _suits(node, own)

    def reaches(node: NodeView, target: Target) -> float:
        moved = sum(v.type.nbytes for v in (*node.inputs, *node.outputs) if v is not None)
        product = Product(*_extent(node), dtype.size, moved, dtype.name.lower(), pace, slowed)
        return efficiency(own, product, target)

    def launch(node: NodeView, target: Target) -> Launch:
        made, cut = placed(core, own, target)
        tile = cut.tile
        stored, kind = CPP[node.inputs[0].type.dtype], activation_kind(node.attrs.activation)
        real = f"conv_gemm<ingot::{made}, {CPP[dtype]}, {stored}, ingot::CONV_PATCHES, {kind}, {tile.cpp}>"
        return Launch(
            source="conv/gemm.cu",
            kernel=f"conv_gemm_s8<ingot::{made}, ingot::CONV_PATCHES, {tile.cpp}>" if exact else real,
            grid=tile.grid(*_extent(node)[:2], cut.split),
            block=tile.threads,
            shared=ceil_div(max(tile.shared, tile.staged + 8 * (tile.rows + _lines(node) + 1)), 128) * 128,
            counters=cut.counters(*_extent(node)[:2]),
            prelude=tile.prelude,
            exact=exact,
        )

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_s8_params" if exact else "ingot_conv_params",
        params=s8_params if exact else conv_params,
        when=can,
        pack={1: pack},
        workspace=lambda node: own.workspace(*_extent(node)[:2]),
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact" if exact else numerics,
        variant=own.variant,
        efficiency=reaches,
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_tactic("conv_patches_f16_cuda", "f16_core", DType.F16, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_patches_bf16_cuda", "bf16_core", DType.BF16, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_patches_s8_cuda", "s8_core", DType.I8, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_patches_f32_cuda", "fma_core", DType.F32, own) for own in ways(FMA_TILES)),
    *(_tactic("conv_patches_tf32_cuda", "tf32_core", DType.F32, own, "fast") for own in ways(SPLIT_TILES)),
)
