"""Normalisations that are rare enough to be a few reductions and elementwise steps."""

from __future__ import annotations

import numpy as np

from ingot.kernels.reduce.op import ReduceKind, reduce
from ingot.kernels.spec import Builder, DType, Unsupported, normal_axis, onnx_op


@onnx_op("MeanVarianceNormalization")
def import_mean_variance(b: Builder):
    """(x - mean) / (deviation + 1e-9) over ``axes``."""
    own = b.input(0).type
    dtype = DType.F64 if own.dtype is DType.F64 else DType.F32
    x = b.cast(b.input(0), dtype)
    axes = [normal_axis(a, own.rank) for a in b.attr("axes", None) or (0, 2, 3)]
    distance = b.elementwise("Sub", x, reduce(b, ReduceKind.MEAN, x, axes))
    variance = reduce(b, ReduceKind.MEAN, b.elementwise("Mul", distance, distance), axes)
    floor = b.constant(np.array(1e-9, dtype.numpy))
    deviation = b.elementwise("Add", b.elementwise("Sqrt", variance), floor)
    return [b.cast(b.elementwise("Div", distance, deviation), own.dtype)]


@onnx_op("LpNormalization")
def import_lp(b: Builder):
    """x / (sum |x|^p)^(1/p) along ``axis``, for p of 1 and 2; 0 where the norm is 0."""
    x, p = b.input(0), b.attr("p", 2)
    if p not in (1, 2):
        raise Unsupported(f"LpNormalization with p={p}", "p of 1 or 2")
    axis = normal_axis(b.attr("axis", -1), x.type.rank)
    norm = reduce(b, ReduceKind.L1 if p == 1 else ReduceKind.L2, x, [axis])
    zero = b.constant(np.zeros((), x.type.dtype.numpy))
    ratio = b.elementwise("Div", x, norm)
    return [b.elementwise("Where", b.elementwise("Equal", norm, zero), zero, ratio)]
