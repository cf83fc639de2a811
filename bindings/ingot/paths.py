"""Where the C header and library of this installation lie, for programs that link with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import _ingot
from .errors import ResourceError

_LIBRARIES = ("libingot.so.0", "libingot.so", "libingot.0.dylib")


def _roots() -> Iterator[Path]:
    """The package, and where the extension lies: an editable installation keeps them apart."""
    yield Path(__file__).parent
    yield Path(_ingot.__file__).parent


def get_include() -> str:
    """The folder that holds ``ingot.h``; :class:`ResourceError` when this installation has none."""
    source = Path(__file__).resolve().parent.parent.parent / "runtime_c"
    for folder in [root / "include" for root in (*_roots(), source)]:
        if (folder / "ingot.h").is_file():
            return str(folder)
    raise ResourceError("ingot.h was not found: install the package again (pip install .)", "file")


def get_library() -> str:
    """The shared library to link with, ``libingot.so.0``; :class:`ResourceError` when this installation has none."""
    build = Path(_ingot.__file__).resolve().parent
    for folder in [*(root / "lib" for root in _roots()), build]:
        for name in _LIBRARIES:
            if (folder / name).is_file():
                return str(folder / name)
    raise ResourceError(
        "libingot.so was not found: install the package again (pip install .), or build it alone with "
        "cmake -S runtime_c -B build",
        "file",
    )
