"""Whole models that arrive quantised give what onnxruntime gives: within 2e-2, and the same decisions."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from qdq import in_integers
from zoo import folder

ROOT = folder()
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
IMAGES = 12


def _photos(short: int, size: int) -> list[np.ndarray]:
    """ImageNet images: short side to ``short``, centre crop of ``size``, uint8."""
    with (ROOT / "data/imagenet/labels.csv").open() as file:
        names = [row[0] for row in list(csv.reader(file))[1:]]
    found = []
    for name in names[:: len(names) // IMAGES][:IMAGES]:
        image = Image.open(ROOT / "data/imagenet" / name).convert("RGB")
        scale = short / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.BILINEAR)
        left, top = (image.width - size) // 2, (image.height - size) // 2
        found.append(np.asarray(image.crop((left, top, left + size, top + size))))
    return found


def _cifar() -> list[np.ndarray]:
    return list(np.load(ROOT / "data/cifar10_jpeg_test.npz")["x"][: 4 * IMAGES])


def _sample(name: str) -> np.ndarray:
    return np.load(ROOT / "models" / name / "sample.npz")["in_0"]


def _sounds() -> list[np.ndarray]:
    sample, random = _sample("kws_dscnn_qdq_int8"), np.random.default_rng(0)
    return [sample * s + random.standard_normal(sample.shape) * 20 for s in np.linspace(0.5, 1.5, IMAGES)]


#: model -> its inputs
MODELS: dict[str, Callable[[], list[np.ndarray]]] = {
    "resnet8_mlperftiny_qdq_int8": lambda: [x[None] for x in _cifar()],
    "kws_dscnn_qdq_int8": _sounds,
    "vww_mobilenetv1_qdq_int8": lambda: [x[None] / 255 for x in _photos(110, 96)],
    "mobilenet_v1_025_128_qdq_u8": lambda: [x[None] / 127.5 - 1 for x in _photos(146, 128)],
    "mobilenet_v2_tv_qdq_int8": lambda: [
        ((x / 255 - MEAN) / STD).transpose(2, 0, 1)[None] for x in _photos(256, 224)
    ],
    "deeplab_cityscapes_qdq_u8": lambda: [_sample("deeplab_cityscapes_qdq_u8")],
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """For each input: norm of the difference over norm of the reference, and whether the largest stands alike."""

    errors: np.ndarray
    decided: np.ndarray


def compare(reference: onnx.ModelProto, path: Path, inputs: list[np.ndarray]) -> Comparison:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(reference.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    engine = ingot.build(path, precision="int8", profiles=[{name: inputs[0].shape}], self_test=False)
    assert all(row["exact_across_targets"] for row in engine.inspect()["metadata"]["ledger"])
    errors, decided = [], []
    with engine.context() as context:
        for array in inputs:
            x = np.ascontiguousarray(array, np.float32)
            (wanted,) = session.run(None, {name: x})
            (got,) = context.run({name: x}).values()
            error = np.linalg.norm(got.astype(np.float64) - wanted) / np.linalg.norm(wanted.astype(np.float64))
            errors.append(error)
            decided.append(got.argmax() == wanted.argmax())
    return Comparison(np.array(errors), np.array(decided))


@pytest.mark.skipif(ROOT is None, reason="../shared is not here: its quantised models were not compared")
@pytest.mark.parametrize("name", list(MODELS))
def test_is_what_onnxruntime_gives(name: str) -> None:
    """Of mobilenet_v2, with its integer operators: as it comes it computes 40 of 52 convolutions in float32."""
    path = ROOT / "models" / name / "model.onnx"
    model = onnx.load(path)
    found = compare(in_integers(model) if name.startswith("mobilenet_v2") else model, path, MODELS[name]())
    assert found.errors.max() <= 2e-2
    assert found.decided.mean() >= 0.98
