"""CUDA tactics of transposed convolution as matrix products, one for each phase."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable

import numpy as np

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.common.cuda_gemm import (
    CHUNK,
    FMA_TILES,
    MMA_TILES,
    PACES,
    SPLIT_TILES,
    Tile,
    Way,
    efficiency,
    instance,
    pack_rows,
    placed,
    product_of,
)
from ingot.kernels.common.half import takes_weights
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from . import int8
from .attrs import ConvTransposeAttrs, HalfConvTransposeAttrs, conv_transpose_params, tap_phases

#: lines of taps, of all axes together, that a kernel can tell apart
MOST_LINES = 31
#: of fewer columns a gather is faster
LEAST_COLUMNS = 16
When = Callable[[NodeView], bool]


def _taps(attrs: ConvTransposeAttrs) -> list[tuple[int, ...]]:
    """The taps as weights have them: sorted by phase, and backwards in each."""
    every = itertools.product(*map(range, attrs.kernel))
    return sorted(every, key=lambda tap: (tap_phases(attrs, tap), [-k for k in tap]))


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[C, O, *kernel] -> [O, taps x C], the channels of each tap padded to whole chunks of 16 bytes."""
    channels, out = w.shape[:2]
    order = [np.ravel_multi_index(tap, node.attrs.kernel) for tap in _taps(node.attrs)]
    rows = np.ascontiguousarray(w.reshape(channels, out, -1)[..., order].transpose(1, 2, 0))
    return pack_rows(rows.reshape(-1, channels)).reshape(out, -1)


def _most_taps(attrs: ConvTransposeAttrs) -> int:
    """Of a phase."""
    return max(Counter(tap_phases(attrs, tap) for tap in _taps(attrs)).values())


def _rows(node: NodeView) -> int:
    """Results of the phase that has most."""
    n, *spatial, _ = node.outputs[0].type.shape
    return n * math.prod(map(ceil_div, spatial, node.attrs.strides))


def _extent(node: NodeView) -> tuple[int, int, int]:
    """Rows, columns and depth of all phases as one product."""
    x, y = node.inputs[0].type, node.outputs[0].type
    vec = CHUNK // node.inputs[1].type.dtype.size
    taps = ceil_div(math.prod(node.attrs.kernel), math.prod(node.attrs.strides))
    return math.prod(y.shape[:-1]), y.shape[-1], taps * ceil_div(x.shape[-1], vec) * vec


def _tactic(kernel: str, core: str, dtype: DType, when: When, tile: Tile, numerics: str = "fp32") -> Tactic:
    exact = dtype is DType.I8

    def can(node: NodeView) -> bool:
        few, columns = sum(node.attrs.kernel) + 3 - len(node.attrs.kernel) <= MOST_LINES, node.outputs[0].type.shape[-1]
        whole = node.attrs.groups == 1 and columns >= LEAST_COLUMNS
        return when(node) and whole and few and tile.suits(_rows(node), columns)

    def launch(node: NodeView, target: Target) -> Launch:
        name, own = placed(core, Way(tile), target)
        kernel = instance("conv_transpose_gemm", name, own.tile, node)
        entries, phases = own.tile.rows + _most_taps(node.attrs) + 1, math.prod(node.attrs.strides)
        rows, columns = _rows(node), node.outputs[0].type.shape[-1]
        return own.launch("conv_transpose/gemm.cu", kernel, rows, columns, entries, phases, exact)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_transpose_s8_params" if exact else "ingot_conv_transpose_params",
        params=int8.s8_params if exact else conv_transpose_params,
        when=can,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact" if exact else numerics,
        variant=tile.variant,
        efficiency=lambda node, target: efficiency(Way(tile), product_of(node, _extent(node), *PACES[core]), target),
        launch=launch,
    )


def _half(dtype: DType) -> When:
    return lambda node: takes_weights(node, HalfConvTransposeAttrs, dtype)


def tactics(is_tuned: When) -> tuple[Tactic, ...]:
    """``is_tuned`` says when the CPU's kernel of float32 with packed weights can do a node."""
    halves = [
        (f"conv_transpose_{d.name.lower()}_mma_cuda", f"{d.name.lower()}_core", d) for d in (DType.F16, DType.BF16)
    ]
    return (
        *(_tactic("conv_transpose_s8_mma_cuda", "s8_core", DType.I8, int8.is_s8, tile) for tile in MMA_TILES),
        *(_tactic(name, core, dtype, _half(dtype), tile) for name, core, dtype in halves for tile in MMA_TILES),
        *(_tactic("conv_transpose_f32_fma_cuda", "fma_core", DType.F32, is_tuned, tile) for tile in FMA_TILES),
        *(
            _tactic("conv_transpose_tf32_mma_cuda", "tf32_core", DType.F32, is_tuned, tile, "fast")
            for tile in SPLIT_TILES
        ),
    )
