"""Inputs of a run: from ``.npy`` files, or generated."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ingot._kernel import DTYPES
from ingot._native import ffi, lib
from ingot.arrays import TensorInfo, unknown_name
from ingot.cli.common import UsageError
from ingot.engine import Engine
from ingot.errors import ArgumentError

SEED = 1

#: (low, high) of what an input holds
Range = tuple[float, float]


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


def add_input_ranges(parser: argparse.ArgumentParser, purpose: str) -> None:
    """The option --input-range; ``purpose`` says what it is for."""
    parser.add_argument(
        "--input-range",
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help=f"what an input holds, {purpose}; may be repeated",
    )


def parse_input_ranges(texts: Sequence[str], engine: Engine | None = None) -> dict[str, Range]:
    """The ranges that ``NAME=LOW:HIGH`` options give; with ``engine`` names must be those of its inputs."""
    pairs = list(map(_parse_range, texts))
    ranges = dict(pairs)
    if len(ranges) != len(pairs):
        raise UsageError("--input-range names an input twice")
    known = ranges if engine is None else [info.name for info in engine.inputs]
    for name in ranges:
        if name not in known:
            raise unknown_name("input", name, known)
    return ranges


def _parse_range(text: str) -> tuple[str, Range]:
    name, equals, span = text.rpartition("=")
    low, colon, high = span.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, 0.0)
    if not (name and equals and colon and -math.inf < found[0] < found[1] < math.inf):
        raise UsageError(f'--input-range {text!r}: write NAME=LOW:HIGH, e.g. "image=0:255"')
    return name, found


def generate(info: TensorInfo, seed: int, span: Range | None = None) -> np.ndarray:
    """Data for an input that is not given: floats and booleans random; integers zero, as they may be indices.

    With ``span`` numbers from low to high, floats from [-1, 1) without it.
    """
    array = np.zeros(info.shape, info.dtype)
    if info.dtype.kind in "fb":
        _fill(array, seed)
    if span is None or info.dtype.kind == "b":
        return array
    low, high = span
    units = np.zeros(info.shape)
    _fill(units, seed)
    numbers = low + (units + 1) / 2 * (high - low)
    return (np.rint(numbers) if info.dtype.kind in "iu" else numbers).astype(info.dtype)


def _fill(array: np.ndarray, seed: int) -> None:
    if array.size:
        lib.ingot_direct_fill(ffi.cast("void *", array.ctypes.data), DTYPES[array.dtype], array.nbytes, seed)


def complete(
    engine: Engine, arrays: Mapping[str, np.ndarray], ranges: Mapping[str, Range] | None = None
) -> dict[str, np.ndarray]:
    """The arrays, and generated ones for all other inputs, in the engine's order; ``ranges`` by input name."""
    spans = ranges or {}
    return {
        info.name: arrays[info.name] if info.name in arrays else generate(info, SEED + (i << 32), spans.get(info.name))
        for i, info in enumerate(engine.inputs)
    }
