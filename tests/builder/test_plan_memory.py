"""The memory planner: sound for anything, exact where the optimum is known, near the bound on networks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot.builder.plan_memory import ALIGNMENT, TAIL, Buffer, Plan, PlanError, aligned, check, plan


@st.composite
def problems(draw) -> tuple[list[Buffer], list[tuple[int, int]]]:
    count = draw(st.integers(0, 30))
    buffers = []
    for index in range(count):
        first = draw(st.integers(0, 20))
        size = draw(st.sampled_from([0, 1, 64, 100, 128, 1000, 4096, 4096, 65536]))
        buffers.append(Buffer(f"b{index}", size, first, first + draw(st.integers(0, 8))))
    pairs = [
        (o, i)
        for o, out in enumerate(buffers)
        for i, source in enumerate(buffers)
        if o != i and out.first == source.last and draw(st.booleans())
    ]
    return buffers, pairs


@given(problems())
@settings(max_examples=200, deadline=None)
def test_any_problem(problem) -> None:
    buffers, pairs = problem
    made = plan(buffers, pairs)
    check(buffers, made)
    assert made.size >= made.bound >= TAIL
    assert set(made.shared) <= set(pairs)
    assert all(offset % ALIGNMENT == 0 for offset in made.offsets)
    assert plan(buffers, pairs) == made


@given(problems())
@settings(max_examples=100, deadline=None)
def test_bound_is_a_bound(problem) -> None:
    buffers, _ = problem
    made = plan(buffers)
    steps = range(30)
    assert made.bound == TAIL + max(sum(aligned(b.size) for b in buffers if b.first <= s <= b.last) for s in steps)


def test_chain_reuses_two_places() -> None:
    chain = [Buffer(f"b{i}", 1000, i, i + 1) for i in range(10)]
    assert plan(chain).size == 2 * aligned(1000) + TAIL


def test_in_place_chain_needs_one_place() -> None:
    chain = [Buffer(f"b{i}", 1000, i, i + 1) for i in range(10)]
    made = plan(chain, [(i + 1, i) for i in range(9)])
    assert made.size == made.bound == aligned(1000) + TAIL
    assert made.shared == tuple((i + 1, i) for i in range(9))


def test_two_outputs_do_not_take_the_same_input() -> None:
    buffers = [Buffer("x", 64, 0, 1), Buffer("a", 64, 1, 2), Buffer("b", 64, 1, 2)]
    made = plan(buffers, [(1, 0), (2, 0)])
    assert made.shared == ((1, 0),)
    assert made.size == 2 * 64 + TAIL


def test_in_place_needs_equal_sizes() -> None:
    assert plan([Buffer("x", 64, 0, 1), Buffer("y", 32, 1, 2)], [(1, 0)]).shared == ()


def test_empty_and_zero_sized() -> None:
    assert plan([]) == Plan((), TAIL, TAIL)
    assert plan([Buffer("nothing", 0, 0, 5)]).offsets == (0,)


def test_resnet_like_is_optimal() -> None:
    """Residual branches: a trunk that stays alive over two steps, five stages of falling sizes."""
    buffers, step = [], 0
    for stage in range(5):
        for _ in range(4):
            size = 100_000 >> stage
            buffers += [Buffer(f"t{step}", size, step, step + 3), Buffer(f"u{step}", 2 * size, step + 1, step + 2)]
            buffers += [Buffer(f"w{step}", 777, step + 1, step + 1)]
            step += 3
    made = plan(buffers)
    assert made.ratio <= 1.02


@pytest.mark.parametrize(
    ("buffers", "made"),
    [
        ([Buffer("a", 64, 0, 1), Buffer("b", 64, 1, 2)], Plan((0, 0), 192, 192)),
        ([Buffer("a", 64, 0, 1)], Plan((32,), 192, 192)),
        ([Buffer("a", 64, 0, 1)], Plan((64,), 128, 128)),
        ([Buffer("a", 64, 0, 1)], Plan((), 128, 128)),
        ([Buffer("a", 64, 0, 1), Buffer("b", 64, 0, 2)], Plan((0, 0), 192, 192, ((1, 0),))),
    ],
)
def test_check_refuses(buffers, made) -> None:
    with pytest.raises(PlanError):
        check(buffers, made)
