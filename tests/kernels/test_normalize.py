"""Normalisations: against NumPy in float64, on every instruction set, however split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.normalize.op import NormalizeAttrs, NormalizeKind

Run = Callable[..., list[np.ndarray]]
common = settings(max_examples=80, deadline=None)
seeds = st.integers(0, 1 << 30)
shapes = (
    st.lists(st.sampled_from((1, 2, 3, 7, 33, 64, 100)), min_size=1, max_size=4)
    .map(tuple)
    .filter(lambda s: np.prod(s) <= 30000)
)
EPSILON = 1e-5


def moments(x: np.ndarray, axes: tuple[int, ...], kind: NormalizeKind) -> tuple[np.ndarray, np.ndarray]:
    """Mean and inverse deviation; the mean of RMS is 0."""
    mean = x.mean(axes, keepdims=True) * (kind is not NormalizeKind.RMS)
    return mean, 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + EPSILON)


def close(y: np.ndarray, expected: np.ndarray, dtype: Any) -> None:
    tolerance = 5e-5 if dtype is np.float32 else 1e-10
    np.testing.assert_allclose(y, expected, rtol=tolerance, atol=tolerance * max(np.abs(expected).max(), 1))


@common
@given(shapes, st.data(), seeds, st.sampled_from((np.float32, np.float64)), st.booleans())
def test_layer_and_rms(run: Run, shape: Any, data: st.DataObject, seed: int, dtype: Any, rms: bool) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    random = np.random.default_rng(seed)
    x = (random.standard_normal(shape) * 3 + 1).astype(dtype)
    scale, bias = (random.standard_normal(shape[axis:]).astype(dtype) for _ in range(2))
    kind = NormalizeKind.RMS if rms else NormalizeKind.LAYER
    mean, inverse = moments(x.astype(np.float64), tuple(range(axis, len(shape))), kind)
    expected = [(x - mean) * inverse * scale + bias, mean, inverse][: 1 if rms else 3]
    attrs = NormalizeAttrs(kind, EPSILON, axis, outputs=len(expected))
    for isa in available_isas("normalize_f32" if dtype is np.float32 else "normalize_f64"):
        results = run("normalize", attrs, x, scale, bias, isa=isa)
        for y, wanted in zip(results, expected, strict=True):
            close(y, wanted, dtype)
        again = run("normalize", attrs, x, scale, bias, isa=isa, splits=3)
        assert [y.tobytes() for y in again] == [y.tobytes() for y in results]


@common
@given(shapes.filter(lambda s: len(s) > 1), st.data(), seeds, st.sampled_from((np.float32, np.float64)))
def test_groups(run: Run, shape: Any, data: st.DataObject, seed: int, dtype: Any) -> None:
    channels = shape[-1]
    groups = data.draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    random = np.random.default_rng(seed)
    x = (random.standard_normal(shape) * 3 + 1).astype(dtype)
    scale, bias = (random.standard_normal(channels).astype(dtype) for _ in range(2))
    apart = x.astype(np.float64).reshape(shape[0], -1, groups, channels // groups)
    mean, inverse = moments(apart, (1, 3), NormalizeKind.GROUP)
    expected = ((apart - mean) * inverse).reshape(shape) * scale + bias
    attrs = NormalizeAttrs(NormalizeKind.GROUP, EPSILON, groups=groups)
    for isa in available_isas("normalize_f32" if dtype is np.float32 else "normalize_f64"):
        (y,) = run("normalize", attrs, x, scale, bias, isa=isa)
        # with two elements in a group a difference of 1e-7 in x is one of 1e-4 in y
        close(y, expected, dtype) if apart.size // apart.shape[0] // groups > 2 else None
        (again,) = run("normalize", attrs, x, scale, bias, isa=isa, splits=3)
        assert again.tobytes() == y.tobytes()


def test_a_very_long_row_stays_accurate(run: Run) -> None:
    x = (np.random.default_rng(0).standard_normal((1, 3_000_000)) + 20).astype(np.float32)
    mean, inverse = moments(x.astype(np.float64), (1,), NormalizeKind.LAYER)
    (y,) = run("normalize", NormalizeAttrs(NormalizeKind.LAYER, EPSILON, 1), x)
    close(y, (x - mean) * inverse, np.float32)


@pytest.mark.parametrize("kind", [0, 2])
def test_in_place(kind: int) -> None:
    x = empty((3, 5, 40), np.float32)
    x[...] = np.random.default_rng(1).standard_normal(x.shape)
    apart = empty(x.shape, np.float32)
    params = make_params("ingot_normalize_params", {"kind": kind, "axis": 2, "groups": 8, "epsilon": EPSILON})
    for isa in available_isas("normalize_f32"):
        before = x.copy()
        run_kernel("normalize_f32", [x], [apart], params, isa=isa)
        run_kernel("normalize_f32", [x], [x], params, isa=isa)
        np.testing.assert_array_equal(x, apart)
        x[...] = before


@pytest.mark.parametrize(
    "fields,factor,result",
    [
        ({"kind": 3, "axis": 1}, (8,), (2, 8)),
        ({"kind": 0, "axis": 2}, (8,), (2, 8)),
        ({"kind": 0, "axis": 1}, (7,), (2, 8)),
        ({"kind": 0, "axis": 1}, (1, 8), (2, 8)),
        ({"kind": 0, "axis": 1}, (8,), (2, 7)),
        ({"kind": 2, "groups": 0}, (8,), (2, 8)),
        ({"kind": 2, "groups": 3}, (8,), (2, 8)),
        ({"kind": 2, "groups": 4}, (4,), (2, 8)),
        ({"kind": 0, "axis": 1, "reserved": 1}, (8,), (2, 8)),
    ],
)
def test_what_does_not_fit_is_refused(fields: dict[str, int], factor: Any, result: Any) -> None:
    operands = [empty((2, 8), np.float32), empty(factor, np.float32)]
    with pytest.raises(IngotError):
        run_kernel(
            "normalize_f32", operands, [empty(result, np.float32)], make_params("ingot_normalize_params", fields)
        )


def test_moments_of_the_wrong_shape_are_refused() -> None:
    params = make_params("ingot_normalize_params", {"kind": 0, "axis": 1})
    outputs = [empty((2, 8), np.float32), empty((2, 8), np.float32)]
    with pytest.raises(IngotError):
        run_kernel("normalize_f32", [empty((2, 8), np.float32)], outputs, params)
