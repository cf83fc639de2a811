"""Pooling and LRN: against windows taken one by one in NumPy, on every instruction set, however split and pitched."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.lrn.op import LrnAttrs
from ingot.kernels.pool.op import PoolAttrs, PoolKind
from ingot.kernels.spec import Unsupported

Run = Callable[..., list[np.ndarray]]
common = settings(max_examples=80, deadline=None)
seeds = st.integers(0, 1 << 30)


def windows(attrs: PoolAttrs, x: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The result for x [N, *S, C] and, for maxima, the place of each in the flattened channels-first input."""
    spatial, n = x.shape[1:-1], len(attrs.kernel)
    y, places = np.zeros(shape), np.zeros(shape, np.int64)
    planes = np.moveaxis(x, -1, 1).reshape(x.shape[0], x.shape[-1], -1).astype(np.float64)
    order = "C" if attrs.storage_order == 0 else "F"
    for out in np.ndindex(*shape[1:-1]):
        begins = [o * s - p for o, s, p in zip(out, attrs.strides, attrs.pads)]
        taps = [
            [b + k * d for k in range(size)] for b, size, d in zip(begins, attrs.kernel, attrs.dilations, strict=True)
        ]
        counted = [[t for t in ts if t < s + e] for ts, s, e in zip(taps, spatial, attrs.pads[n:], strict=True)]
        inside = list(itertools.product(*([t for t in ts if 0 <= t < s] for ts, s in zip(taps, spatial))))
        rows = [np.ravel_multi_index(i, spatial) for i in inside]
        at = [np.ravel_multi_index(i, spatial, order=order) for i in inside]
        part = planes[:, :, rows]
        if attrs.kind is PoolKind.MAX:
            first = part.argmax(-1)
            y[(slice(None), *out)] = part.max(-1)
            base = np.arange(x.shape[0] * x.shape[-1]).reshape(x.shape[0], -1) * int(np.prod(spatial))
            places[(slice(None), *out)] = base + np.asarray(at)[first]
        elif attrs.kind is PoolKind.LP:
            y[(slice(None), *out)] = (np.abs(part) ** attrs.p).sum(-1) ** (1 / attrs.p)
        else:
            count = len(inside) if attrs.kind is PoolKind.AVERAGE else np.prod([len(c) for c in counted])
            y[(slice(None), *out)] = part.sum(-1) / count
    return y, places


@st.composite
def cases(draw: st.DrawFn) -> tuple[PoolAttrs, tuple[int, ...]]:
    n = draw(st.integers(1, 3))
    size = st.integers(1, 9 if n < 3 else 5)
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(n))
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(n))
    # no window may lie in the padding alone
    pads = tuple(draw(st.integers(0, (kernel[i % n] - 1) // 2)) for i in range(2 * n))
    spatial = tuple(max(draw(size), (k - 1) * d + 1) for k, d in zip(kernel, dilations, strict=True))
    attrs = PoolAttrs(
        draw(st.sampled_from(list(PoolKind))),
        kernel,
        tuple(draw(st.integers(1, 3)) for _ in range(n)),
        pads,
        dilations,
        ceil_mode=draw(st.booleans()),
        p=draw(st.integers(1, 3)),
        storage_order=draw(st.integers(0, 1)),
    )
    channels = draw(st.sampled_from((1, 3, 8, 16, 20, 33, 70)))
    return attrs, (draw(st.integers(1, 2)), *spatial, channels)


@common
@given(
    cases(), seeds, st.sampled_from((np.float32, np.float32, np.float64, np.int8, np.uint8)), st.sampled_from((0, 5))
)
def test_windows(run: Run, case: tuple[PoolAttrs, tuple[int, ...]], seed: int, dtype: Any, gap: int) -> None:
    attrs, shape = case
    random = np.random.default_rng(seed)
    if dtype in (np.int8, np.uint8):
        if attrs.kind is not PoolKind.MAX:
            return
        x = random.integers(0, 100, shape).astype(dtype)
    else:
        x = random.standard_normal(shape).astype(dtype)
    fast = dtype is np.float32 and attrs.kind is not PoolKind.LP
    tolerance = 1e-5 if dtype is np.float32 else 1e-12
    for isa in available_isas("pool_f32" if fast else "pool"):
        (y,) = run("pool", attrs, x, isa=isa, gap=gap)
        np.testing.assert_allclose(y, windows(attrs, x, y.shape)[0], rtol=tolerance, atol=tolerance)
        (again,) = run("pool", attrs, x, isa=isa, gap=gap, splits=3)
        assert again.tobytes() == y.tobytes()


@common
@given(cases(), seeds, st.sampled_from((np.float32, np.float64, np.uint8)))
def test_places_of_maxima(run: Run, case: tuple[PoolAttrs, tuple[int, ...]], seed: int, dtype: Any) -> None:
    attrs, shape = case
    if attrs.kind is not PoolKind.MAX:
        return
    attrs = PoolAttrs(**{f: getattr(attrs, f) for f in attrs.__dataclass_fields__} | {"indices": True})
    x = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape)
    x = (x % 250).astype(dtype) if dtype is np.uint8 else x.astype(dtype)
    y, places = run("pool", attrs, x, splits=2)
    expected, where = windows(attrs, x, y.shape)
    np.testing.assert_array_equal(y, expected)
    if dtype is not np.uint8:  # no two are equal
        np.testing.assert_array_equal(places, where)


@pytest.mark.parametrize("isa", available_isas("pool_f32"))
def test_an_empty_input_row_reads_nothing(isa: str) -> None:
    """Windows that lie in the padding alone: only a hostile file has them. They give the identity, from no memory."""
    fields = {"kind": 0, "kernel": [3, 3, 1], "stride": [1, 1, 1], "dilation": [1, 1, 1]}
    y = empty((1, 2, 50, 4), np.float32)
    for shape in ((1, 0, 50, 4), (1, 2, 0, 4)):
        run_kernel("pool_f32", [empty(shape, np.float32)], [y], make_params("ingot_pool_params", fields), isa=isa)
        assert (y == -np.inf).all()


GOOD = {"kind": 0, "kernel": [2, 2, 1], "stride": [1, 1, 1], "dilation": [1, 1, 1]}


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 4},
        {"kind": 3},
        {"storage_order": 2},
        {"kernel": [0, 2, 1]},
        {"kernel": [-1, 2, 1]},
        {"stride": [0, 1, 1]},
        {"dilation": [1, 0, 1]},
        {"pad_begin": [-1, 0, 0]},
        {"pad_end": [0, -1, 0]},
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    for kernel in ("pool_f32", "pool"):
        with pytest.raises(IngotError):
            params = make_params("ingot_pool_params", GOOD | change)
            run_kernel(kernel, [empty((1, 5, 5, 3), np.float32)], [empty((1, 4, 4, 3), np.float32)], params)


@pytest.mark.parametrize("shape", [(1, 4, 4, 4), (2, 4, 4, 3), (1, 4, 12)])
def test_other_batches_and_channels_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(IngotError):
        params = make_params("ingot_pool_params", GOOD)
        run_kernel("pool_f32", [empty((1, 5, 5, 3), np.float32)], [empty(shape, np.float32)], params)


def test_a_huge_window_costs_no_more_than_its_input() -> None:
    huge = (1 << 31) - 1
    fields = {"kind": 2, "kernel": [huge] * 3, "stride": [huge] * 3, "dilation": [1] * 3, "pad_end": [huge] * 3}
    y = empty((1, 3, 3, 3, 4), np.float32)
    for kernel in ("pool_f32", "pool"):
        x = empty((1, 4, 4, 4, 4), np.float32)
        run_kernel(kernel, [x], [y], make_params("ingot_pool_params", {"p": 1} | fields))


def test_a_window_larger_than_its_input_is_named(run: Run) -> None:
    with pytest.raises(Unsupported):
        run("pool", PoolAttrs(PoolKind.MAX, (5,), (1,), (0, 0), (1,)), np.zeros((1, 3, 2), np.float32))


@pytest.mark.parametrize("size,beta", [(1, 0.75), (2, 0.75), (5, 0.6), (100, 0.75)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lrn(run: Run, size: int, beta: float, dtype: Any) -> None:
    x = np.random.default_rng(2).standard_normal((2, 9, 37)).astype(dtype)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (0, 0), ((size - 1) // 2, size // 2)))
    total = np.lib.stride_tricks.sliding_window_view(squares, size, -1).sum(-1)
    expected = x / (2 + 0.3 / size * total) ** beta
    for isa in available_isas("lrn_f32" if dtype is np.float32 else "lrn_f64"):
        (y,) = run("lrn", LrnAttrs(size, 0.3, beta, 2.0), x, isa=isa, splits=2)
        np.testing.assert_allclose(y, expected, rtol=1e-5)
