"""CUDA tactics of convolutions whose windows lie side by side, with nothing around the image: a line of a window is
one run of elements, and windows are read as those of an image of fewer, wider pixels."""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.common.cuda_gemm import (
    CHUNK,
    FMA_TILES,
    MMA_TILES,
    PACES,
    SPLIT_TILES,
    Way,
    efficiency,
    instance,
    placed,
    product_of,
    ways,
)
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import conv_params
from .cuda import MOST_LINES, has_weights, parts
from .int8 import s8_params


def is_patches(node: NodeView) -> bool:
    """Whether windows lie side by side along the last axis, and a line of one is a whole number of chunks."""
    attrs, x, w = node.attrs, node.inputs[0].type, node.inputs[1].type
    *lines, width = attrs.kernel
    fills = x.shape[-2] % width == 0 and width * x.shape[-1] * w.dtype.size % CHUNK == 0
    alone = attrs.groups == 1 and not any(attrs.pads) and set(attrs.dilations) == {1}
    few_lines = sum(lines) + 1 + 3 - len(attrs.kernel) <= MOST_LINES
    return width > 1 and attrs.strides[-1] == width and fills and alone and parts(node) == 1 and few_lines


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

    def launch(node: NodeView, target: Target) -> Launch:
        name, cut = placed(core, own, target)
        kernel, entries = instance("conv_gemm", name, cut.tile, node, "CONV_PATCHES"), cut.tile.rows + _lines(node) + 1
        return cut.launch("conv/gemm.cu", kernel, *_extent(node)[:2], entries=entries, exact=exact)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_s8_params" if exact else "ingot_conv_params",
        params=s8_params if exact else conv_params,
        when=lambda node: has_weights(node, dtype) and is_patches(node) and _suits(node, own),
        pack={1: pack},
        workspace=lambda node: own.workspace(*_extent(node)[:2]),
        pitched_inputs=(3,),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact" if exact else numerics,
        variant=own.variant,
        efficiency=lambda node, target: efficiency(own, product_of(node, _extent(node), *PACES[core]), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_tactic("conv_patches_f16_cuda", "f16_core", DType.F16, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_patches_bf16_cuda", "bf16_core", DType.BF16, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_patches_s8_cuda", "s8_core", DType.I8, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_patches_f32_cuda", "fma_core", DType.F32, own) for own in ways(FMA_TILES)),
    *(_tactic("conv_patches_tf32_cuda", "tf32_core", DType.F32, own, "fast") for own in ways(SPLIT_TILES)),
)
