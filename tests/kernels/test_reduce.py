"""Reductions, ArgMax and ArgMin, Softmax and its kin: against NumPy, on every instruction set, however split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.arg_reduce.op import ArgReduceAttrs
from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind
from ingot.kernels.softmax.op import SoftmaxAttrs, SoftmaxKind

Run = Callable[..., list[np.ndarray]]
FLOATS = (np.float32, np.float64)
INTEGERS = (np.int32, np.int64)
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

common = settings(max_examples=80, deadline=None)
seeds = st.integers(0, 1 << 30)
extents = st.sampled_from((1, 2, 3, 5, 17, 33, 64, 70, 130))
shapes = st.lists(extents, min_size=1, max_size=3).map(tuple)
isas = st.sampled_from(available_isas("reduce_f32"))

REDUCTIONS: dict[ReduceKind, Callable[..., Any]] = {
    ReduceKind.SUM: np.sum,
    ReduceKind.MEAN: np.mean,
    ReduceKind.MAX: np.max,
    ReduceKind.MIN: np.min,
    ReduceKind.PROD: np.prod,
    ReduceKind.L1: lambda x, **k: np.sum(np.abs(x), **k),
    ReduceKind.L2: lambda x, **k: np.sqrt(np.sum(x * x, **k)),
    ReduceKind.SUM_SQUARE: lambda x, **k: np.sum(x * x, **k),
    ReduceKind.LOG_SUM: lambda x, **k: np.log(np.sum(x, **k)),
    ReduceKind.LOG_SUM_EXP: lambda x, **k: np.log(np.sum(np.exp(x), **k)),
}


def isa_for(kernel: str, isa: str) -> str:
    return isa if isa in available_isas(kernel) else "portable"


@common
@given(shapes, st.data(), seeds, st.sampled_from(FLOATS + INTEGERS), st.sampled_from(list(ReduceKind)), isas)
def test_reductions(
    run: Run, shape: tuple[int, ...], data: st.DataObject, seed: int, dtype: Any, kind: ReduceKind, isa: str
) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1)))))
    random = np.random.default_rng(seed)
    if dtype in INTEGERS and kind in (ReduceKind.LOG_SUM, ReduceKind.LOG_SUM_EXP):
        return
    x = random.integers(-9, 9, shape).astype(dtype)
    if kind is ReduceKind.PROD:
        x = np.sign(x)
    elif dtype in FLOATS:
        x += random.standard_normal(shape).astype(dtype)
        x = np.abs(x) if kind is ReduceKind.LOG_SUM else x
    wide = x.astype(np.float64 if dtype in FLOATS else np.int64)
    expected = REDUCTIONS[kind](wide, axis=axes, keepdims=True)
    isa = isa_for("reduce_f32" if dtype is np.float32 else "reduce", isa)
    (y,) = run("reduce", ReduceAttrs(kind, axes), x, isa=isa)
    if dtype in FLOATS:
        scale = np.abs(expected).max(initial=1.0)
        np.testing.assert_allclose(y, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * scale)
    else:
        np.testing.assert_array_equal(y, np.trunc(expected).astype(dtype))
    (again,) = run("reduce", ReduceAttrs(kind, axes), x, isa=isa, splits=3)
    assert again.tobytes() == y.tobytes()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.bool_])
@pytest.mark.parametrize("kind", [ReduceKind.MAX, ReduceKind.MIN])
def test_bytes_have_an_order(run: Run, dtype: Any, kind: ReduceKind) -> None:
    x = np.random.default_rng(3).integers(-100, 100, (5, 300)).astype(dtype)
    (y,) = run("reduce", ReduceAttrs(kind, (1,)), x)
    np.testing.assert_array_equal(y, REDUCTIONS[kind](x, axis=1, keepdims=True))


def test_reductions_of_nothing(run: Run) -> None:
    identity = {ReduceKind.PROD: 1.0, ReduceKind.MAX: -np.inf, ReduceKind.MIN: np.inf}
    identity |= {ReduceKind.LOG_SUM: -np.inf, ReduceKind.LOG_SUM_EXP: -np.inf, ReduceKind.MEAN: np.nan}
    for kind in ReduceKind:
        (y,) = run("reduce", ReduceAttrs(kind, (0,)), np.zeros((0, 3), np.float32))
        np.testing.assert_array_equal(y, np.full((1, 3), identity.get(kind, 0.0)))
    (y,) = run("reduce", ReduceAttrs(ReduceKind.MIN, (0,)), np.zeros((0, 2), np.bool_))
    assert y.all()


@pytest.mark.parametrize("isa", available_isas("reduce_f32"))
def test_extremes_see_nan_and_long_sums_stay_accurate(run: Run, isa: str) -> None:
    x = np.zeros((3, 200), np.float32)
    x[1, 150] = np.nan
    for kind in (ReduceKind.MAX, ReduceKind.MIN):
        (y,) = run("reduce", ReduceAttrs(kind, (1,)), x, isa=isa)
        assert np.isnan(y).ravel().tolist() == [False, True, False]
    tenths = np.full((1 << 20, 1), 0.1, np.float32)
    for shape, axis in (((1, 1 << 20), 1), ((1 << 19, 2), 0)):
        (y,) = run("reduce", ReduceAttrs(ReduceKind.MEAN, (axis,)), tenths.reshape(shape), isa=isa)
        np.testing.assert_allclose(y, np.float32(0.1), rtol=5e-5)


def test_a_large_log_sum_exp_does_not_overflow(run: Run) -> None:
    for dtype in FLOATS:
        x = np.array([[1000.0, 1000.0], [-1000.0, -1000.0], [-np.inf, -np.inf]], dtype)
        (y,) = run("reduce", ReduceAttrs(ReduceKind.LOG_SUM_EXP, (1,)), x)
        np.testing.assert_allclose(y.ravel(), [1000 + np.log(2), -1000 + np.log(2), -np.inf], rtol=1e-6)


@common
@given(shapes, st.data(), seeds, st.sampled_from((*FLOATS, np.int8, np.uint8, *INTEGERS)), st.booleans(), st.booleans())
def test_places(
    run: Run, shape: tuple[int, ...], data: st.DataObject, seed: int, dtype: Any, smallest: bool, last: bool
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(seed).integers(0, 6, shape).astype(dtype)
    if dtype in FLOATS:
        x[np.random.default_rng(seed).random(shape) < 0.05] = np.nan
    place = np.argmin if smallest else np.argmax
    if last:
        expected = shape[axis] - 1 - place(np.flip(x, axis), axis, keepdims=True)
    else:
        expected = place(x, axis, keepdims=True)
    for isa in available_isas("arg_reduce_f32" if dtype is np.float32 else "arg_reduce"):
        (y,) = run("arg_reduce", ArgReduceAttrs(axis, smallest, last), x, isa=isa, splits=2)
        np.testing.assert_array_equal(y, expected)


@common
@given(shapes, st.data(), seeds, st.sampled_from(FLOATS), st.sampled_from(list(SoftmaxKind)))
def test_softmax(
    run: Run, shape: tuple[int, ...], data: st.DataObject, seed: int, dtype: Any, kind: SoftmaxKind
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = (np.random.default_rng(seed).standard_normal(shape) * 5).astype(dtype)
    shifted = x.astype(np.float64) - x.max(axis, keepdims=True)
    total = np.exp(shifted).sum(axis, keepdims=True)
    expected = {
        SoftmaxKind.SOFTMAX: np.exp(shifted) / total,
        SoftmaxKind.LOG_SOFTMAX: shifted - np.log(total),
        SoftmaxKind.HARDMAX: np.arange(shape[axis]).reshape([-1] + [1] * (len(shape) - axis - 1))
        == x.argmax(axis, keepdims=True),
    }[kind]
    for isa in available_isas("softmax_f32" if dtype is np.float32 else "softmax_f64"):
        (y,) = run("softmax", SoftmaxAttrs(axis, kind), x, isa=isa)
        np.testing.assert_allclose(y, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        (again,) = run("softmax", SoftmaxAttrs(axis, kind), x, isa=isa, splits=3)
        assert again.tobytes() == y.tobytes()


@pytest.mark.parametrize("isa", available_isas("softmax_f32"))
@pytest.mark.parametrize("shape,axis", [((4, 100), 1), ((40, 5), 1), ((3, 50, 7), 1)])
def test_softmax_in_place_and_masked(isa: str, shape: tuple[int, ...], axis: int) -> None:
    """Output and input may be the same bytes; what is masked by minus infinity gets nothing."""
    x = empty(shape, np.float32)
    x[...] = np.random.default_rng(1).standard_normal(shape)
    np.moveaxis(x, axis, 0)[1] = -np.inf
    before, apart = x.copy(), empty(shape, np.float32)
    params = make_params("ingot_softmax_params", {"kind": 0, "axis": axis})
    run_kernel("softmax_f32", [x], [apart], params, isa=isa)
    assert (np.moveaxis(apart, axis, 0)[1] == 0).all()
    run_kernel("softmax_f32", [x], [x], params, isa=isa)
    assert not np.array_equal(x, before)
    np.testing.assert_array_equal(x, apart)


REDUCE, ARG, SOFT = "ingot_reduce_params", "ingot_arg_reduce_params", "ingot_softmax_params"


@pytest.mark.parametrize(
    "kernel,struct,fields,shape,result",
    [
        ("reduce_f32", REDUCE, {"kind": 10, "axes": 1}, (1, 3), np.float32),
        ("reduce_f32", REDUCE, {"kind": 0, "axes": 4}, (1, 3), np.float32),
        ("reduce_f32", REDUCE, {"kind": 0, "axes": 1}, (2, 3), np.float32),
        ("reduce_f32", REDUCE, {"kind": 0, "axes": 1}, (1, 4), np.float32),
        ("reduce_f32", REDUCE, {"kind": 0, "axes": 1}, (3,), np.float32),
        ("reduce_f32", REDUCE, {"kind": 0, "axes": 1}, (1, 3), np.float64),
        ("arg_reduce_f32", ARG, {"axis": 2}, (1, 3), np.int64),
        ("arg_reduce_f32", ARG, {"axis": 0, "last": 2}, (1, 3), np.int64),
        ("arg_reduce_f32", ARG, {"axis": 0}, (1, 3), np.int32),
        ("arg_reduce_f32", ARG, {"axis": 0}, (2, 3), np.int64),
        ("softmax_f32", SOFT, {"kind": 3, "axis": 0}, (2, 3), np.float32),
        ("softmax_f32", SOFT, {"kind": 0, "axis": 2}, (2, 3), np.float32),
        ("softmax_f32", SOFT, {"kind": 0, "axis": 1}, (3, 3), np.float32),
    ],
)
def test_what_does_not_fit_is_refused(
    kernel: str, struct: str, fields: dict[str, int], shape: tuple[int, ...], result: Any
) -> None:
    with pytest.raises(IngotError):
        run_kernel(kernel, [empty((2, 3), np.float32)], [empty(shape, result)], make_params(struct, fields))


def test_a_place_in_nothing_is_refused() -> None:
    with pytest.raises(IngotError):
        params = make_params(ARG, {"axis": 0})
        run_kernel("arg_reduce_f32", [empty((0, 3), np.float32)], [empty((1, 3), np.int64)], params)
