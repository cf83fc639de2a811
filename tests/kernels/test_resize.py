"""Resize and grid_sample: against ONNX's formulas in float64, on every instruction set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference.ops import op_resize
from onnx.reference.ops.op_grid_sample import GridSample

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.grid_sample.op import MODES as GRID_MODES
from ingot.kernels.grid_sample.op import PADDINGS, GridSampleAttrs
from ingot.kernels.resize.op import COORDINATES, MODES, ROUNDINGS, ResizeAttrs

Run = Callable[..., list[np.ndarray]]
common = settings(max_examples=150, deadline=None)


def filter_of(attrs: ResizeAttrs) -> Callable[[float, float], np.ndarray]:
    """ONNX's coefficients for a place between elements."""
    if attrs.mode == "nearest":
        return lambda ratio, scale: op_resize._nearest_coeffs(ratio, mode=attrs.rounding)
    if attrs.mode == "linear":
        return op_resize._linear_coeffs_antialias if attrs.antialias else op_resize._linear_coeffs
    cubic = op_resize._cubic_coeffs_antialias if attrs.antialias else op_resize._cubic_coeffs
    return lambda ratio, scale: cubic(ratio, scale, A=attrs.cubic_a)


def expected_resize(attrs: ResizeAttrs, x: np.ndarray) -> np.ndarray:
    y = x.astype(np.float64)
    for axis, resized in enumerate(attrs.resized(x.shape)):
        if resized:
            y = op_resize._interpolate_1d_along_axis(
                y,
                axis,
                attrs.scales[axis],
                attrs.shape[axis],
                filter_of(attrs),
                roi=attrs.roi and list(attrs.roi[axis]),
                extrapolation_value=attrs.extrapolation,
                coordinate_transformation_mode=attrs.coordinate,
                exclude_outside=attrs.exclude_outside,
            )
    return y


@st.composite
def resizes(draw: st.DrawFn) -> tuple[ResizeAttrs, np.ndarray]:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    extents, scales = list(shape), [1.0] * len(shape)
    for axis, n in enumerate(shape):
        kind = draw(st.sampled_from(("keep", "scale", "extent")))
        if kind == "scale":
            scales[axis] = draw(st.sampled_from((0.5, 0.75, 1.5, 2.0, 2.625, 3.0)))
            extents[axis] = max(1, int(n * scales[axis]))
        elif kind == "extent":
            extents[axis] = draw(st.integers(1, 9))
            scales[axis] = extents[axis] / n
    mode = draw(st.sampled_from(MODES))
    # the reference has no tf_half_pixel_for_nn, which opset 13 dropped
    coordinate = draw(st.sampled_from([c for c in COORDINATES if c != "tf_half_pixel_for_nn"]))
    ends = st.tuples(st.sampled_from((0.0, 0.25, -0.25)), st.sampled_from((1.0, 0.75, 1.25)))
    attrs = ResizeAttrs(
        shape=tuple(extents),
        scales=tuple(scales),
        mode=mode,
        coordinate=coordinate,
        rounding=draw(st.sampled_from(ROUNDINGS)),
        roi=tuple(draw(ends) for _ in shape) if coordinate == "tf_crop_and_resize" else None,
        cubic_a=draw(st.sampled_from((-0.75, -0.5))),
        extrapolation=7.5,
        antialias=mode != "nearest" and draw(st.booleans()),
        exclude_outside=mode != "nearest" and draw(st.booleans()),
    )
    random = np.random.default_rng(draw(st.integers(0, 99)))
    return attrs, random.standard_normal(shape).astype(draw(st.sampled_from((np.float32, np.float64))))


@common
@given(resizes(), st.sampled_from((1, 3)), st.sampled_from((0, 3)))
def test_resize(run: Run, case: tuple[ResizeAttrs, np.ndarray], splits: int, gap: int) -> None:
    attrs, x = case
    results = [run("resize", attrs, x, isa=isa, splits=splits, gap=gap)[0] for isa in available_isas("resize")]
    expected = expected_resize(attrs, x)
    np.testing.assert_allclose(results[0], expected, rtol=1e-4, atol=1e-5)
    for y in results[1:]:  # the kernel says that it is exact
        np.testing.assert_array_equal(y, results[0])


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_resize_of_images(run: Run, mode: str, channels_last: bool) -> None:
    shape, scales = ((2, 9, 13, 24), (1, 2, 2, 1)) if channels_last else ((2, 24, 9, 13), (1, 1, 2, 2))
    attrs = ResizeAttrs(tuple(n * s for n, s in zip(shape, scales)), tuple(map(float, scales)), mode)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    for isa in available_isas("resize"):
        (y,) = run("resize", attrs, x, isa=isa, splits=2)
        np.testing.assert_allclose(y, expected_resize(attrs, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.bool_, np.int64])
def test_nearest_moves_any_type(run: Run, dtype: Any) -> None:
    x = np.arange(2 * 3 * 5).reshape(2, 3, 5).astype(dtype)
    attrs = ResizeAttrs((2, 6, 10), (1.0, 2.0, 2.0), "nearest", "asymmetric", "floor")
    np.testing.assert_array_equal(run("resize", attrs, x)[0], x.repeat(2, 1).repeat(2, 2))


SOUND = {"scale": [1.0, 2.0], "roi_end": [1.0, 1.0], "cubic_a": -0.75, "axes": 2, "mode": 1}
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "fields",
    [
        {"scale": [1.0, NAN]},
        {"scale": [1.0, INFINITE]},
        {"scale": [1.0, 0.0]},
        {"scale": [1.0, -1.0]},
        {"scale": [1.0, 1e-300], "antialias": 1},
        {"scale": [1.0, 1e-5], "antialias": 1, "mode": 2},
        {"roi_end": [1.0, NAN]},
        {"cubic_a": NAN},
        {"axes": 0},
        {"mode": 3},
        {"coordinate": 7},
        {"rounding": 4},
        {"antialias": 2},
        {"exclude_outside": 2},
    ],
)
def test_resize_refuses(fields: dict[str, Any]) -> None:
    x, y = empty((3, 4), np.float32), empty((3, 8), np.float32)
    run_kernel("resize", [x], [y], make_params("ingot_resize_params", SOUND))
    with pytest.raises(IngotError, match="resize"):
        run_kernel("resize", [x], [y], make_params("ingot_resize_params", {**SOUND, **fields}))


@st.composite
def samplings(draw: st.DrawFn) -> tuple[GridSampleAttrs, np.ndarray, np.ndarray]:
    axes = draw(st.integers(1, 3))
    align = draw(st.booleans())
    image = draw(st.lists(st.integers(2 if align else 1, 5), min_size=axes, max_size=axes))
    points = draw(st.lists(st.integers(1, 3), min_size=axes, max_size=axes))
    batch, channels = draw(st.integers(1, 2)), draw(st.sampled_from((1, 3, 17)))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    x = random.standard_normal((batch, *image, channels)).astype(np.float32)
    grid = random.uniform(-2.2, 2.2, (batch, *points, axes)).astype(np.float32)
    return GridSampleAttrs(draw(st.sampled_from(GRID_MODES)), draw(st.sampled_from(PADDINGS)), align), x, grid


@settings(max_examples=40, deadline=None)
@given(samplings(), st.sampled_from((1, 3)), st.sampled_from((0, 3)))
def test_grid_sample(run: Run, case: tuple[GridSampleAttrs, np.ndarray, np.ndarray], splits: int, gap: int) -> None:
    attrs, x, grid = case
    reference = GridSample.__new__(GridSample)
    reference.mode, reference.padding_mode, reference.align_corners = attrs.mode, attrs.padding, attrs.align_corners
    first = np.moveaxis(x, -1, 1)
    (expected,) = GridSample._run(reference, first, grid, attrs.mode, attrs.padding, attrs.align_corners)
    for isa in available_isas("grid_sample"):
        (y,) = run("grid_sample", attrs, x, grid, isa=isa, splits=splits, gap=gap)
        np.testing.assert_allclose(y, np.moveaxis(expected, 1, -1), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("mode", GRID_MODES)
@pytest.mark.parametrize("padding", PADDINGS)
def test_points_that_are_no_places(run: Run, mode: str, padding: str) -> None:
    far = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e10], np.float32)
    grid = np.stack(np.meshgrid(far, far), -1)[None]
    for extent in (1, 4):
        x = np.ones((1, extent, 5, 3), np.float32)
        for align in (False, True):
            (y,) = run("grid_sample", GridSampleAttrs(mode, padding, align), x, grid)
            assert padding != "zeros" or not y.any()
