"""Every sample of every operator, by every CUDA tactic that can do it, in the emulator.

The portable kernel of the CPU is the oracle. Whatever the order of threads and blocks, the bits are the same; nothing
is read or written where it must not be. ``-k conv`` selects an operator.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot.builder.ir import Node
from ingot.kernels.common.half import HALF, from_bfloat16, is_half, narrow
from ingot.kernels.image_conv.attrs import ImageConvAttrs
from ingot.kernels.spec import DType, OpSpec, Sample, Tactic

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples

SEEDS = (1, 2)
CASES = [case for case in samples.CASES if any(tactic.backend == "cuda" for tactic in case.values[0].tactics)]
#: norm of the difference over norm of the result, by what is stored
TOLERANCES = {DType.F16: 5e-3, DType.BF16: 5e-2}


def tactics_for(node: Node, backend: str) -> list[Tactic]:
    return [t for t in node.op.tactics if t.kernel and t.backend == backend and t.when(node)]


def launches_of(node: Node) -> set:
    """Every instance that some device would run the node with."""
    return {t.launch(node, target) for t in tactics_for(node, "cuda") for target in harness.TARGETS.values()}


@pytest.fixture(scope="module", autouse=True)
def compiled(request: pytest.FixtureRequest) -> None:
    """Compiles what the selected tests need, several instances at a time."""
    here = [item for item in request.session.items if item.path == Path(__file__) and hasattr(item, "callspec")]
    nodes = [samples.make_node(item.callspec.params["spec"], item.callspec.params["sample"])[0] for item in here]
    launches = [launch for node in nodes for launch in launches_of(node)]
    harness.warm(launches)


def numbers(array: np.ndarray, dtype: DType) -> np.ndarray:
    return from_bfloat16(array) if dtype is DType.BF16 else array.astype(np.float64)


def assert_close(got: np.ndarray, wanted: np.ndarray, dtype: DType, stored: DType) -> None:
    """``stored`` is the least exact type among operands and result, which decides the tolerance."""
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
    if not dtype.is_float:
        assert got.tobytes() == wanted.tobytes()
        return
    got, wanted = numbers(got, dtype), numbers(wanted, dtype)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    finite = np.isfinite(wanted)
    infinite = ~finite & ~np.isnan(wanted)
    np.testing.assert_array_equal(got[infinite], wanted[infinite])
    if stored in TOLERANCES:
        error = float(np.linalg.norm(got[finite] - wanted[finite]))
        assert error <= TOLERANCES[stored] * float(np.linalg.norm(wanted[finite])) + 1e-30
    else:
        tolerance = {DType.F32: 2e-5, DType.F64: 1e-12}[stored]
        scale = float(np.abs(wanted[finite]).max(initial=1e-30))
        np.testing.assert_allclose(got[finite], wanted[finite], rtol=tolerance * 10, atol=tolerance * scale)


def least_exact(node: Node) -> DType:
    kinds = {v.type.dtype for v in [*node.inputs, *node.outputs] if v is not None}
    return next((d for d in (DType.BF16, DType.F16, DType.F32) if d in kinds), DType.F64)


def portable_results(node: Node, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    """What the CPU makes of it: of an operator that only CUDA stores in half, float32 whose result is rounded."""
    if is_half(node):
        wide, arrays = samples.in_float32(node, arrays)
        results = portable_results(wide, arrays)
        kinds = [v.type.dtype for v in node.outputs]
        return [narrow(a, kind) if kind in HALF else a for a, kind in zip(results, kinds)]
    if isinstance(node.attrs, ImageConvAttrs):
        return portable_results(*samples.in_steps(node, arrays))
    tactics = tactics_for(node, "cpu")
    assert tactics, "no kernel of the CPU to compare with"
    return samples.run(node, tactics[0], arrays, "portable", 1)


@pytest.mark.parametrize(("spec", "sample"), CASES)
def test_sample(spec: OpSpec, sample: Sample) -> None:
    node, arrays = samples.make_node(spec, sample)
    tactics = tactics_for(node, "cuda")
    if not tactics:
        return  # the operator has kernels for other types, or computes in them
    wanted = portable_results(node, arrays)
    for tactic in tactics:
        launches = {}
        for target in harness.TARGETS.values():
            launches.setdefault(tactic.launch(node, target), target)
        for launch, target in launches.items():
            check(node, tactic, target, arrays, wanted, launch.kernel)


def check(node: Node, tactic: Tactic, target: object, arrays: list, wanted: list, what: str) -> None:
    def run(**options: object) -> list[np.ndarray]:
        got = harness.run_node(node, tactic, target, arrays, **options)
        for value, a, w in zip(node.outputs, got, wanted, strict=True):
            if tactic.numerics == "exact":
                assert a.tobytes() == w.tobytes(), f"{what}: other bits than on the CPU, {options}"
            else:
                assert_close(a, w, value.type.dtype, least_exact(node))
        return got

    first = run(seed=SEEDS[0])
    others = [run(seed=seed) for seed in SEEDS[1:]]
    others += [run(seed=SEEDS[0], inplace=index) for index in harness.inplace_inputs(node, tactic)]
    for other in others:
        assert all(a.tobytes() == b.tobytes() for a, b in zip(first, other, strict=True)), (
            f"{what}: not always the same bits"
        )
    if tactic.pitched_inputs or tactic.pitched_outputs:
        run(seed=SEEDS[0], pitched=True)
