"""Whole models of ``../shared``: they build, and agree with onnxruntime's samples as D4 says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from zoo import ZooModel, float_models, folder

MODELS = float_models()
#: D4
RELATIVE, ABSOLUTE = 1e-4, 1e-3
INTEGER_AGREEMENT = 0.999


def test_models_are_there_or_said_to_be_missing(capsys: pytest.CaptureFixture[str]) -> None:
    if folder() is None:
        with capsys.disabled():
            print("\n../shared/models is not here: the tests over whole models did not run")
    else:
        assert len(MODELS) >= 20


def build(model: ZooModel) -> ingot.Engine:
    inputs, _ = model.sample()
    return ingot.build(model.path, profiles=[{n: a.shape for n, a in inputs.items()}])


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_agrees_with_sample(model: ZooModel) -> None:
    inputs, expected = model.sample()
    engine = build(model)
    engine.self_test()
    with engine.context() as context:
        outputs = context.run(inputs)
    for name, wanted in expected.items():
        got = outputs[name]
        assert got.shape == wanted.shape
        assert got.dtype == wanted.dtype
        if wanted.dtype.kind == "f":
            difference = got.astype(np.float64) - wanted
            norm = np.linalg.norm(wanted.astype(np.float64))
            assert np.linalg.norm(difference) <= RELATIVE * norm, name
            assert np.abs(difference).max() <= ABSOLUTE * np.abs(wanted).max(), name
        else:
            assert np.mean(got == wanted) >= INTEGER_AGREEMENT, name


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_arena_is_near_its_bound(model: ZooModel) -> None:
    memory = build(model).inspect()["metadata"]["memory"]
    assert memory["arena"] <= 1.10 * memory["lower_bound"] + 64


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
def test_threads_give_the_same_bits(model: ZooModel) -> None:
    inputs, _ = model.sample()
    engine = build(model)
    results = []
    for threads in (1, 2):
        with engine.context(threads=threads) as context:
            results.append(context.run(inputs))
    for name, array in results[0].items():
        assert array.tobytes() == results[1][name].tobytes(), name
