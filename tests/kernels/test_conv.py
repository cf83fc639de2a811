"""Convolutions and matrix products against NumPy, on every instruction set, however split and pitched."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import aligned, available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.conv.int8 import pack_conv_s8, pack_depthwise_s8
from ingot.kernels.conv.panels import pack_conv, pack_depthwise
from ingot.kernels.conv.winograd import pack_winograd
from ingot.kernels.conv_transpose.op import ConvTransposeAttrs, mirror
from ingot.kernels.matmul.op import MatMulAttrs
from ingot.kernels.matmul.op import pack as pack_matmul

common = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 1 << 30)


def convolve(x: np.ndarray, w: np.ndarray, p: dict[str, Any], padding: float = 0) -> np.ndarray:
    """x [N, D, H, W, C], w [O, C / groups, D, H, W] -> [N, ..., O], in the type of x."""
    groups, pads = p["groups"], list(zip(p["pads_begin"], p["pads_end"]))
    x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=padding)
    window = [(k - 1) * d + 1 for k, d in zip(p["kernel"], p["dilations"])]
    out = [max((n - k) // s + 1, 0) if n >= k else 0 for n, k, s in zip(x.shape[1:4], window, p["strides"])]
    y = np.zeros((x.shape[0], *out, w.shape[0]), x.dtype)
    channels, columns = w.shape[1], w.shape[0] // groups
    for tap in itertools.product(*map(range, p["kernel"])):
        at = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s) if n else slice(0, 0)
            for t, d, n, s in zip(tap, p["dilations"], out, p["strides"])
        )
        for g in range(groups):
            part = x[(slice(None), *at, slice(g * channels, (g + 1) * channels))]
            weights = w[(slice(g * columns, (g + 1) * columns), slice(None), *tap)]
            y[..., g * columns : (g + 1) * columns] += part @ weights.T
    return y


@st.composite
def cases(draw: st.DrawFn, depthwise: bool = False) -> tuple[dict[str, Any], tuple[int, ...], int, int]:
    """Parameters, shape of x, channels a group in and out; axes that the rank does not have are 1."""
    axes = draw(st.integers(1, 3))

    def per_axis(low: int, high: int, missing: int) -> list[int]:
        return [missing] * (3 - axes) + [draw(st.integers(low, high)) for _ in range(axes)]

    channels = st.sampled_from([1, 3, 4, 5, 16, 17, 33])
    groups = draw(channels if depthwise else st.sampled_from([1, 1, 1, 2, 3]))
    fan_in, fan_out = (1, 1) if depthwise else (draw(channels), draw(channels))
    params = {
        "kernel": per_axis(1, 4, 1),
        "strides": per_axis(1, 3, 1),
        "dilations": per_axis(1, 2, 1),
        "pads_begin": per_axis(0, 3, 0),
        "pads_end": per_axis(0, 3, 0),
        "groups": groups,
    }
    shape = (draw(st.integers(1, 2)), *per_axis(1, 14 if axes < 3 else 6, 1), groups * fan_in)
    return params, shape, fan_in, fan_out


def pitched(shape: tuple[int, ...], dtype: Any, gap: int) -> np.ndarray:
    """Rows ``gap`` elements apart, filled with 9."""
    base = empty((*shape[:-1], shape[-1] + gap), dtype)
    base[...] = 9
    return base[..., : shape[-1]]


def check_f32(kernel: str, case: tuple[dict[str, Any], tuple[int, ...], int, int], seed: int, **cut: int) -> None:
    """``cut``: the fields of the parameters of minimal filtering."""
    params, shape, fan_in, fan_out = case
    rng = np.random.default_rng(seed)
    groups = params["groups"]
    w = rng.standard_normal((groups * fan_out, fan_in, *params["kernel"])).astype(np.float32)
    x, bias = rng.standard_normal(shape).astype(np.float32), rng.standard_normal(groups * fan_out).astype(np.float32)
    expected = convolve(x.astype(np.float64), w.astype(np.float64), params) + bias
    residual = rng.standard_normal(expected.shape).astype(np.float32)
    expected = np.maximum(expected + residual, 0)
    node = SimpleNamespace(attrs=SimpleNamespace(groups=groups))
    conv = params | {"activation": {"kind": 1}}
    if cut:
        packed, fields = pack_winograd(w, cut["tile"]), make_params("ingot_conv_winograd_params", {"conv": conv} | cut)
    else:
        packed = (pack_depthwise if kernel.startswith("conv_f32_dw") else pack_conv)(node, w)
        fields = make_params("ingot_conv_params", conv)
    packed = aligned(packed)
    for isa in available_isas(kernel):
        results = []
        for splits, gap in ((1, 0), (3, 0), (2, 5)):
            given_x, y = pitched(shape, np.float32, gap), pitched(expected.shape, np.float32, gap)
            given_x[...] = x
            run_kernel(kernel, [given_x, packed, bias, residual], [y], fields, isa=isa, constant=[1], splits=splits)
            np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
            results.append(y.copy())
        np.testing.assert_array_equal(results[0], results[1], err_msg=f"{isa}: bits depend on how the work is split")


@common
@given(cases(), seeds)
def test_conv(case: Any, seed: int) -> None:
    check_f32("conv_f32_n16", case, seed)


@common
@given(cases(depthwise=True), seeds)
def test_depthwise(case: Any, seed: int) -> None:
    check_f32("conv_f32_dw", case, seed)


@common
@given(cases(depthwise=True), seeds, st.integers(1, 2))
def test_depthwise_in_tiles(case: Any, seed: int, stride: int) -> None:
    params, (batch, _, *extents), fan_in, fan_out = case
    params |= {"kernel": [1, 3, 3], "strides": [1, stride, stride], "dilations": [1] * 3}
    params |= {name: [0, *params[name][1:]] for name in ("pads_begin", "pads_end")}
    check_f32("conv_f32_dw_tile", (params, (batch, 2, *extents), fan_in, fan_out), seed)


@pytest.mark.parametrize(
    "change",
    [
        {"strides": [1, 1, 2]},
        {"strides": [1, 3, 3]},
        {"dilations": [1, 2, 2]},
        {"kernel": [3, 3, 1]},
        {"groups": 1},
    ],
)
def test_depthwise_tiles_refuse_what_does_not_fit(change: dict[str, Any]) -> None:
    def run(params: dict[str, Any]) -> None:
        pads = [(k - 1) * d // 2 for k, d in zip(params["kernel"], params["dilations"])]
        params = params | {"pads_begin": pads, "pads_end": pads}
        extents = [-(-n // s) for n, s in zip((3, 6, 6), params["strides"])]
        x, y, w = (empty(shape, np.float32) for shape in ((1, 3, 6, 6, 4), (1, *extents, 4), (1, 9, 16)))
        run_kernel("conv_f32_dw_tile", [x, w, None, None], [y], make_params("ingot_conv_params", params))

    sound = {"kernel": [1, 3, 3], "strides": [1, 2, 2], "dilations": [1] * 3, "groups": 4}
    run(sound)
    with pytest.raises(IngotError, match="conv"):
        run(sound | change)


CUT = {"rows": 3, "slice": 1, "tile_major": 1}


@pytest.mark.parametrize(
    "change", [{"rows": 0}, {"rows": 11}, {"slice": 0}, {"slice": 65}, {"tile_major": 2}, {"reserved": 1}]
)
def test_cuts_out_of_range_are_refused(change: dict[str, int]) -> None:
    params = {name: [1, 1, 1] for name in ("kernel", "strides", "dilations")} | {"groups": 1}
    x, y, w = empty((1, 4, 4, 3), np.float32), empty((1, 4, 4, 2), np.float32), empty((1, 1, 3, 16), np.float32)
    a, c, b = empty((4, 3), np.float32), empty((4, 2), np.float32), empty((1, 3, 16), np.float32)

    def run(cut: dict[str, int]) -> None:
        conv = make_params("ingot_conv_cut_params", {"conv": params, "cut": cut})
        run_kernel("conv_f32_n16_cut", [x, w, None, None], [y], conv)

    def multiply(cut: dict[str, int]) -> None:
        matmul = make_params("ingot_matmul_cut_params", {"matmul": {"alpha": 1.0}, "cut": cut})
        run_kernel("matmul_f32_n16_cut", [a, b, None, None], [c], matmul)

    for call in (run, multiply):
        call(CUT)
        with pytest.raises(IngotError, match="tiles"):
            call(CUT | change)


@st.composite
def windows(draw: st.DrawFn) -> tuple[dict[str, Any], tuple[int, ...], int, int]:
    """What minimal filtering can do."""
    params = {"kernel": [1, 3, 3], "strides": [1] * 3, "dilations": [1] * 3, "groups": 1}
    params |= {f"pads_{end}": [0, draw(st.integers(0, 3)), draw(st.integers(0, 3))] for end in ("begin", "end")}
    extents = [draw(st.integers(low, high)) for low, high in ((1, 2), (1, 2), (1, 14), (1, 14))]
    channels = st.sampled_from([1, 3, 16, 17, 33, 64])
    fan_in, fan_out = draw(channels), draw(channels)
    return params, (*extents, fan_in), fan_in, fan_out


@common
@given(windows(), seeds, st.sampled_from([2, 4]), st.sampled_from([1, 3, 10, 21, 256]), st.integers(1, 3))
def test_minimal_filtering(case: Any, seed: int, tile: int, block: int, panels: int) -> None:
    check_f32("conv_f32_winograd", case, seed, tile=tile, block=block, slice=panels)


@common
@given(windows(), seeds, st.sampled_from([1, 10, 256]))
def test_minimal_filtering_with_weights_made_for_a_context(case: Any, seed: int, block: int) -> None:
    """The bits that weights give which the builder has transformed."""
    params, shape, fan_in, fan_out = case
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((fan_out, fan_in, 1, 3, 3)).astype(np.float32)
    x = rng.standard_normal(shape).astype(np.float32)
    out = convolve(x, w, params).shape
    conv = params | {"activation": {"kind": 0}}
    node = SimpleNamespace(attrs=SimpleNamespace(groups=1))
    for isa in available_isas("conv_f32_winograd"):
        results = []
        for made, packed in enumerate((pack_winograd(w, 4), pack_conv(node, w))):
            fields = {"conv": conv, "tile": 4, "block": block, "slice": 2, "made": made}
            operands, y = [x, aligned(packed), None, None], empty(out, np.float32)
            described = make_params("ingot_conv_winograd_params", fields)
            run_kernel("conv_f32_winograd", operands, [y], described, isa=isa, constant=[1])
            results.append(y)
        np.testing.assert_array_equal(*results, err_msg=isa)


WINDOW = {"kernel": [1, 3, 3], "strides": [1] * 3, "dilations": [1] * 3, "pads_begin": [0, 1, 1], "pads_end": [0, 1, 1]}


@pytest.mark.parametrize(
    ("change", "conv"),
    [
        ({"tile": 3}, {}),
        ({"tile": 2}, {}),  # the weights are those of 4
        ({"made": 1}, {}),  # they are transformed already
        ({"made": 2}, {}),
        ({"made": -1}, {}),
        ({"block": 0}, {}),
        ({"block": 257}, {}),
        ({"slice": 0}, {}),
        ({"slice": 65}, {}),
        ({}, {"strides": [1, 1, 2]}),
        ({}, {"dilations": [1, 2, 1], "pads_begin": [0, 2, 1], "pads_end": [0, 2, 1]}),
        ({}, {"kernel": [3, 3, 1], "pads_begin": [1, 1, 0], "pads_end": [1, 1, 0]}),
        ({}, {"groups": 2}),
        ({}, {"pads_end": [0, 1, 3]}),
    ],
)
def test_minimal_filtering_refuses_what_does_not_fit(change: dict[str, int], conv: dict[str, Any]) -> None:
    x, y, w = empty((1, 4, 4, 4), np.float32), empty((1, 4, 4, 4), np.float32), empty((1, 36, 4, 16), np.float32)

    def run(change: dict[str, int], conv: dict[str, Any]) -> None:
        params = {"conv": WINDOW | {"groups": 1} | conv, "tile": 4, "block": 20, "slice": 2} | change
        described = make_params("ingot_conv_winograd_params", params)
        run_kernel("conv_f32_winograd", [x, w, None, None], [y], described, constant=[1])

    run({}, {})
    with pytest.raises(IngotError, match="conv"):
        run(change, conv)


def test_weights_that_a_context_would_transform_are_constants() -> None:
    x, y, w = empty((1, 4, 4, 4), np.float32), empty((1, 4, 4, 4), np.float32), empty((1, 9, 4, 16), np.float32)
    params = {"conv": WINDOW | {"groups": 1}, "tile": 4, "block": 20, "slice": 2, "made": 1}
    call = "conv_f32_winograd", [x, w, None, None], [y], make_params("ingot_conv_winograd_params", params)
    run_kernel(*call, constant=[1])
    with pytest.raises(IngotError, match="not constants"):
        run_kernel(*call)


def check_s8(kernel: str, case: Any, seed: int, input_zero: int, output_zero: int) -> None:
    """Against integers: all bytes, in weights too; int8 and float32 results."""
    params, shape, fan_in, fan_out = case
    rng = np.random.default_rng(seed)
    groups, out = params["groups"], params["groups"] * fan_out
    largest = seed % 4 == 0  # nothing but the extremes
    w = (
        rng.choice([-128, 127], (out, fan_in, *params["kernel"]))
        if largest
        else rng.integers(-128, 128, (out, fan_in, *params["kernel"]))
    )
    x = rng.choice([-128, 127], shape) if largest else rng.integers(-128, 128, shape)
    w, x = w.astype(np.int8), x.astype(np.int8)
    packed = pack_depthwise_s8(w) if kernel == "conv_s8_dw" else pack_conv_s8(w, groups, params["dilations"][-1])[0]
    sums = w.reshape(out, -1).sum(axis=1, dtype=np.int32)
    exact = convolve(x.astype(np.int64) - input_zero, w.astype(np.int64), params)
    scale = (rng.random(out) * 1e-3).astype(np.float32)
    inverse = np.float32(8.0)
    # one rounding: the product and the sum are exact in float64
    real = (exact.astype(np.int32).astype(np.float32).astype(np.float64) * scale).astype(np.float32)
    expected = np.clip(np.rint(real * inverse) + output_zero, -128, 127)
    numbers = {"inverse_scale": inverse, "input_zero": input_zero, "output_zero": output_zero, "output_min": -128}
    blob = make_params("ingot_conv_s8_params", {"conv": params, "numbers": numbers})
    for isa in available_isas(kernel):
        for wanted in (expected.astype(np.int8), real):
            y = empty(wanted.shape, wanted.dtype)
            operands = [aligned(x), aligned(packed), None, None, sums, scale]
            run_kernel(kernel, operands, [y], blob, isa=isa, constant=[1, 4, 5], splits=2)
            np.testing.assert_array_equal(y, wanted, err_msg=isa)


@common
@given(cases(), seeds, st.integers(-128, 127), st.integers(-128, 127))
def test_int8_conv_is_exact(case: Any, seed: int, input_zero: int, output_zero: int) -> None:
    check_s8("conv_s8_n16k4", case, seed, input_zero, output_zero)


@common
@given(cases(depthwise=True), seeds, st.integers(-128, 127), st.integers(-128, 127))
def test_int8_depthwise_is_exact(case: Any, seed: int, input_zero: int, output_zero: int) -> None:
    check_s8("conv_s8_dw", case, seed, input_zero, output_zero)


def flat(kernel: Any, strides: Any, dilations: Any, pads: int, groups: int = 1) -> dict[str, Any]:
    """Parameters of two axes."""
    both = {"pads_begin": [0, pads, pads], "pads_end": [0, pads, pads], "groups": groups}
    return {"kernel": [1, *kernel], "strides": [1, *strides], "dilations": [1, *dilations], **both}


@pytest.mark.parametrize(
    ("kernel", "params", "shape", "channels", "out"),
    [
        # rows longer than a chunk, which then are several work units
        ("conv_s8_dw", flat((3, 3), (1, 1), (1, 1), 1, 96), (1, 1, 3, 150, 96), 1, 1),
        ("conv_s8_dw", flat((3, 3), (2, 2), (1, 1), 1, 96), (2, 1, 4, 260, 96), 1, 1),
        ("conv_s8_dw", flat((3, 3), (1, 1), (1, 1), 1, 150), (1, 1, 3, 70, 150), 1, 1),  # each pixel a run of its own
        ("conv_s8_dw", flat((3, 2), (1, 3), (1, 1), 0, 20), (1, 1, 5, 40, 20), 1, 1),  # columns that nothing reads
        ("conv_s8_dw", flat((3, 3), (1, 1), (40, 9), 40, 64), (1, 1, 50, 30, 64), 1, 1),  # too many rows for a ring
        ("conv_s8_n16k4", flat((3, 3), (1, 1), (1, 1), 1), (1, 1, 4, 150, 64), 64, 17),
        ("conv_s8_n16k4", flat((7, 7), (2, 2), (1, 1), 3), (2, 1, 9, 330, 3), 3, 32),
        ("conv_s8_n16k4", flat((3, 3), (1, 1), (30, 1), 30), (1, 1, 40, 64, 40), 40, 3),
        ("conv_s8_n16k4", flat((3, 3), (1, 2), (1, 1), 0), (2, 1, 7, 95, 8), 8, 33),  # read where it lies
        ("conv_s8_n16k4", flat((1, 1), (1, 1), (1, 1), 0), (3, 1, 31, 29, 12), 12, 40),
        ("conv_s8_n16k4", flat((1, 1), (1, 1), (1, 1), 0), (2, 1, 9, 31, 3), 3, 16),
    ],
)
def test_int8_conv_of_long_rows(kernel: str, params: Any, shape: Any, channels: int, out: int) -> None:
    for seed in (4, 5):
        check_s8(kernel, (params, shape, channels, out), seed, -9, 3)


@pytest.mark.parametrize("isa", available_isas("conv_s8_dw"))
@pytest.mark.parametrize("bias", [0.0, 1e9, -3e38, np.inf, -np.inf, np.nan])
def test_int8_depthwise_beyond_int32_saturates(bias: float, isa: str) -> None:
    """Also where results overflow before they are clamped."""
    x, w = np.full((1, 3, 5, 24), 7, np.int8), np.ones((24, 1, 3, 3), np.int8)
    given = np.zeros(24, np.float32)
    given[5] = bias
    operands = [
        aligned(x),
        aligned(pack_depthwise_s8(w)),
        given,
        None,
        np.full(24, 9, np.int32),
        np.ones(24, np.float32),
    ]
    params = flat((3, 3), (1, 1), (1, 1), 0, 24)
    blob = make_params("ingot_conv_s8_params", {"conv": params, "numbers": {"inverse_scale": 1e-1, "output_min": -128}})
    y = empty((1, 1, 3, 24), np.int8)
    run_kernel("conv_s8_dw", operands, [y], blob, isa=isa, constant=[1, 2, 4, 5])
    wanted = np.full((1, 1, 3, 24), 6, np.int8)  # rne(63 / 10)
    wanted[..., 5] = {0.0: 6, 1e9: 127, np.inf: 127}.get(bias, 0 if np.isnan(bias) else -128)
    np.testing.assert_array_equal(y, wanted)


@pytest.mark.parametrize(
    ("change", "constant", "reason"),
    [
        ({}, [1], "not constants"),
        ({"dilations": [1, 1, 1 << 29], "pads_begin": [0, 1, 1 << 30]}, [1, 4, 5], "too large"),
        ({"kernel": [1, 3, 2], "pads_end": [0, 1, 0]}, [1, 4, 5], "weights"),
    ],
)
def test_int8_depthwise_refuses(change: dict[str, Any], constant: list[int], reason: str) -> None:
    x, w = np.ones((1, 4, 5, 8), np.int8), np.ones((8, 1, 3, 3), np.int8)
    operands = [aligned(x), aligned(pack_depthwise_s8(w)), None, None, np.full(8, 9, np.int32), np.ones(8, np.float32)]
    params = flat((3, 3), (1, 1), (1, 1), 1, 8) | change
    blob = make_params("ingot_conv_s8_params", {"conv": params, "numbers": {"inverse_scale": 1.0, "output_min": -128}})
    width = 5 if "pads_begin" not in change else 5 + (1 << 30) + 1 - 2 * (1 << 29)
    with pytest.raises(IngotError, match=reason):
        run_kernel("conv_s8_dw", operands, [empty((1, 4, width, 8), np.int8)], blob, constant=constant)


@pytest.mark.parametrize(
    "change", [{"groups": 0}, {"strides": [1, 0, 1]}, {"kernel": [1, 9, 1]}, {"pads_end": [0, 5, 0]}]
)
def test_conv_refuses_what_does_not_fit(change: dict[str, Any]) -> None:
    params = {name: [1, 1, 1] for name in ("kernel", "strides", "dilations")} | {"groups": 1}
    x, y, w = empty((1, 4, 4, 3), np.float32), empty((1, 4, 4, 2), np.float32), empty((1, 1, 3, 16), np.float32)
    run_kernel("conv_f32_n16", [x, w, None, None], [y], make_params("ingot_conv_params", params))
    with pytest.raises(IngotError, match="conv"):
        run_kernel("conv_f32_n16", [x, w, None, None], [y], make_params("ingot_conv_params", params | change))


@common
@given(
    st.integers(1, 30), st.sampled_from([0, 1, 7, 64, 1024]), st.integers(1, 150), st.booleans(), st.booleans(), seeds
)
def test_matmul(m: int, k: int, n: int, trans_a: bool, trans_b: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    expected = 0.5 * (a.astype(np.float64) @ b)
    left, right = np.ascontiguousarray(a.T if trans_a else a), np.ascontiguousarray(b.T if trans_b else b)
    node = SimpleNamespace(attrs=MatMulAttrs(trans_a, trans_b, 0.5))
    forms = {
        "matmul_f32": (right, {"trans_a": trans_a, "trans_b": trans_b, "alpha": 0.5}),
        "matmul_f32_n16": (pack_matmul(node, right), {"trans_a": trans_a, "alpha": 1.0}),
    }
    for kernel, (operand, fields) in forms.items():
        for isa in available_isas(kernel):
            results = []
            for splits in (1, 3):
                y = empty((m, n), np.float32)
                blob = make_params("ingot_matmul_params", fields)
                run_kernel(kernel, [aligned(left), aligned(operand), None, None], [y], blob, isa=isa, splits=splits)
                np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-3)
                results.append(y)
            np.testing.assert_array_equal(*results, err_msg=f"{kernel} {isa}: bits depend on how the work is split")


def test_mirrored_weights() -> None:
    w = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    attrs = ConvTransposeAttrs((2, 2), (1, 1), (1, 0, 0, 1), (1, 1))
    conv, mirrored = mirror(attrs, w)
    assert conv.pads == (0, 1, 1, 0)
    np.testing.assert_array_equal(mirrored, w.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
    assert mirror(ConvTransposeAttrs((2, 2), (2, 1), (0, 0, 0, 0), (1, 1)), w) is None
    assert mirror(ConvTransposeAttrs((2, 2), (1, 1), (2, 0, 0, 0), (1, 1)), w) is None
