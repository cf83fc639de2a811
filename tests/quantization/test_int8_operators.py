"""Operators of int8 against their formulas in NumPy integers: random shapes, extremes, ties, saturation, zero points.

The kernels agree with one another in ``tests/kernels/test_samples.py``; here stands what they compute.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ingot
from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.errors import IngotError
from ingot.kernels import load
from ingot.kernels.common.int8 import Int8Attrs
from ingot.kernels.normalize.op import NormalizeAttrs, NormalizeKind
from ingot.kernels.pool.op import PoolAttrs, PoolKind
from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind
from ingot.kernels.resize.op import ResizeAttrs
from ingot.kernels.softmax.int8 import exponentials
from ingot.kernels.softmax.op import SoftmaxAttrs
from ingot.kernels.spec import DType, Quant, QuantInput, TensorType

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets

SPECS = load()
F32 = np.float32

common = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 1 << 30)
zeros = st.sampled_from((0, -128, 127, 3, -7))
scales = st.sampled_from((1.0, 0.5, 0.25, 0.0173, 0.1, 3.7e-3, 2.0)).map(lambda s: float(F32(s)))
quants = st.builds(Quant, scales, zeros)
outputs = st.none() | quants
channels = st.sampled_from((1, 3, 8, 31, 32, 33, 70))


def int8s(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers, extremes alone, or one number everywhere."""
    rng = np.random.default_rng(seed)
    kind = seed % 5
    if kind == 0:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    if kind == 1:
        return np.full(shape, rng.choice([-128, 127, 0, 5]), np.int8)
    if kind == 2:
        return rng.integers(-4, 4, shape).astype(np.int8)
    return rng.integers(-128, 128, shape).astype(np.int8)


def requantised(v: np.ndarray, output: Quant | None) -> np.ndarray:
    """What is stored for the products ``v``, float32: round half to even, clamp; NaN is the zero point."""
    if output is None:
        return v
    whole = np.rint(np.where(np.isnan(v), F32(0), v).astype(np.float64))
    return (np.clip(whole, -128 - output.zero_point, 127 - output.zero_point) + output.zero_point).astype(np.int8)


def multiplier(x: Quant, output: Quant | None, count: Any) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return F32(x.scale) / (F32(1.0 if output is None else output.scale) * np.asarray(count).astype(F32))


def node_of(name: str, attrs: Any, *inputs: np.ndarray | None) -> Node:
    """The node on constants."""
    spec = SPECS[name]
    values = [
        None if a is None else Value(f"x{i}", TensorType(DType.of(a.dtype), a.shape), a) for i, a in enumerate(inputs)
    ]
    types = spec.infer(attrs, [None if v is None else v.type for v in values])
    return Node(spec, attrs, values, [Value(f"y{i}", t) for i, t in enumerate(types)])


def form_of(name: str, attrs: Any, x: Quant, output: Quant | None, *inputs: np.ndarray | None) -> Node:
    """The integer form that the operator's rule gives for a float node; the first input is int8."""
    spec = SPECS[name]

    def value(label: str, a: np.ndarray | None) -> Value | None:
        return None if a is None else Value(label, TensorType(DType.of(a.dtype), a.shape), a)

    values = [Value("x", TensorType(DType.F32, inputs[0].shape)), *(value("factor", a) for a in inputs[1:])]
    (result,) = spec.infer(attrs, [None if v is None else v.type for v in values])
    node = Node(spec, attrs, values, [Value("y", result)])
    q = Value("q", TensorType(DType.I8, inputs[0].shape, x), inputs[0])
    form = spec.quantize(node, [QuantInput(value=q), *[None] * (len(inputs) - 1)], output)
    assert form is not None, "the rule gives no integer form"
    operands = [value("constant", v) if isinstance(v, np.ndarray) else v for v in form.inputs]
    spec = SPECS[form.op]
    (kind,) = spec.infer(form.attrs, [None if v is None else v.type for v in operands])
    assert (kind.dtype, kind.shape) == (form.output.dtype, form.output.shape)
    return Node(spec, form.attrs, operands, [Value("y", form.output)])


def with_gaps(shape: tuple[int, ...], dtype: Any, gap: int) -> np.ndarray:
    """An array whose rows are ``gap`` elements apart."""
    return empty((*shape[:-1], shape[-1] + gap), dtype)[..., : shape[-1]]


def run(node: Node) -> np.ndarray:
    """The result, which is the same on every instruction set, for every split and with gaps between rows."""
    tactic = next(t for t in node.op.tactics if t.when(node))
    assert tactic.numerics == "exact"
    found, kind = None, node.outputs[0].type
    for isa, (splits, gap) in itertools.product(available_isas(tactic.kernel), ((1, 0), (3, 0), (2, 3))):
        inputs = []
        for i, value in enumerate(node.inputs):
            rows = value and with_gaps(value.type.shape, value.data.dtype, gap if i in tactic.pitched_inputs else 0)
            if value is not None:
                rows[...] = value.data
            inputs.append(rows)
        y = with_gaps(kind.shape, kind.dtype.numpy, gap if 0 in tactic.pitched_outputs else 0)
        params = make_params(tactic.params_type, tactic.params(node))
        run_kernel(tactic.kernel, inputs, [y], params, isa=isa, splits=splits, constant=range(1, len(inputs)))
        assert found is None or found.tobytes() == y.tobytes(), f"{isa}, {splits} parts, gap {gap}: other bits"
        found = y
    return np.ascontiguousarray(found)


def same(got: np.ndarray, wanted: np.ndarray) -> None:
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


# -- pool --------------------------------------------------------------------------------------------------------------


def pooled(attrs: PoolAttrs, x: Quant, output: Quant | None, q: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    spatial, n = q.shape[1:-1], len(attrs.kernel)
    sums, counts = np.zeros(shape, np.int64), np.ones(shape, np.int64)
    for out in np.ndindex(*shape[1:-1]):
        taps = [
            [o * s - p + k * d for k in range(size)]
            for o, s, p, size, d in zip(out, attrs.strides, attrs.pads, attrs.kernel, attrs.dilations)
        ]
        inside = [[t for t in ts if 0 <= t < s] for ts, s in zip(taps, spatial)]
        counted = [[t for t in ts if t < s + e] for ts, s, e in zip(taps, spatial, attrs.pads[n:])]
        part = q[(slice(None), *np.ix_(*inside))].reshape(q.shape[0], -1, q.shape[-1]).astype(np.int64)
        at = (slice(None), *out)
        sums[at] = part.max(1) if attrs.kind is PoolKind.MAX else (part - x.zero_point).sum(1)
        chosen = counted if attrs.kind is PoolKind.AVERAGE_PADDED else inside
        counts[at] = np.prod([len(c) for c in chosen])
    if attrs.kind is PoolKind.MAX:
        return sums.astype(np.int8)
    return requantised(sums.astype(F32) * multiplier(x, output, counts), output)


@st.composite
def pool_cases(draw: st.DrawFn) -> tuple[PoolAttrs, tuple[int, ...]]:
    n = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 4)) for _ in range(n))
    dilations = tuple(draw(st.integers(1, 2)) for _ in range(n))
    pads = tuple(draw(st.integers(0, (kernel[i % n] - 1) // 2)) for i in range(2 * n))
    size = st.integers(1, 8 if n < 3 else 4)
    spatial = tuple(max(draw(size), (k - 1) * d + 1) for k, d in zip(kernel, dilations))
    kind = draw(st.sampled_from((PoolKind.MAX, PoolKind.AVERAGE, PoolKind.AVERAGE_PADDED)))
    strides = tuple(draw(st.integers(1, 3)) for _ in range(n))
    attrs = PoolAttrs(kind, kernel, strides, pads, dilations, ceil_mode=draw(st.booleans()))
    return attrs, (draw(st.integers(1, 2)), *spatial, draw(channels))


@common
@given(pool_cases(), quants, outputs, seeds)
def test_pool(case: tuple[PoolAttrs, tuple[int, ...]], x: Quant, output: Quant | None, seed: int) -> None:
    attrs, shape = case
    q = int8s(seed, shape)
    node = form_of("pool", attrs, x, output, q)
    same(run(node), pooled(attrs, x, output, q, node.outputs[0].type.shape))


def averaged(attrs: PoolAttrs, x: Quant, output: Quant, q: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """As other runtimes do it in float32: tap by tap, and the zero point before or after the rounding."""
    inside, count = [], math.prod(attrs.kernel)
    for tap in np.ndindex(*attrs.kernel):
        at = tuple(slice(k, k + (o - 1) * s + 1, s) for k, o, s in zip(tap, shape[1:-1], attrs.strides))
        inside.append((q[(slice(None), *at)].astype(np.int64) - x.zero_point).astype(F32) * F32(x.scale))
    total = np.zeros(shape, F32)
    for part in inside:
        total = total + part
    y = total / F32(count) / F32(output.scale)
    raised = {DType.U8: 128, DType.I8: 0}.get(output.rounds_as)
    if raised is None:
        return np.clip(np.rint(y) + output.zero_point, -128, 127).astype(np.int8)
    whole = np.rint(y + F32(output.zero_point + raised))
    return (np.clip(whole, raised - 128, raised + 127) - raised).astype(np.int8)


@common
@given(st.integers(1, 4), st.integers(1, 4), st.sampled_from((DType.U8, DType.I8, DType.F32)), quants, zeros, seeds)
def test_averages_of_a_model(kernel: int, stride: int, rounds_as: DType, x: Quant, zero: int, seed: int) -> None:
    """Most of them ties: the scale stays, as it does in models."""
    attrs = PoolAttrs(PoolKind.AVERAGE, (kernel, 2), (stride, 2), (0,) * 4, (1, 1))
    output = Quant(x.scale, zero, rounds_as)
    q = int8s(seed, (2, 9, 8, 37))
    node = form_of("pool", attrs, replace(x, rounds_as=rounds_as), output, q)
    same(run(node), averaged(attrs, x, output, q, node.outputs[0].type.shape))


def test_how_averages_of_a_model_are_rounded() -> None:
    """In integers where the window is all there is, in float32 where operand and result are not stored alike."""
    q = np.zeros((1, 4, 4, 3), np.int8)

    def rounds_as(kernel: int, x: DType | None, y: DType | None) -> DType | None:
        attrs = PoolAttrs(PoolKind.AVERAGE, (kernel,) * 2, (1, 1), (0,) * 4, (1, 1))
        return form_of("pool", attrs, Quant(1.0, 0, x), Quant(1.0, 0, y), q).attrs.output.rounds_as

    assert rounds_as(4, DType.U8, DType.U8) is None
    assert rounds_as(2, DType.U8, DType.U8) is DType.U8
    assert rounds_as(4, DType.F32, DType.F32) is DType.F32
    assert rounds_as(4, DType.U8, DType.F32) is DType.F32
    assert rounds_as(2, DType.U8, None) is None


def test_averages_round_half_to_even() -> None:
    q = np.array([[1, 2], [2, 3], [-1, -2], [-2, -3], [127, 126], [-128, -127]], np.int8).reshape(6, 2, 1)
    attrs = PoolAttrs(PoolKind.AVERAGE, (2,), (2,), (0, 0), (1,))
    y = run(form_of("pool", attrs, Quant(1.0), Quant(1.0), q))
    assert y.ravel().tolist() == [2, 2, -2, -2, 126, -128]


# -- reduce ------------------------------------------------------------------------------------------------------------


@st.composite
def reduce_cases(draw: st.DrawFn) -> tuple[ReduceAttrs, tuple[int, ...]]:
    rank = draw(st.integers(1, 5))
    shape = [draw(st.integers(1, 6)) for _ in range(rank)]
    shape[draw(st.integers(0, rank - 1))] = draw(st.sampled_from((1, 31, 32, 65, 300)))
    axes = tuple(a for a in range(rank) if draw(st.booleans()))
    kind = draw(st.sampled_from((ReduceKind.SUM, ReduceKind.MEAN, ReduceKind.MAX, ReduceKind.MIN)))
    return ReduceAttrs(kind, axes), tuple(shape)


@common
@given(reduce_cases(), quants, outputs, seeds)
def test_reduce(case: tuple[ReduceAttrs, tuple[int, ...]], x: Quant, output: Quant | None, seed: int) -> None:
    attrs, shape = case
    q = int8s(seed, shape)
    y = run(form_of("reduce", attrs, x, output, q))
    if attrs.kind in (ReduceKind.MAX, ReduceKind.MIN):
        same(y, (np.max if attrs.kind is ReduceKind.MAX else np.min)(q, axis=attrs.axes, keepdims=True))
        return
    sums = np.sum(q.astype(np.int64) - x.zero_point, axis=attrs.axes, keepdims=True)
    count = q.size // sums.size if attrs.kind is ReduceKind.MEAN else 1
    same(y, requantised(sums.astype(F32) * multiplier(x, output, count), output))


@pytest.mark.parametrize("value,zero", [(127, -128), (-128, 127)])
def test_the_mean_of_a_large_image_of_extremes(value: int, zero: int) -> None:
    q = np.full((1, 600, 257, 33), value, np.int8)
    x = Quant(1.0, zero)
    y = run(form_of("reduce", ReduceAttrs(ReduceKind.MEAN, (1, 2)), x, None, q))
    assert (y == F32(600 * 257 * (value - zero)) * multiplier(x, None, 600 * 257)).all()


# -- softmax -----------------------------------------------------------------------------------------------------------


@common
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.sampled_from((1, 2, 65, 300)), quants, outputs, seeds)
def test_softmax(extents: list[int], long: int, x: Quant, output: Quant | None, seed: int) -> None:
    axis = seed % len(extents)
    shape = tuple(long if a == seed // 7 % len(extents) else n for a, n in enumerate(extents))
    q = int8s(seed, shape)
    node = form_of("softmax", SoftmaxAttrs(axis), x, output, q)
    table = node.inputs[1].data.astype(np.int64)
    exponents = np.arange(256) * np.float64(x.scale)
    np.testing.assert_allclose(table, 2.0**23 * np.exp(-exponents), rtol=0, atol=0.5 + 1e-6)
    wide = q.astype(np.int64)
    e = table[wide.max(axis, keepdims=True) - wide]
    p = e.astype(F32) / e.sum(axis, keepdims=True).astype(F32)
    same(run(node), requantised(p * F32(1.0 if output is None else 1.0 / output.scale), output))


def test_exponentials_of_any_scale() -> None:
    for scale in (1e-38, 3.4e38):
        table = exponentials(float(F32(scale)))
        assert table[0] == 1 << 23
        assert table[255] == (1 << 23 if scale < 1 else 0)


# -- normalize ---------------------------------------------------------------------------------------------------------


def normalised(
    attrs: NormalizeAttrs, x: Quant, output: Quant | None, q: np.ndarray, scale: Any, bias: Any
) -> np.ndarray:
    d = q.astype(np.int64) - x.zero_point
    if attrs.kind is NormalizeKind.GROUP:
        seen = d.reshape(q.shape[0], -1, attrs.groups, q.shape[-1] // attrs.groups)
        axes = (1, 3)
    else:
        seen, axes = d, tuple(range(attrs.axis, d.ndim))
    sums, squares = seen.sum(axes, keepdims=True), (seen**2).sum(axes, keepdims=True)
    if attrs.kind is NormalizeKind.RMS:
        sums = np.zeros_like(sums)
    n = seen.size // sums.size
    epsilon = float(n) * float(n) * (attrs.epsilon / (float(x.scale) * float(x.scale)))
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = (1.0 / np.sqrt((n * squares - sums**2).astype(np.float64) + epsilon)).astype(F32)
        v = ((n * seen - sums).astype(F32) * inverse).reshape(q.shape)
    v = fma(v, F32(1) if scale is None else scale, F32(0) if bias is None else bias)
    return requantised(v * F32(1.0 if output is None else 1.0 / output.scale), output)


def fma(a: np.ndarray, b: Any, c: Any) -> np.ndarray:
    """a * b + c rounded once, by fractions; NaN stays."""
    a, b, c = np.broadcast_arrays(a, b, c)

    def one(x: Any, y: Any, z: Any) -> np.float32:
        if not np.isfinite([x, y, z]).all():
            return F32(x * y + z)
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        return nearest_f32(exact)

    return np.array([one(*t) for t in zip(a.ravel(), b.ravel(), c.ravel())], F32).reshape(a.shape)


def nearest_f32(x: Fraction) -> np.float32:
    """Half to even. Rounding to float64 first only misleads in between, so neighbours are compared exactly."""
    near = F32(float(x))
    around = [np.nextafter(near, F32(-np.inf)), near, np.nextafter(near, F32(np.inf))]
    return min(around, key=lambda v: (abs(Fraction(float(v)) - x), int(v.view(np.uint32)) & 1))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(NormalizeKind)), quants, outputs, st.booleans(), st.booleans(), seeds)
def test_normalize(
    kind: NormalizeKind, x: Quant, output: Quant | None, has_scale: bool, has_bias: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    group = kind is NormalizeKind.GROUP
    shape = ((2, 3, 4, 6), (1, 5, 70), (2, 3, 300), (3, 1, 8))[seed % 4]
    axis = len(shape) - 1 - seed // 4 % 2
    groups = int(rng.choice([g for g in range(1, shape[-1] + 1) if shape[-1] % g == 0]))
    attrs = NormalizeAttrs(kind, (1e-5, 0.0, 1e-12)[seed % 3], axis=0 if group else axis, groups=groups if group else 1)
    factor = shape[-1:] if group else shape[axis:]
    scale, bias = rng.standard_normal((2, *factor)).astype(F32)
    scale, bias = scale if has_scale else None, bias if has_bias else None
    q = int8s(seed, shape)
    same(run(form_of("normalize", attrs, x, output, q, scale, bias)), normalised(attrs, x, output, q, scale, bias))


# -- resize ------------------------------------------------------------------------------------------------------------


def taps_of(attrs: ResizeAttrs, axis: int, extent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left and right element and the left one's weight of 2048, for each index of the result."""
    n, scale = attrs.shape[axis], attrs.scales[axis]
    index, width = np.arange(n, dtype=np.float64), scale * extent
    x = {
        "half_pixel": (index + 0.5) / scale - 0.5,
        "asymmetric": index / scale,
        "align_corners": index * (extent - 1.0) / (width - 1.0) if width != 1.0 else index * 0.0,
    }[attrs.coordinate]
    left = np.ceil(x) - 1.0  # of an element exactly hit, as the right one
    weight = np.rint((1.0 - (x - left)) * 2048.0).astype(np.int64)
    left = left.astype(np.int64)
    return np.clip(left, 0, extent - 1), np.clip(left + 1, 0, extent - 1), weight


@st.composite
def resize_cases(draw: st.DrawFn) -> tuple[ResizeAttrs, tuple[int, ...]]:
    shape = [draw(st.integers(1, 3)), *(draw(st.integers(1, 9)) for _ in range(2)), draw(channels)]
    axes = draw(st.sampled_from(((1, 2), (1,), (2,), (2, 3), (3,), (0, 1), (1, 3))))
    scales_of = [draw(st.sampled_from((2.0, 1.5, 0.6, 3.0, 1.0))) if a in axes else 1.0 for a in range(4)]
    result = tuple(max(1, int(s * n)) for s, n in zip(scales_of, shape))
    coordinate = draw(st.sampled_from(("half_pixel", "asymmetric", "align_corners")))
    return ResizeAttrs(result, tuple(r / n for r, n in zip(result, shape)), "linear", coordinate), tuple(shape)


@common
@given(resize_cases(), quants, outputs, seeds)
def test_resize(case: tuple[ResizeAttrs, tuple[int, ...]], x: Quant, output: Quant | None, seed: int) -> None:
    attrs, shape = case
    q = int8s(seed, shape)
    sums, one = q.astype(np.int64) - x.zero_point, 1
    for axis, resized in enumerate(attrs.resized(shape)):
        if resized:
            left, right, weight = taps_of(attrs, axis, shape[axis])
            weight = weight.reshape([-1 if a == axis else 1 for a in range(4)])
            sums = weight * np.take(sums, left, axis) + (2048 - weight) * np.take(sums, right, axis)
            one *= 2048
    y = run(form_of("resize", attrs, x, output, q))
    same(y, requantised(sums.astype(F32) * multiplier(x, output, one), output))


def corners(attrs: ResizeAttrs, axis: int, extent: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Left and right element and their weights in float32, as other runtimes find them."""
    n, scale = attrs.shape[axis], F32(attrs.scales[axis])
    index = np.arange(n).astype(F32)
    x = {
        "half_pixel": (index + F32(0.5)) / scale - F32(0.5),
        "pytorch_half_pixel": (index + F32(0.5)) / scale - F32(0.5) if n > 1 else index,
        "asymmetric": index / scale,
        "align_corners": index * F32(extent - 1) / F32(n - 1) if n > 1 else index,
    }[attrs.coordinate]
    x = np.clip(x, F32(0), F32(extent - 1))
    left = x.astype(np.int64)
    right = np.minimum(left + 1, extent - 1)
    half = left == right
    return left, right, np.where(half, F32(0.5), right - x).astype(F32), np.where(half, F32(0.5), x - left).astype(F32)


@st.composite
def image_cases(draw: st.DrawFn) -> tuple[ResizeAttrs, tuple[int, ...]]:
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(channels))
    result = (shape[0], *(max(1, n + draw(st.sampled_from((-2, 1, 5, n)))) for n in shape[1:3]), shape[3])
    result = tuple(m if i in (0, 3) or m != shape[i] else m + 1 for i, m in enumerate(result))
    coordinate = draw(st.sampled_from(("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")))
    return ResizeAttrs(result, tuple(r / n for r, n in zip(result, shape)), "linear", coordinate), shape


@common
@given(image_cases(), quants, zeros, st.sampled_from((DType.U8, DType.I8, DType.F32)), seeds)
def test_images_of_a_model(
    case: tuple[ResizeAttrs, tuple[int, ...]], x: Quant, zero: int, rounds_as: DType, seed: int
) -> None:
    attrs, shape = case
    q = int8s(seed, shape)
    top, bottom, above, below = (v.reshape(1, -1, 1, 1) for v in corners(attrs, 1, shape[1]))
    left, right, before, behind = (v.reshape(1, 1, -1, 1) for v in corners(attrs, 2, shape[2]))
    real = (q.astype(np.int64) - x.zero_point).astype(F32) * F32(x.scale)
    at = [real[:, y.ravel()][:, :, z.ravel()] for y in (top, bottom) for z in (left, right)]
    v = before * above * at[0] + behind * above * at[1] + before * below * at[2] + behind * below * at[3]
    wanted = np.clip(np.rint(v / F32(x.scale)), -128 - zero, 127 - zero) + zero
    same(run(form_of("resize", attrs, x, Quant(x.scale, zero, rounds_as), q)), wanted.astype(np.int8))


def test_what_an_image_of_a_model_may_be() -> None:
    """Other axes than two neighbours: float operators are as close."""
    for scales_of, able in (((1, 2, 2, 1), True), ((1, 1, 2, 2), True), ((1, 2, 1, 1), False), ((1, 2, 1, 2), False)):
        attrs = ResizeAttrs(tuple(4 * s for s in scales_of), tuple(map(float, scales_of)), "linear")
        for rounds_as in (DType.U8, None):
            value = Value("x", TensorType(DType.I8, (4,) * 4, Quant(0.1)))
            node = Node(SPECS["resize"], attrs, [value], [Value("y", TensorType(DType.F32, attrs.shape))], ())
            form = SPECS["resize"].quantize(node, [QuantInput(value=value)], Quant(0.1, 0, rounds_as))
            assert (form is not None) == (able or rounds_as is None)


def test_nearest_moves_int8() -> None:
    q = int8s(3, (1, 3, 4, 5))
    attrs = ResizeAttrs((1, 6, 8, 5), (1.0, 2.0, 2.0, 1.0), "nearest", "asymmetric", "floor")
    same(run(form_of("resize", attrs, Quant(0.1, 7), None, q)), q.repeat(2, 1).repeat(2, 2))


# -- in a network ------------------------------------------------------------------------------------------------------


def test_between_convolutions_all_compute_in_int8() -> None:
    net = nets.Net((1, 3, 12, 16), 5)
    x = net.conv("x", 3, 24)
    x = net.op("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.conv(x, 24, 20)
    sizes = net.constant(np.array([1, 20, 12, 16], np.int64))
    x = net.op("Resize", x, "", "", sizes, mode="linear")
    x = net.conv(x, 20, 20, kernel=1)
    factors = [net.constant(net.rng.uniform(0.5, 2, 20).astype(F32)) for _ in range(2)]
    x = net.conv(net.op("InstanceNormalization", x, *factors), 20, 12)
    x = net.conv(net.op("Softmax", x, axis=1), 12, 16)
    x = net.conv(net.op("GlobalAveragePool", x), 16, 8, kernel=1)
    model, samples = net.model(x), net.samples(4)
    graph, _ = nets.integer_graph(model, samples)
    for node in graph.nodes:
        if node.op.name in ("pool", "resize", "normalize", "softmax", "reduce"):
            assert isinstance(node.attrs, Int8Attrs), f"{node.op.name} computes in float"
    whole, engine = ingot.build(model), ingot.build(model, precision="int8", calibration=samples)
    assert all(row["exact_across_targets"] for row in engine.inspect()["metadata"]["ledger"])
    for sample in samples:
        (wanted,), (got,) = nets.outputs(whole, sample), nets.outputs(engine, sample)
        assert np.linalg.norm(got - wanted) < 0.1 * np.linalg.norm(wanted)


# -- what the checks refuse --------------------------------------------------------------------------------------------

GOOD = {"input_scale": 0.5, "output_scale": 0.5}
BAD = [
    {"input_zero": 128},
    {"input_zero": -129},
    {"output_zero": 1 << 30},
    {"input_scale": 0.0},
    {"output_scale": float("nan")},
    {"output_scale": -1.0},
]


@pytest.mark.parametrize("change", BAD)
def test_scales_out_of_range_are_refused(change: dict[str, Any]) -> None:
    window = {"kind": 1, "kernel": [1, 1, 1], "stride": [1, 1, 1], "dilation": [1, 1, 1]}
    operators = {
        "pool_s8": ("pool", window),
        "reduce_s8": ("reduce", {"kind": 1}),
        "softmax_s8": ("softmax", {"axis": 1}),
        "resize_s8": ("resize", {"mode": 1}),
        "normalize_s8": ("normalize", {"axis": 1}),
    }
    for kernel, (field, own) in operators.items():
        y = empty((1, 4, 8), np.int8)
        x = [y.copy(), empty((256,), np.uint32)] if kernel == "softmax_s8" else [y.copy()]
        struct = f"ingot_{kernel}_params"
        run_kernel(kernel, x, [y], make_params(struct, {field: own, "scales": GOOD}))
        with pytest.raises(IngotError):
            run_kernel(kernel, x, [y], make_params(struct, {field: own, "scales": GOOD | change}))


def test_sums_that_may_overflow_are_refused() -> None:
    x = empty((1, (1 << 23) + 1, 1), np.int8)
    window = {"kind": 1, "kernel": [1 << 24, 1, 1], "stride": [1 << 24, 1, 1], "dilation": [1, 1, 1]}
    y = empty((1, 1, 1), np.int8)
    for kernel, field, own in (("pool_s8", "pool", window), ("reduce_s8", "reduce", {"kind": 0, "axes": 2})):
        with pytest.raises(IngotError, match="overflow"):
            run_kernel(kernel, [x], [y], make_params(f"ingot_{kernel}_params", {field: own, "scales": GOOD}))
