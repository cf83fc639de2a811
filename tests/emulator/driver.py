"""The stand-in for libcuda.so.1 from Python: loading it, what the device is, failures on demand, counts.

Once :func:`load` has run in a process, whoever opens ``libcuda.so.1`` there gets it. Load it in processes of their own
(:func:`in_process`), since it stays for good.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import cffi

sys.path.append(str(Path(__file__).parent))
import compile as emulator_compile

ffi = cffi.FFI()
ffi.cdef("""
int ingot_driver_set(const char *, uint64_t);
void ingot_driver_fail(const char *, uint64_t, int);
const char *ingot_driver_failed(void);
void ingot_driver_lose(int);
void ingot_driver_forgive(void);
uint64_t ingot_driver_calls(const char *);
uint64_t ingot_driver_count(const char *);
const char *ingot_driver_reason(void);
""")

#: objects that are gone when everything was given back
OBJECTS = ("contexts", "modules", "streams", "events", "graphs", "executables", "device", "pinned", "registered")


@functools.cache
def load(name: str = "libcuda.so.1", **settings: int) -> Driver:
    """The driver, in this process, found by ``name`` from now on.

    ``settings``: devices, arch (87), multiprocessors, integrated, version (12060), memory (bytes), seed.
    """
    found = Driver(ffi.dlopen(str(emulator_compile.driver(name))))
    found.set(**settings)
    return found


class Driver:
    """What tests do to the driver."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def set(self, **settings: int) -> None:
        for name, value in settings.items():
            if not self._library.ingot_driver_set(name.encode(), value):
                raise KeyError(name)

    def fail(self, function: str | None = None, skip: int = 0, result: int = 999) -> None:
        """The call of ``function`` (any when ``None``) after ``skip`` others answers ``result``, once."""
        self._library.ingot_driver_fail(function.encode() if function else ffi.NULL, skip, result)

    @property
    def failed(self) -> str:
        """The last function that failed because :meth:`fail` said so; empty when none has."""
        return ffi.string(self._library.ingot_driver_failed()).decode()

    def lose(self, result: int = 700) -> None:
        """Every call from now on fails."""
        self._library.ingot_driver_lose(result)

    def forgive(self) -> None:
        """No failure is left to come, the device is back, calls are counted from zero."""
        self._library.ingot_driver_forgive()

    def calls(self, function: str | None = None) -> int:
        return self._library.ingot_driver_calls(function.encode() if function else ffi.NULL)

    def count(self, what: str) -> int:
        """How many of ``OBJECTS`` there are, or how many "kernels", "blocks", "threads" and "copies" of graphs ran;
        "damaged" allocations; "early" edges, to kernels that may start before others end."""
        return self._library.ingot_driver_count(what.encode())

    @property
    def live(self) -> dict[str, int]:
        """What was made and not given back."""
        counts = {what: self.count(what) for what in OBJECTS}
        return {what: n for what, n in counts.items() if n}

    @property
    def reason(self) -> str:
        """Why the device was lost."""
        return ffi.string(self._library.ingot_driver_reason()).decode()


def in_process(program: str, *arguments: str, timeout: float = 120) -> str:
    """Standard output of Python code that begins with the driver loaded as ``driver``."""
    head = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); from driver import load; driver = load()\n"
    command = [sys.executable, "-c", head + program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
    if done.returncode:
        raise AssertionError(f"status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout
