"""Operators that move data: against NumPy, on every instruction set, split over threads, with gaps between rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError

TYPES = (np.uint8, np.bool_, np.int16, np.float32, np.float64, np.int64)
Run = Callable[..., list[np.ndarray]]


def array(draw: st.DrawFn, shape: tuple[int, ...], types: tuple[Any, ...] = TYPES) -> np.ndarray:
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    return random.integers(0, 100, shape).astype(draw(st.sampled_from(types)))


def isa_of(draw: st.DrawFn, kernel: str) -> str:
    return draw(st.sampled_from(available_isas(kernel)))


def extents(
    draw: st.DrawFn, low: int, high: int, sizes: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 8, 17)
) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.sampled_from(sizes), min_size=low, max_size=high)))


common = settings(max_examples=150, deadline=None)
splits, gaps = st.sampled_from((1, 3)), st.sampled_from((0, 0, 1, 8))


@common
@given(st.data(), splits, gaps)
def test_transpose(run: Run, data: st.DataObject, splits: int, gap: int) -> None:
    from ingot.kernels.transpose.op import TransposeAttrs

    x = array(data.draw, extents(data.draw, 0, 5))
    perm = tuple(data.draw(st.permutations(range(x.ndim))))
    isa = isa_of(data.draw, "strided_copy")
    (y,) = run("transpose", TransposeAttrs(perm), x, isa=isa, splits=splits, gap=gap)
    np.testing.assert_array_equal(y, x.transpose(perm))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(64, 130), (3, 33, 70), (2, 3, 97, 65)])
def test_transpose_in_blocks(run: Run, shape: tuple[int, ...], dtype: Any) -> None:
    from ingot.kernels.transpose.op import TransposeAttrs

    x = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    perm = (*range(len(shape) - 2), len(shape) - 1, len(shape) - 2)
    for isa in available_isas("strided_copy"):
        (y,) = run("transpose", TransposeAttrs(perm), x, isa=isa, splits=3)
        np.testing.assert_array_equal(y, x.transpose(perm))


@common
@given(st.data(), splits, gaps)
def test_slice(run: Run, data: st.DataObject, splits: int, gap: int) -> None:
    from ingot.kernels.slice.op import SliceAttrs

    x = array(data.draw, extents(data.draw, 0, 5))
    ranges = []
    for n in x.shape:
        start, stop = (data.draw(st.integers(-1, n)) for _ in range(2))
        step = data.draw(st.sampled_from((1, 1, 2, -1, -3)))
        ranges.append(range(*slice(max(start, 0), max(stop, 0), step).indices(n)))
    attrs = SliceAttrs(
        tuple(r.start if len(r) else 0 for r in ranges), tuple(r.step for r in ranges), tuple(map(len, ranges))
    )
    isa = isa_of(data.draw, "strided_copy")
    (y,) = run("slice", attrs, x, isa=isa, splits=splits, gap=gap)
    np.testing.assert_array_equal(y, x[np.ix_(*[np.array(r, int) for r in ranges])])


@common
@given(st.data(), splits, gaps)
def test_expand(run: Run, data: st.DataObject, splits: int, gap: int) -> None:
    from ingot.kernels.expand.op import ExpandAttrs

    shape = extents(data.draw, 0, 5, (1, 2, 3, 7))
    x = array(data.draw, tuple(1 if data.draw(st.booleans()) else n for n in shape)[data.draw(st.integers(0, 2)) :])
    (y,) = run("expand", ExpandAttrs(shape), x, isa=isa_of(data.draw, "strided_copy"), splits=splits, gap=gap)
    np.testing.assert_array_equal(y, np.broadcast_to(x, shape))


@common
@given(st.data(), splits, gaps)
def test_concat(run: Run, data: st.DataObject, splits: int, gap: int) -> None:
    from ingot.kernels.concat.op import ConcatAttrs

    first = array(data.draw, extents(data.draw, 1, 4))
    axis = data.draw(st.integers(0, first.ndim - 1))
    pieces = [first]
    for n in data.draw(st.lists(st.sampled_from((0, 1, 3, 20)), max_size=6)):
        shape = (*first.shape[:axis], n, *first.shape[axis + 1 :])
        pieces.append(array(data.draw, shape, (first.dtype.type,)))
    (y,) = run("concat", ConcatAttrs(axis), *pieces, splits=splits, gap=gap)
    np.testing.assert_array_equal(y, np.concatenate(pieces, axis))


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("gap", [0, 5])
def test_concat_of_large_blocks(run: Run, axis: int, gap: int) -> None:
    from ingot.kernels.concat.op import ConcatAttrs

    random = np.random.default_rng(0)
    pieces = [random.standard_normal((2, 17, 40, 33)).astype(np.float32).take(range(n), axis) for n in (2, 1, 2)]
    (y,) = run("concat", ConcatAttrs(axis), *pieces, splits=3, gap=gap)
    np.testing.assert_array_equal(y, np.concatenate(pieces, axis))


@common
@given(st.data(), st.sampled_from(("constant", "reflect", "edge", "wrap")), splits, gaps)
def test_pad(run: Run, data: st.DataObject, mode: str, splits: int, gap: int) -> None:
    from ingot.kernels.pad.op import PadAttrs

    x = array(data.draw, extents(data.draw, 1, 4, (1, 2, 3, 5, 8)))
    amount = st.sampled_from((0, 0, 1, 4, -1))
    before = tuple(max(data.draw(amount), -(n // 2)) for n in x.shape)
    after = tuple(max(data.draw(amount), -(n // 2)) for n in x.shape)
    (y,) = run("pad", PadAttrs(before, after, mode, 1), x, splits=splits, gap=gap)
    grown = [(max(b, 0), max(a, 0)) for b, a in zip(before, after)]
    keywords = {"constant_values": 1} if mode == "constant" else {}
    full = np.pad(x, grown, mode, **keywords)
    crop = tuple(slice(max(-b, 0), n - max(-a, 0)) for b, a, n in zip(before, after, full.shape))
    if mode == "constant":  # what is cropped does not come back
        inner = tuple(slice(max(-b, 0), n - max(-a, 0)) for b, a, n in zip(before, after, x.shape))
        np.testing.assert_array_equal(y, np.pad(x[inner], grown, mode, constant_values=1))
    else:
        np.testing.assert_array_equal(y, full[crop])


@common
@given(st.data(), splits)
def test_gather(run: Run, data: st.DataObject, splits: int) -> None:
    from ingot.kernels.gather.op import GatherAttrs

    x = array(data.draw, extents(data.draw, 1, 4, (1, 2, 5, 9)))
    axis = data.draw(st.integers(0, x.ndim - 1))
    shape = extents(data.draw, 0, 2, (0, 1, 4))
    n = x.shape[axis]
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    indices = np.asarray(random.integers(-n, n, shape)).astype(data.draw(st.sampled_from((np.int32, np.int64))))
    (y,) = run("gather", GatherAttrs(axis), x, indices, splits=splits)
    np.testing.assert_array_equal(y, x.take(indices, axis))


@pytest.mark.parametrize("bad", [3, -4, 1 << 40, -(1 << 63)])
def test_gather_refuses_indices_out_of_range(run: Run, bad: int) -> None:
    from ingot.kernels.gather.op import GatherAttrs

    with pytest.raises(IngotError):
        run("gather", GatherAttrs(0), np.zeros((3, 2), np.float32), np.array([0, bad]))


def view(start: tuple[int, ...], step: tuple[int, ...], axis: tuple[int, ...]) -> bytes:
    return make_params("ingot_strided_copy_params", {"start": start, "step": step, "axis": axis})


@pytest.mark.parametrize(
    "params",
    [
        view((1, 0), (1, 1), (0, 1)),
        view((-1, 0), (1, 1), (0, 1)),
        view((0, 0), (1, 1), (0, 2)),
        view((0, 0), (1, 1), (0, 0)),
        view((0, 0), (1 << 62, 1), (0, 1)),
        view((0, 0), (-(1 << 63), 1), (0, 1)),
        view(((1 << 63) - 1, 0), (1, 1), (0, 1)),
    ],
)
def test_strided_copy_refuses_views_that_reach_outside(params: bytes) -> None:
    with pytest.raises(IngotError, match="strided_copy"):
        run_kernel("strided_copy", [np.zeros((4, 5), np.float32)], [empty((4, 5), np.float32)], params)


@pytest.mark.parametrize("shapes", [((2, 3), (2, 3), (2, 5)), ((2, 3), (2, 3), (2, 7)), ((2, 3), (1, 3), (2, 6))])
def test_concat_refuses_shapes_that_do_not_add_up(shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [empty(s, np.float32) for s in shapes]
    with pytest.raises(IngotError, match="concat"):
        run_kernel("concat", arrays[:2], arrays[2:], make_params("ingot_concat_params", {"axis": 1}))
    with pytest.raises(IngotError, match="axis"):
        run_kernel("concat", arrays[:2], arrays[2:], make_params("ingot_concat_params", {"axis": 2}))


@pytest.mark.parametrize("fields", [{"before": [8, 0]}, {"before": [-5, 0]}, {"mode": 4}, {"before": [-(1 << 63)]}])
def test_pad_refuses(fields: dict[str, Any]) -> None:
    with pytest.raises(IngotError, match="pad"):
        run_kernel(
            "pad", [empty((4, 5), np.float32)], [empty((7, 5), np.float32)], make_params("ingot_pad_params", fields)
        )
