"""NVRTC as pip installs it.

The wheels of both CUDA majors can be installed side by side, and are needed side by side: Orin wants code of CUDA 12,
Thor code of CUDA 13. cuda-python cannot serve here: its bindings exist for one major in an environment (cuda-bindings
12.x or 13.x) and open the NVRTC of that alone. So the library is found in its wheel and opened by path, by a worker
process with cffi (worker.py).
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ingot.errors import BuildError
from ingot.targets import Target


@dataclass(frozen=True, slots=True)
class Wheel:
    """Where the wheel of a CUDA major has NVRTC: below the folder ``nvidia`` of site-packages."""

    package: str
    folder: str
    library: str


#: by CUDA major
WHEELS = {
    12: Wheel("nvidia-cuda-nvrtc-cu12", "cuda_nvrtc/lib", "libnvrtc.so.12"),
    13: Wheel("nvidia-cuda-nvrtc", "cu13/lib", "libnvrtc.so.13"),
}


@dataclass(frozen=True, slots=True)
class Library:
    """An NVRTC that is there; ``version`` is that of its wheel, e.g. 12.6.85."""

    path: Path
    builtins: Path
    version: str

    @property
    def release(self) -> tuple[int, int]:
        """CUDA major and minor."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)


def cuda_of(target: Target) -> tuple[int, int]:
    """The CUDA version of the target's driver, at least: major and minor."""
    major, minor = str(target.figures["cuda"]).split(".")
    return int(major), int(minor)


def find(target: Target) -> Library:
    """The installed NVRTC for the target; :class:`BuildError` says what to install when there is none that fits."""
    wanted = cuda_of(target)
    wheel = WHEELS.get(wanted[0])
    if wheel is None:
        known = ", ".join(map(str, WHEELS))
        raise BuildError(f"target {target.name}: no NVRTC of CUDA {wanted[0]} is known; known majors: {known}")
    text = f'"{wheel.package}=={wanted[0]}.{wanted[1]}.*"'
    library = installed(wheel)
    if library is None:
        raise BuildError(
            f"target {target.name}: compiling for {target.arch} needs NVRTC {wanted[0]}.{wanted[1]}: pip install {text}"
        )
    if library.release > wanted:
        raise BuildError(
            f"target {target.name}: NVRTC {library.version} is newer than CUDA {wanted[0]}.{wanted[1]} of its driver, "
            f"which might not load the code: pip install {text}"
        )
    return library


def installed(wheel: Wheel) -> Library | None:
    """The library of that wheel, if it is installed."""
    spec = importlib.util.find_spec("nvidia")
    for root in spec.submodule_search_locations or () if spec else ():
        path = Path(root) / wheel.folder / wheel.library
        builtins = sorted(path.parent.glob("libnvrtc-builtins.so.*"))
        if path.is_file() and builtins:
            return Library(path, builtins[0], importlib.metadata.version(wheel.package))
    return None
