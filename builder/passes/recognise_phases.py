"""Convolutions of an image's phases, which are one of the image with wider steps.

What detectors call a focus: every second pixel from each of four corners, one behind the other as channels, and a
convolution. Each of its taps at a phase is a tap of the image, so the products are the same, and nothing is copied.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ingot.builder.ir import Node, Value
from ingot.builder.passes.permutation import CHANNELS_LAST
from ingot.builder.passes.rewrite import Sweep, is_op
from ingot.kernels.conv.attrs import ConvAttrs
from ingot.kernels.spec import DType


def phases(sweep: Sweep, node: Node) -> tuple[str, Value] | None:
    """A rule's body: the convolution of channels that are phases of one image."""
    if not is_op(node, "conv") or type(node.attrs) is not ConvAttrs or node.inputs[1].data is None:
        return None
    moved, conv = node.inputs[0].producer, node.attrs
    if not is_op(moved, "transpose") or moved.attrs.perm != CHANNELS_LAST or not sweep.single_use(moved.output):
        return None
    joined = moved.inputs[0].producer
    if not is_op(joined, "concat") or joined.attrs.axis != 1 or not sweep.single_use(joined.output):
        return None
    if conv.groups != 1 or set(conv.dilations) != {1} or node.inputs[1].type.dtype is not DType.F32:
        return None
    corners = _corners(joined)
    if corners is None:
        return None
    step, image = len(set(y for y, _ in corners)), joined.inputs[0].producer.inputs[0]
    attrs = replace(
        conv,
        kernel=tuple(step * k for k in conv.kernel),
        strides=tuple(step * s for s in conv.strides),
        pads=tuple(step * p for p in conv.pads),
    )
    weights = sweep.constant(_interleaved(node.inputs[1].data, corners, step), node.inputs[1].name)
    inputs = [sweep.transpose(image, CHANNELS_LAST), weights, *node.inputs[2:]]
    source = [*(v.producer for v in joined.inputs), joined, moved]
    return "convolution of phases", sweep.emit("conv", attrs, inputs, source=source, outputs=node.outputs)


def _corners(joined: Node) -> list[tuple[int, int]] | None:
    """Where in the image the phases begin, in their order; None unless each pixel is in one of them."""
    slices = [value.producer for value in joined.inputs]
    step = round(len(slices) ** 0.5)
    if step < 2 or not all(is_op(each, "slice") for each in slices):
        return None
    image = slices[0].inputs[0]
    n, c, h, w = image.type.shape if image.type.rank == 4 else (0, 0, 1, 1)
    if h % step or w % step:
        return None
    for each in slices:
        same = each.inputs[0] is image and each.attrs.steps == (1, 1, step, step)
        if not same or each.attrs.starts[:2] != (0, 0) or each.attrs.shape != (n, c, h // step, w // step):
            return None
    corners = [each.attrs.starts[2:] for each in slices]
    return corners if sorted(corners) == [(y, x) for y in range(step) for x in range(step)] else None


def _interleaved(w: np.ndarray, corners: list[tuple[int, int]], step: int) -> np.ndarray:
    """[O, phases * C, *kernel] -> [O, C, *step * kernel]."""
    out, channels, lines, columns = w.shape
    wide = np.empty((out, channels // len(corners), step * lines, step * columns), w.dtype)
    for part, (y, x) in zip(np.split(w, len(corners), axis=1), corners):
        wide[:, :, y::step, x::step] = part
    return wide
