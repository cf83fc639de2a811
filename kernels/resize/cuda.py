"""Interpolation on CUDA: a block makes the tables of a few rows and places, and then the results."""

from __future__ import annotations

import math
from typing import Any

from ingot.kernels.common.cuda import CPP, blocks_for, ceil_div
from ingot.kernels.common.cuda_rows import is_real, storage
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import MODELS, is_int8
from ingot.kernels.resize import int8
from ingot.kernels.spec import Launch, NodeView, Tactic, TensorType
from ingot.targets import Target

MODES = ("nearest", "linear", "cubic")
"""In the order of ``ingot_resize_mode``; likewise the next two."""
COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")

THREADS = 256
#: rows and places of a block's tables: the first with a block for each multiprocessor, or the last with work enough
TILES = ((4, 128), (4, 32), (2, 16), (1, 16), (1, 4))
#: the longest filter and the most rows to mix that have tables
TAPS_MAX, MIXED_MAX = 8, 64
THREADS_ANY = 128
#: of the peak of memory
EFFICIENCY = 0.5
_BITS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}


def _attrs(node: NodeView) -> Any:
    return node.attrs.real if is_int8(node) else real_attrs(node)


def params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_resize_params``."""
    attrs = _attrs(node)
    roi = attrs.roi or ((0.0, 1.0),) * len(attrs.shape)
    return {
        "scale": list(attrs.scales),
        "roi_begin": [begin for begin, _ in roi],
        "roi_end": [end for _, end in roi],
        "cubic_a": attrs.cubic_a,
        "extrapolation": attrs.extrapolation,
        "axes": sum(1 << a for a, resized in enumerate(attrs.resized(node.inputs[0].type.shape)) if resized),
        "mode": MODES.index(attrs.mode),
        "coordinate": COORDINATES.index(attrs.coordinate),
        "rounding": ROUNDINGS.index(attrs.rounding),
        "antialias": int(attrs.antialias),
        "exclude_outside": int(attrs.exclude_outside),
    }


def moves(node: NodeView) -> bool:
    """Whether results are elements of the input, as they are."""
    attrs = _attrs(node)
    return attrs.mode == "nearest" and attrs.coordinate != "tf_crop_and_resize"


def _taps(node: NodeView) -> tuple[list[int], int]:
    """The taps of each axis, and the axis of rows."""
    attrs, resized = _attrs(node), _attrs(node).resized(node.inputs[0].type.shape)
    axis = max((a for a, changes in enumerate(resized) if changes), default=0)
    if attrs.mode == "nearest":
        return [1] * len(resized), axis
    radius = 1.0 if attrs.mode == "linear" else 2.0
    narrow = [s if attrs.antialias and s < 1.0 else 1.0 for s in attrs.scales]
    return [-2 * math.floor(-radius / s) if changes else 1 for s, changes in zip(narrow, resized)], axis


def _length(x: TensorType, y: TensorType, run: int) -> int:
    """Elements that a thread does at a time: of a run, and of a row of what may have a pitch."""
    last = y.shape[-1] if run > 1 else 1
    lengths = {1: (16, 4), 2: (4,), 4: (4,), 8: (2,)}[x.dtype.size]
    return next((n for n in lengths if last % n == 0), 1)


def _frame(node: NodeView, op: str, target: Target) -> dict[str, Any]:
    x, y = node.inputs[0].type, node.outputs[0].type
    taps, axis = _taps(node)
    rows, width, run = math.prod(y.shape[:axis]), y.shape[axis], math.prod(y.shape[axis + 1 :])
    length = _length(x, y, run)
    vectors = max(ceil_div(run, length), 1)

    def tiles(height: int, across: int) -> int:
        return ceil_div(rows, height) * ceil_div(width, across)

    wanted = target.figures.get("sm_count", 8)
    enough = [(h, w) for h, w in TILES if h * w * vectors >= THREADS] or TILES[:1]
    height, across = next((t for t in enough if tiles(*t) >= wanted), enough[-1])
    return {
        "kernel": f"resize_rows<ingot::{op}, {taps[axis]}, {length}, {height}, {across}>",
        "grid": (max(tiles(height, across), 1), 1, 1),
        "block": THREADS,
        "exact": True,  # a place must not go to another element
    }


def _launch(node: NodeView, target: Target) -> Launch:
    types = storage(node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    taps, axis = _taps(node)
    if taps[axis] > TAPS_MAX or math.prod(taps[:axis]) > MIXED_MAX:
        grid = blocks_for(node.outputs[0].type.count, THREADS_ANY)
        return Launch("resize/resize.cu", f"resize_any<{types}>", grid, THREADS_ANY, exact=True)
    return Launch("resize/resize.cu", **_frame(node, f"resize_weigh<{types}>", target))


def _launch_copy(node: NodeView, target: Target) -> Launch:
    bits = _BITS[node.inputs[0].type.dtype.size]
    return Launch("resize/resize.cu", **_frame(node, f"resize_copy<{bits}>", target))


def _launch_s8(node: NodeView, target: Target) -> Launch:
    model = MODELS[node.attrs.output and node.attrs.output.rounds_as]
    op = "resize_s8_model" if model else f"resize_s8_whole<{CPP[node.outputs[0].type.dtype]}>"
    return Launch("resize/resize_s8.cu", **_frame(node, op, target))


def _copies(node: NodeView) -> bool:
    return not is_int8(node) and moves(node) and node.inputs[0].type.dtype is node.outputs[0].type.dtype


def _efficiency(node: NodeView, target: Target) -> float:
    return EFFICIENCY


TACTICS = (
    Tactic(
        "resize_s8_cuda",
        "ingot_resize_s8_params",
        lambda node: int8.params(node, params(node)),
        when=is_int8,
        pitched_outputs=(0,),
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch_s8,
    ),
    Tactic(
        "resize_copy_cuda",
        "ingot_resize_params",
        params,
        when=_copies,
        pitched_outputs=(0,),
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch_copy,
    ),
    Tactic(
        "resize_cuda",
        "ingot_resize_params",
        params,
        when=lambda node: not is_int8(node) and is_real(node) and not _copies(node),
        pitched_outputs=(0,),
        efficiency=_efficiency,
        launch=_launch,
    ),
)
