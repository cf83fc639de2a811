"""Elementwise chains and diamonds become one program."""

from __future__ import annotations


def test_chain(make, check, ops) -> None:
    x = make.input(3, 4)
    y = make.ew("Exp", make.ew("Neg", make.ew("Mul", x, make.random(4))))
    assert ops(check(make.graph(y), "fuse_elementwise")) == ["elementwise"]


def test_diamond(make, check, ops) -> None:
    x = make.input(3, 4)
    a = make.ew("Exp", x)
    y = make.ew("Add", make.ew("Neg", a), make.ew("Mul", a, a))
    graph = check(make.graph(y), "fuse_elementwise")
    assert ops(graph) == ["elementwise"]
    assert len(graph.nodes[0].attrs.insns) == 4


def test_read_elsewhere_stays(make, check, ops) -> None:
    a = make.ew("Exp", make.input(3, 4))
    graph = check(make.graph(make.ew("Neg", a), make.reshape(a, 12)), "fuse_elementwise")
    assert ops(graph) == ["elementwise", "elementwise", "reshape"]


def test_outputs_stay(make, check, ops) -> None:
    a = make.ew("Exp", make.input(3, 4))
    assert ops(check(make.graph(a, make.ew("Neg", a)), "fuse_elementwise")) == ["elementwise", "elementwise"]


def test_small_operand_is_computed_once(make, check, ops) -> None:
    y = make.ew("Mul", make.input(30, 40), make.ew("Exp", make.input(40)))
    assert ops(check(make.graph(y), "fuse_elementwise")) == ["elementwise", "elementwise"]


def test_long_chains_split_at_the_kernels_limits(make, check, ops) -> None:
    x = make.input(3, 4)
    for _ in range(40):
        x = make.ew("Mul", x, make.constant(1.01))
    count = len(ops(check(make.graph(x), "fuse_elementwise")))
    assert 1 < count < 8


def test_types_may_change_inside(make, check, ops) -> None:
    a, b = make.input(3, 4), make.input(3, 4)
    y = make.ew("Where", make.ew("Less", a, b), make.ew("Sqrt", make.ew("Abs", b)), a)
    assert ops(check(make.graph(y), "fuse_elementwise")) == ["elementwise"]
