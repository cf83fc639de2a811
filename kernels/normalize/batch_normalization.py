"""BatchNormalization: one factor and one offset a channel, computed in float64 when the statistics are constants."""

from __future__ import annotations

import numpy as np

from ingot.kernels.reduce.op import ReduceKind, reduce
from ingot.kernels.spec import Builder, DType, Unsupported, onnx_op


@onnx_op("BatchNormalization")
def import_batch_normalization(b: Builder):
    """Inference becomes Mul and Add; training mode also gives the running statistics."""
    own = b.input(0).type
    if own.rank < 2:
        raise Unsupported(f"BatchNormalization of rank {own.rank}", "an input [N, C, ...]")
    if not b.attr("spatial", 1):
        raise Unsupported("BatchNormalization with spatial=0", "spatial=1")
    training = bool(b.attr("training_mode", 0))
    if b.output_count > 1 and not training:
        raise Unsupported("outputs of BatchNormalization that training uses", "the first output alone")
    if training:
        return _training(b)
    if all(b.input(i).is_constant for i in range(1, 5)) and own.dtype is not DType.BF16:
        return [_folded(b)]
    x, scale, bias, mean, variance = _operands(b)
    return [b.cast(_normalized(b, x, scale, bias, mean, variance), own.dtype)]


def _dtype(b: Builder) -> DType:
    return DType.F64 if b.input(0).type.dtype is DType.F64 else DType.F32


def _operands(b: Builder):
    """All inputs in the type that is computed in, those of a channel shaped [C, 1, ...]."""
    own, dtype = b.input(0).type, _dtype(b)
    channel = (own.shape[1],) + (1,) * (own.rank - 2)
    return b.cast(b.input(0), dtype), *(b.reshape(b.cast(b.input(i), dtype), channel) for i in range(1, 5))


def _epsilon(b: Builder):
    return b.constant(np.array(b.attr("epsilon", 1e-5), _dtype(b).numpy))


def _normalized(b: Builder, x, scale, bias, mean, variance):
    deviation = b.elementwise("Sqrt", b.elementwise("Add", variance, _epsilon(b)))
    factor = b.elementwise("Div", scale, deviation)
    return b.elementwise("Add", b.elementwise("Mul", b.elementwise("Sub", x, mean), factor), bias)


def _folded(b: Builder):
    own, dtype = b.input(0).type, _dtype(b)
    channel = (own.shape[1],) + (1,) * (own.rank - 2)
    scale, bias, mean, variance = (b.const(i).astype(np.float64).reshape(channel) for i in range(1, 5))
    with np.errstate(all="ignore"):  # what is odd in the model stays odd in the engine
        factor = scale / np.sqrt(variance + b.attr("epsilon", 1e-5))
        offset = bias - mean * factor
    y = b.elementwise("Mul", b.cast(b.input(0), dtype), b.constant(factor.astype(dtype.numpy)))
    y = b.elementwise("Add", y, b.constant(offset.astype(dtype.numpy)))
    return b.cast(y, own.dtype)


def _training(b: Builder):
    own, dtype = b.input(0).type, _dtype(b)
    x, scale, bias, running_mean, running_variance = _operands(b)
    axes = [a for a in range(own.rank) if a != 1]
    mean = reduce(b, ReduceKind.MEAN, x, axes)
    distance = b.elementwise("Sub", x, mean)
    variance = reduce(b, ReduceKind.MEAN, b.elementwise("Mul", distance, distance), axes)
    y = b.cast(_normalized(b, x, scale, bias, mean, variance), own.dtype)
    momentum = b.attr("momentum", 0.9)
    old, new = (b.constant(np.array(v, dtype.numpy)) for v in (momentum, 1.0 - momentum))

    def blend(running, current, index: int):
        mixed = b.elementwise("Add", b.elementwise("Mul", running, old), b.elementwise("Mul", current, new))
        return b.cast(b.reshape(mixed, (own.shape[1],)), b.input(index).type.dtype)

    return [y, blend(running_mean, mean, 3), blend(running_variance, variance, 4)][: max(b.output_count, 1)]
