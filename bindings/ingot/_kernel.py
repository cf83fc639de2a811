"""One kernel on NumPy arrays, without an engine: constant folding, tests and benchmarks. Not a public API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._native import check, ffi, lib, new_error

#: NumPy type -> ingot_dtype
DTYPES = {
    np.dtype(np.float32): lib.INGOT_F32,
    np.dtype(np.float64): lib.INGOT_F64,
    np.dtype(np.float16): lib.INGOT_F16,
    np.dtype(np.int8): lib.INGOT_I8,
    np.dtype(np.int16): lib.INGOT_I16,
    np.dtype(np.int32): lib.INGOT_I32,
    np.dtype(np.int64): lib.INGOT_I64,
    np.dtype(np.uint8): lib.INGOT_U8,
    np.dtype(np.uint16): lib.INGOT_U16,
    np.dtype(np.uint32): lib.INGOT_U32,
    np.dtype(np.uint64): lib.INGOT_U64,
    np.dtype(np.bool_): lib.INGOT_BOOL,
}
TAIL = 64


@dataclass(frozen=True)
class KernelInfo:
    """What the table of kernels says of one."""

    name: str
    abi: int
    params_size: int
    isas: tuple[str, ...]
    flags: int
    inplace: int
    backend: str = "cpu"
    #: how many of the first inputs tensor maps bring (``cuda_call.h``)
    maps: int = 0


#: ingot_backend -> what targets call it
BACKENDS = {lib.INGOT_BACKEND_CPU: "cpu", lib.INGOT_BACKEND_CUDA: "cuda"}


def isa_names(bits: int) -> tuple[str, ...]:
    """Names of the instruction sets in a bit set, worst first."""
    return tuple(ffi.string(lib.ingot_direct_isa_name(i)).decode() for i in range(32) if bits >> i & 1)


def kernels() -> dict[str, KernelInfo]:
    """All kernels this build has, by name: those of the CPU, and the rules of those of CUDA, which have no ``isas``."""
    found: dict[str, KernelInfo] = {}
    record = ffi.new("ingot_direct_kernel *")
    index = 0
    while lib.ingot_direct_kernel_at(index, record):
        name = ffi.string(record.name).decode()
        found[name] = KernelInfo(
            name,
            record.abi,
            record.params_size,
            isa_names(record.isas),
            record.flags,
            record.inplace,
            BACKENDS[record.backend],
            record.maps,
        )
        index += 1
    return found


def available_isas(kernel: str) -> list[str]:
    """The implementations of a kernel that this processor can run; "portable" is always the first."""
    here = isa_names(lib.ingot_direct_isas())
    return [isa for isa in kernels()[kernel].isas if isa in here]


def make_params(struct: str | None, fields: Mapping[str, Any]) -> bytes:
    """The bytes of a parameter struct; every byte not named is zero. A nested struct is a mapping, an array a list."""
    if struct is None:
        return b""
    record = ffi.new(f"{struct} *")
    _assign(record, fields)
    return bytes(ffi.buffer(record))


def _assign(record: Any, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            _assign(getattr(record, name), value)
        elif isinstance(value, (list, tuple)):
            target = getattr(record, name)
            for i, item in enumerate(value):
                if isinstance(item, Mapping):
                    _assign(target[i], item)
                else:
                    target[i] = item
        else:
            setattr(record, name, value)


def empty(shape: Sequence[int], dtype: Any) -> np.ndarray:
    """A zeroed array aligned to 64 bytes with 64 readable bytes behind it, as arena tensors are."""
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.zeros(nbytes + TAIL + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + nbytes].view(dtype).reshape(tuple(shape))


def aligned(array: np.ndarray) -> np.ndarray:
    """The array, or a copy of it that is dense, aligned and has the tail."""
    copy = empty(array.shape, array.dtype)
    copy[...] = array
    return copy


def _pitch(array: np.ndarray) -> int:
    """Elements from row to row; the array must be dense but for its rows."""
    if array.ndim < 2 or array.size == 0:
        return array.shape[-1] if array.ndim else 1
    item = array.itemsize
    pitch = next((s // item for n, s in zip(array.shape[-2::-1], array.strides[-2::-1]) if n > 1), array.shape[-1])
    expected = pitch * item
    for extent, stride in zip(array.shape[-2::-1], array.strides[-2::-1]):
        if extent > 1 and stride != expected:
            raise ValueError("the array is neither dense nor rows of one pitch")
        expected *= extent
    return pitch


@dataclass(frozen=True, slots=True)
class Description:
    """An operand by its ``ingot_dtype`` and shape, dense; ``data`` of constants may be given."""

    dtype: int
    shape: tuple[int, ...]
    constant: bool = False
    data: np.ndarray | None = None


def refusal(
    name: str,
    inputs: Sequence[Description | None],
    outputs: Sequence[Description | None],
    params: bytes = b"",
    workspace: int = 0,
    launch: Sequence[int] | None = None,
) -> str | None:
    """Why the kernel's own check refuses such a step, ``None`` when it does not. Nothing is run.

    ``launch`` makes it a CUDA kernel: its grid and block, three numbers each, bytes of dynamic shared memory, and, if
    any, counters.
    """
    operands = ffi.new("ingot_direct_operand[]", max(len(inputs) + len(outputs), 1))
    held = []
    for operand, given in zip(operands, [*inputs, *outputs]):
        if given is None:
            continue
        if len(given.shape) > len(operand.dims):
            return f"{len(given.shape)} axes"
        if given.data is not None:
            held.append(given.data if given.data.ctypes.data % 64 == 0 else aligned(given.data))
            operand.data = ffi.cast("void *", held[-1].ctypes.data)
        operand.dtype, operand.rank = given.dtype, len(given.shape)
        operand.pitch = given.shape[-1] if given.shape else 1
        operand.storage = lib.INGOT_STORAGE_CONSTANT if given.constant else lib.INGOT_STORAGE_ARENA
        operand.dims[0 : len(given.shape)] = given.shape
    error = new_error()
    blob = ffi.from_buffer(params) if params else ffi.NULL
    grid = ffi.NULL if launch is None else ffi.new("uint32_t[8]", list(launch))
    status = lib.ingot_direct_check(
        name.encode(), operands, len(inputs), len(outputs), blob, len(params), workspace, grid, error
    )
    return None if status == lib.INGOT_OK else ffi.string(error.message).decode()


def run_kernel(
    name: str,
    inputs: Sequence[np.ndarray | None],
    outputs: Sequence[np.ndarray | None],
    params: bytes = b"",
    *,
    isa: str | None = None,
    constant: Sequence[int] = (),
    workspace: int = 0,
    splits: int = 1,
    bfloat16: Sequence[int] = (),
) -> None:
    """Run a kernel; ``outputs`` are written in place. Raises :class:`ingot.errors.IngotError` when it refuses.

    Inputs that are not aligned to 64 bytes are copied; outputs must be C-contiguous, or views of rows of one pitch.
    ``constant`` lists the inputs whose data the kernel's check may read. ``splits`` divides the work as that many
    threads would. ``bfloat16`` lists the operands, outputs counted after inputs, whose uint16 are bits of bfloat16.
    """
    held = [None if a is None else (a if a.ctypes.data % 64 == 0 and a.size else aligned(a)) for a in inputs]
    operands = ffi.new("ingot_direct_operand[]", max(len(inputs) + len(outputs), 1))
    for i, array in enumerate([*held, *outputs]):
        if array is None:
            continue
        operand = operands[i]
        operand.data = ffi.cast("void *", array.ctypes.data)
        operand.dtype = lib.INGOT_BF16 if i in bfloat16 else DTYPES[array.dtype]
        operand.rank = array.ndim
        operand.pitch = _pitch(array)
        operand.storage = lib.INGOT_STORAGE_CONSTANT if i in constant else lib.INGOT_STORAGE_ARENA
        for d, extent in enumerate(array.shape):
            operand.dims[d] = extent
    block = empty((workspace,), np.uint8) if workspace else None
    error = new_error()
    status = lib.ingot_direct_run(
        name.encode(),
        isa.encode() if isa else ffi.NULL,
        operands,
        len(inputs),
        len(outputs),
        ffi.from_buffer(params) if params else ffi.NULL,
        len(params),
        ffi.cast("void *", block.ctypes.data) if block is not None else ffi.NULL,
        workspace,
        splits,
        error,
    )
    check(status, error)
