"""Compiles for the host what NVRTC compiles for the device: the emulator itself, and instances of CUDA kernels.

What was compiled lies in ``build/emulator`` by its content, with the files that it was made of and their digests, so
that a second run of the tests compiles nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = ROOT / "build" / "emulator"
COMPILER = os.environ.get("CXX", "g++")
#: processes at a time
JOBS = 2
MACHINE = tuple(
    f"{part}.cpp" for part in ("machine", "fiber", "threads", "shared", "boxes", "faults", "warp", "memory", "module")
)
DRIVER = tuple(f"driver_{part}.cpp" for part in ("control", "device", "memory", "maps", "module", "stream", "graph"))
_MACHINE = ("-O2", "-Wall", "-Wextra")
_LIBRARIES = ("-ldl", "-lpthread")
_COMMON = ("-std=c++17", "-fPIC", "-shared", "-fno-strict-aliasing", "-fsigned-char")
_KERNEL = (
    "-O1",
    "-fmax-errors=5",
    "-DINGOT_CUDA=1",
    "-fvisibility=hidden",
    "-fno-gnu-unique",  # or template statics of two modules would be one
    "-fno-threadsafe-statics",
    "-fno-exceptions",
    "-fno-rtti",
    "-fno-math-errno",
    "-fsanitize=alignment,bounds,null,integer-divide-by-zero,shift-exponent",
    "-Wall",
    "-Wno-unknown-pragmas",
    f"-I{HERE}",
    f"-I{ROOT / 'kernels'}",
    f"-I{ROOT / 'kernels' / 'common'}",
)


class CompileError(Exception):
    """What the compiler said."""


@functools.cache
def _compiler() -> str:
    """The compiler's name, version, and what this processor lets it use."""
    try:
        version = subprocess.run([COMPILER, "--version"], capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise CompileError(f"{COMPILER} is missing: apt install g++, or name another C++ compiler in CXX") from None
    return f"{version.splitlines()[0]} {platform.machine()} {' '.join(_fma())}"


@functools.cache
def _fma() -> tuple[str, ...]:
    flags = Path("/proc/cpuinfo").read_text() if platform.machine() == "x86_64" else ""
    return ("-mfma",) if " fma " in flags else ()


@functools.cache
def _digest(path: str, changed: int) -> str:
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()


def _digest_now(path: str) -> str:
    """The digest of a file below ``ROOT``; empty when it is gone."""
    try:
        return _digest(path, (ROOT / path).stat().st_mtime_ns)
    except FileNotFoundError:
        return ""


def _dependencies(listing: str) -> list[str]:
    """The files of this repository in what ``-MMD`` wrote, relative to it."""
    words = listing.replace("\\\n", " ").split()[1:]
    paths = [Path(os.path.normpath(ROOT / word)) for word in words]
    return sorted({str(p.relative_to(ROOT)) for p in paths if p.is_relative_to(ROOT)})


def _cached(name: str, flags: Sequence[str], sources: Sequence[str], text: str = "", link: Sequence[str] = ()) -> Path:
    """The shared object made of ``sources``, or of ``text``."""
    said = [os.path.relpath(f[2:], ROOT) if f.startswith(f"-I{ROOT}") else f for f in flags]
    key = hashlib.sha256(json.dumps([_compiler(), said, list(sources), text, list(link)]).encode()).hexdigest()[:24]
    made, listing = CACHE / f"{name}-{key}.so", CACHE / f"{name}-{key}.json"
    try:
        if all(_digest_now(p) == d for p, d in json.loads(listing.read_text()).items()) and made.exists():
            return made
    except FileNotFoundError:
        pass
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        files = [str(HERE / source) for source in sources]
        if text:
            files = [str(Path(folder) / "unit.cpp")]
            Path(files[0]).write_text(text)
        digests: dict[str, str] = {}
        objects = []
        for i, file in enumerate(files):
            objects.append(f"{folder}/{i}.o")
            _run([COMPILER, *flags, "-c", "-MMD", "-MF", f"{folder}/{i}.d", "-o", objects[-1], file])
            found = _dependencies(Path(f"{folder}/{i}.d").read_text())
            digests |= {p: _digest_now(p) for p in found if not p.startswith("build/")}
        # without -fsanitize: what it puts in is answered by cuda_device.h, not by a library
        _run([COMPILER, "-shared", "-o", f"{folder}/made.so", *objects, *link])
        Path(f"{folder}/made.json").write_text(json.dumps(digests))
        os.replace(f"{folder}/made.so", made)
        os.replace(f"{folder}/made.json", listing)
    return made


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(f"{' '.join(command)}\n{done.stderr}")


def machine() -> Path:
    """The shared object of the emulator."""
    return _cached("machine", [*_COMMON, *_fma(), *_MACHINE], MACHINE, link=_LIBRARIES)


def driver(name: str = "libcuda.so.1") -> Path:
    """The stand-in for the driver: a process that has loaded it finds it again by ``name``."""
    named = f"-Wl,-soname,{name}"
    return _cached("driver", [*_COMMON, *_fma(), *_MACHINE], [*MACHINE, *DRIVER], link=[named, *_LIBRARIES])


def unit(source: str, kernel: str, entry: str, prelude: str = "") -> str:
    """What is compiled of an instance, here and by NVRTC."""
    return f'#include "cuda_device.h"\n{prelude}\n#include "{source}"\nINGOT_CUDA_ENTRY({entry}, ingot::{kernel})\n'


def compile_instance(source: str, kernel: str, entry: str = "kernel", prelude: str = "", exact: bool = True) -> bytes:
    """A module: the bytes of a shared object with ``entry``. Raises :class:`CompileError`.

    Arithmetic is contracted where NVRTC would do it too, unless the instance is ``exact``.
    """
    return _instance(unit(source, kernel, entry, prelude), exact).read_bytes()


def compile_text(text: str, exact: bool = True) -> bytes:
    """The module made of a whole translation unit."""
    return _instance(text, exact).read_bytes()


def _instance(text: str, exact: bool) -> Path:
    contract = "-ffp-contract=off" if exact else "-ffp-contract=fast"
    return _cached("kernel", [*_COMMON, *_KERNEL, *_fma(), contract], [], text)


def warm(units: Iterable[tuple[str, bool]]) -> None:
    """Compiles translation units, each with whether it is exact, several at a time. Failures show when one is asked
    for."""

    def attempt(item: tuple[str, bool]) -> None:
        with contextlib.suppress(CompileError):
            _instance(*item)

    with ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(attempt, dict.fromkeys(units)))
