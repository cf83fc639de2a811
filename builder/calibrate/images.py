"""Images as a model wants them: what ``--calibration-preprocess`` says, done with Pillow.

``resize=N``            the short side to N pixels, bilinear; ``resize=HxW`` to exactly that
``crop=N``, ``crop=HxW``  that much from the centre
``scale=1/255``         a factor for pixels of 0 to 255 (1), then
``mean=.485:.456:.406`` is subtracted (0), then
``std=.229:.224:.225``  divides (1); one number, or one a channel
``order=rgb|bgr|grey``  channels (rgb)
``layout=nchw|nhwc``    axes (nchw)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingot.errors import ArgumentError, BuildError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


@dataclass(frozen=True, slots=True)
class Preprocess:
    """What is done to an image, in the order of the fields. Sizes are (height, width), or one number."""

    resize: tuple[int, ...] = ()
    crop: tuple[int, ...] = ()
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: str = "rgb"
    layout: str = "nchw"

    def __call__(self, path: Path) -> np.ndarray:
        """The image as float32 ``[1, C, H, W]`` or ``[1, H, W, C]``."""
        image = _open(path, "L" if self.order == "grey" else "RGB")
        if self.resize:
            image = image.resize(_size(image.size, self.resize), resample=2)  # 2: bilinear, in any version of Pillow
        if self.crop:
            height, width = self.crop * 2 if len(self.crop) == 1 else self.crop
            left, top = (image.width - width) // 2, (image.height - height) // 2
            if left < 0 or top < 0:
                raise BuildError(f"{path}: {image.width}x{image.height} pixels are too few to crop {height}x{width}")
            image = image.crop((left, top, left + width, top + height))
        pixels = np.asarray(image, np.float32)
        pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
        if self.order == "bgr":
            pixels = pixels[..., ::-1]
        pixels = (pixels * np.float32(self.scale) - np.float32(self.mean)) / np.float32(self.std)
        pixels = pixels.transpose(2, 0, 1) if self.layout == "nchw" else pixels
        return np.ascontiguousarray(pixels[np.newaxis], np.float32)


def parse(text: str) -> Preprocess:
    """``resize=256,crop=224,scale=1/255,...`` as a :class:`Preprocess`; ArgumentError says what is wrong."""
    parsers: dict[str, Callable[[str], object]] = {
        "resize": _extents,
        "crop": _extents,
        "scale": _number,
        "mean": _numbers,
        "std": _numbers,
        "order": _one_of("rgb", "bgr", "grey"),
        "layout": _one_of("nchw", "nhwc"),
    }
    fields: dict[str, object] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or key not in parsers or key in fields:
            what = "is given twice" if key in fields else "is unknown"
            raise ArgumentError(f"preprocessing {part!r}: {key} {what}; there is {', '.join(parsers)}")
        try:
            fields[key] = parsers[key](value)
        except (ValueError, ZeroDivisionError):
            raise ArgumentError(f"preprocessing {part!r}: {value!r} is no {key}") from None
    result = Preprocess(**fields)  # type: ignore[arg-type]
    channels = 1 if result.order == "grey" else 3
    for key in ("mean", "std"):
        if len(getattr(result, key)) not in (1, channels):
            raise ArgumentError(f"preprocessing: {key} has {len(getattr(result, key))} numbers for {channels} channels")
    if 0 in result.std:
        raise ArgumentError("preprocessing: std is 0")
    return result


def read_image(path: Path, preprocess: Callable[[Path], np.ndarray]) -> np.ndarray:
    """What ``preprocess`` makes of the file, its failures with the file's name."""
    try:
        return preprocess(path)
    except (BuildError, ArgumentError, ModuleNotFoundError):
        raise
    except Exception as error:  # the caller's function, or Pillow on a damaged file
        raise BuildError(f"{path}: cannot be read as an image: {error}") from None


def _open(path: Path, mode: str):
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise BuildError(f"{path}: reading images needs Pillow: pip install pillow") from None
    with Image.open(path) as image:
        return image.convert(mode)


def _size(size: tuple[int, int], wanted: tuple[int, ...]) -> tuple[int, int]:
    """(width, height) of an image of ``size`` once resized."""
    if len(wanted) == 2:
        return wanted[1], wanted[0]
    short = min(size)
    return tuple(max(wanted[0] * extent // short, 1) for extent in size)  # type: ignore[return-value]


def _extents(text: str) -> tuple[int, ...]:
    extents = tuple(int(part) for part in text.split("x"))
    if len(extents) > 2 or min(extents) < 1 or max(extents) > 1 << 15:
        raise ValueError(text)
    return extents


def _number(text: str) -> float:
    over, slash, under = text.partition("/")
    value = float(over) / (float(under) if slash else 1.0)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(_number, text.split(":")))


def _one_of(*names: str) -> Callable[[str], str]:
    def parse_name(text: str) -> str:
        if text not in names:
            raise ValueError(text)
        return text

    return parse_name
