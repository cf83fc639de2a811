"""What packs say that candidates must compute is what the samples' tests compare with."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from ingot.builder.tuning.expected import MAX_ELEMENTS, Expected
from ingot.builder.tuning.keys import Candidate
from ingot.kernels.spec import DType, OpSpec, Sample

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import samples

_spec = importlib.util.spec_from_file_location("cuda_samples", Path(__file__).with_name("test_samples.py"))
cuda_samples = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cuda_samples)

#: conversions between layouts have one kernel, and none of the CPU that keeps rows
UNCHECKED = {"reorder"}


@pytest.mark.parametrize(("spec", "sample"), cuda_samples.CASES)
def test_of_every_sample(spec: OpSpec, sample: Sample) -> None:
    node, _ = samples.make_node(spec, sample)
    tactics = cuda_samples.tactics_for(node, "cuda")
    if not tactics:
        return  # the operator has kernels for other types, or computes in them
    known = Expected()
    given = known.inputs(node)
    records = [known.records(Candidate("sample", tactic, node), 5) for tactic in tactics]
    if spec.name in UNCHECKED:
        assert not any(records)
        return
    wanted = cuda_samples.portable_results(node, [v and given.get(v, v.data) for v in node.inputs])
    kinds = {v.type.dtype for v in [*node.inputs, *node.outputs] if v is not None}
    for tactic, found in zip(tactics, records):
        for record in found:
            index = record.io - 5 - len(given)
            value, array = node.outputs[index], wanted[index]
            assert 0 < record.data.size <= MAX_ELEMENTS or array.size == 0
            assert record.exact == (tactic.numerics == "exact" or not value.type.dtype.is_float)
            part = array.ravel()[:: record.stride]
            cuda_samples.assert_close(record.data, part, value.type.dtype, cuda_samples.least_exact(node))
        decided = [v for v in node.outputs if not v.type.dtype.is_float and any(k.is_float for k in kinds)]
        checked = len(node.outputs) - (0 if tactic.numerics == "exact" else len(decided))
        assert len(found) == checked, "integers that floats decide may fall the other way"


def test_bounds_follow_the_least_exact_type() -> None:
    found = {}
    for case in cuda_samples.CASES:
        node, _ = samples.make_node(*case.values)
        for tactic in cuda_samples.tactics_for(node, "cuda"):
            for record in Expected().records(Candidate("sample", tactic, node), 0) if node.op.name == "matmul" else ():
                if not record.exact:
                    found.setdefault(cuda_samples.least_exact(node), set()).add(record.relative)
    assert found[DType.F32] == {1e-4} and found[DType.F16] == {5e-3} and found[DType.BF16] == {5e-2}
