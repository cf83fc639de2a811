"""The emulator from Python: guarded memory, modules, launches."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import cffi
import numpy as np
from compile import machine

ffi = cffi.FFI()
ffi.cdef("""
typedef struct ingot_emulated_kernel ingot_emulated_kernel;
typedef struct {
    uint32_t grid[3], block[3];
    uint32_t shared, shared_limit;
    uint64_t seed;
    const void *call;
    uint64_t call_size;
    void *const *others;
    uint64_t others_count;
} ingot_emulated_launch;
const char *ingot_emulator_launch(const ingot_emulated_kernel *, const ingot_emulated_launch *);
void *ingot_emulator_load(const void *, size_t, const char **);
const ingot_emulated_kernel *ingot_emulator_kernel(void *, const char *);
void ingot_emulator_unload(void *);
void *ingot_emulator_allocate(size_t, size_t);
int ingot_emulator_intact(const void *);
void ingot_emulator_protect(void *, int);
void ingot_emulator_free(void *);
typedef struct { const char *file; uint32_t line; } ingot_emulated_site;
size_t ingot_emulator_sites(ingot_emulated_site *, size_t, int);
void ingot_emulator_skip(const ingot_emulated_site *);
""")


class LaunchError(Exception):
    """What the emulator found wrong with a launch."""


@functools.cache
def library() -> Any:
    return ffi.dlopen(str(machine()))


class Site(NamedTuple):
    """Where in a source threads wait: at a barrier, for a warp, for copies."""

    file: str
    line: int


def visited() -> set[Site]:
    """Where threads waited in all launches since the last call."""
    count = library().ingot_emulator_sites(ffi.NULL, 0, 0)
    sites = ffi.new("ingot_emulated_site[]", count)
    library().ingot_emulator_sites(sites, count, 1)
    return {Site(ffi.string(s.file).decode(), s.line) for s in sites}


@contextlib.contextmanager
def without(site: Site) -> Iterator[None]:
    """Meanwhile launches go on there as if nobody had to wait."""
    name = ffi.new("char[]", site.file.encode())
    library().ingot_emulator_skip(ffi.new("ingot_emulated_site *", {"file": name, "line": site.line}))
    try:
        yield
    finally:
        library().ingot_emulator_skip(ffi.NULL)


class Memory:
    """Bytes that end at a forbidden page and start at a multiple of ``align``; 0xFF until written."""

    def __init__(self, nbytes: int, align: int = 64) -> None:
        self.start = library().ingot_emulator_allocate(nbytes, align)
        if self.start == ffi.NULL:
            raise MemoryError(f"{nbytes} bytes")
        self.address = int(ffi.cast("uintptr_t", self.start))
        self.bytes = np.frombuffer(ffi.buffer(self.start, nbytes), np.uint8) if nbytes else np.empty(0, np.uint8)
        weakref.finalize(self, library().ingot_emulator_free, self.start)

    @property
    def intact(self) -> bool:
        """Whether nobody wrote around it."""
        return bool(library().ingot_emulator_intact(self.start))

    def protect(self) -> None:
        """From now on a launch that writes here fails."""
        library().ingot_emulator_protect(self.start, 1)


class Module:
    """A compiled instance, loaded."""

    def __init__(self, raw: bytes) -> None:
        reason = ffi.new("const char **")
        self.handle = library().ingot_emulator_load(ffi.from_buffer(raw), len(raw), reason)
        if self.handle == ffi.NULL:
            raise OSError(ffi.string(reason[0]).decode())
        weakref.finalize(self, library().ingot_emulator_unload, self.handle)

    def launch(
        self,
        entry: str,
        call: bytes,
        grid: tuple[int, int, int],
        block: int,
        *,
        shared: int = 0,
        shared_limit: int = 48 << 10,
        seed: int = 0,
        others: Sequence[Memory] = (),
    ) -> None:
        """Runs a kernel with these operands and parameters; :class:`LaunchError` says what was wrong.

        ``others``: what other kernels may write or read, so that this one waits for them before it touches it.
        """
        kernel = library().ingot_emulator_kernel(self.handle, entry.encode())
        if kernel == ffi.NULL:
            raise LaunchError(f"the module has no kernel {entry}")
        held = ffi.from_buffer(call)
        hidden = ffi.new("void *[]", [memory.start for memory in others])
        launch = ffi.new(
            "ingot_emulated_launch *",
            {
                "grid": list(grid),
                "block": [block, 1, 1],
                "shared": shared,
                "shared_limit": shared_limit,
                "seed": seed,
                "call": held,
                "call_size": len(call),
                "others": hidden,
                "others_count": len(others),
            },
        )
        error = library().ingot_emulator_launch(kernel, launch)
        if error != ffi.NULL:
            raise LaunchError(ffi.string(error).decode())
