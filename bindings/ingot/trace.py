"""Runs an engine step by step, to see what each step computes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._native import check, ffi, lib, new_error
from .arrays import NUMPY
from .engine import Engine

_MAX_RESULTS = 64


def trace(engine: Engine, inputs: Mapping[str, Any]) -> Iterator[list[np.ndarray | None]]:
    """The results of each step of the engine, in the order of the program, on one thread: the bits of a whole run.

    The arrays have the engine's own types and order of axes, and are views of its memory that later steps overwrite.
    bfloat16, which NumPy lacks, comes as float32; ``None`` for a result that is not wanted. Raises as
    :meth:`ingot.Context.run` does.
    """
    with engine.context() as context:
        context._take(inputs)
        found = ffi.new("ingot_direct_operand[]", _MAX_RESULTS)
        count, error = ffi.new("uint32_t *"), new_error()
        for index in range(context._step_count):
            check(lib.ingot_direct_step(context._pointer, index, found, count, error), error)
            yield [_array(found[i]) for i in range(count[0])]


def _array(operand: Any) -> np.ndarray | None:
    if operand.dtype == lib.INGOT_DTYPE_NONE:
        return None
    array = _stored(operand)
    return array if operand.dtype != lib.INGOT_BF16 else (array.astype(np.uint32) << 16).view(np.float32)


def _stored(operand: Any) -> np.ndarray:
    dtype, shape = NUMPY[operand.dtype], tuple(operand.dims[0 : operand.rank])
    if not shape or 0 in shape:
        return np.frombuffer(ffi.buffer(operand.data, dtype.itemsize * math.prod(shape)), dtype).reshape(shape)
    rows = math.prod(shape[:-1])
    size = ((rows - 1) * operand.pitch + shape[-1]) * dtype.itemsize
    memory = np.frombuffer(ffi.buffer(operand.data, size), dtype)
    pitch = operand.pitch * dtype.itemsize
    strides = [pitch * math.prod(shape[axis + 1 : -1]) for axis in range(len(shape) - 1)]
    return np.lib.stride_tricks.as_strided(memory, shape, (*strides, dtype.itemsize), writeable=False)
