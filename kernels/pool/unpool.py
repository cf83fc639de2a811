"""MaxUnpool: values go back to where MaxPool found them, zeros everywhere else."""

from __future__ import annotations

import math

import numpy as np

from ingot.kernels.pad.op import PadAttrs
from ingot.kernels.scatter_elements.op import ScatterElementsAttrs
from ingot.kernels.spec import Builder, Unsupported, onnx_op


@onnx_op("MaxUnpool")
def import_max_unpool(b: Builder):
    """A scatter into zeros; an ``output_shape`` larger than what the windows cover is padded behind."""
    x, indices = b.input(0), b.input(1)
    shape, n = x.type.shape, x.type.rank - 2
    kernel, strides = b.attr("kernel_shape"), b.attr("strides", None) or [1] * n
    pads = b.attr("pads", None) or [0] * (2 * n)
    if n < 1 or not len(kernel) == len(strides) == len(pads) // 2 == n:
        raise Unsupported(
            f"MaxUnpool of rank {x.type.rank} with kernel_shape {list(kernel)}", "one entry a spatial axis"
        )
    covered = [(shape[i + 2] - 1) * strides[i] - pads[i] - pads[i + n] + kernel[i] for i in range(n)]
    covered = (*shape[:2], *covered)
    if min(covered) < 0:
        raise Unsupported(f"MaxUnpool to shape {covered}", "pads smaller than the windows")
    zeros = b.constant(np.zeros(math.prod(covered), x.type.dtype.numpy))
    flat = [b.reshape(v, (math.prod(shape),)) for v in (indices, x)]
    result = b.reshape(b.emit("scatter_elements", ScatterElementsAttrs(0, "none"), [zeros, *flat])[0], covered)
    wanted = b.const(2)
    if wanted is None or tuple(wanted) == covered:
        return [result]
    behind = tuple(int(w) - c for w, c in zip(wanted, covered, strict=True))
    if min(behind) < 0:
        raise Unsupported(f"MaxUnpool to output_shape {wanted.tolist()}", f"at least {list(covered)}")
    return b.emit("pad", PadAttrs((0,) * len(behind), behind), [result])
