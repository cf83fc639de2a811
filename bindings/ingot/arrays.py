"""Arrays at the border: what goes in and out of an engine, and how a caller's objects become NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from ._kernel import DTYPES
from ._native import lib
from .errors import ArgumentError

#: ingot_dtype -> NumPy type; bfloat16, which NumPy lacks, is handed over as the uint16 of its bits
NUMPY: dict[int, np.dtype] = {value: dtype for dtype, value in DTYPES.items()} | {lib.INGOT_BF16: np.dtype(np.uint16)}


class UnknownName(ArgumentError, KeyError):
    """No input or output is called like that."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of an engine: its name, NumPy element type and shape.

    ``shape`` is the largest shape where shapes may vary, and ``min_shape`` the smallest; else they are equal.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    min_shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of the largest shape."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype} {shape_text(self.shape)}"


def shape_text(shape: Sequence[int]) -> str:
    """A shape as the command line writes it: ``1x3x224x224``."""
    return "x".join(map(str, shape)) if len(shape) else "scalar"


class Arrays(Mapping[str, np.ndarray]):
    """The arrays that a context reads or writes, by name: write into them, or replace them with ``bind``."""

    __slots__ = ("_arrays", "_kind")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._arrays: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._arrays[name]
        except KeyError:
            raise unknown_name(self._kind, name, self._arrays) from None

    def __setitem__(self, name: str, value: Any) -> NoReturn:
        array = f"{self._kind}s[{name!r}]"
        raise ArgumentError(f"{array} cannot be replaced: write into it, {array}[...] = x, or use bind({name!r}, x)")

    def __contains__(self, name: object) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"<{self._kind}s {', '.join(f'{k}: {a.dtype} {shape_text(a.shape)}' for k, a in self._arrays.items())}>"


def unknown_name(kind: str, name: object, known: Mapping[str, Any] | Sequence[str]) -> UnknownName:
    """The exception for a name that is none of ``known``."""
    return UnknownName(f"no {kind} is called {name!r}; {kind}s: {', '.join(known) or 'none'}")


def to_array(info: TensorInfo, value: Any, kind: str = "input") -> np.ndarray:
    """``value`` as a NumPy array of the element type of ``info``, without a copy where it is an array already.

    Takes NumPy arrays, objects with ``__dlpack__`` in CPU memory, the buffer protocol or ``__array__``, which must have
    the right element type, and Python numbers and lists, which are converted when that loses nothing but precision.
    Raises :class:`ArgumentError`; the shape is the caller's to check.
    """
    if isinstance(value, np.ndarray):
        array = value
    elif isinstance(value, (bool, int, float, list, tuple)):
        return _convert(info, value, kind)
    else:
        array = _foreign(info, value, kind)
    if array.dtype != info.dtype:
        raise mismatch(info, info.shape, array, kind)
    return array


def check_shape(info: TensorInfo, array: Any, wanted: tuple[int, ...], kind: str = "input") -> None:
    """Raise :class:`ArgumentError` unless the array has the wanted shape."""
    if array.shape != wanted:
        raise mismatch(info, wanted, array, kind)


def mismatch(info: TensorInfo, wanted: tuple[int, ...], got: Any, kind: str) -> ArgumentError:
    """The exception for an array of another element type or shape."""
    order = "" if got.dtype.isnative else " of the other byte order"
    return ArgumentError(
        f"{kind} {info.name!r}: wanted {info.dtype} {shape_text(wanted)}, "
        f"got {got.dtype.name}{order} {shape_text(got.shape)}"
    )


def _foreign(info: TensorInfo, value: Any, kind: str) -> np.ndarray:
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            reason: Exception = error
    else:
        reason = TypeError("it has no __dlpack__")
    try:
        array = np.asarray(value)
    except Exception as error:  # a foreign object may raise anything
        what = f"{kind} {info.name!r}: {type(value).__name__} is not an array in CPU memory"
        raise ArgumentError(f"{what}: {error}") from reason
    if array.dtype == object:
        raise ArgumentError(f"{kind} {info.name!r}: {type(value).__name__} is not an array of numbers")
    return array


def _convert(info: TensorInfo, value: Any, kind: str) -> np.ndarray:
    try:
        given = np.asarray(value)
    except ValueError as error:
        raise ArgumentError(f"{kind} {info.name!r}: {error}") from None
    fits = np.can_cast(given.dtype, info.dtype, "same_kind") or given.size == 0
    if not fits and given.dtype.kind in "iu" and info.dtype.kind in "iu":
        limits = np.iinfo(info.dtype)
        fits = limits.min <= int(given.min()) and int(given.max()) <= limits.max
    if not fits:
        raise mismatch(info, info.shape, given, kind)
    return given.astype(info.dtype)
