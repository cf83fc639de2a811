"""The direct convolution cut into other tiles and work units than its kernel would."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ingot.kernels.spec import NodeView, Tactic
from ingot.targets import Target

from .attrs import conv_params
from .panels import is_float, pack_conv

#: (rows of a tile, panels of a slice, whether the slices of a tile follow each other)
CUTS = ((10, 16, 1), (10, 16, 0), (10, 4, 1), (5, 4, 1))


def efficiency(node: NodeView, target: Target) -> float:
    """Sums of few products are bound by what they read and write; panels are padded to sixteen channels."""
    w = node.inputs[1].type.shape
    depth, columns = math.prod(w[1:]), w[0] // node.attrs.groups
    return 0.9 * depth / (depth + 16) * columns / (-(-columns // 16) * 16)


def _params(rows: int, panels: int, tile_major: int) -> Callable[[NodeView], dict[str, Any]]:
    cut = {"rows": rows, "slice": panels, "tile_major": tile_major}
    return lambda node: {"conv": conv_params(node), "cut": cut}


def _tactic(rows: int, panels: int, tile_major: int) -> Tactic:
    return Tactic(
        kernel="conv_f32_n16_cut",
        params_type="ingot_conv_cut_params",
        params=_params(rows, panels, tile_major),
        when=is_float,
        pack={1: pack_conv},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        efficiency=efficiency,
        variant=f"tile={rows}x{panels} order={'tiles' if tile_major else 'slices'}",
    )


TACTICS = tuple(_tactic(*cut) for cut in CUTS)
