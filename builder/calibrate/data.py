"""Calibration data: whatever holds samples, as one stream of ``{input name: array}`` of exact shapes and types.

DATA is a folder of ``.npy``/``.npz`` files or of images, an ``.npz`` or ``.npy`` file, an image, or any iterable of
``{name: array}``. An array has the shape of the input, or one more axis in front with one entry a sample, or as many
rows on the first axis as several samples have; ``[C, H, W]`` is enough for an input ``[1, C, H, W]``. A ``.npy`` file
serves models with one input. In an ``.npz`` file arrays are named like the inputs; ``arr_0``, ``arr_1``, ... (what
``numpy.savez`` makes of unnamed arrays) are the inputs in their order. An array called ``labels``, unless an input is
called so, has one entry a sample: whole numbers, kept with the sample.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ingot.arrays import TensorInfo, shape_text, to_array
from ingot.builder.calibrate.images import SUFFIXES as IMAGES
from ingot.builder.calibrate.images import read_image
from ingot.errors import ArgumentError, BuildError

Sample = dict[str, np.ndarray]
#: the key of labels in files and in items of an iterable
LABELS = "labels"


class Item(NamedTuple):
    """A sample, the place it comes from, for messages, and the label or labels given with it."""

    place: str
    arrays: Sample
    label: np.ndarray | None = None


#: from the path of an image to the array of the model's only input
Preprocess = Callable[[Path], np.ndarray]


class Kept:
    """A few of all samples, the same ones in any order: those with the least digests."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._found: dict[tuple[int, bytes], Item] = {}

    def add(self, digest: int, item: Item) -> None:
        """Look at a sample; what is kept is a copy."""
        key = digest, b"" if item.label is None else item.label.tobytes()
        if len(self._found) < self.most or key < max(self._found):
            arrays = {name: array.copy() for name, array in item.arrays.items()}
            self._found[key] = item._replace(arrays=arrays)
        if len(self._found) > self.most:
            del self._found[max(self._found)]

    @property
    def items(self) -> list[Item]:
        """By their digests, each once."""
        return [self._found[key] for key in sorted(self._found)]


#: what NumPy raises for files that are not as they should be
_UNREADABLE = (ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, NotImplementedError)


class DataError(BuildError):
    """Calibration data that cannot be used: says which file, or which item of the iterable."""

    status = "data"


def samples(data: Any, inputs: Sequence[TensorInfo], preprocess: Preprocess | None = None) -> Iterator[Item]:
    """Each sample. Raises :class:`DataError`, also when there is none."""
    empty = True
    for place, arrays in _items(data, inputs, preprocess):
        for item in _split(place, arrays, inputs):
            empty = False
            yield item
    if empty:
        raise DataError(f"{data if isinstance(data, (str, Path)) else 'calibration data'}: no samples in it")


def _items(
    data: Any, inputs: Sequence[TensorInfo], preprocess: Preprocess | None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a file or an element of the iterable holds: one sample or several stacked."""
    if isinstance(data, (str, Path)):
        for path in files(Path(data)):
            yield str(path), _read(path, inputs, preprocess)
        return
    if isinstance(data, Mapping):
        data = [data]
    elif not isinstance(data, Iterable):
        raise DataError(f"calibration data: {type(data).__name__} is no path and no iterable of {{name: array}}")
    for index, item in enumerate(data):
        place = f"calibration data: item {index}"
        if not isinstance(item, Mapping):
            raise DataError(f"{place} is {type(item).__name__}: give {{name: array}}")
        yield place, item


def files(path: Path) -> list[Path]:
    """The files of a folder that hold samples, in the order in which they are read; a file is its own only one."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder")
    kept = (".npy", ".npz", *IMAGES)
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in kept and p.is_file() and not p.name.startswith("."))
    if not found:
        raise DataError(f"{path}: no calibration data in it: no file ends in {', '.join(kept)}")
    kinds = {p.suffix.lower() in IMAGES for p in found}
    if len(kinds) > 1:
        raise DataError(f"{path}: holds both arrays and images: give a folder of either")
    return found


def _read(path: Path, inputs: Sequence[TensorInfo], preprocess: Preprocess | None) -> Mapping[str, Any]:
    suffix = path.suffix.lower()
    if suffix in IMAGES:
        if preprocess is None:
            raise DataError(
                f"{path}: an image: say how the model wants it, e.g. --calibration-preprocess "
                '"resize=256,crop=224,scale=1/255,layout=nchw,order=rgb" (Python: calibration_preprocess=function)'
            )
        return {_only(path, inputs): read_image(path, preprocess)}
    if suffix not in (".npy", ".npz"):
        raise DataError(f"{path}: not a .npy or .npz file and no image")
    try:
        held = np.load(path, allow_pickle=False, mmap_mode="r" if suffix == ".npy" else None)
        if isinstance(held, np.ndarray):
            return {_only(path, inputs): held}
        with held:
            names = held.files
            if names and all(name == f"arr_{i}" for i, name in enumerate(sorted(names, key=_number))):
                return {info.name: _entry(path, held, f"arr_{i}") for i, info in enumerate(inputs) if i < len(names)}
            return {name: _entry(path, held, name) for name in names}
    except OSError as error:
        if error.strerror:
            raise DataError(f"{path}: {error.strerror}") from None
        raise DataError(f"{path}: not a file of numbers, or a damaged one") from None
    except _UNREADABLE:
        raise DataError(f"{path}: not a file of numbers, or a damaged one") from None


def _entry(path: Path, held: Mapping[str, Any], name: str) -> np.ndarray:
    """An array of an ``.npz`` file."""
    try:
        array = held[name]
    except (*_UNREADABLE, zlib.error):
        raise DataError(f"{path}: entry {name!r} is no array of numbers, or a damaged one") from None
    if not isinstance(array, np.ndarray):  # another kind of file in the archive
        raise DataError(f"{path}: entry {name!r} is no array")
    return array


def _number(name: str) -> tuple[int, str]:
    return len(name), name


def _only(path: Path, inputs: Sequence[TensorInfo]) -> str:
    if len(inputs) != 1:
        names = ", ".join(info.name for info in inputs)
        raise DataError(f"{path}: the model has inputs {names}: give .npz files with an array for each")
    return inputs[0].name


def _split(place: str, arrays: Mapping[str, Any], inputs: Sequence[TensorInfo]) -> Iterator[Item]:
    """The samples stacked in the arrays, checked."""
    known = {info.name: info for info in inputs}
    labels = None
    if LABELS in arrays and LABELS not in known:
        labels = arrays[LABELS]
        arrays = {name: array for name, array in arrays.items() if name != LABELS}
    for name in arrays:
        if name not in known:
            raise DataError(f"{place}: no input is called {name!r}; inputs: {', '.join(known)}")
    missing = [name for name in known if name not in arrays]
    if missing:
        raise DataError(f"{place}: nothing for input {missing[0]!r}")
    stacked = {name: _stack(place, info, arrays[name]) for name, info in known.items()}
    counts = {name: len(array) for name, array in stacked.items()}
    if len(set(counts.values())) > 1:
        text = ", ".join(f"{count} for {name}" for name, count in counts.items())
        raise DataError(f"{place}: different numbers of samples: {text}")
    count = next(iter(counts.values()), 0)
    rows = None if labels is None else label_rows(place, labels, count)
    for index in range(count):
        sample = {name: np.ascontiguousarray(array[index]) for name, array in stacked.items()}
        for name, array in sample.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                what = "NaN" if np.isnan(array).any() else "infinity"
                raise DataError(f"{place}, sample {index}: input {name!r} holds {what}")
        yield Item(f"{place}, sample {index}", sample, None if rows is None else rows[index])


def label_rows(place: str, labels: Any, count: int) -> np.ndarray:
    """Labels as int64 [count, labels a sample]; :class:`DataError` unless they are whole numbers, so many a sample."""
    array = np.asarray(labels)
    if array.dtype.kind not in "iu":
        raise DataError(f"{place}: labels are {array.dtype}: give whole numbers, the class of each sample")
    if not array.ndim or array.size < count or array.size % max(count, 1) or array.shape[0] not in (count, array.size):
        raise DataError(f"{place}: {array.size} labels for {count} samples: give one for each")
    return array.astype(np.int64).reshape(count, -1)


def _stack(place: str, info: TensorInfo, value: Any) -> np.ndarray:
    """The array with one more axis in front: one entry a sample."""
    try:
        array = to_array(info, value)
    except ArgumentError as error:
        raise DataError(f"{place}: {error}") from None
    shape = info.shape
    if array.shape == shape:
        return array[np.newaxis]
    if array.shape[1:] == shape and array.ndim == len(shape) + 1:
        return array
    if shape and array.ndim == len(shape) and array.shape[1:] == shape[1:] and shape[0]:
        if array.shape[0] % shape[0] == 0:
            return array.reshape(-1, *shape)
    elif shape and shape[0] == 1 and array.shape == shape[1:]:
        return array[np.newaxis, np.newaxis]
    raise DataError(
        f"{place}: input {info.name!r}: wanted {shape_text(shape)}, or several of these on one more axis, "
        f"got {shape_text(array.shape)}"
    )


def digest(sample: Mapping[str, np.ndarray]) -> int:
    """A number for the content of a sample: of its names, types, shapes and bytes."""
    sha = hashlib.sha256()
    for name in sorted(sample):
        array = sample[name]
        sha.update(repr((name, array.dtype.str.lstrip("<>=|"), array.shape)).encode())
        sha.update(np.ascontiguousarray(array).data)
    return int.from_bytes(sha.digest(), "big")


def add_digests(one: int, other: int) -> int:
    """The digest of two sets of samples together: a sum, for which no order exists."""
    return (one + other) % (1 << 256)
