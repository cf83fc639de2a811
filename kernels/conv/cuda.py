"""Convolution on CUDA: products of windows by weights, which are read where the image lies."""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.common.cuda_gemm import (
    CHUNK,
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
from ingot.kernels.common.half import takes_weights
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import ConvAttrs, HalfConvAttrs, QConvAttrs, conv_params
from .int8 import is_s8, s8_params
from .panels import is_float

#: lines of taps, of all axes together, that a kernel can tell apart
MOST_LINES = 31
#: the depth of a product element by element: the kernel has a table of it
MOST_ELEMENTS = 2048


def _vec(node: NodeView) -> int:
    """Elements of a chunk of weights."""
    return CHUNK // node.inputs[1].type.dtype.size


def parts(node: NodeView) -> int:
    """Of the weights: those of int8 may be sums of several."""
    return node.attrs.parts if isinstance(node.attrs, QConvAttrs) else 1


def _taps(node: NodeView) -> int:
    """Those of all parts of the weights. By the attributes: when a launch is made the weights are packed already."""
    return math.prod(node.attrs.kernel) * parts(node)


def way(node: NodeView) -> str:
    """How windows are read: the enumerators of ``gemm.cu``."""
    attrs: ConvAttrs = node.attrs
    channels, taps = node.inputs[0].type.shape[-1], _taps(node)
    if taps == 1 and set(attrs.strides) == {1} and not any(attrs.pads):
        return "CONV_POINTS"
    padded = ceil_div(channels, _vec(node)) * _vec(node)
    few = 2 * channels <= padded and taps > 1 and taps * channels <= MOST_ELEMENTS
    return "CONV_ELEMENTS" if few else "CONV_CHUNKS"


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C, *kernel], or [O, C, parts, *kernel], -> [O, depth]: taps one after the other, each with its channels
    padded to whole chunks of 16 bytes; element by element without, where channels are few."""
    out, channels = w.shape[:2]
    rows = np.ascontiguousarray(np.moveaxis(w.reshape(out, channels, -1), 1, 2))
    if way(node) == "CONV_ELEMENTS":
        return pack_rows(rows.reshape(out, -1))
    return pack_rows(rows.reshape(-1, channels)).reshape(out, -1)


def extent(node: NodeView) -> tuple[int, int, int]:
    """Rows, columns and depth of the product."""
    x, y = node.inputs[0].type, node.outputs[0].type
    vec = _vec(node)
    channels, taps = x.shape[-1], _taps(node)
    deep = channels * taps if way(node) == "CONV_ELEMENTS" else ceil_div(channels, vec) * vec * taps
    return math.prod(y.shape[:-1]), y.shape[-1], deep


def product(node: NodeView, pace: str, slowed: float) -> Product:
    """The same for the cost model."""
    return product_of(node, extent(node), pace, slowed)


def has_weights(node: NodeView, dtype: DType) -> bool:
    """Whether a convolution is one by weights of ``dtype``: int8, float32 or half."""
    kinds = {DType.I8: is_s8, DType.F32: is_float}
    return kinds[dtype](node) if dtype in kinds else takes_weights(node, HalfConvAttrs, dtype)


def is_product(node: NodeView, dtype: DType) -> bool:
    """Whether the kernels of one group can do a convolution with weights of ``dtype``."""
    lines = sum(node.attrs.kernel) + parts(node) + 2 - len(node.attrs.kernel)
    return has_weights(node, dtype) and node.attrs.groups == 1 and lines <= MOST_LINES


def _entries(node: NodeView, tile: Tile) -> int:
    """Of tables of the depth, or of windows and taps."""
    entries = {"CONV_POINTS": 0, "CONV_CHUNKS": tile.rows + _taps(node) + 1, "CONV_ELEMENTS": extent(node)[2] + CHUNK}
    return entries[way(node)]


def suits(node: NodeView, own: Way) -> bool:
    """Whether a tile fits the product, and its depth as many blocks."""
    rows, columns, depth = extent(node)
    return own.suits(rows, columns, depth * node.inputs[1].type.dtype.size)


def _tactic(kernel: str, core: str, dtype: DType, own: Way, numerics: str = "fp32") -> Tactic:
    """A tactic for weights of ``dtype``."""
    exact = dtype is DType.I8

    def launch(node: NodeView, target: Target) -> Launch:
        name, cut = placed(core, own, target)
        kernel = instance("conv_gemm", name, cut.tile, node, way(node))
        return cut.launch("conv/gemm.cu", kernel, *extent(node)[:2], entries=_entries(node, cut.tile), exact=exact)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_s8_params" if exact else "ingot_conv_params",
        params=s8_params if exact else conv_params,
        when=lambda node: is_product(node, dtype) and suits(node, own),
        pack={1: pack},
        workspace=lambda node: own.workspace(*extent(node)[:2]),
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact" if exact else numerics,
        variant=own.variant,
        efficiency=lambda node, target: efficiency(own, product(node, *PACES[core]), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_tactic("conv_f16_mma_cuda", "f16_core", DType.F16, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_bf16_mma_cuda", "bf16_core", DType.BF16, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_s8_mma_cuda", "s8_core", DType.I8, own) for own in ways(MMA_TILES)),
    *(_tactic("conv_f32_fma_cuda", "fma_core", DType.F32, own) for own in ways(FMA_TILES)),
    *(_tactic("conv_tf32_mma_cuda", "tf32_core", DType.F32, own, "fast") for own in ways(SPLIT_TILES)),
)
