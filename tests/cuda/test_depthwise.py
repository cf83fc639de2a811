"""Depthwise convolutions on CUDA whose operands are aligned to their elements alone, as memory that a program binds."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot.kernels.spec import DType, OpSpec, Sample

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples
from test_samples import tactics_for

NAMES = ("int8 3x3 depthwise 64 stride 2", "f16 depthwise 3x3 stride 2", "depthwise 5x5 stride 2")
CASES = [case for case in samples.CASES if case.values[0].name == "conv" and case.values[1].name in NAMES]


@pytest.mark.parametrize(("spec", "sample"), CASES)
def test_unaligned_operands_give_the_same(spec: OpSpec, sample: Sample) -> None:
    node, arrays = samples.make_node(spec, sample)
    tactics = [t for t in tactics_for(node, "cuda") if "windows" in t.kernel]
    assert len(tactics) > 1
    for tactic in tactics:
        (wanted,) = harness.run_node(node, tactic, harness.TARGETS["sm_90a"], arrays)
        (got,) = harness.run_node(node, tactic, harness.TARGETS["sm_90a"], arrays, align=0)
        if tactic.numerics == "exact":
            assert got.tobytes() == wanted.tobytes()
        else:
            tolerance = 2e-3 if node.outputs[0].type.dtype is DType.F16 else 1e-5
            np.testing.assert_allclose(got, wanted, rtol=tolerance, atol=tolerance)
