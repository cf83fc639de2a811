"""Compiles for the host what NVRTC compiles for the device: the emulator itself, and instances of CUDA kernels.

What was compiled lies in ``build/emulator`` by its content, with the files that it was made of and their digests, so
that a second run of the tests compiles nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import platform
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = ROOT / "build" / "emulator"
COMPILER = os.environ.get("CXX", "g++")
#: processes at a time
JOBS = min(os.cpu_count() or 1, 8)
#: most kernels that are compiled as one unit
TOGETHER = 16
MACHINE = tuple(
    f"{part}.cpp" for part in ("machine", "fiber", "threads", "shared", "boxes", "faults", "warp", "memory", "module")
)
DRIVER = tuple(f"driver_{part}.cpp" for part in ("control", "device", "memory", "maps", "module", "stream", "graph"))
_MACHINE = ("-O2", "-Wall", "-Wextra")
_LIBRARIES = ("-ldl", "-lpthread")
#: of what was compiled together, a module takes what its own entry needs
_ALONE = ("-Wl,--gc-sections", "-nostdlib", "-lm", "-lc", "-lgcc")
_COMMON = ("-std=c++17", "-fPIC", "-shared", "-fno-strict-aliasing", "-fsigned-char")
_KERNEL = (
    "-Og",  # as fast as -O1 for what tests run, and compiled in two thirds of the time
    "-fmax-errors=5",
    "-DINGOT_CUDA=1",
    "-fvisibility=hidden",
    "-ffunction-sections",
    "-fdata-sections",
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


def _place(name: str, flags: Sequence[str], sources: Sequence[str], text: str = "", link: Sequence[str] = ()) -> Path:
    """Where the shared object made of ``sources``, or of ``text``, is kept."""
    said = [os.path.relpath(f[2:], ROOT) if f.startswith(f"-I{ROOT}") else f for f in flags]
    key = hashlib.sha256(json.dumps([_compiler(), said, list(sources), text, list(link)]).encode()).hexdigest()[:24]
    return CACHE / f"{name}-{key}.so"


def _is_there(made: Path) -> bool:
    """Whether what is kept there was made of files as they are now."""
    try:
        listing = json.loads(made.with_suffix(".json").read_text())
    except FileNotFoundError:
        return False
    return all(_digest_now(p) == d for p, d in listing.items()) and made.exists()


@contextlib.contextmanager
def _alone(name: str, wait: bool = True) -> Iterator[bool]:
    """Nobody else makes the same meanwhile, as other processes of one run of the tests would; false when somebody does
    and we do not ``wait``."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{name}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True


def _compile(files: Sequence[str], flags: Sequence[str], folder: str) -> tuple[list[str], dict[str, str]]:
    """The objects in ``folder``, and the files of this repository that they were made of, with their digests."""
    objects, digests = [], {}
    for i, file in enumerate(files):
        objects.append(f"{folder}/{i}.o")
        _run([COMPILER, *flags, "-c", "-MMD", "-MF", f"{folder}/{i}.d", "-o", objects[-1], file])
        found = _dependencies(Path(f"{folder}/{i}.d").read_text())
        digests |= {p: _digest_now(p) for p in found if not p.startswith("build/")}
    return objects, digests


def _link(made: Path, objects: Sequence[str], link: Sequence[str], digests: dict[str, str], folder: str) -> None:
    # without -fsanitize: what it puts in is answered by cuda_device.h, not by a library
    _run([COMPILER, "-shared", "-o", f"{folder}/made.so", *objects, *link])
    Path(f"{folder}/made.json").write_text(json.dumps(digests))
    os.replace(f"{folder}/made.so", made)
    os.replace(f"{folder}/made.json", made.with_suffix(".json"))


def _library(name: str, sources: Sequence[str], link: Sequence[str]) -> Path:
    """The shared object made of ``sources``."""
    flags = [*_COMMON, *_fma(), *_MACHINE]
    made = _place(name, flags, sources, link=link)
    with _alone(made.stem):
        if not _is_there(made):
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                objects, digests = _compile([str(HERE / source) for source in sources], flags, folder)
                _link(made, objects, link, digests, folder)
    return made


def machine() -> Path:
    """The shared object of the emulator."""
    return _library("machine", MACHINE, _LIBRARIES)


def driver(name: str = "libcuda.so.1") -> Path:
    """The stand-in for the driver: a process that has loaded it finds it again by ``name``."""
    return _library("driver", [*MACHINE, *DRIVER], [f"-Wl,-soname,{name}", *_LIBRARIES])


def compile_instance(source: str, kernel: str, entry: str = "kernel", prelude: str = "", exact: bool = True) -> bytes:
    """A module: the bytes of a shared object with ``entry``. Raises :class:`CompileError`."""
    text = f'#include "cuda_device.h"\n{prelude}\n#include "{source}"\nINGOT_CUDA_ENTRY({entry}, ingot::{kernel})\n'
    return compile_text(text, exact)


def compile_text(text: str, exact: bool = True) -> bytes:
    """The module made of a translation unit, whose last line has its entry. Raises :class:`CompileError`.

    Arithmetic is contracted where NVRTC would do it too, unless the instance is ``exact``.
    """
    unit = _Unit.of(text, exact)
    with _alone(unit.group):
        if not _is_there(unit.made):
            _make([unit])
    return unit.made.read_bytes()


def warm(units: Iterable[tuple[str, bool]]) -> None:
    """Compiles translation units, each with whether it is exact: those that differ in their entry alone together,
    several groups at a time. Failures show when one is asked for."""
    groups: dict[str, list[_Unit]] = {}
    for unit in (_Unit.of(*each) for each in dict.fromkeys(units)):
        groups.setdefault(unit.group, []).append(unit)

    def attempt(group: Sequence[_Unit], wait: bool) -> bool:
        """False when another process is at it."""
        with _alone(group[0].group, wait) as alone:
            missing = [unit for unit in group if not _is_there(unit.made)] if alone else []
            for i in range(0, len(missing), TOGETHER):
                with contextlib.suppress(CompileError):
                    _make(missing[i : i + TOGETHER])
        return alone

    largest_first = sorted(groups.values(), key=len, reverse=True)
    with ThreadPoolExecutor(JOBS) as pool:
        done = list(pool.map(lambda group: attempt(group, False), largest_first))
        list(pool.map(lambda group: attempt(group, True), [g for g, d in zip(largest_first, done) if not d]))


class _Unit(NamedTuple):
    """A translation unit: its last line, the entry, and what stands before it."""

    head: str
    entry: str
    exact: bool

    @classmethod
    def of(cls, text: str, exact: bool) -> _Unit:
        head, _, entry = text.rstrip().rpartition("\n")
        return cls(head, entry, exact)

    @property
    def flags(self) -> list[str]:
        return [*_COMMON, *_KERNEL, *_fma(), f"-ffp-contract={'off' if self.exact else 'fast'}"]

    @property
    def made(self) -> Path:
        return _place("kernel", self.flags, [], f"{self.head}\n{self.entry}", _ALONE)

    @property
    def group(self) -> str:
        """The name of all units that can be compiled together."""
        return _place("group", self.flags, [], self.head).stem


def _make(units: Sequence[_Unit]) -> None:
    """Compiles units of one group as one, and makes each a module of its own: its entry and what that needs."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        Path(f"{folder}/unit.cpp").write_text("\n".join([units[0].head, *(unit.entry for unit in units), ""]))
        objects, digests = _compile([f"{folder}/unit.cpp"], units[0].flags, folder)
        for unit in units:
            (entry,) = re.findall(r"INGOT_CUDA_ENTRY\((\w+)", unit.entry)
            Path(f"{folder}/exports").write_text(f"{{ global: {entry}; local: *; }};")
            _link(unit.made, objects, [*_ALONE, f"-Wl,--version-script={folder}/exports"], digests, folder)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(f"{' '.join(command)}\n{done.stderr}")
