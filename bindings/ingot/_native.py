"""The cffi library, and how its statuses become exceptions."""

from __future__ import annotations

from typing import Any

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


def new_error() -> Any:
    """An empty ``ingot_error`` to hand to a call."""
    return ffi.new("ingot_error *")


def check(status: int, error: Any) -> None:
    """Raise the exception that fits ``status``; nothing when it is 0."""
    if status == 0:
        return
    message = ffi.string(error.message).decode("utf-8", "replace")
    name = ffi.string(lib.ingot_status_name(status)).decode()
    offset = None if error.offset == _NO_OFFSET else error.offset
    raise _KINDS.get(status // 10, IngotError)(message or name, name, offset)


__all__ = ["check", "ffi", "lib", "new_error"]
