"""Whole models of ``../shared``, step by step: each step of an FP32 engine gives a tensor of the model."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import ingot
from ingot.cli.layers import measure
from ingot.cli.reference import Reference

sys.path.insert(0, str(Path(__file__).resolve().parent))
from zoo import ZooModel, float_models

#: errors add up over a hundred layers
RELATIVE, ADDED = 1e-4, 1e-5
#: of the steps; copies between the parts of an operator hold no tensor of the model
KNOWN = 0.85


@pytest.mark.parametrize("model", float_models(), ids=lambda m: m.name)
def test_steps_are_tensors_of_the_model(model: ZooModel) -> None:
    inputs, _ = model.sample()
    engine = ingot.build(model.path, profiles=[{n: a.shape for n, a in inputs.items()}], self_test=False)
    rows = measure(engine, model.path, Reference(model.path), inputs)
    known = [row for row in rows if row.relative is not None]
    assert len(known) >= KNOWN * len(rows)
    assert max(row.relative for row in known) < RELATIVE
    assert max(row.added for row in known) < ADDED
