"""Arrays that end at a page nobody may touch: an access behind the end is a crash, not luck.

Arena and constant tensors have 64 readable bytes behind them (``INGOT_TAIL_BYTES``). They are filled with 0xFF, which
is NaN in every float type and -1 or the largest value in integers, so that a kernel that lets them into a result shows.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref

import numpy as np

TAIL = 64
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_PROT_NONE, _FAILED = 0, ctypes.c_void_p(-1).value


class _Mapping:
    """Pages with a forbidden one behind them, given back when the last array on them goes."""

    def __init__(self, size: int) -> None:
        page = mmap.PAGESIZE
        self.body = -(-size // page) * page
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self.address = _libc.mmap(None, self.body + page, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        if self.address in (None, _FAILED):
            raise MemoryError(f"mmap of {size} bytes")
        _libc.mprotect(self.address + self.body, page, _PROT_NONE)
        weakref.finalize(self, _libc.munmap, self.address, self.body + page)


class Guarded:
    """An array of this shape with its tail and the forbidden page behind it."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype | type) -> None:
        dtype = np.dtype(dtype)
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        start_to_end = -(-(nbytes + TAIL) // 64) * 64  # the start stays aligned to 64 bytes
        self.mapping = _Mapping(start_to_end)
        start = self.mapping.address + self.mapping.body - start_to_end
        raw = (ctypes.c_uint8 * start_to_end).from_address(start)
        raw._mapping = self.mapping  # the pages live as long as the buffer
        self.raw = np.frombuffer(raw, np.uint8)
        self.raw[:] = 0xFF
        self.array = self.raw[:nbytes].view(dtype).reshape(shape)

    @classmethod
    def of(cls, array: np.ndarray) -> Guarded:
        """A guarded copy."""
        made = cls(array.shape, array.dtype)
        made.array[...] = array
        return made

    def tail_untouched(self) -> bool:
        """Whether nobody wrote behind the end."""
        return bool((self.raw[self.array.nbytes :] == 0xFF).all())
