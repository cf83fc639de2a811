"""A process that compiles with one NVRTC, opened by path: run as a file with the library and what it loads itself.

NVRTC of CUDA 12 and of CUDA 13 export the same names and each loads its own built-ins by name, so one process serves
one of them. A crash of the compiler ends this process and no other. Jobs come in on standard input, a line of JSON
each; the answer is a line of JSON and then as many bytes of machine code as that says.

This file imports nothing of Ingot: a process for each core starts in no time.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import cffi

DECLARATIONS = """
typedef struct _nvrtcProgram *nvrtcProgram;
int nvrtcVersion(int *major, int *minor);
int nvrtcCreateProgram(nvrtcProgram *, const char *text, const char *name, int, const char **, const char **);
int nvrtcDestroyProgram(nvrtcProgram *);
int nvrtcCompileProgram(nvrtcProgram, int count, const char **options);
int nvrtcGetProgramLogSize(nvrtcProgram, size_t *);
int nvrtcGetProgramLog(nvrtcProgram, char *);
int nvrtcGetCUBINSize(nvrtcProgram, size_t *);
int nvrtcGetCUBIN(nvrtcProgram, char *);
const char *nvrtcGetErrorString(int);
"""


class Nvrtc:
    """The library. ``builtins``: what it would else not find, loaded before it."""

    def __init__(self, library: str, builtins: str) -> None:
        self.ffi = cffi.FFI()
        self.ffi.cdef(DECLARATIONS)
        self._builtins = self.ffi.dlopen(builtins, self.ffi.RTLD_NOW | self.ffi.RTLD_GLOBAL)
        self.lib = self.ffi.dlopen(library, self.ffi.RTLD_NOW)

    def version(self) -> list[int]:
        major, minor = self.ffi.new("int *"), self.ffi.new("int *")
        self.lib.nvrtcVersion(major, minor)
        return [major[0], minor[0]]

    def compile(self, text: str, options: list[str]) -> tuple[int, str, bytes]:
        """Status (0: success), log, machine code."""
        ffi, lib, null = self.ffi, self.lib, self.ffi.NULL
        program = ffi.new("nvrtcProgram *")
        status = lib.nvrtcCreateProgram(program, text.encode(), b"ingot-instance", 0, null, null)
        if status:
            return status, ffi.string(lib.nvrtcGetErrorString(status)).decode(), b""
        held = [ffi.new("char[]", option.encode()) for option in options]
        status = lib.nvrtcCompileProgram(program[0], len(held), ffi.new("const char *[]", held))
        log = self._bytes(program[0], lib.nvrtcGetProgramLogSize, lib.nvrtcGetProgramLog)
        image = b"" if status else self._bytes(program[0], lib.nvrtcGetCUBINSize, lib.nvrtcGetCUBIN)
        text = log.rstrip(b"\0").decode("utf-8", "replace")
        if status and not text.strip():
            text = ffi.string(lib.nvrtcGetErrorString(status)).decode()
        lib.nvrtcDestroyProgram(program)
        return status, text, image

    def _bytes(self, program: Any, size_of: Any, get: Any) -> bytes:
        size = self.ffi.new("size_t *")
        size_of(program, size)
        block = self.ffi.new("char[]", size[0])
        get(program, block)
        return bytes(self.ffi.buffer(block))


def main() -> None:
    """Serve until standard input ends."""
    nvrtc = Nvrtc(*sys.argv[1:3])
    answer = sys.stdout.buffer
    answer.write(json.dumps({"version": nvrtc.version()}).encode() + b"\n")
    answer.flush()
    for line in sys.stdin.buffer:
        job = json.loads(line)
        status, log, image = nvrtc.compile(job["text"], job["options"])
        answer.write(json.dumps({"status": status, "log": log, "size": len(image)}).encode() + b"\n" + image)
        answer.flush()


if __name__ == "__main__":
    main()
