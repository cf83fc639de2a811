"""Classifiers on labelled data: the engine decides as onnxruntime does, with at most one image's difference each."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from zoo import float_models, folder

ROOT = folder()


def _crop(image: Image.Image, short: int, size: int) -> np.ndarray:
    """Short side to ``short``, centre crop to ``size``: uint8 [size, size, 3]."""
    scale = short / min(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def _imagenet(size: int) -> Iterator[np.ndarray]:
    with (ROOT / "data/imagenet/labels.csv").open() as file:
        names = [row[0] for row in list(csv.reader(file))[1:]]
    for name in names:
        yield _crop(Image.open(ROOT / "data/imagenet" / name).convert("RGB"), 256, size)


def _cifar() -> Iterator[np.ndarray]:
    yield from np.load(ROOT / "data/cifar10_jpeg_test.npz")["x"]


def _mnist() -> Iterator[np.ndarray]:
    yield from np.load(ROOT / "data/mnist_test.npz")["x"]


MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def _nchw(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32)


@dataclass(frozen=True)
class Classifier:
    """A model, its images, and how an image becomes its input."""

    name: str
    images: Callable[[], Iterator[np.ndarray]]
    prepare: Callable[[np.ndarray], np.ndarray]


CLASSIFIERS = [
    Classifier("mnist_cnn", _mnist, lambda x: x[None, None].astype(np.float32)),
    Classifier("resnet20_cifar10_fp32", _cifar, lambda x: _nchw((x / 255 - MEAN) / STD)),
    Classifier("resnet8_mlperftiny_fp32", _cifar, lambda x: x[None].astype(np.float32)),
    Classifier(
        "squeezenet1_1_fp32", lambda: _imagenet(227), lambda x: _nchw(x[..., ::-1] - np.array([104.0, 117.0, 123.0]))
    ),
    Classifier("mobilenet_v2_tv_fp32", lambda: _imagenet(224), lambda x: _nchw((x / 255 - MEAN) / STD)),
    Classifier("mobilenet_v1_025_224_fp32", lambda: _imagenet(224), lambda x: _nchw(x / 127.5 - 1)),
]


@pytest.mark.skipif(ROOT is None, reason="../shared is not here: decisions on labelled data were not compared")
@pytest.mark.parametrize("case", CLASSIFIERS, ids=lambda c: c.name)
def test_decides_as_onnxruntime(case: Classifier) -> None:
    model = next(m for m in float_models() if m.name == case.name)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model.path), options, providers=["CPUExecutionProvider"])
    inputs, _ = model.sample()
    (name,) = inputs
    engine = ingot.build(model.path, profiles=[{name: inputs[name].shape}], self_test=False)
    different = judged = 0
    with engine.context() as context:
        for image in case.images():
            x = case.prepare(image)
            (wanted,) = session.run(None, {name: x})
            (got,) = context.run({name: x}).values()
            different += int(np.argmax(got) != np.argmax(wanted))
            judged += 1
    assert judged >= 300
    assert different <= 1
