"""Whatever is measured, numbers stay: random times give random plans, and int8 engines that agree bit by bit."""

from __future__ import annotations

import hashlib
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingot
from ingot import builder

sys.path.insert(0, str(Path(__file__).resolve().parent))
from toys import Fake

MODELS = ("digits/digits_cnn.onnx", "control/policy.onnx")


class Dice:
    """Times by tactic that are random, and the same for one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def get(self, key: Any, default: float) -> float:
        text = key if isinstance(key, str) else " ".join(key)
        digest = hashlib.sha256(f"{self.seed} {text}".encode()).digest()
        return 100.0 + int.from_bytes(digest[:2], "little")


def engines(model: str, seed: int, **options: Any) -> tuple[ingot.Engine, ingot.Engine, list[dict]]:
    """The engine without tuning, and one whose tactics were diced."""
    raw = (resources.files("ingot.examples") / model).read_bytes()
    reports = []
    diced = builder.build(raw, tune=True, effort=2, measurer=Fake(Dice(seed)), tuned=reports.append, **options)
    return ingot.load(builder.build(raw, **options)), ingot.load(diced), reports[0].metadata()


def outputs(engine: ingot.Engine) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    context = engine.context()
    feeds = {v.name: rng.standard_normal(context.inputs[v.name].shape).astype(np.float32) for v in engine.inputs}
    found = context.run(feeds)
    return [found[v.name] for v in engine.outputs]


@pytest.mark.parametrize("model", MODELS)
def test_fp32_stays_within_its_tolerance(model: str) -> None:
    chosen = set()
    for seed in range(6):
        usual, diced, rows = engines(model, seed)
        chosen.update(row["tactic"] for row in rows)
        for a, b in zip(outputs(usual), outputs(diced), strict=True):
            assert np.linalg.norm((a - b).ravel()) <= 1e-4 * np.linalg.norm(a.ravel())
    assert len(chosen) > 1, "dice that always fall alike"


@pytest.mark.parametrize("model", MODELS)
def test_int8_stays_bit_by_bit(model: str) -> None:
    for seed in range(3):
        usual, diced, _ = engines(model, seed, precision="int8", calibration_synthetic=True)
        for a, b in zip(outputs(usual), outputs(diced), strict=True):
            assert a.tobytes() == b.tobytes()
