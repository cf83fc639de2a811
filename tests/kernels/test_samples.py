"""Every sample of every operator, for every tactic that can do it and every instruction set here.

The portable kernel is the oracle of the others; whatever the split into work units, the bits are the same; nothing is
read or written where it must not be.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot._kernel import available_isas, make_params, run_kernel
from ingot.builder.evaluate import evaluate, select_tactic
from ingot.errors import IngotError
from ingot.kernels.common.half import from_bfloat16
from ingot.kernels.spec import DType, OpSpec, Sample

sys.path.insert(0, str(Path(__file__).parent))
from samples import CASES, SPECS, make_node, run

SPLITS = (1, 2, 3, 7)
#: of operators that the CPU has kernels for
ON_CPU = [case for case in CASES if any(tactic.is_for("cpu") for tactic in case.values[0].tactics)]


def assert_close(got: np.ndarray, wanted: np.ndarray, exact: bool, dtype: DType) -> None:
    assert got.shape == wanted.shape
    rough = dtype is DType.BF16
    if exact or (wanted.dtype.kind not in "f" and not rough):
        assert got.tobytes() == wanted.tobytes()
        return
    tolerance = 8e-3 if rough else {2: 2e-3, 4: 2e-5, 8: 1e-12}[wanted.dtype.itemsize]
    got, wanted = (from_bfloat16(a) if rough and a.dtype == np.uint16 else a for a in (got, wanted))
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
    np.testing.assert_array_equal(got[~finite & ~np.isnan(wanted)], wanted[~finite & ~np.isnan(wanted)])
    scale = float(np.abs(wanted[finite]).max(initial=1e-30))
    np.testing.assert_allclose(got[finite], wanted[finite], rtol=tolerance * 10, atol=tolerance * scale)


@pytest.mark.parametrize(("spec", "sample"), ON_CPU)
def test_sample(spec: OpSpec, sample: Sample) -> None:
    node, arrays = make_node(spec, sample)
    tactics = [t for t in spec.tactics if t.is_for("cpu") and t.when(node)]
    narrow = any(v is not None and v.type.dtype in spec.cast_to for v in [*node.inputs, *node.outputs])
    if narrow and not tactics:
        return  # computed in another type, which has samples of its own
    if not tactics and any(t.when(node) for t in spec.tactics):
        return  # kernels for it are another backend's: nothing makes such a node here
    assert tactics, "no tactic can do the sample"
    reference = None
    for tactic in tactics:
        if tactic.kernel == "":
            continue
        portable = run(node, tactic, arrays, "portable", 1)
        if reference is None:
            reference = portable
        rough = any(v is not None and v.type.dtype is DType.BF16 for v in node.inputs)
        kinds = [DType.BF16 if rough else v.type.dtype for v in node.outputs]
        for got, wanted, dtype in zip(portable, reference, kinds):
            assert_close(got, wanted, False, dtype)
        for isa in available_isas(tactic.kernel):
            whole = run(node, tactic, arrays, isa, 1)
            for got, wanted, dtype in zip(whole, portable, kinds):
                assert_close(got, wanted, tactic.numerics == "exact", dtype)
            for splits in SPLITS[1:]:
                for got, wanted in zip(run(node, tactic, arrays, isa, splits), whole):
                    assert got.tobytes() == wanted.tobytes(), f"{isa}: {splits} parts give other bits"


@pytest.mark.parametrize(("spec", "sample"), [case for case in ON_CPU if "int8" in case.id])
def test_constants_in_int8_fold_to_what_runs(spec: OpSpec, sample: Sample) -> None:
    """A node of constants alone is evaluated when the engine is built: by the kernel that would run, in its types."""
    node, arrays = make_node(spec, sample)
    if not any(t.is_for("cpu") and t.when(node) for t in spec.tactics):
        return  # kernels for it are another backend's
    wanted = run(node, select_tactic(node), arrays, "portable", 1)
    for value, array in zip(node.inputs, arrays):
        if value is not None:
            value.data = array
    for got, array in zip(evaluate(node), wanted, strict=True):
        assert (got.dtype, got.tobytes()) == (array.dtype, array.tobytes())


def test_every_operator_has_samples() -> None:
    assert not [name for name, spec in SPECS.items() if not list(spec.samples())]


def test_weights_in_parts_that_are_not_constants_are_refused() -> None:
    spec, sample = next(case.values for case in CASES if case.values[1].name == "int8 2 parts")
    node, arrays = make_node(spec, sample)
    tactic = next(t for t in spec.tactics if t.when(node))
    inputs = [tactic.pack[i](node, a) if a is not None and i in tactic.pack else a for i, a in enumerate(arrays)]
    outputs = [np.zeros(v.type.shape, v.type.dtype.numpy) for v in node.outputs]
    params = make_params(tactic.params_type, tactic.params(node))
    constant = [i for i in tactic.pack if i != 1]
    with pytest.raises(IngotError, match="weights in parts are not constants"):
        run_kernel(tactic.kernel, inputs, outputs, params, constant=constant)
