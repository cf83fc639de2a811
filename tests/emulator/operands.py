"""Tensors in guarded memory, and the block of bytes in which a kernel gets them (``cuda_call.h``)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
from emulator import Memory

from ingot.kernels.spec import DType, TensorType

POISON = 0xFF


class Operand:
    """A tensor in guarded memory, its rows ``pitch`` elements apart, as a kernel is given it."""

    def __init__(self, kind: TensorType, gap: int = 0, align: int = 64, memory: Memory | None = None) -> None:
        """``align`` 0: to the element alone, as what a program binds. ``memory``: that of another operand."""
        self.kind = kind
        last = kind.shape[-1] if kind.shape else 1
        rows = kind.count // last if kind.count else 0
        self.pitch = last + (gap if rows > 1 else 0)
        elements = (rows - 1) * self.pitch + last if rows else 0
        self.memory = memory or Memory(elements * kind.dtype.size, align or kind.dtype.size)
        flat = self.memory.bytes.view(kind.dtype.numpy)
        if rows:
            strides = (self.pitch * flat.itemsize, flat.itemsize)
            self.rows = np.lib.stride_tricks.as_strided(flat, (rows, last), strides)
        else:
            self.rows = flat.reshape(0, last)

    @classmethod
    def of(cls, array: np.ndarray, dtype: DType, gap: int = 0, align: int = 64, writable: bool = False) -> Operand:
        """An input: a copy that nobody may write unless it is ``writable``."""
        made = cls(TensorType(dtype, array.shape), gap, align)
        made.rows[...] = array.reshape(made.rows.shape)
        if not writable:
            made.memory.protect()
        return made

    @property
    def array(self) -> np.ndarray:
        return np.array(self.rows).reshape(self.kind.shape)

    @property
    def gaps(self) -> np.ndarray:
        """The bytes between rows."""
        flat, item = self.memory.bytes, self.kind.dtype.size
        last, rows = self.rows.shape[1] * item, self.rows.shape[0]
        if rows < 2 or self.pitch * item == last:
            return np.empty(0, np.uint8)
        return flat[: (rows - 1) * self.pitch * item].reshape(rows - 1, -1)[:, last:]

    def packed(self) -> bytes:
        """An ``ingot_cuda_arg``."""
        shape = (*self.kind.shape, *[1] * (8 - self.kind.rank))
        return struct.pack("<Qq8iII", self.memory.address, self.pitch, *shape, self.kind.rank, self.kind.dtype.value)

    def mapped(self) -> bytes:
        """The tensor map of its rows, as the emulator has it (``machine.h``)."""
        size, (rows, columns) = self.kind.dtype.size, self.rows.shape
        place = (self.memory.address, rows, columns, self.pitch * size, size)
        return struct.pack("<6Q80x", MAP_MARK, *place)


#: INGOT_EMULATED_MAP
MAP_MARK = 0x70616D20666F2061
ABSENT = struct.pack("<Qq8iII", 0, 0, *[1] * 8, 0, 0)


def pack_call(
    operands: Sequence[bytes],
    workspace: int,
    status: int,
    step: int,
    params: bytes,
    counters: int = 0,
    counter_count: int = 0,
    maps: Sequence[bytes] = (),
) -> bytes:
    """The block of bytes of ``cuda_call.h``."""
    head = b"".join(operands) + struct.pack("<QQQII", workspace, status, counters, step, counter_count)
    head += bytes(-len(head) % 16)
    params = params or bytes(16)
    block = head + params + bytes(-len(params) % 16)
    return block + bytes(-len(block) % 64) + b"".join(maps) if maps else block
