"""CUDA tactics of the convolution of an image as it comes: how it is cut into blocks, and its weights as fragments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ingot.kernels.common.cuda import CPP, activation_kind, ceil_div
from ingot.kernels.conv.attrs import HalfConvAttrs, QConvAttrs
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import CHANNELS, params, takes

#: ``image_conv.h`` has the same: taps that are taken at once, columns of weights that lie together, bytes of a step
TAPS, COLUMNS, STEP_BYTES = 4, 32, 1024
#: pixels of a line that a block makes
WIDTH = 16
#: what a block may have of shared memory without asking the driver for more than any device has
MOST_SHARED = 96 * 1024


@dataclass(frozen=True, slots=True)
class ImageTile:
    """The template arguments of ``ingot::image_tile``: lines that a warp makes, warps along pixels and columns."""

    down: int
    warps_m: int
    warps_n: int

    @property
    def threads(self) -> int:
        return 32 * self.warps_m * self.warps_n

    @property
    def height(self) -> int:
        return self.down * self.warps_m

    @property
    def columns(self) -> int:
        return COLUMNS * self.warps_n

    @property
    def cpp(self) -> str:
        return f"ingot::image_tile<{self.down}, {self.warps_m}, {self.warps_n}>"

    @property
    def variant(self) -> str:
        return f"tile={self.height}x{WIDTH}x{self.columns} warps={self.warps_m}x{self.warps_n}"

    def grid(self, node: NodeView) -> tuple[int, int, int]:
        n, h, w, out = node.outputs[0].type.shape
        blocks = n * ceil_div(h, self.height) * ceil_div(w, WIDTH)
        return (max(blocks, 1), max(ceil_div(out, self.columns), 1), 1)

    def shared(self, node: NodeView) -> int:
        """Bytes of dynamic shared memory: weights and the part of the image, or the sums in their place."""
        conv, size = node.attrs.conv, node.inputs[1].type.dtype.size
        width = (WIDTH - 1) * conv.strides[1] + _quads(conv.kernel) * TAPS
        height = (self.height - 1) * conv.strides[0] + conv.kernel[0]
        weights = self.warps_n * _steps(conv.kernel, size) * STEP_BYTES
        return max(weights + width * height * CHANNELS * size, self.height * WIDTH * (self.columns + 8) * 4)


TILES = (ImageTile(1, 4, 1), ImageTile(2, 4, 1), ImageTile(1, 2, 1), ImageTile(2, 2, 2), ImageTile(1, 2, 2))


def _quads(kernel: tuple[int, ...]) -> int:
    """Quads of taps in a line of a window."""
    return ceil_div(kernel[1], TAPS)


def _steps(kernel: tuple[int, ...], size: int) -> int:
    """Of 32 bytes for each column."""
    return ceil_div(kernel[0] * _quads(kernel), 3 - size)


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C, *kernel] -> [ceil(O / 32), steps, 1024 bytes], as ``image_conv.cu`` says."""
    out, channels, lines, length = w.shape
    size, quads = w.itemsize, _quads((lines, length))
    groups, steps, at_once = ceil_div(out, COLUMNS), _steps((lines, length), w.itemsize), 3 - w.itemsize
    padded = np.zeros((groups * COLUMNS, lines, quads * TAPS, CHANNELS), w.dtype)
    padded[:out, :, :length, :channels] = np.moveaxis(w, 1, -1)
    rows = np.zeros((groups * COLUMNS, steps * at_once, TAPS, CHANNELS), w.dtype)
    rows[:, : lines * quads] = padded.reshape(groups * COLUMNS, lines * quads, TAPS, CHANNELS)
    # two halves of two blocks of eight columns; lanes have a column and a tap
    split = rows.reshape(groups, 2, 2, 8, steps, at_once, TAPS, CHANNELS)
    return np.ascontiguousarray(split.transpose(0, 4, 1, 3, 6, 2, 5, 7)).reshape(groups, steps, STEP_BYTES // size)


def _reaches(tile: ImageTile, node: NodeView, target: Target) -> float:
    """The share of the roofline, by what an H200 took: all of 64 columns share an image, few columns want many blocks,
    but for many tiles of int8, which are short."""
    out = node.outputs[0].type.shape[-1]
    if out > COLUMNS:
        return {TILES[3]: 0.3, TILES[4]: 0.28}.get(tile, 0.2)
    many = TILES[1].grid(node)[0] > 2 * int(target.figures.get("sm_count", 16))
    best = TILES[1] if many and node.inputs[1].type.dtype is DType.I8 else TILES[2]
    return 0.3 if tile == best else 0.25


def _tactic(kernel: str, dtype: DType, tile: ImageTile) -> Tactic:
    exact = dtype is DType.I8

    def can(node: NodeView) -> bool:
        x, w = node.inputs[0].type, node.inputs[1]
        conv = node.attrs.conv
        kind = QConvAttrs if exact else HalfConvAttrs
        fits = tile.warps_n == 1 or w.type.shape[0] > COLUMNS
        known = isinstance(conv, kind) and w.data is not None and w.type.dtype is dtype and fits
        return known and takes(conv, x.shape[1]) and tile.shared(node) <= MOST_SHARED

    def launch(node: NodeView, target: Target) -> Launch:
        stored = CPP[node.inputs[0].type.dtype]
        kind = activation_kind(node.attrs.conv.activation)
        name = f"conv_image_s8<{stored}" if exact else f"conv_image<{CPP[dtype]}, {stored}, {kind}"
        return Launch(
            source="image_conv/image_conv.cu",
            kernel=f"{name}, {tile.cpp}>",
            grid=tile.grid(node),
            block=tile.threads,
            shared=tile.shared(node),
            exact=exact,
        )

    return Tactic(
        kernel=kernel,
        params_type="ingot_image_conv_params",
        params=params,
        when=can,
        pack={1: pack},
        pitched_outputs=(0,),
        numerics="exact" if exact else "fp32",
        variant=tile.variant,
        efficiency=lambda node, target: _reaches(tile, node, target),
        launch=launch,
    )


TACTICS: tuple[Tactic, ...] = (
    *(_tactic("image_conv_f16_cuda", DType.F16, tile) for tile in TILES),
    *(_tactic("image_conv_bf16_cuda", DType.BF16, tile) for tile in TILES),
    *(_tactic("image_conv_s8_cuda", DType.I8, tile) for tile in TILES),
)
