"""Who frees what the C library made, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Handle:
    """A C object, freed after all that uses it and before all that it uses (``keeps``)."""

    __slots__ = ("_free", "keeps", "pointer")

    def __init__(self, pointer: Any, free: Callable[[Any], None], *keeps: Any) -> None:
        self.pointer = pointer
        self._free = free
        self.keeps = keeps

    def __del__(self) -> None:
        self._free(self.pointer)
