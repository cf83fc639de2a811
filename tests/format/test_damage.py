"""Damage: every length and every changed byte of the engines that `make demo` builds is refused.

The same in C, with sanitizers, and resealed damage besides: tests/runtime_c/damage.c and resealed.c.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import _kernel
from ingot._native import ffi, lib, new_error

EXAMPLES = Path(__file__).parent.parent.parent / "examples"


class Bytes:
    """An engine's bytes in aligned memory that may be changed."""

    def __init__(self, raw: bytes) -> None:
        self.size = len(raw)
        self.array = _kernel.empty((len(raw) + 64,), np.uint8)
        self.array[: len(raw)] = np.frombuffer(raw, np.uint8)
        self.address = ffi.cast("void *", self.array.ctypes.data)
        self.error, self.engine = new_error(), ffi.new("ingot_engine **")

    def status(self, size: int | None = None) -> int:
        size = self.size if size is None else size
        status = lib.ingot_engine_open(self.address, size, ffi.NULL, self.engine, self.error)
        if status == 0:
            lib.ingot_engine_close(self.engine[0])
        return status


@pytest.fixture(scope="module", params=["control/policy.onnx", "digits/digits_cnn.onnx"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bytes:
    path = tmp_path_factory.mktemp("damage") / "model.ingot"
    ingot.build(str(EXAMPLES / request.param)).save(str(path))
    return Bytes(path.read_bytes())


def test_the_engine_itself_opens(engine: Bytes) -> None:
    assert engine.status() == 0


def test_every_length_is_refused(engine: Bytes) -> None:
    for size in range(engine.size + 64):
        if size != engine.size:
            assert engine.status(size) != 0, size


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_every_changed_byte_is_refused(engine: Bytes, flip: int) -> None:
    data = engine.array
    for at in range(engine.size):
        data[at] ^= flip
        status = engine.status()
        data[at] ^= flip
        assert status != 0, at
