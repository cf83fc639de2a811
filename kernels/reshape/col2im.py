"""Col2Im: columns added up to the image that they were cut from.

That is a transposed convolution whose weights only sort: input channel (c, k) goes to channel c at kernel place k.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ingot.kernels.conv_transpose.op import ConvTransposeAttrs
from ingot.kernels.spec import Builder, Unsupported, onnx_op


@onnx_op("Col2Im")
def _col2im(b: Builder) -> Any:
    x = b.input(0)
    image, kernel = (tuple(int(n) for n in b.const(i).ravel()) for i in (1, 2))
    axes, places = len(image), math.prod(kernel)
    ones = [1] * axes
    strides, dilations = (tuple(b.attr(name, ones)) for name in ("strides", "dilations"))
    pads = tuple(b.attr("pads", [0] * (2 * axes)))
    room = [n + pads[a] + pads[a + axes] - (kernel[a] - 1) * dilations[a] - 1 for a, n in enumerate(image)]
    if x.type.rank != 3 or not x.type.dtype.is_float or min(room) < 0 or x.type.shape[1] % places:
        raise Unsupported(f"Col2Im of {x.type} to {image} by {kernel}", "a float tensor [N, C * kernel, positions]")
    steps = [r // s + 1 for r, s in zip(room, strides)]
    if math.prod(steps) != x.type.shape[2]:
        raise Unsupported(f"Col2Im of {x.type} to {image} by {kernel}", f"{math.prod(steps)} positions")
    batch, channels = x.type.shape[0], x.type.shape[1] // places
    x = b.reshape(b.transpose(x, (0, 2, 1)), (batch, *steps, channels * places))
    weights = np.tile(np.eye(places, dtype=x.type.dtype.numpy), (channels, 1))
    weights = b.constant(weights.reshape(channels * places, 1, *kernel))
    attrs = ConvTransposeAttrs(
        kernel=kernel,
        strides=strides,
        pads=pads,
        dilations=dilations,
        groups=channels,
        output_padding=tuple(r - (n - 1) * s for r, n, s in zip(room, steps, strides)),
    )
    y = b.emit("conv_transpose", attrs, [x, weights, None, None])[0]
    return b.transpose(y, (0, axes + 1, *range(1, axes + 1)))
