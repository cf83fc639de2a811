"""What INT8 convolutions reach of a target's figures, as measured on Zen 4: it puts the tactics of a node in order.

Depthwise windows are bound by what they move, all others by products.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from ingot.kernels.spec import NodeView
from ingot.targets import Target

#: columns of a panel of weights, bytes multiplied at once, lanes of a depthwise block
PANEL, STEP, LANES = 16, 4, 64

Efficiency = Callable[[NodeView, Target], float]

#: a sum as deep as this takes as long as beginning and storing it
_SHALLOW = 35
#: a panel alone loads as much as it multiplies
_ALONE = 0.6
#: runs of fewer bytes are read one by one
_THIN = 16


def products(share: float = 1.0, thin: float = 1.0) -> Efficiency:
    """Of sums of products: panels are padded to sixteen channels, lines of windows to fours.

    ``share``: what a way of cutting leaves of the usual; ``thin``: and where pixels have few channels.
    """

    def efficiency(node: NodeView, target: Target) -> float:
        w, groups, kernel = node.inputs[1].type.shape, node.attrs.groups, node.attrs.kernel
        columns, channels = max(w[0] // groups, 1), max(w[1], 1)
        run = channels * kernel[-1]
        padded = math.prod(kernel[:-1]) * (-(-run // STEP) * STEP)
        depth, panels = channels * math.prod(kernel), -(-columns // PANEL)
        full = depth / (padded + _SHALLOW) * columns / (panels * PANEL) * (_ALONE if panels == 1 else 1.0)
        return 0.97 * full * share * (thin if channels < _THIN else 1.0)

    return efficiency


def _moved(node: NodeView) -> float:
    """Bytes for each result, over those where windows move by one; what is skipped costs little more."""
    strides = math.prod(node.attrs.strides)
    return (1 + strides) / 2 / (1.2 if strides > 1 else 1.0)


def lanes(node: NodeView, target: Target) -> float:
    """Of depthwise windows whose taps are read four by four."""
    steps = -(-math.prod(node.attrs.kernel) * node.attrs.parts // STEP)
    return 1.54 / (steps + 0.75) * _moved(node)


def _blocks(node: NodeView) -> float:
    """The share of lanes that are channels where each pixel begins with new ones."""
    channels = max(node.inputs[0].type.shape[-1], 1)
    return channels / (-(-channels // LANES) * LANES)


def columns(node: NodeView, target: Target) -> float:
    """Of depthwise windows column by column: sums of 64 lanes are in registers where those have 512 bits."""
    strided = 1.25 if node.attrs.strides[-1] > 1 else 1.0
    wide = target.figures.get("vector_bits", 0) >= 512
    return (0.61 if wide else 0.39) * _blocks(node) * _moved(node) / strided


def pairs(node: NodeView, target: Target) -> float:
    """The same by two rows. Vectors of 128 bits were not measured: expected, but not clearly, to be better."""
    measured = target.figures.get("vector_bits", 0) >= 256
    return (0.66 if measured else 0.48) * _blocks(node) * _moved(node)
