"""Views: which concats, slices and reshapes need no copy, and where the pieces lie."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingot.builder.lifetimes import plan_graph


def place(graph, value):
    view = graph.views[value]
    return view.base.name, view.offset, view.pitch


def flip(make, x):
    """A step that moves every element: no view can do it."""
    *rows, width = x.type.shape
    return make.slice(x, *map(range, rows), range(width - 1, -1, -1))


def test_concat_of_channels(make, check) -> None:
    a, b = flip(make, make.input(1, 4, 5, 8)), flip(make, make.input(1, 4, 5, 16))
    joined = make.concat(3, a, b)
    graph = check(make.graph(flip(make, joined)), "views")
    assert place(graph, a) == (joined.name, 0, 24)
    assert place(graph, b) == (joined.name, 8, 24)
    assert joined.producer.tactic.kernel == ""
    assert joined in plan_graph(graph).offsets


def test_concat_of_rows_is_dense(make, check) -> None:
    a, b = flip(make, make.input(1, 4, 5, 8)), flip(make, make.input(1, 2, 5, 8))
    joined = make.concat(1, a, b)
    graph = check(make.graph(flip(make, joined)), "views")
    assert place(graph, b) == (joined.name, 4 * 5 * 8, 8)


def test_concat_behind_a_real_batch_copies(make, check) -> None:
    a, b = flip(make, make.input(2, 4, 5, 8)), flip(make, make.input(2, 2, 5, 8))
    graph = check(make.graph(flip(make, make.concat(1, a, b))), "views")
    assert not graph.views


def test_an_input_of_the_graph_is_copied_into_place(make, check, ops) -> None:
    a, b = make.input(1, 4, 5, 8), flip(make, make.input(1, 4, 5, 16))
    graph = check(make.graph(flip(make, make.concat(3, a, b))), "views")
    assert ops(graph) == ["slice", "slice", "concat", "slice"]
    assert len(graph.views) == 2


def test_nested_concat(make, check) -> None:
    a, b, c = (flip(make, make.input(1, 3, 3, n)) for n in (2, 4, 6))
    inner = make.concat(3, a, b)
    outer = make.concat(3, c, inner)
    graph = check(make.graph(flip(make, outer)), "views")
    assert place(graph, inner) == (outer.name, 6, 12)
    assert place(graph, b) == (outer.name, 8, 12)


def test_value_in_two_concats_is_copied_once(make, check, ops) -> None:
    a, b, c = (flip(make, make.input(1, 3, 3, n)) for n in (4, 2, 3))
    one, two = make.concat(3, a, b), make.concat(3, a, c)
    graph = check(make.graph(flip(make, one), flip(make, two)), "views")
    assert ops(graph).count("slice") == 3 + 1 + 2


def test_slices_of_the_last_axis(make, check) -> None:
    x = flip(make, make.input(1, 4, 5, 8))
    a = make.slice(x, range(1), range(4), range(5), range(3))
    b = make.slice(x, range(1), range(4), range(5), range(3, 8))
    graph = check(make.graph(flip(make, a), flip(make, b)), "views")
    assert place(graph, b) == (x.name, 3, 8)


def test_slice_of_rows(make, check) -> None:
    x = flip(make, make.input(1, 8, 5, 8))
    a = make.slice(x, range(1), range(2, 5), range(5), range(8))
    graph = check(make.graph(flip(make, a)), "views")
    assert place(graph, a) == (x.name, 2 * 40, 8)


def test_every_other_row(make, check) -> None:
    x = flip(make, make.input(8, 6))
    a = make.slice(x, range(0, 8, 2), range(1, 4))
    graph = check(make.graph(flip(make, a)), "views")
    assert place(graph, a) == (x.name, 1, 12)


def test_slices_that_are_no_views(make, check) -> None:
    x = flip(make, make.input(4, 8, 6))
    strided = make.slice(x, range(4), range(8), range(0, 6, 2))
    window = make.slice(x, range(4), range(1, 3), range(1, 4))
    backwards = make.slice(x, range(3, -1, -1), range(8), range(6))
    graph = check(make.graph(*(flip(make, y) for y in (strided, window, backwards))), "views")
    assert not graph.views


def test_reshape_is_an_alias(make, check) -> None:
    x = flip(make, make.input(4, 5))
    y = make.reshape(x, 2, 10)
    graph = check(make.graph(flip(make, y)), "views")
    assert place(graph, y) == (x.name, 0, 10)


def test_reshape_to_an_output(make, check, ops) -> None:
    x = flip(make, make.input(4, 5))
    y = make.reshape(x, 20)
    graph = check(make.graph(y), "views")
    assert place(graph, x) == (y.name, 0, 5)
    assert ops(graph) == ["slice", "reshape"]


def test_reshape_of_an_input_to_an_output_copies(make, check, ops) -> None:
    graph = check(make.graph(make.reshape(make.input(4, 5), 20)), "views")
    assert ops(graph) == ["slice", "reshape"]


def test_slice_and_concat_of_one_value(make, check) -> None:
    """The slice is written beside what it is read from, and is no view of it."""
    x = flip(make, make.input(3, 4))
    half = make.slice(x, range(3), range(2))
    joined = make.concat(1, x, half)
    graph = check(make.graph(flip(make, joined)), "views")
    assert place(graph, half) == (joined.name, 4, 6)
    assert half.producer.tactic is None


def test_reshape_between_concat_and_producer(make, check) -> None:
    a, b = flip(make, make.input(2, 4, 8)), flip(make, make.input(8, 5))
    joined = make.concat(1, make.reshape(a, 8, 8), b)
    graph = check(make.graph(flip(make, joined)), "views")
    assert place(graph, a) == (joined.name, 0, 13)


@given(st.lists(st.tuples(st.integers(0, 5), st.randoms(use_true_random=False)), min_size=2, max_size=14))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_graphs(make, check, steps) -> None:
    make = type(make)()
    values = [make.input(2, 3, 4), make.input(1, 6, 4)]
    for kind, random in steps:
        x = values[random.randrange(max(0, len(values) - 4), len(values))]
        axis = random.randrange(3)
        if kind == 0:
            y = flip(make, x)
        elif kind == 1:
            y = make.slice(x, *(range(random.randrange(n) * random.randrange(2), n) for n in x.type.shape))
        elif kind == 2:
            a, b, c = x.type.shape
            y = make.reshape(x, *random.choice([(1, a * b, c), (b, a, c), (1, a, b * c)]))
        else:
            fits = [v for v in values if all(v.type.shape[i] == x.type.shape[i] for i in range(3) if i != axis)]
            y = make.concat(axis, *random.sample(fits, min(len(fits), 2)), *([x] if random.randrange(2) else []))
        values.append(y)
    graph = make.graph(*dict.fromkeys([values[-1], random.choice(values[2:])]))
    check(graph, "dce", "canonicalize", "views", "schedule")
