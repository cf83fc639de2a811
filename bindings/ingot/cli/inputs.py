"""Inputs of a run: from ``.npy`` files, or generated."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ingot._kernel import DTYPES
from ingot._native import ffi, lib
from ingot.arrays import TensorInfo, unknown_name
from ingot.cli.common import UsageError
from ingot.engine import Engine
from ingot.errors import ArgumentError

SEED = 1


def add_inputs(parser: argparse.ArgumentParser, otherwise: str) -> None:
    """The option --input; ``otherwise`` says what happens to inputs that are not named."""
    parser.add_argument(
        "--input", action="append", default=[], metavar="NAME=FILE.npy", help=f"an input, may be repeated ({otherwise})"
    )


def read_inputs(engine: Engine, pairs: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays that ``NAME=FILE.npy`` pairs name."""
    known = [info.name for info in engine.inputs]
    arrays: dict[str, np.ndarray] = {}
    for pair in pairs:
        # A name may hold "=" and so may a path: the longest name that exists wins.
        name = max((k for k in known if pair.startswith(f"{k}=")), key=len, default=None)
        if name is None:
            if "=" not in pair:
                raise UsageError(f"--input {pair!r}: write NAME=FILE.npy")
            raise unknown_name("input", pair.partition("=")[0], known)
        if name in arrays:
            raise UsageError(f"--input {name} is given twice")
        arrays[name] = read_array(Path(pair[len(name) + 1 :]))
    return arrays


def read_array(path: Path) -> np.ndarray:
    """The array in a ``.npy`` file."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ArgumentError(f"{path}: not a .npy file of numbers, or a truncated one") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ArgumentError(f"{path}: give a .npy file, one array each; this is an .npz archive")
    return array


def generate(info: TensorInfo, seed: int) -> np.ndarray:
    """Data for an input that is not given: floats and booleans random, floats in [-1, 1); integers zero, as they may
    be indices."""
    array = np.zeros(info.shape, info.dtype)
    if info.dtype.kind in "fb" and array.size:
        lib.ingot_direct_fill(ffi.cast("void *", array.ctypes.data), DTYPES[info.dtype], array.nbytes, seed)
    return array


def complete(engine: Engine, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays, and generated ones for all other inputs, in the engine's order."""
    return {
        info.name: arrays[info.name] if info.name in arrays else generate(info, SEED + (i << 32))
        for i, info in enumerate(engine.inputs)
    }
