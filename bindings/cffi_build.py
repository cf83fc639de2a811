"""Writes the C source of the cffi extension ``ingot._ingot``: ``python cffi_build.py _ingot.c``.

The declarations come from the headers themselves: whatever stands between ``cffi:begin`` and ``cffi:end``. The C
compiler then checks every struct and enumerator, so Python and C cannot disagree.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
REGION = re.compile(r"/\* cffi:begin \*/(.*?)/\* cffi:end \*/", re.DOTALL)


def headers() -> list[Path]:
    """All headers with a marked region, those that others build on first."""
    first = [
        ROOT / "runtime_c/include/ingot.h",
        ROOT / "runtime_c/include/ingot_format.h",
        ROOT / "runtime_c/src/direct.h",
        ROOT / "runtime_c/src/tune/tune.h",
    ]
    kernels = ROOT / "kernels"
    rest = sorted(kernels.glob("common/*.h"))
    rest += sorted(p for p in kernels.glob("*/*.h") if p.parent.name != "common")
    return first + [p for p in rest if REGION.search(p.read_text())]


def main(output: str) -> None:
    ffi = FFI()
    includes = []
    for header in headers():
        for region in REGION.findall(header.read_text()):
            ffi.cdef(region)
        includes.append(f'#include "{header}"')
    ffi.set_source("ingot._ingot", "\n".join(includes), py_limited_api=True)
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(sys.argv[1])
