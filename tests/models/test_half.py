"""Whole models of ``../shared`` in float16 and bfloat16, against themselves in float32."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from zoo import ZooModel, float_models, folder

MODELS = float_models()
#: norm of the difference over norm of the float32 result
BOUNDS = {"fp16": 5e-3, "bf16": 5e-2}


def test_models_are_there_or_said_to_be_missing(capsys: pytest.CaptureFixture[str]) -> None:
    if folder() is None:
        with capsys.disabled():
            print("\n../shared/models is not here: the tests over whole models in half did not run")
    else:
        assert len(MODELS) >= 20


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_agrees_with_float32(model: ZooModel, precision: str) -> None:
    inputs, _ = model.sample()
    results = {}
    for asked in ("fp32", precision):
        engine = ingot.build(model.path, profiles=[{n: a.shape for n, a in inputs.items()}], precision=asked)
        engine.self_test()
        with engine.context() as context:
            results[asked] = {name: np.array(array) for name, array in context.run(inputs).items()}
    for name, wanted in results["fp32"].items():
        got = results[precision][name]
        if wanted.dtype.kind == "f":
            difference = np.linalg.norm(got.astype(np.float64) - wanted)
            assert difference <= BOUNDS[precision] * np.linalg.norm(wanted.astype(np.float64)), name
        else:
            assert np.mean(got == wanted) >= 0.99, name
