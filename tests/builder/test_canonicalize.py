"""Canonical forms."""

from __future__ import annotations

import pytest

from ingot.kernels.spec import DType


def test_identities_vanish(make, check, ops) -> None:
    x = make.input(2, 3)
    y = make.transpose(make.reshape(x, 2, 3), 0, 1)
    y = make.slice(y, range(2), range(3))
    y = make.op("expand", {"shape": (2, 3)}, y)
    y = make.op("pad", {"before": (0, 0), "after": (0, 0), "mode": "constant", "value": 0}, y)
    y = make.concat(0, y)
    assert ops(check(make.graph(make.reshape(y, 6)), "canonicalize")) == ["reshape"]


def test_output_equal_to_an_input_keeps_a_node(make, check, ops) -> None:
    x = make.input(2, 3)
    assert ops(check(make.graph(make.reshape(make.reshape(x, 6), 2, 3)), "canonicalize"))


@pytest.mark.parametrize("outer", [(1, 0, 2), (0, 2, 1)])
def test_pairs_merge(make, check, ops, outer) -> None:
    x = make.input(4, 5, 6)
    y = make.transpose(make.transpose(x, 2, 1, 0), *outer)
    y = make.slice(y, *(range(1, n) for n in y.type.shape))
    y = make.slice(y, *(range(0, n, 2) for n in y.type.shape))
    y = make.reshape(make.reshape(y, y.type.count), 1, y.type.count)
    assert ops(check(make.graph(y), "canonicalize")) == ["transpose", "slice", "reshape"]


def test_backwards_slices_merge(make, check, ops) -> None:
    x = make.input(9)
    y = make.slice(make.slice(x, range(8, -1, -2)), range(3, 0, -1))
    assert ops(check(make.graph(y), "canonicalize")) == ["slice"]


def test_transpose_of_unit_axes_is_a_reshape(make, check, ops) -> None:
    x = make.input(1, 3, 1, 4)
    assert ops(check(make.graph(make.transpose(x, 1, 0, 3, 2)), "canonicalize")) == ["reshape"]


def test_expand_that_only_reshapes(make, check, ops) -> None:
    y = make.op("expand", {"shape": (1, 3)}, make.input(3))
    assert ops(check(make.graph(y), "canonicalize")) == ["reshape"]


def test_pads_merge(make, check, ops) -> None:
    x = make.input(3, 4)
    for before in ((1, 0), (0, 2)):
        x = make.op("pad", {"before": before, "after": (1, 1), "mode": "constant", "value": 0.5}, x)
    assert ops(check(make.graph(x), "canonicalize")) == ["pad"]


def test_pads_of_other_values_stay(make, check, ops) -> None:
    x = make.input(3, 4)
    for value in (0, 1):
        x = make.op("pad", {"before": (1, 0), "after": (1, 1), "mode": "constant", "value": value}, x)
    assert ops(check(make.graph(x), "canonicalize")) == ["pad", "pad"]


def test_nested_concats_merge(make, check, ops) -> None:
    a, b, c = (make.input(n, 3) for n in (1, 2, 3))
    y = make.concat(0, make.concat(0, a, b), c)
    assert ops(check(make.graph(y), "canonicalize")) == ["concat"]


def test_slice_of_concat_reads_the_piece(make, check, ops) -> None:
    a, b, c = (make.input(n, 3) for n in (2, 4, 2))
    joined = make.concat(0, a, b, c)
    y = make.slice(joined, range(3, 5), range(3))
    z = make.slice(joined, range(3, 7), range(3))
    graph = check(make.graph(y, z), "canonicalize")
    assert ops(graph) == ["slice", "concat", "slice"]
    assert graph.nodes[0].inputs == [b]


def test_neutral_elements(make, check, ops) -> None:
    x = make.input(2, 3)
    y = make.ew("Mul", x, make.constant(1.0))
    y = make.ew("Div", make.ew("Mul", make.constant([[1.0]]), y), make.constant(1.0))
    y = make.ew("Sub", make.ew("Add", y, make.constant(-0.0)), make.constant(0.0))
    assert ops(check(make.graph(make.reshape(y, 6)), "canonicalize")) == ["reshape"]


def test_plus_zero_is_not_neutral(make, check, ops) -> None:
    """-0 + 0 is 0."""
    x = make.input(2, 3)
    graph = check(make.graph(make.reshape(make.ew("Add", x, make.constant(0.0)), 6)), "canonicalize")
    assert ops(graph) == ["elementwise", "reshape"]


def test_neutral_that_broadcasts_stays(make, check, ops) -> None:
    x = make.input(2, 1)
    y = make.ew("Mul", x, make.constant([[1.0, 1.0]]))
    assert ops(check(make.graph(y), "canonicalize")) == ["elementwise"]


def test_cast_to_the_same_type(make, check, ops) -> None:
    x = make.input(2, 3)
    y = make.ew("Cast", make.ew("Cast", x, dtype=DType.F32), dtype=DType.I32)
    assert ops(check(make.graph(y), "canonicalize")) == ["elementwise"]


def test_expand_into_elementwise(make, check, ops) -> None:
    x, b = make.input(4, 3), make.input(3)
    y = make.ew("Add", x, make.op("expand", {"shape": (4, 3)}, b))
    assert ops(check(make.graph(y), "canonicalize")) == ["elementwise"]


def test_two_expands_that_give_the_shape(make, check, ops) -> None:
    a, b = make.input(3), make.input(1)
    y = make.ew("Add", *(make.op("expand", {"shape": (4, 3)}, v) for v in (a, b)))
    assert ops(check(make.graph(y), "canonicalize")) == ["expand", "elementwise"]
