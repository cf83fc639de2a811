"""Attention: against NumPy in float64, on every instruction set, however split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.attention.op import AttentionAttrs

Run = Callable[..., list[np.ndarray]]


def reference(
    attrs: AttentionAttrs, q: np.ndarray, k: np.ndarray, v: np.ndarray, mask: np.ndarray | None
) -> np.ndarray:
    def heads_first(x: np.ndarray, rows_first: bool) -> np.ndarray:
        return x.transpose(0, 2, 1, 3) if rows_first else x

    def split(x: np.ndarray, heads: int) -> np.ndarray:
        return x.reshape(*x.shape[:2], heads, -1) if x.ndim == 3 else x

    q = split(q, attrs.heads)
    k = split(k, k.shape[-1] // q.shape[-1])
    v = split(v, k.shape[2 if attrs.rows_first[1] else 1])
    q, k, v = (heads_first(x, first).astype(np.float64) for x, first in zip((q, k, v), attrs.rows_first))
    share = q.shape[1] // k.shape[1]
    scores = attrs.scale * (q @ np.repeat(k, share, 1).swapaxes(-1, -2))
    if attrs.softcap:
        scores = attrs.softcap * np.tanh(scores / attrs.softcap)
    if mask is not None:
        scores = scores + mask
    if attrs.causal:
        row, column = np.indices(scores.shape[-2:])
        scores = np.where(column <= row + attrs.diagonal, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    y = weights / weights.sum(-1, keepdims=True) @ np.repeat(v, share, 1)
    return heads_first(y, attrs.rows_first[3])


@st.composite
def cases(draw: st.DrawFn) -> tuple[AttentionAttrs, list[np.ndarray]]:
    batch, groups, share = draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 3))
    rows, keys = draw(st.sampled_from((1, 2, 5, 13, 65))), draw(st.sampled_from((1, 7, 16, 33, 100)))
    width, out_width = draw(st.sampled_from((1, 4, 16, 20))), draw(st.sampled_from((1, 7, 16, 33)))
    rows_first = tuple(draw(st.booleans()) for _ in range(4))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    heads = groups * share

    def operand(first: bool, count: int, length: int, size: int) -> np.ndarray:
        shape = (batch, length, count, size) if first else (batch, count, length, size)
        return random.standard_normal(shape).astype(np.float32)

    sizes = ((heads, rows, width), (groups, keys, width), (groups, keys, out_width))
    operands = [operand(first, *size) for first, size in zip(rows_first, sizes)]
    joined = [first and draw(st.booleans()) for first in rows_first[:3]]
    operands = [x.reshape(*x.shape[:2], -1) if join else x for x, join in zip(operands, joined)]
    if draw(st.booleans()):
        shape = [draw(st.sampled_from((1, n))) for n in (batch, heads, rows)]
        mask = random.standard_normal((*shape, keys)).astype(np.float32)
        mask[..., 1:][random.random(mask[..., 1:].shape) < 0.2] = -np.inf
        operands.append(mask)
    causal = draw(st.booleans())
    attrs = AttentionAttrs(0.4, rows_first, causal, draw(st.integers(0, 20)), draw(st.sampled_from((0.0, 2.0))), heads)
    return attrs, operands


@settings(max_examples=80, deadline=None)
@given(cases())
def test_against_numpy(run: Run, case: tuple[AttentionAttrs, list[np.ndarray]]) -> None:
    attrs, operands = case
    expected = reference(attrs, *operands, *[None] * (4 - len(operands)))
    for isa in available_isas("attention_f32"):
        (y,) = run("attention", attrs, *operands, isa=isa)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
        (again,) = run("attention", attrs, *operands, isa=isa, splits=3)
        assert again.tobytes() == y.tobytes()


def test_a_row_that_sees_nothing_gives_zeros(run: Run) -> None:
    q, k, v = (np.ones((1, 1, 6, 4), np.float32) for _ in range(3))
    (y,) = run("attention", AttentionAttrs(causal=True, diagonal=-2), q, k, v)
    np.testing.assert_array_equal(y[0, 0, :, 0], [0, 0, 1, 1, 1, 1])


GOOD = [(1, 4, 5, 8), (1, 2, 7, 8), (1, 2, 7, 3), (1, 1, 5, 7), (1, 4, 5, 3)]


def attempt(shapes: list[tuple[int, ...]], **fields: Any) -> None:
    *inputs, output = (empty(s, np.float32) for s in shapes)
    run_kernel("attention_f32", inputs, [output], make_params("ingot_attention_params", fields))


def test_every_wrong_extent_is_refused() -> None:
    attempt(GOOD)
    for operand, shape in enumerate(GOOD):
        for axis in range(4):
            changed = list(GOOD)
            changed[operand] = (*shape[:axis], shape[axis] + 1, *shape[axis + 1 :])
            with pytest.raises(IngotError):
                attempt(changed)


JOINED = [(1, 5, 32), (1, 7, 16), (1, 7, 6), (1, 1, 5, 7), (1, 4, 5, 3)]


def test_heads_side_by_side_that_do_not_fit_are_refused() -> None:
    attempt(JOINED, rows_first=7)
    for fields in (0, 3, 5, 6):  # not said of all three
        with pytest.raises(IngotError):
            attempt(JOINED, rows_first=fields)
    for operand in range(3):
        for axis in range(3):
            for more in (1, 2, 4, 8):
                shape = JOINED[operand]
                changed = list(JOINED)
                changed[operand] = (*shape[:axis], shape[axis] + more, *shape[axis + 1 :])
                with pytest.raises(IngotError):
                    attempt(changed, rows_first=7)
    with pytest.raises(IngotError):
        attempt([JOINED[0], (1, 7, 24), (1, 7, 9), *JOINED[3:]], rows_first=7)


@pytest.mark.parametrize(
    "fields", [{"causal": 2}, {"rows_first": 16}, {"softcap": -1.0}, {"diagonal": 1 << 40}, {"diagonal": -(1 << 63)}]
)
def test_params_out_of_range_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(IngotError):
        attempt(GOOD, **fields)


def test_no_keys_are_refused() -> None:
    with pytest.raises(IngotError):
        attempt([(1, 4, 5, 8), (1, 2, 0, 8), (1, 2, 0, 3), (1, 1, 5, 0), (1, 4, 5, 3)])
