"""The layout pass: transposes cancel, sink, rise and vanish, and never cost more than before."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingot.builder.passes import layout
from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind

NHWC, NCHW = (0, 2, 3, 1), (0, 3, 1, 2)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def pad(make, x, *amounts):
    return make.op("pad", {"before": amounts, "after": amounts, "mode": "constant", "value": 0}, x)


def test_inverses_cancel_through_pad(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    y = make.transpose(pad(make, make.transpose(x, *NHWC), 0, 1, 1, 0), *NCHW)
    graph = check(make.graph(y), "layout")
    assert ops(graph) == ["pad"]
    assert graph.nodes[0].attrs.before == (0, 0, 1, 1)


def test_concat_of_transposed(make, check, ops) -> None:
    a, b = make.input(1, 5, 6, 4), make.input(1, 5, 6, 3)
    joined = make.concat(1, make.transpose(a, *NCHW), make.transpose(b, *NCHW))
    graph = check(make.graph(make.transpose(joined, *NHWC)), "layout")
    assert ops(graph) == ["concat"]
    assert graph.nodes[0].attrs.axis == 3


def test_shrinks_before_transposing(make, check, ops) -> None:
    x = make.input(1, 8, 8, 16)
    y = make.slice(make.transpose(x, *NCHW), range(1), range(2), range(0, 8, 2), range(8))
    graph = check(make.graph(y), "layout")
    assert ops(graph) == ["slice", "transpose"]


def test_constants_transpose_at_build_time(make, check, ops) -> None:
    x = make.input(1, 5, 6, 4)
    joined = make.concat(1, make.transpose(x, *NCHW), make.random(1, 2, 5, 6))
    graph = check(make.graph(make.transpose(joined, *NHWC)), "layout")
    assert ops(graph) == ["concat"]


def test_reshape_that_merges_neighbours(make, check, ops) -> None:
    x = make.input(2, 3, 4, 5)
    y = make.reshape(make.transpose(x, 0, 3, 1, 2), 2, 5, 12)
    graph = check(make.graph(make.transpose(y, 0, 2, 1)), "layout")
    assert ops(graph) == ["reshape"]


def test_reshape_that_splits(make, check, ops) -> None:
    x = make.input(2, 12, 5)
    y = make.reshape(make.transpose(x, 0, 2, 1), 2, 5, 3, 1, 4)
    graph = check(make.graph(make.transpose(pad(make, y, 0, 0, 1, 0, 0), 0, 2, 3, 4, 1)), "layout")
    assert "transpose" not in ops(graph)


def test_reshape_that_tears_keeps_its_transpose(make, check, ops) -> None:
    x = make.input(2, 3, 4)
    graph = check(make.graph(make.reshape(make.transpose(x, 0, 2, 1), 24)), "layout")
    assert ops(graph) == ["transpose", "reshape"]


def test_shared_operand_is_transposed_once(make, check, ops) -> None:
    x = make.input(1, 4, 5, 6)
    one, two = (pad(make, make.transpose(x, *NHWC), 0, n, n, 0) for n in (1, 2))
    graph = check(make.graph(make.reshape(one, 7 * 8 * 4), make.reshape(two, 9 * 10 * 4)), "layout")
    assert ops(graph).count("transpose") == 1


def test_output_that_is_an_input_transposed_twice(make, check) -> None:
    x = make.input(2, 3, 4)
    check(make.graph(make.transpose(make.transpose(x, 0, 2, 1), 0, 2, 1)), "layout")


def test_output_also_read(make, check) -> None:
    x = make.input(1, 4, 5, 6)
    t = make.transpose(x, *NHWC)
    check(make.graph(t, make.transpose(pad(make, t, 0, 1, 1, 0), *NCHW)), "layout")


@st.composite
def programs(draw):
    """Random graphs of operators of data movement, as a list of instructions."""
    shape = draw(st.lists(st.integers(1, 3), min_size=3, max_size=4))
    steps = draw(st.lists(st.tuples(st.integers(0, 6), st.randoms(use_true_random=False)), min_size=2, max_size=10))
    return tuple(shape), steps


@given(programs())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_graphs(make, check, program) -> None:
    shape, steps = program
    make = type(make)()
    values = [make.input(*shape), make.input(*shape)]
    for kind, random in steps:
        x = values[random.randrange(max(0, len(values) - 3), len(values))]
        rank = x.type.rank
        if kind <= 2:
            y = make.transpose(x, *random.sample(range(rank), rank))
        elif kind == 3:
            y = pad(make, x, *(random.randrange(2) for _ in range(rank)))
        elif kind == 4:
            y = make.slice(x, *(range(random.randrange(n), n) for n in x.type.shape))
        elif kind == 5 and rank < 6:
            axis = random.randrange(rank + 1)
            y = make.reshape(x, *x.type.shape[:axis], 1, *x.type.shape[axis:])
        elif kind == 5 or rank > 4:
            y = make.reshape(x, x.type.shape[0] * x.type.shape[1], *x.type.shape[2:])
        else:
            partner = next(v for v in values[::-1] if v.type == x.type)
            y = make.concat(random.randrange(rank), x, partner)
        values.append(y)
    graph = make.graph(*dict.fromkeys([values[-1], values[-2]]))
    before = layout.transposed_bytes(graph)
    check(graph, "layout")
    assert layout.transposed_bytes(graph) <= before


def test_between_convolutions_nothing_stays(make, check, ops) -> None:
    """Channels-first scales and activations between channels-last convolutions."""
    x = make.transpose(make.conv(make.input(1, 6, 5, 3), 4), *NCHW)
    x = make.ew("Relu", make.ew("Add", make.ew("Mul", x, make.random(4, 1, 1)), make.random(1, 4, 1, 1)))
    y = make.conv(make.transpose(x, *NHWC), 5)
    assert "transpose" not in ops(check(make.graph(y), "layout", **CLOSE))


def test_residual_block(make, check, ops) -> None:
    x = make.transpose(make.input(1, 6, 5, 4), *NCHW)
    for _ in range(3):
        y = make.transpose(make.conv(make.transpose(x, *NHWC), 4), *NCHW)
        x = make.ew("Relu", make.ew("Add", x, y))
    graph = check(make.graph(make.transpose(x, *NHWC)), "layout", **CLOSE)
    assert ops(graph) == ["conv", "elementwise", "elementwise"] * 3


def test_unit_channel_stays_beside_its_convolution(make, check, ops) -> None:
    """One channel: both layouts are the same bytes, but only without a reshape between can the two be fused."""
    y = make.transpose(make.conv(make.input(1, 6, 5, 3), 1), *NCHW)
    y = make.transpose(make.ew("Sigmoid", y), *NHWC)
    graph = check(make.graph(make.conv(y, 3)), "layout", **CLOSE)
    assert ops(graph) == ["conv", "elementwise", "conv"]


def test_at_equal_bytes_the_epilogue_comes_first(make, check, ops) -> None:
    y = make.transpose(make.conv(make.input(1, 6, 5, 3), 4), *NCHW)
    graph = check(make.graph(make.ew("Sigmoid", make.ew("Mul", y, make.random(4, 1, 1)))), "layout", **CLOSE)
    assert ops(graph) == ["conv", "elementwise", "elementwise", "transpose"]


def test_matmul_reads_either_way(make, check, ops) -> None:
    a, b = make.input(2, 3, 4, 5), make.input(2, 3, 6, 5)
    y = make.matmul(a, make.transpose(b, 0, 1, 3, 2))
    graph = check(make.graph(y), "layout", **CLOSE)
    assert ops(graph) == ["matmul"]
    assert graph.nodes[0].attrs.trans_b


def test_transposed_product(make, check, ops) -> None:
    y = make.matmul(make.input(2, 3, 4), make.input(2, 4, 5))
    y = make.ew("Exp", make.transpose(y, 0, 2, 1))
    graph = check(make.graph(y), "layout", **CLOSE)
    assert ops(graph) == ["matmul", "elementwise"]


def test_flattened_image_reorders_weights(make, check, ops) -> None:
    x = make.reshape(make.transpose(make.input(2, 4, 5, 3), *NCHW), 2, 60)
    graph = check(make.graph(make.matmul(x, make.random(60, 7))), "layout", **CLOSE)
    assert ops(graph) == ["reshape", "matmul"]


def test_flattened_with_the_batch_keeps_its_transpose(make, check, ops) -> None:
    x = make.reshape(make.transpose(make.input(2, 4, 5, 3), 1, 0, 3, 2), 4, 30)
    graph = check(make.graph(make.matmul(x, make.random(30, 7))), "layout", **CLOSE)
    assert "transpose" in ops(graph)


def test_reduction_gives_up_its_layout(make, check, ops) -> None:
    y = make.transpose(make.conv(make.input(1, 6, 5, 3), 4), *NCHW)
    y = make.op("reduce", ReduceAttrs(ReduceKind.MEAN, (2, 3)), y)
    graph = check(make.graph(make.reshape(y, 1, 4)), "layout", "canonicalize", **CLOSE)
    assert ops(graph) == ["conv", "reduce", "reshape"]


def test_windows_joined_and_split_again(make, check, ops) -> None:
    """Unfolding along one axis, written as windows behind one another and a reshape that merges them with channels."""
    x = make.transpose(make.conv(make.input(1, 1, 9, 3), 4), *NCHW)
    windows = [make.slice(x, range(1), range(4), range(1), range(n, n + 7)) for n in range(3)]
    y = make.reshape(make.concat(3, *windows), 1, 12, 1, 7)
    y = make.conv(make.transpose(y, *NHWC), 5)
    assert "transpose" not in ops(check(make.graph(y), "layout", **CLOSE))
