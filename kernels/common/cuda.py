"""What the CUDA tactics of the operators share: names of C++ types, and how a launch is cut into blocks."""

from __future__ import annotations

from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.spec import DType

#: element type -> what ``cuda_device.h`` calls it
CPP = {
    DType.F32: "float",
    DType.F64: "double",
    DType.F16: "ingot::f16",
    DType.BF16: "ingot::bf16",
    DType.I8: "int8_t",
    DType.I16: "int16_t",
    DType.I32: "int32_t",
    DType.I64: "int64_t",
    DType.U8: "uint8_t",
    DType.U16: "uint16_t",
    DType.U32: "uint32_t",
    DType.U64: "uint64_t",
    DType.BOOL: "uint8_t",
}

_CLAMPS = (ActivationKind.NONE, ActivationKind.RELU, ActivationKind.CLIP)


def activation_kind(activation: Activation) -> int:
    """The template argument of ``ingot::activation``: 0 for none, relu and clip, which differ in numbers alone."""
    return 0 if activation.kind in _CLAMPS else int(activation.kind)


def ceil_div(a: int, b: int) -> int:
    return -(-a // b)


def blocks_for(threads: int, block: int) -> tuple[int, int, int]:
    """The grid in which so many threads are there, in blocks of ``block``; at least one."""
    return (max(ceil_div(threads, block), 1), 1, 1)
