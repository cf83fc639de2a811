"""Arrays and streams of a CUDA device, as other libraries hand them over. Nothing is imported for that."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._native import ffi, lib, new_error
from .arrays import TensorInfo, mismatch
from .errors import ArgumentError

#: of DLPack: kDLCUDA and kDLCUDAManaged
_CUDA_DEVICES = (2, 13)
#: of DLPack: type code -> NumPy kind; bfloat16 (4) is handed over as the uint16 of its bits
_KINDS = {0: "i", 1: "u", 2: "f", 4: "u", 6: "b"}


def devices() -> tuple[list[dict[str, Any]], str]:
    """The CUDA devices of this machine, in the driver's order, and why there is none or no further one."""
    found: list[dict[str, Any]] = []
    record, error = ffi.new("ingot_direct_device *"), new_error()
    while lib.ingot_direct_device_at(len(found), record, error) == 0:
        found.append(
            {
                "name": ffi.string(record.name).decode("utf-8", "replace"),
                "arch": f"sm_{record.arch}",
                "multiprocessors": record.multiprocessors,
                "integrated": bool(record.integrated),
                "bytes": record.bytes,
                "driver": f"{record.driver // 1000}.{record.driver % 1000 // 10}",
            }
        )
    return found, ffi.string(error.message).decode("utf-8", "replace")


@dataclass(frozen=True)
class DeviceArray:
    """A dense array in memory of a CUDA device. ``owner`` keeps that memory alive."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype
    owner: Any

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def device_array(info: TensorInfo, value: Any, kind: str) -> DeviceArray | None:
    """``value`` where it lies on a CUDA device; ``None`` for anything else.

    Raises :class:`ArgumentError` for another element type, or rows that do not follow each other.
    """
    if isinstance(value, np.ndarray):
        return None
    found = _from_interface(value) or _from_dlpack(value)
    if found is None:
        return None
    array, strides = found
    if array.dtype != info.dtype:
        raise mismatch(info, info.shape, array, kind)
    if strides is not None and array.nbytes and not _is_dense(array.shape, strides):
        raise ArgumentError(f"{kind} {info.name!r}: the array on the device is not C-contiguous; bind a copy of it")
    return array


def _is_dense(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements follow each other, with strides in elements."""
    expected = 1
    for extent, stride in zip(reversed(shape), reversed(strides)):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True


def _from_interface(value: Any) -> tuple[DeviceArray, tuple[int, ...] | None] | None:
    """By the CUDA array interface (Numba, CuPy, PyTorch)."""
    said = getattr(value, "__cuda_array_interface__", None)
    if said is None:
        return None
    dtype = np.dtype(said["typestr"])
    if dtype.kind == "V":  # a type that NumPy lacks: DLPack can name it
        return None
    strides = said.get("strides")
    array = DeviceArray(int(said["data"][0] or 0), tuple(said["shape"]), dtype, value)
    return array, None if strides is None else tuple(s // dtype.itemsize for s in strides)


def _from_dlpack(value: Any) -> tuple[DeviceArray, tuple[int, ...] | None] | None:
    if not hasattr(value, "__dlpack__") or not hasattr(value, "__dlpack_device__"):
        return None
    if value.__dlpack_device__()[0] not in _CUDA_DEVICES:
        return None
    try:
        capsule = value.__dlpack__()
    except Exception as error:  # a foreign object may raise anything
        raise ArgumentError(f"{type(value).__name__} gives no DLPack capsule: {error}") from error
    t = _tensor(capsule)
    if t.lanes != 1 or t.code not in _KINDS:
        raise ArgumentError(f"DLPack: element type {t.code} of {t.bits} bits is not supported")
    dtype = np.dtype(np.bool_) if t.code == 6 else np.dtype(f"{_KINDS[t.code]}{t.bits // 8}")
    shape = tuple(t.shape[0 : t.ndim]) if t.ndim else ()
    strides = tuple(t.strides[0 : t.ndim]) if t.ndim and t.strides != ffi.NULL else None
    address = int(ffi.cast("uintptr_t", t.data)) + t.byte_offset
    return DeviceArray(address, shape, dtype, (value, capsule)), strides  # the capsule's end frees what it holds


def _tensor(capsule: Any) -> Any:
    """The struct in a capsule, which begins with the tensor."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return ffi.cast("ingot_dltensor *", pointer(capsule, b"dltensor"))


def stream_address(stream: Any) -> int:
    """The CUstream of a stream as other libraries have it; 0 for ``None``."""
    if stream is None:
        return 0
    if hasattr(stream, "__cuda_stream__"):
        said = stream.__cuda_stream__
        return int((said() if callable(said) else said)[1])
    for name in ("cuda_stream", "ptr", "handle"):
        if hasattr(stream, name):
            return int(getattr(stream, name))
    try:
        return int(stream)
    except (TypeError, ValueError):
        raise ArgumentError(f"{type(stream).__name__} is no CUDA stream, nor the address of one") from None
