"""The cffi library, and how its statuses become exceptions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ._ingot import ffi, lib
from .errors import ArgumentError, EngineError, IngotError, ResourceError, RunError

#: tens digit of a status -> exception
_KINDS: dict[int, type[IngotError]] = {
    1: EngineError,
    2: ArgumentError,
    3: ResourceError,
    4: ResourceError,
    5: RunError,
}
_NO_OFFSET = 2**64 - 1

# cffi makes functions, constants and types when they are first asked for. All are, here, when modules are imported:
# loading the first engine would take half as long again.
for _name in dir(lib):
    getattr(lib, _name)
VOID_POINTER, ADDRESS = ffi.typeof("void *"), ffi.typeof("uintptr_t")


def pointer_to(struct: str) -> Any:
    """The type of pointers to a struct of the header, for :func:`new`."""
    pointer = ffi.typeof(f"{struct} *")
    assert pointer.item.fields  # looked up now as well
    return pointer


def new(pointer: Any) -> Any:
    """An empty struct that says its size, as the C API asks."""
    return ffi.new(pointer, {"size": ffi.sizeof(pointer.item)})


def address_of(array: np.ndarray) -> int:
    """Where the elements of a contiguous array lie; ``array.ctypes`` would import a module for that."""
    return int(ffi.cast(ADDRESS, ffi.from_buffer(array)))


_ERROR = pointer_to("ingot_error")


def new_error() -> Any:
    """An empty ``ingot_error`` to hand to a call."""
    return ffi.new(_ERROR)


def check(status: int, error: Any) -> None:
    """Raise the exception that fits ``status``; nothing when it is 0."""
    if status == 0:
        return
    message = ffi.string(error.message).decode("utf-8", "replace")
    name = ffi.string(lib.ingot_status_name(status)).decode()
    offset = None if error.offset == _NO_OFFSET else error.offset
    raise _KINDS.get(status // 10, IngotError)(message or name, name, offset)


__all__ = ["ADDRESS", "VOID_POINTER", "address_of", "check", "ffi", "lib", "new", "new_error", "pointer_to"]
