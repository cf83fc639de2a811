"""CUDA tactics of depthwise convolutions with square windows: a thread has a tile of pixels and some channels, and
reads all at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ingot.kernels.common.cuda import CPP, activation_kind, ceil_div
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import HalfConvAttrs, QConvAttrs, conv_params
from .depthwise import is_depthwise
from .half import takes_depthwise
from .int8 import goes_by_columns, is_depthwise_s8, pack_depthwise_columns_s8, pack_depthwise_s8, s8_params

THREADS = 128
#: widths of windows, and by how much they move
WIDTHS, STRIDES = (3, 5), (1, 2)
#: lines of blocks that a grid may have
MOST_LINES = 65535
#: instructions before and behind those of the windows; clocks until what is read is there; clocks of an instruction of
#: a warp that is alone; instructions of all threads in a clock
START, WAIT, CLOCKS_ALONE, LANES = 150, 1200, 1.5, 90
#: of the peak of memory
MOST = 0.7


@dataclass(frozen=True, slots=True)
class Tile:
    """What a thread has: channels, and rows by pixels of the result."""

    channels: int
    rows: int
    pixels: int

    @property
    def variant(self) -> str:
        return f"channels={self.channels} tile={self.rows}x{self.pixels}"

    @property
    def size(self) -> int:
        return self.channels * self.rows * self.pixels

    def grid(self, node: NodeView) -> tuple[int, int, int]:
        """Blocks along a line of tiles, and lines of tiles of all images."""
        n, height, width, channels = node.outputs[0].type.shape
        line = channels // self.channels * ceil_div(width, self.pixels)
        return (max(ceil_div(line, THREADS), 1), max(n * ceil_div(height, self.rows), 1), 1)

    def suits(self, node: NodeView) -> bool:
        """Whether there are such channels, registers for the windows, and lines that a grid can have."""
        fits = max(node.attrs.kernel) == 3 or (self.rows == 1 and self.size * max(node.attrs.strides) <= 16)
        return node.inputs[0].type.shape[-1] % self.channels == 0 and fits and self.grid(node)[1] <= MOST_LINES


HALF_TILES = tuple(Tile(*t) for t in ((8, 1, 2), (4, 1, 1), (4, 1, 2), (8, 1, 1), (8, 2, 2)))
FLOAT_TILES = tuple(Tile(*t) for t in ((4, 1, 2), (4, 1, 1), (4, 2, 2)))
S8_TILES = tuple(Tile(*t) for t in ((4, 1, 1), (4, 1, 2), (4, 2, 2), (8, 1, 2)))

S8_WIDE_TILES = tuple(Tile(*t) for t in ((4, 1, 1), (4, 1, 2), (8, 1, 1)))


def _is_square(node: NodeView) -> bool:
    """Whether windows are square, of a width and stride that there are instances for, over images with pixels; all
    other operands but a residual are constants."""
    attrs, shape = node.attrs, node.inputs[0].type.shape
    if len(attrs.kernel) != 2 or len(set(attrs.kernel)) > 1 or len(set(attrs.strides)) > 1:
        return False
    known = attrs.kernel[0] in WIDTHS and attrs.strides[0] in STRIDES and set(attrs.dilations) == {1}
    constant = all(v is None or v.data is not None for i, v in enumerate(node.inputs) if i not in (0, 3))
    return known and constant and min(shape) > 0


def _instructions(tile: Tile, node: NodeView) -> int:
    """Of a thread, about: what it reads and turns into numbers, products, results."""
    width, stride = node.attrs.kernel[0], node.attrs.strides[0]
    reads = ((tile.rows - 1) * stride + width) * ((tile.pixels - 1) * stride + width)
    taps, results = width * width, tile.rows * tile.pixels
    if node.inputs[1].type.dtype is DType.I8:
        return START + reads * (2 + tile.channels) + results * tile.channels * (taps + 15)
    turned = tile.channels if node.inputs[0].type.dtype.size < 4 else 0
    return START + (reads + taps) * (4 + turned) + results * tile.channels * (taps + 4)


def _reaches(tile: Tile, node: NodeView, target: Target) -> float:
    """Of the roofline: one read after the other is waited for, of the image and of the first instructions; then a
    multiprocessor has the instructions of its threads to do, or those of one."""
    figures = target.figures
    clock = figures.get("clock_mhz", 1000.0) / 1000
    threads = math.prod(tile.grid(node)) * THREADS
    each = _instructions(tile, node)
    clocks = WAIT + max(each * CLOCKS_ALONE, threads * each / (figures.get("sm_count", 1) * LANES))
    moved = sum(v.type.nbytes for v in (*node.inputs, *node.outputs) if v is not None)
    moved /= figures.get("memory_gbs", 100.0)
    return moved / max(clocks / clock, moved / MOST)


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[C, 1, *kernel] -> [taps, C], in float16 where x or the result is stored so."""
    stored = (node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    return np.ascontiguousarray(w.reshape(w.shape[0], -1).T).astype(np.float16 if DType.F16 in stored else w.dtype)


def _float(kinds: tuple[DType, ...], tile: Tile) -> Tactic:
    """A tactic for images stored in one of ``kinds``."""

    def can(node: NodeView) -> bool:
        if node.inputs[0].type.dtype not in kinds or isinstance(node.attrs, QConvAttrs):
            return False
        half = isinstance(node.attrs, HalfConvAttrs)
        known = any(takes_depthwise(node, d) for d in (DType.F16, DType.BF16)) if half else is_depthwise(node)
        return known and _is_square(node) and tile.suits(node)

    def launch(node: NodeView, target: Target) -> Launch:
        x, y, attrs = node.inputs[0].type.dtype, node.outputs[0].type.dtype, node.attrs
        types = f"{CPP[x]}, {CPP[y]}, {CPP[DType.F16 if DType.F16 in (x, y) else DType.F32]}"
        sizes = f"{attrs.kernel[0]}, {attrs.strides[0]}, {tile.channels}, {tile.rows}, {tile.pixels}"
        residual = "false" if node.inputs[3] is None else "true"
        kernel = f"depthwise_windows<{types}, {sizes}, {activation_kind(attrs.activation)}, {residual}>"
        return Launch("conv/depthwise_windows.cu", kernel, tile.grid(node), THREADS)

    return Tactic(
        kernel="conv_depthwise_windows_cuda",
        params_type="ingot_conv_params",
        params=conv_params,
        when=can,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=tile.variant,
        efficiency=lambda node, target: _reaches(tile, node, target),
        launch=launch,
    )


def _s8(tile: Tile, columns: bool) -> Tactic:
    """``columns``: windows of 3x3, whose weights lie column by column; else larger ones, by taps."""
    pack_s8 = pack_depthwise_columns_s8 if columns else pack_depthwise_s8

    def can(node: NodeView) -> bool:
        if not (goes_by_columns(node) if columns else is_depthwise_s8(node) and node.attrs.parts == 1):
            return False
        return _is_square(node) and (node.attrs.kernel[0] == 3) == columns and tile.suits(node)

    def launch(node: NodeView, target: Target) -> Launch:
        attrs = node.attrs
        sizes = f"{attrs.kernel[0]}, {attrs.strides[0]}, {tile.channels}, {tile.rows}, {tile.pixels}"
        kernel = f"depthwise_windows_s8<{sizes}>"
        return Launch("conv/depthwise_windows_s8.cu", kernel, tile.grid(node), THREADS, exact=True)

    return Tactic(
        kernel="conv_depthwise_windows_s8_cuda",
        params_type="ingot_conv_s8_params",
        params=lambda node: s8_params(node) | {"tuning": {"way": int(columns)}},
        when=can,
        pack={1: lambda node, w: pack_s8(w)},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=tile.variant,
        efficiency=lambda node, target: _reaches(tile, node, target),
        launch=launch,
    )


TACTICS = (
    *(_s8(tile, True) for tile in S8_TILES),
    *(_s8(tile, False) for tile in S8_WIDE_TILES),
    *(_float((DType.F16, DType.BF16), tile) for tile in HALF_TILES),
    *(_float((DType.F32,), tile) for tile in FLOAT_TILES),
)
