"""What is compiled: a kernel template with its arguments, one entry point, one module (docs/cuda.md)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ingot import kernels
from ingot.kernels.spec import Launch
from ingot.targets import Target

#: gets a line of progress
Log = Callable[[str], None]

#: below ``kernels/``: where sources and headers are looked for, in this order; the last is for NVRTC alone
FOLDERS = ("", "common")
NVRTC_FOLDER = "common/nvrtc"
OPTIONS = ("--std=c++17", "--device-as-default-execution-space", "--extra-device-vectorization", "-DINGOT_CUDA=1")
EXACT_OPTIONS = ("--fmad=false", "--ftz=false", "--prec-div=true", "--prec-sqrt=true")

_INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Instance:
    """A kernel class with template arguments in a source below ``kernels/``. Equal ones are compiled once."""

    source: str
    kernel: str
    prelude: str = ""
    exact: bool = False

    @classmethod
    def of(cls, launch: Launch) -> Instance:
        return cls(launch.source, launch.kernel, launch.prelude, launch.exact)

    @property
    def entry(self) -> str:
        """The name of the entry point: the kernel's, and a digest of all that makes the instance."""
        content = "\0".join((self.source, self.kernel, self.prelude, str(self.exact)))
        stem = re.match(r"\w*", self.kernel)[0]
        return f"ingot_{stem}_{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    @property
    def text(self) -> str:
        """The translation unit."""
        prelude = f"{self.prelude}\n" if self.prelude else ""
        return (
            f'#include "cuda_device.h"\n{prelude}#include "{self.source}"\n'
            f"INGOT_CUDA_ENTRY({self.entry}, ingot::{self.kernel})\n"
        )

    @property
    def options(self) -> tuple[str, ...]:
        """What NVRTC is told besides the architecture and where headers are."""
        return OPTIONS + (EXACT_OPTIONS if self.exact else ())


@dataclass(frozen=True, slots=True)
class Compiled:
    """Machine code of an instance, and what it takes of a multiprocessor; 0 where nobody knows."""

    image: bytes
    #: of a thread
    registers: int = 0
    #: bytes of a thread: registers that did not suffice, and what has an address
    spilled: int = 0
    stack: int = 0
    #: bytes of a block, besides what the launch asks for
    shared: int = 0


class Compiler(Protocol):
    """Makes machine code of instances. Tests put another in the place of NVRTC."""

    @property
    def version(self) -> str:
        """What compiled them, for people."""

    def compile(self, instances: Sequence[Instance], target: Target, log: Log | None) -> Mapping[Instance, Compiled]:
        """All instances for the target. :class:`CompileError` for the first that cannot be."""


class CompileError(Exception):
    """An instance is no valid program: ``what`` is the compiler's first error."""

    def __init__(self, instance: Instance, what: str) -> None:
        super().__init__(f"{instance.source}: {instance.kernel}: {what}")
        self.instance, self.what = instance, what


def kernel_folder() -> Path:
    """The folder ``kernels/``, wherever it is installed."""
    return Path(kernels.__file__).parent


def included(text: str, folders: Sequence[Path]) -> dict[str, bytes]:
    """The files that a translation unit includes, and those that they include, by their path below the first folder.

    Conditions are not looked at; what is not found is the compiler's own.
    """
    found: dict[Path, bytes] = {}
    waiting = [(name, None) for name in _INCLUDE.findall(text)]
    while waiting:
        name, by = waiting.pop()
        places = [*([by.parent] if by else []), *folders]
        path = next((p for place in places if (p := (place / name).resolve()).is_file()), None)
        if path is not None and path not in found:
            found[path] = path.read_bytes()
            waiting += [(each, path) for each in _INCLUDE.findall(found[path].decode("utf-8", "replace"))]
    root = folders[0].resolve()
    return {path.relative_to(root).as_posix(): found[path] for path in sorted(found)}
