"""Labels of calibration samples: from an array, or from a file."""

from __future__ import annotations

import csv
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ingot.builder.calibrate.data import LABELS, DataError, files


def read_labels(given: Any, data: Any) -> np.ndarray:
    """Whole numbers, the first axis counting samples. ``given`` is an array or the path of a file.

    A ``.npy`` file holds the array; an ``.npz`` file holds it as ``labels``. A ``.csv`` file has the class of a sample
    in each row; or the name of a file in the folder ``data`` and then its class, in any order; a first row without a
    class is a heading, and what follows the class is ignored.
    """
    place = str(given) if isinstance(given, (str, os.PathLike)) else "labels"
    array = _read(Path(given), data) if place != "labels" else np.asarray(given)
    if array.dtype.kind not in "iu":
        raise DataError(f"{place}: holds {array.dtype}: give whole numbers, the class of each sample")
    if not array.ndim or not array.size:
        raise DataError(f"{place}: holds no labels")
    if int(array.min()) < 0:
        raise DataError(f"{place}: holds {int(array.min())}: classes are counted from 0")
    return array.astype(np.int64)


def _read(path: Path, data: Any) -> np.ndarray:
    if path.suffix == ".csv":
        return _csv(path, data)
    if path.suffix not in (".npy", ".npz"):
        raise DataError(f"{path}: labels are a .csv, .npy or .npz file")
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            return held
        with held:
            if LABELS not in held.files:
                raise DataError(f"{path}: no array is called {LABELS!r}")
            return held[LABELS]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or 'not a file of numbers'}") from None
    except (ValueError, EOFError, zipfile.BadZipFile):
        raise DataError(f"{path}: not a file of numbers, or a damaged one") from None


def _csv(path: Path, data: Any) -> np.ndarray:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), 1) if row]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{path}: not a .csv file") from None
    if rows and not any(_is_class(cell) for cell in rows[0][1][:2]):
        rows = rows[1:]
    by_name = bool(rows) and len(rows[0][1]) > 1 and not _is_class(rows[0][1][0])
    column = 1 if by_name else 0
    for number, row in rows:
        if len(row) <= column or not _is_class(row[column]):
            raise DataError(
                f"{path}:{number}: want {'FILE,CLASS' if by_name else 'CLASS'}, a class being a whole number"
            )
    classes = [int(row[column]) for _, row in rows]
    if not by_name:
        return np.array(classes, np.int64)
    if not isinstance(data, (str, os.PathLike)) or not Path(data).is_dir():
        raise DataError(f"{path}: names files, and the calibration data are no folder")
    known = {row[0]: found for (_, row), found in zip(rows, classes)}
    names = [file.name for file in files(Path(data))]
    missing = [name for name in names if name not in known]
    if missing:
        raise DataError(f"{path}: no label for {missing[0]}")
    return np.array([known[name] for name in names], np.int64)


def _is_class(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdigit() and len(text) < 16
