"""CUDA tactics of convolutions in groups, as matrix products: groups are bundled until they fill a tile."""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.common.cuda_gemm import (
    CHUNK,
    FMA_TILES,
    MMA_TILES,
    Tile,
    Way,
    efficiency,
    instance,
    pack_rows,
    placed,
    product_of,
)
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import conv_params
from .cuda import MOST_LINES, has_weights, parts
from .int8 import s8_params

#: what a bundle has at least where there are so many groups: columns, and bytes of a tap
LEAST_COLUMNS, LEAST_BYTES = 32, 64
#: columns that are stored at once, so bundles are whole ones
EIGHT = 8
#: bundles that a grid may have
MOST_BUNDLES = 65535


def bundle(node: NodeView) -> int:
    """Groups of a bundle."""
    groups, size = node.attrs.groups, node.inputs[1].type.dtype.size
    channels, columns = node.inputs[0].type.shape[-1] // groups, node.outputs[0].type.shape[-1] // groups
    for n in range(1, groups):
        fills = n * columns >= LEAST_COLUMNS and n * columns % EIGHT == 0 and n * channels * size >= LEAST_BYTES
        if fills and groups % n == 0:
            return n
    return groups


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C / groups, *kernel] -> [O, taps x channels of a bundle]: zeros where a group does not read, and behind the
    channels of each tap up to whole chunks of 16 bytes."""
    many, groups = bundle(node), node.attrs.groups
    out, channels = w.shape[:2]
    taps = w.reshape(groups // many, many, out // groups, channels, -1).swapaxes(-1, -2)
    wide = np.zeros((*taps.shape[:-1], many, channels), w.dtype)
    for group in range(many):
        wide[:, group, :, :, group] = taps[:, group]
    return pack_rows(wide.reshape(-1, many * channels)).reshape(out, -1)


def _extent(node: NodeView) -> tuple[int, int, int]:
    """Rows, columns and depth of the product of a bundle."""
    x, y, w = node.inputs[0].type, node.outputs[0].type, node.inputs[1].type
    bundles, vec = node.attrs.groups // bundle(node), CHUNK // w.dtype.size
    depth = ceil_div(x.shape[-1] // bundles, vec) * vec * math.prod(node.attrs.kernel)
    return math.prod(y.shape[:-1]), y.shape[-1] // bundles, depth


def _reaches(node: NodeView, target: Target, tile: Tile, pace: str) -> float:
    """The share of the roofline, which counts no zeros."""
    rows, columns, depth = _extent(node)
    bundles = node.attrs.groups // bundle(node)
    # all bundles side by side: as many tiles as one product has with a whole number of tiles for each
    wide = ceil_div(columns, tile.columns) * tile.columns * bundles
    product = product_of(node, (rows, wide, depth), pace)
    share = efficiency(Way(tile), product, target)
    peak = float(target.peak_gops.get(pace, target.peak_gops.get("f32", 1000.0)))
    least = product.moved / float(target.figures.get("memory_gbs", 200.0))
    real = 2 * rows * columns * bundles * (depth / bundle(node))
    return share * max(real / peak, least) / max(2 * rows * wide * depth / peak, least)


def _tactic(kernel: str, core: str, dtype: DType, tile: Tile) -> Tactic:
    exact = dtype is DType.I8

    def can(node: NodeView) -> bool:
        if not has_weights(node, dtype) or parts(node) > 1:
            return False
        if not 1 < node.attrs.groups < node.inputs[0].type.shape[-1]:
            return False
        lines = sum(node.attrs.kernel) + 3 - len(node.attrs.kernel)
        bundles = node.attrs.groups // bundle(node)
        return lines <= MOST_LINES and bundles <= MOST_BUNDLES and tile.suits(*_extent(node)[:2])

    def launch(node: NodeView, target: Target) -> Launch:
        name, own = placed(core, Way(tile), target)
        kernel = instance("conv_groups", name, own.tile, node)
        entries, bundles = own.tile.rows + math.prod(node.attrs.kernel) + 1, node.attrs.groups // bundle(node)
        rows, columns, _ = _extent(node)
        return own.launch("conv/groups.cu", kernel, rows, columns, entries, bundles, exact)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_s8_params" if exact else "ingot_conv_params",
        params=s8_params if exact else conv_params,
        when=can,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact" if exact else "fp32",
        variant=tile.variant,
        efficiency=lambda node, target: _reaches(node, target, tile, dtype.name.lower()),
        launch=launch,
    )


#: of those for one group, what has few columns
_TILES = tuple(tile for tile in MMA_TILES if tile.columns <= 64 and tile.warps[2] <= 2) + MMA_TILES[-1:]

TACTICS: tuple[Tactic, ...] = (
    *(_tactic("conv_groups_f16_cuda", "f16_core", DType.F16, tile) for tile in _TILES),
    *(_tactic("conv_groups_bf16_cuda", "bf16_core", DType.BF16, tile) for tile in _TILES),
    *(_tactic("conv_groups_s8_cuda", "s8_core", DType.I8, tile) for tile in _TILES),
    *(_tactic("conv_groups_f32_cuda", "fma_core", DType.F32, tile) for tile in FMA_TILES),
)
