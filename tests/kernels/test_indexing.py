"""Operators with indices, running sums, triangles and rankings: against NumPy; indices out of range are errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.cumsum.op import CumsumAttrs
from ingot.kernels.gather_elements.op import GatherElementsAttrs
from ingot.kernels.gather_nd.op import GatherNdAttrs
from ingot.kernels.scatter_elements.op import ScatterElementsAttrs
from ingot.kernels.scatter_nd.op import REDUCTIONS, ScatterNdAttrs
from ingot.kernels.topk.op import TopkAttrs
from ingot.kernels.trilu.op import TriluAttrs

Run = Callable[..., list[np.ndarray]]
TYPES = (np.uint8, np.int8, np.int16, np.float32, np.float64, np.int64, np.uint64)
COMBINE = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
FAR = (100, -100, (1 << 31) - 1, -(1 << 31))

common = settings(max_examples=120, deadline=None)
splits = st.sampled_from((1, 3))
seeds = st.integers(0, 1 << 30)
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)
index_types = st.sampled_from((np.int32, np.int64))


def numbers(random: np.random.Generator, shape: Any, dtype: Any) -> np.ndarray:
    return random.integers(0, 100, shape).astype(dtype)


def one_wrong(random: np.random.Generator, indices: np.ndarray) -> np.ndarray:
    """The indices with one of them far out of range."""
    wrong = indices.copy()
    wrong.reshape(-1)[random.integers(wrong.size)] = FAR[random.integers(len(FAR))]
    return wrong


@common
@given(shapes, st.data(), seeds, st.sampled_from(TYPES), index_types, st.sampled_from(REDUCTIONS), splits)
def test_elements(
    run: Run, shape: Any, data: st.DataObject, seed: int, dtype: Any, index_type: Any, reduction: str, splits: int
) -> None:
    random = np.random.default_rng(seed)
    x, axis = numbers(random, shape, dtype), data.draw(st.integers(0, len(shape) - 1))
    taken = [int(random.integers(1, n + 1)) for n in shape]
    taken[axis] = data.draw(st.integers(0, 9))
    indices = random.integers(-shape[axis], shape[axis], taken).astype(index_type)
    places = [np.broadcast_to(a, taken) for a in np.ix_(*map(range, taken))]
    places[axis] = indices % shape[axis]
    (y,) = run("gather_elements", GatherElementsAttrs(axis), x, indices, splits=splits)
    np.testing.assert_array_equal(y, x[tuple(places)])

    updates, expected = numbers(random, taken, dtype), x.copy()
    if reduction == "none":
        for at in np.ndindex(*taken):
            expected[tuple(p[at] for p in places)] = updates[at]
    else:
        COMBINE[reduction].at(expected, tuple(places), updates)
    (y,) = run("scatter_elements", ScatterElementsAttrs(axis, reduction), x, indices, updates)
    np.testing.assert_array_equal(y, expected)

    if indices.size:
        wrong = one_wrong(random, indices)
        with pytest.raises(IngotError):
            run("gather_elements", GatherElementsAttrs(axis), x, wrong)
        with pytest.raises(IngotError):
            run("scatter_elements", ScatterElementsAttrs(axis, reduction), x, wrong, updates)


@common
@given(shapes, st.data(), seeds, st.sampled_from(TYPES), index_types, splits)
def test_gather_nd(
    run: Run, shape: Any, data: st.DataObject, seed: int, dtype: Any, index_type: Any, splits: int
) -> None:
    random = np.random.default_rng(seed)
    x, batch = numbers(random, shape, dtype), data.draw(st.integers(0, len(shape) - 1))
    size = data.draw(st.integers(1, len(shape) - batch))
    lead = shape[:batch] + data.draw(st.lists(st.integers(0, 4), max_size=2).map(tuple))
    indices = np.stack([random.integers(-n, n, lead) for n in shape[batch : batch + size]], -1).astype(index_type)
    expected = np.zeros(lead + shape[batch + size :], dtype)
    for at in np.ndindex(*lead):
        expected[at] = x[at[:batch] + tuple(indices[at])]
    (y,) = run("gather_nd", GatherNdAttrs(batch), x, indices, splits=splits)
    np.testing.assert_array_equal(y, expected)
    if expected.size:
        with pytest.raises(IngotError):
            run("gather_nd", GatherNdAttrs(batch), x, one_wrong(random, indices))


@common
@given(shapes, st.data(), seeds, st.sampled_from(TYPES), index_types, st.sampled_from(REDUCTIONS))
def test_scatter_nd(
    run: Run, shape: Any, data: st.DataObject, seed: int, dtype: Any, index_type: Any, reduction: str
) -> None:
    random = np.random.default_rng(seed)
    x, size = numbers(random, shape, dtype), data.draw(st.integers(1, len(shape)))
    lead = data.draw(st.lists(st.integers(0, 4), max_size=2).map(tuple))
    indices = np.stack([random.integers(-n, n, lead) for n in shape[:size]], -1).astype(index_type)
    updates, expected = numbers(random, lead + shape[size:], dtype), x.copy()
    for at in np.ndindex(*lead):
        place = tuple(indices[at])
        both = updates[at] if reduction == "none" else COMBINE[reduction](expected[place], updates[at])
        expected[place] = both
    (y,) = run("scatter_nd", ScatterNdAttrs(reduction), x, indices, updates)
    np.testing.assert_array_equal(y, expected)
    if indices.size:
        with pytest.raises(IngotError):
            run("scatter_nd", ScatterNdAttrs(reduction), x, one_wrong(random, indices), updates)


def test_scatter_wraps_as_numpy_does(run: Run) -> None:
    x, i = np.array([120, -128], np.int8), np.array([[0], [1]])
    (y,) = run("scatter_nd", ScatterNdAttrs("add"), x, i, np.array([10, -1], np.int8))
    np.testing.assert_array_equal(y, np.array([-126, 127], np.int8))


@common
@given(shapes, st.data(), seeds, st.booleans(), splits)
def test_trilu(run: Run, shape: Any, data: st.DataObject, seed: int, upper: bool, splits: int) -> None:
    x = numbers(np.random.default_rng(seed), (*shape, 5), data.draw(st.sampled_from(TYPES)))
    k = data.draw(st.sampled_from((0, 1, -2, 9, -9, (1 << 63) - 1, -(1 << 63))))
    (y,) = run("trilu", TriluAttrs(upper), x, np.array(k), splits=splits)
    np.testing.assert_array_equal(y, (np.triu if upper else np.tril)(x, max(-99, min(99, k))))


@common
@given(shapes, st.data(), seeds, st.booleans(), st.booleans(), st.booleans(), splits)
def test_cumsum(
    run: Run, shape: Any, data: st.DataObject, seed: int, exclusive: bool, reverse: bool, product: bool, splits: int
) -> None:
    dtype = data.draw(st.sampled_from((np.float32, np.float64, np.int32, np.int64, np.uint32, np.uint64)))
    x = np.random.default_rng(seed).integers(0, 9, shape).astype(dtype)
    axis = data.draw(st.integers(0, len(shape) - 1))
    (y,) = run("cumsum", CumsumAttrs(axis, exclusive, reverse, product), x, splits=splits)
    expected = (np.cumprod if product else np.cumsum)(np.flip(x, axis) if reverse else x, axis, dtype=dtype)
    if exclusive:
        expected = np.roll(expected, 1, axis)
        expected[(slice(None),) * axis + (0,)] = product
    np.testing.assert_array_equal(y, np.flip(expected, axis) if reverse else expected)


@common
@given(shapes, st.data(), seeds, st.booleans(), splits)
def test_topk(run: Run, shape: Any, data: st.DataObject, seed: int, smallest: bool, splits: int) -> None:
    dtype = data.draw(st.sampled_from(TYPES))
    random = np.random.default_rng(seed)
    x = random.integers(0, 9, shape).astype(dtype)  # few values: many ties
    if x.dtype.kind != "u":
        x = (x * random.choice([1, -1], shape)).astype(dtype)  # floats get negative zeros
    axis = data.draw(st.integers(0, len(shape) - 1))
    k = data.draw(st.integers(0, shape[axis]))
    values, indices = run("topk", TopkAttrs(axis, k, smallest), x, splits=splits)
    key = x.astype(np.float64)
    order = np.argsort(key if smallest else -key, axis, kind="stable").take(range(k), axis)
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(values, np.take_along_axis(x, order, axis))


def test_topk_ranks_nan_above_everything(run: Run) -> None:
    x = np.array([1, np.nan, np.inf, -np.inf, -np.nan, 3], np.float32)
    assert run("topk", TopkAttrs(0, 6), x)[1].tolist() == [1, 4, 2, 5, 0, 3]
    assert run("topk", TopkAttrs(0, 6, smallest=True), x)[1].tolist() == [3, 0, 5, 2, 1, 4]


def f32(*shape: int) -> np.ndarray:
    return empty(shape, np.float32)


def i64(*shape: int) -> np.ndarray:
    return empty(shape, np.int64)


REFUSED = {
    "gather axis": ("gather", [f32(3, 4), i64(2)], [f32(2, 4)], {"axis": 2}),
    "gather shape": ("gather", [f32(3, 4), i64(2)], [f32(3, 4)], {"axis": 0}),
    "gather indices": ("gather", [f32(3, 4), f32(2)], [f32(2, 4)], {"axis": 0}),
    "gather type": ("gather", [f32(3, 4), i64(2)], [i64(2, 4)], {"axis": 0}),
    "gather_elements axis": ("gather_elements", [f32(3), i64(2)], [f32(2)], {"axis": 1}),
    "gather_elements longer": ("gather_elements", [f32(3, 4), i64(4, 4)], [f32(4, 4)], {"axis": 1}),
    "gather_nd batch": ("gather_nd", [f32(3, 4), i64(3, 1)], [f32(3)], {"batch_dims": 2}),
    "gather_nd tuple": ("gather_nd", [f32(3, 4), i64(2, 3)], [f32(2)], {"batch_dims": 0}),
    "gather_nd empty tuple": ("gather_nd", [f32(3, 4), i64(2, 0)], [f32(2, 3, 4)], {"batch_dims": 0}),
    "scatter_nd reduction": ("scatter_nd", [f32(3), i64(2, 1), f32(2)], [f32(3)], {"reduction": 5}),
    "scatter_nd updates": ("scatter_nd", [f32(3), i64(2, 1), f32(3)], [f32(3)], {}),
    "scatter_nd output": ("scatter_nd", [f32(3), i64(2, 1), f32(2)], [f32(2)], {}),
    "scatter_elements axis": ("scatter_elements", [f32(3), i64(2), f32(2)], [f32(3)], {"axis": 1}),
    "scatter_elements longer": ("scatter_elements", [f32(3, 4), i64(4, 4), f32(4, 4)], [f32(3, 4)], {"axis": 1}),
    "trilu rank": ("trilu", [f32(3)], [f32(3)], {}),
    "trilu diagonal": ("trilu", [f32(3, 3), i64(2)], [f32(3, 3)], {}),
    "cumsum axis": ("cumsum", [f32(3)], [f32(3)], {"axis": 1}),
    "cumsum shape": ("cumsum", [f32(3)], [f32(4)], {"axis": 0}),
    "topk longer": ("topk", [f32(3)], [f32(4), i64(4)], {"axis": 0}),
    "topk axis": ("topk", [f32(3)], [f32(2), i64(2)], {"axis": 3}),
    "topk outputs": ("topk", [f32(3)], [f32(2), i64(3)], {"axis": 0}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    kernel, inputs, outputs, fields = REFUSED[case]
    with pytest.raises(IngotError, match=kernel):
        run_kernel(kernel, inputs, outputs, make_params(f"ingot_{kernel}_params", fields))
