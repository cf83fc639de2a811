"""Convolution on CUDA: products of windows by weights, which are read where the image lies."""

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
    Tile,
    Way,
    efficiency,
    pack_rows,
    placed,
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


def _parts(node: NodeView) -> int:
    return node.attrs.parts if isinstance(node.attrs, QConvAttrs) else 1


def _taps(node: NodeView) -> int:
    """Those of all parts of the weights. By the attributes: when a launch is made the weights are packed already."""
    return math.prod(node.attrs.kernel) * _parts(node)


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
    rows, columns, depth = extent(node)
    dtype = node.inputs[1].type.dtype
    moved = sum(v.type.nbytes for v in (*node.inputs, *node.outputs) if v is not None)
    return Product(rows, columns, depth, dtype.size, moved, dtype.name.lower(), pace, slowed)


def is_one_group(node: NodeView) -> bool:
    """Whether these kernels can do a convolution of the types they are for."""
    lines = sum(node.attrs.kernel) + _parts(node) + 2 - len(node.attrs.kernel)
    return node.attrs.groups == 1 and lines <= MOST_LINES


def is_real(node: NodeView, dtype: DType) -> bool:
    """Whether they can do one with weights of ``dtype``, float32 or half."""
    known = is_float(node) if dtype is DType.F32 else takes_weights(node, HalfConvAttrs, dtype)
    return known and is_one_group(node)


def is_s8_product(node: NodeView) -> bool:
    """Whether they can do one of int8."""
    return is_s8(node) and is_one_group(node)


def shared(node: NodeView, tile: Tile) -> int:
    """Bytes of dynamic shared memory: tables of the depth, or of windows and taps, come behind the stages."""
    entries = {"CONV_POINTS": 0, "CONV_CHUNKS": tile.rows + _taps(node) + 1, "CONV_ELEMENTS": extent(node)[2] + CHUNK}
    return ceil_div(max(tile.shared, tile.staged + 8 * entries[way(node)]), 128) * 128


def suits(node: NodeView, own: Way) -> bool:
    """Whether a tile fits the product, and its depth as many blocks."""
    rows, columns, depth = extent(node)
    return own.suits(rows, columns, depth * node.inputs[1].type.dtype.size)


def _real_launch(core: str, own: Way, node: NodeView, target: Target) -> Launch:
    core, own = placed(core, own, target)
    stored, multiplied = CPP[node.inputs[0].type.dtype], CPP[node.inputs[1].type.dtype]
    kind = activation_kind(node.attrs.activation)
    rows, columns, _ = extent(node)
    return Launch(
        source="conv/gemm.cu",
        kernel=f"conv_gemm<ingot::{core}, {multiplied}, {stored}, ingot::{way(node)}, {kind}, {own.tile.cpp}>",
        grid=own.tile.grid(rows, columns, own.split),
        block=own.tile.threads,
        shared=shared(node, own.tile),
        counters=own.counters(rows, columns),
        prelude=own.tile.prelude,
    )


def _real(kernel: str, core: str, dtype: DType, own: Way, numerics: str = "fp32") -> Tactic:
    """A tactic of float32 or half operands, for weights of ``dtype``."""
    pace, slowed = ("f16", 1 / 6) if core == "tf32_core" else (dtype.name.lower(), 1.0)

    def reaches(node: NodeView, target: Target) -> float:
        return efficiency(own, product(node, pace, slowed), target)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_params",
        params=conv_params,
        when=lambda node: is_real(node, dtype) and suits(node, own),
        pack={1: pack},
        workspace=lambda node: own.workspace(*extent(node)[:2]),
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics=numerics,
        variant=own.variant,
        efficiency=reaches,
        launch=lambda node, target: _real_launch(core, own, node, target),
    )


def _exact(own: Way) -> Tactic:
    """A tactic of int8."""

    def launch(node: NodeView, target: Target) -> Launch:
        core, cut = placed("s8_core", own, target)
        rows, columns, _ = extent(node)
        return Launch(
            source="conv/gemm.cu",
            kernel=f"conv_gemm_s8<ingot::{core}, ingot::{way(node)}, {cut.tile.cpp}>",
            grid=cut.tile.grid(rows, columns, cut.split),
            block=cut.tile.threads,
            shared=shared(node, cut.tile),
            counters=cut.counters(rows, columns),
            prelude=cut.tile.prelude,
            exact=True,
        )

    return Tactic(
        kernel="conv_s8_mma_cuda",
        params_type="ingot_conv_s8_params",
        params=s8_params,
        when=lambda node: is_s8_product(node) and suits(node, own),
        pack={1: pack},
        workspace=lambda node: own.workspace(*extent(node)[:2]),
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=own.variant,
        efficiency=lambda node, target: efficiency(own, product(node, "i8", 1.0), target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_real("conv_f16_mma_cuda", "f16_core", DType.F16, own) for own in ways(MMA_TILES)),
    *(_real("conv_bf16_mma_cuda", "bf16_core", DType.BF16, own) for own in ways(MMA_TILES)),
    *(_exact(own) for own in ways(MMA_TILES)),
    *(_real("conv_f32_fma_cuda", "fma_core", DType.F32, own) for own in ways(FMA_TILES)),
    *(_real("conv_tf32_mma_cuda", "tf32_core", DType.F32, own, "fast") for own in ways(SPLIT_TILES)),
)
