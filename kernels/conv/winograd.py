"""Minimal filtering of windows of 3x3: a quarter of the multiplications (tiles of 4x4), or four ninths (2x2).

Transformed weights are four times as large (4x4), or 16/9 times (2x2). Those of 4x4 need not be stored: a context can
make them of what the default kernel reads, the same bits.

Of bfloat16 there are tiles of 2x2 alone. The error of a layer, its result rounded, is then 4.3e-3 of the result's norm,
where products of the windows have 2.4e-3; with tiles of 4x4 it would be 1.1e-2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ingot.kernels.common.half import from_bfloat16, pack_half, takes_weights, to_bfloat16
from ingot.kernels.spec import DType, NodeView, Tactic

from .attrs import ConvAttrs, HalfConvAttrs, QConvAttrs, conv_params
from .panels import pack_conv, pack_panels

#: tile -> finite points of the polynomials; as in winograd.h
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.625, -0.625, 1.5, -1.5)}


def window_matrix(tile: int) -> np.ndarray:
    """G, [tile + 2, 3], float64: the window as a polynomial at each point, over what the others make of the point."""
    points = POINTS[tile]
    rows = [
        [point**power / math.prod(point - other for other in points if other != point) for power in range(3)]
        for point in points
    ]
    if tile == 2:  # the input transform has the signs of 0 and -1 turned
        rows[0] = [-value for value in rows[0]]
    return np.array([*rows, [0.0, 0.0, 1.0]])


def transform(w: np.ndarray, tile: int) -> np.ndarray:
    """G w G': [O, C, 3, 3] -> [O, C, tile + 2, tile + 2], float64, by elementwise sums in a fixed order."""
    g = window_matrix(tile)
    w = w.astype(np.float64)
    lines = [sum(g[i, k] * w[:, :, k] for k in range(3)) for i in range(tile + 2)]
    half = np.stack(lines, axis=2)
    columns = [sum(g[i, k] * half[:, :, :, k] for k in range(3)) for i in range(tile + 2)]
    return np.stack(columns, axis=3)


def pack_winograd(w: np.ndarray, tile: int) -> np.ndarray:
    """[O, C, *, 3, 3] -> [ceil(O / 16), (tile + 2)^2, C, 16], rounded to float32 once."""
    windows = transform(w.reshape(*w.shape[:2], 3, 3), tile).astype(np.float32)
    return pack_panels(windows.reshape(1, *w.shape[:2], -1).transpose(0, 1, 3, 2))


def pack_winograd_bf16(w: np.ndarray) -> np.ndarray:
    """[O, C, *, 3, 3], bits -> [ceil(O / 16), 16, ceil(C / 2), 32], bits: rounded to bfloat16 again."""
    windows = transform(from_bfloat16(w).reshape(*w.shape[:2], 3, 3), 2)
    bits = to_bfloat16(windows.astype(np.float32)).reshape(*w.shape[:2], -1)
    return np.stack([pack_half(bits[:, :, position]) for position in range(bits.shape[2])], axis=1)


def fits(node: NodeView) -> bool:
    """A convolution in float32 that can be done so."""
    attrs, w = node.attrs, node.inputs[1]
    if isinstance(attrs, (QConvAttrs, HalfConvAttrs)) or w.data is None:
        return False
    return node.inputs[0].type.dtype is w.type.dtype is DType.F32 and _slides(attrs)


def fits_bf16(node: NodeView) -> bool:
    """One whose images and weights are all stored in bfloat16."""
    if not takes_weights(node, HalfConvAttrs, DType.BF16):
        return False
    images = [node.inputs[0], node.outputs[0], *([node.inputs[3]] if node.inputs[3] is not None else [])]
    return all(v.type.dtype is DType.BF16 for v in images) and _slides(node.attrs)


def _slides(attrs: ConvAttrs) -> bool:
    """A dense window of 3x3 that moves by one; leading spatial axes have an extent of 1 in the window."""
    plain = attrs.groups == 1 and set(attrs.strides) == {1} and set(attrs.dilations) == {1}
    spatial = len(attrs.kernel)
    flat = spatial == 2 or (spatial == 3 and attrs.kernel[0] == 1 and attrs.pads[0] == attrs.pads[3] == 0)
    return plain and flat and attrs.kernel[-2:] == (3, 3)


def _params(tile: int, block: int, slice_panels: int, made: int = 0) -> Callable[[NodeView], dict[str, Any]]:
    return lambda node: {"conv": conv_params(node), "tile": tile, "block": block, "slice": slice_panels, "made": made}


def made_bytes(node: NodeView) -> int:
    """The transformed weights of tiles of 4x4."""
    out, channels = node.inputs[1].type.shape[:2]
    return -(-out // 16) * 36 * channels * 16 * 4


#: what transforms cost a tile and channel, of inputs and of results, in multiply-adds; as measured on Zen 4
_TRANSFORMS = {2: (80, 60), 4: (250, 200)}
#: the share of the peak that products reach; how many tiles keep arithmetic, not the weights, their bound
_PRODUCTS, _TILES = 0.85, 6
#: channels that a product could sum up in the time it takes to begin and to store
_SHALLOW = 16


def efficiency(node: NodeView, tile: int) -> float:
    """Multiply-adds of the direct form over what this one takes; may be more than 1."""
    out, channels = node.outputs[0].type.shape, node.inputs[0].type.shape[-1]
    pixels, columns = math.prod(out[:-1]), out[-1]
    tiles = math.prod(out[:-3]) * -(-out[-3] // tile) * -(-out[-2] // tile)
    if not tiles:
        return 1.0
    inputs, results = _TRANSFORMS[tile]
    products = (tile + 2) ** 2 * (channels + _SHALLOW) * columns * max(1.0, _TILES / tiles)
    return _PRODUCTS * pixels * 9 * channels * columns / (tiles * (products + inputs * channels + results * columns))


def _tactic(tile: int, block: int, slice_panels: int, *, made: bool = False) -> Tactic:
    """``made``: of the weights as the default stores them every context makes its own."""
    return Tactic(
        kernel="conv_f32_winograd",
        params_type="ingot_conv_winograd_params",
        params=_params(tile, block, slice_panels, int(made)),
        when=fits,
        pack={1: pack_conv if made else lambda node, w: pack_winograd(w, tile)},
        made=made_bytes if made else lambda node: 0,
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="fast",
        variant=f"tile={tile} block={block}{' weights=made' if made else ''}",
        efficiency=lambda node, target: efficiency(node, tile),
    )


def _bf16_tactic(block: int, slice_panels: int) -> Tactic:
    return Tactic(
        kernel="conv_bf16_winograd",
        params_type="ingot_conv_winograd_params",
        params=_params(2, block, slice_panels),
        when=fits_bf16,
        pack={1: lambda node, w: pack_winograd_bf16(w)},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="fast",
        variant=f"tile=2 block={block} slice={slice_panels}",
        efficiency=lambda node, target: efficiency(node, 2),
    )


TACTICS = (
    _tactic(4, 20, 2),
    _tactic(4, 20, 2, made=True),
    _tactic(2, 20, 2),
    _bf16_tactic(20, 4),
    _bf16_tactic(40, 4),
    _bf16_tactic(20, 8),
)
