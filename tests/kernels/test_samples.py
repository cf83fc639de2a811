"""Every sample of every operator, for every tactic that can do it and every instruction set here.

The portable kernel is the oracle of the others; whatever the split into work units, the bits are the same; nothing is
read or written where it must not be.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import available_isas, make_params, run_kernel
from ingot.builder.evaluate import evaluate, select_tactic
from ingot.builder.ir import Node, Value
from ingot.errors import IngotError
from ingot.kernels.common.half import from_bfloat16, to_bfloat16
from ingot.kernels.spec import DENSE, DType, Layout, OpSpec, Sample, Tactic, TensorType

_spec = importlib.util.spec_from_file_location("guard", Path(__file__).with_name("guard.py"))
guard = sys.modules.setdefault("guard", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(guard)

SPECS = kernels.load()
CASES = [
    pytest.param(spec, sample, id=f"{name}-{i}-{sample.name}" if sample.name else f"{name}-{i}")
    for name, spec in SPECS.items()
    for i, sample in enumerate(spec.samples())
]
SPLITS = (1, 2, 3, 7)


def random_array(rng: np.random.Generator, kind: TensorType) -> np.ndarray:
    if kind.dtype is DType.BOOL:
        return rng.integers(0, 2, kind.shape).astype(np.bool_)
    if kind.dtype is DType.BF16:
        return to_bfloat16(rng.standard_normal(kind.shape))
    if kind.dtype.is_float:
        return rng.standard_normal(kind.shape).astype(kind.dtype.numpy)
    low = -100 if kind.dtype.is_signed else 0
    return rng.integers(low, 100, kind.shape).astype(kind.dtype.numpy)


def make_node(spec: OpSpec, sample: Sample) -> tuple[Node, list[np.ndarray | None]]:
    """The node, and the arrays of its inputs (constants among them)."""
    rng = np.random.default_rng(7)
    arrays: list[np.ndarray | None] = []
    values: list[Value | None] = []
    for i, given in enumerate(sample.inputs):
        if given is None:
            arrays.append(None)
            values.append(None)
            continue
        array = given if isinstance(given, np.ndarray) else random_array(rng, given)
        arrays.append(array)
        kind = TensorType(DType.of(array.dtype), array.shape) if given is array else given
        values.append(Value(f"in{i}", kind, array if i in sample.constant else None))
    node = Node(spec, sample.attrs, values, [], (spec.name,))
    kinds = spec.infer(sample.attrs, [None if v is None else v.type for v in values])
    node.outputs = [Value(f"out{i}", kind, None, node) for i, kind in enumerate(kinds)]
    return node, arrays


def blocked(array: np.ndarray, layout: Layout) -> np.ndarray:
    """The array as a row-major one with the bytes of that layout."""
    if not layout.block:
        return array
    split = array.reshape(*array.shape[:-1], -1, layout.block)
    return np.ascontiguousarray(np.moveaxis(split, -2, 1))


def unblocked(array: np.ndarray, layout: Layout) -> np.ndarray:
    """What :func:`blocked` was given."""
    if not layout.block:
        return array
    joined = np.moveaxis(array, 1, -2)
    return np.ascontiguousarray(joined).reshape(*joined.shape[:-2], -1)


def run(node: Node, tactic: Tactic, arrays: list[np.ndarray | None], isa: str, splits: int) -> list[np.ndarray]:
    inputs = list(arrays)
    for index, pack in tactic.pack.items():
        if index < len(inputs) and inputs[index] is not None:
            inputs[index] = np.ascontiguousarray(pack(node, inputs[index]))
    for index, layout in tactic.reads.items():
        inputs[index] = blocked(inputs[index], layout)
    written = [tactic.writes, *(DENSE for _ in node.outputs[1:])]
    held = [None if a is None else guard.Guarded.of(a) for a in inputs]
    before = [None if h is None else h.raw.copy() for h in held]
    kinds = [layout.stored(v.type) for v, layout in zip(node.outputs, written)]
    outputs = [guard.Guarded(kind.shape, kind.dtype.numpy) for kind in kinds]
    run_kernel(
        tactic.kernel,
        [None if h is None else h.array for h in held],
        [o.array for o in outputs],
        make_params(tactic.params_type, tactic.params(node)),
        isa=isa,
        constant=[i for i, v in enumerate(node.inputs) if v is not None and (v.is_constant or i in tactic.pack)],
        workspace=tactic.workspace(node),
        splits=splits,
        bfloat16=[
            i for i, v in enumerate([*node.inputs, *node.outputs]) if v is not None and v.type.dtype is DType.BF16
        ],
    )
    for h, b in zip(held, before):
        assert h is None or (h.raw == b).all(), "an input was written"
    assert all(o.tail_untouched() for o in outputs), "bytes behind an output were written"
    return [unblocked(o.array.copy(), layout) for o, layout in zip(outputs, written)]


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


@pytest.mark.parametrize(("spec", "sample"), CASES)
def test_sample(spec: OpSpec, sample: Sample) -> None:
    node, arrays = make_node(spec, sample)
    tactics = [t for t in spec.tactics if t.when(node)]
    narrow = any(v is not None and v.type.dtype in spec.cast_to for v in [*node.inputs, *node.outputs])
    if narrow and not tactics:
        return  # computed in another type, which has samples of its own
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


@pytest.mark.parametrize(("spec", "sample"), [case for case in CASES if "int8" in case.id])
def test_constants_in_int8_fold_to_what_runs(spec: OpSpec, sample: Sample) -> None:
    """A node of constants alone is evaluated when the engine is built: by the kernel that would run, in its types."""
    node, arrays = make_node(spec, sample)
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
