"""Labelled data of ``../shared/data``, and which of it calibrates: ``split.json`` lists those samples by index."""

from __future__ import annotations

import csv
import functools
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models"))
from zoo import folder  # noqa: E402


@dataclass(frozen=True)
class Samples:
    """uint8 images ``[H, W, 3]`` or ``[H, W]``, read when asked for, with the class of each (or no labels)."""

    count: int
    image: Callable[[int], np.ndarray]
    labels: np.ndarray | None
    calibrates: tuple[int, ...]

    @property
    def judged(self) -> list[int]:
        """Indices of all that did not calibrate."""
        return sorted(set(range(self.count)) - set(self.calibrates))


def _split(name: str) -> tuple[int, ...]:
    return tuple(json.loads((HERE / "split.json").read_text())[name])


@functools.cache
def samples(name: str) -> Samples:
    """``imagenet``, ``cifar10``, ``mnist`` or ``faces``."""
    return {"imagenet": _imagenet, "cifar10": _cifar10, "mnist": _mnist, "faces": _faces}[name]()


def _read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def _imagenet() -> Samples:
    root = folder() / "data/imagenet"
    rows = list(csv.reader((root / "labels.csv").open()))[1:]
    labels = np.array([int(row[1]) for row in rows])
    return Samples(len(rows), lambda i: _read(root / rows[i][0]), labels, _split("imagenet"))


def _cifar10() -> Samples:
    """JPEG test images, then lossless training images."""
    sets = [np.load(folder() / f"data/{name}.npz") for name in ("cifar10_jpeg_test", "cifar10_lossless_train")]
    images, labels = (np.concatenate([s[key] for s in sets]) for key in "xy")
    return Samples(len(images), images.__getitem__, labels, _split("cifar10"))


def _mnist() -> Samples:
    content = np.load(folder() / "data/mnist_test.npz")
    return Samples(len(content["x"]), content["x"].__getitem__, content["y"], _split("mnist"))


def _faces() -> Samples:
    """Photographs with people; the detectors' sample images stand first."""
    paths = sorted((folder() / "data/images").glob("*.jpg"))
    pictures = samples("imagenet")
    split = tuple(len(paths) + i for i in pictures.calibrates)
    return Samples(
        len(paths) + pictures.count,
        lambda i: _read(paths[i]) if i < len(paths) else pictures.image(i - len(paths)),
        None,
        split,
    )


def crop(image: np.ndarray, short: int, size: int) -> np.ndarray:
    """Short side to ``short`` (bilinear), centre crop: uint8 ``[size, size, 3]``."""
    picture = Image.fromarray(image)
    scale = short / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.BILINEAR)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size)))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear, to exactly that: uint8 ``[height, width, 3]``."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.BILINEAR))


def letterbox(image: np.ndarray, size: int) -> np.ndarray:
    """Fitted into a square at the top left, the rest 114, as YOLOX does it: uint8 ``[size, size, 3]``."""
    height, width = image.shape[:2]
    ratio = min(size / height, size / width)
    box = np.full((size, size, 3), 114, np.uint8)
    inner = resize(image, int(height * ratio), int(width * ratio))
    box[: inner.shape[0], : inner.shape[1]] = inner
    return box


def nchw(image: np.ndarray) -> np.ndarray:
    """float32 ``[1, C, H, W]``."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)


def speech(seconds: float | None = None) -> np.ndarray:
    """The speech recording: float32 at 16 kHz, -1 to 1."""
    import wave

    with wave.open(str(folder() / "data/audio/silero_test.wav")) as file:
        count = file.getnframes() if seconds is None else int(seconds * file.getframerate())
        return np.frombuffer(file.readframes(count), np.int16).astype(np.float32) / 32768


def frames(signal: np.ndarray, size: int, step: int) -> Sequence[np.ndarray]:
    """All whole windows of ``size``, ``step`` apart."""
    return [signal[i : i + size] for i in range(0, len(signal) - size + 1, step)]
