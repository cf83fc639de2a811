"""Operators spelled out in primitives."""

from __future__ import annotations

import math

import pytest

from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind
from ingot.kernels.softmax.op import SoftmaxAttrs
from ingot.kernels.spec import DType

CLOSE = {"rtol": 1e-5, "atol": 1e-5}


def functions(graph):
    return [node.attrs.insns[0].function if node.op.name == "elementwise" else node.op.name for node in graph.nodes]


def c(make, value):
    return make.constant([value])


def silu(make, x):
    return make.ew("Mul", make.ew("Sigmoid", x), x)


def swish(make, x):
    return make.ew("Mul", x, make.ew("Sigmoid", make.ew("Mul", x, c(make, 1.702))))


def hard_swish_by_division(make, x):
    return make.ew("Div", make.ew("Mul", x, make.ew("Clip", make.ew("Add", x, c(make, 3)), beta=6)), c(make, 6))


def hard_swish_by_sigmoid(make, x):
    return make.ew("Mul", x, make.ew("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def hard_swish_of_parts(make, x):
    return make.ew("Mul", hard_sigmoid(make, x), x)


def hard_sigmoid(make, x):
    return make.ew("Mul", make.ew("Clip", make.ew("Add", c(make, 3), x), beta=6), c(make, 1 / 6))


def gelu_one(make, x):
    gate = make.ew("Add", make.ew("Erf", make.ew("Div", x, c(make, math.sqrt(2)))), c(make, 1))
    return make.ew("Mul", make.ew("Mul", x, gate), c(make, 0.5))


def gelu_two(make, x):
    gate = make.ew("Add", c(make, 1), make.ew("Erf", make.ew("Mul", x, c(make, math.sqrt(0.5)))))
    return make.ew("Mul", make.ew("Mul", c(make, 0.5), x), gate)


def gelu_tanh(make, x):
    cube = make.ew("Mul", c(make, 0.044715), make.ew("Pow", x, c(make, 3)))
    bent = make.ew("Tanh", make.ew("Mul", make.ew("Add", x, cube), c(make, math.sqrt(2 / math.pi))))
    return make.ew("Mul", x, make.ew("Mul", make.ew("Add", bent, c(make, 1)), c(make, 0.5)))


def gelu_tanh_by_products(make, x):
    cube = make.ew("Mul", make.ew("Mul", make.ew("Mul", x, x), x), c(make, 0.044715))
    bent = make.ew("Tanh", make.ew("Mul", c(make, math.sqrt(2 / math.pi)), make.ew("Add", x, cube)))
    return make.ew("Mul", make.ew("Mul", x, c(make, 0.5)), make.ew("Add", bent, c(make, 1)))


def mish(make, x):
    soft = make.ew("Log", make.ew("Add", make.ew("Exp", x), c(make, 1)))
    return make.ew("Mul", x, make.ew("Tanh", soft))


def relu(make, x):
    return make.ew("Max", x, c(make, 0))


def clip(make, x):
    return make.ew("Min", make.ew("Max", x, c(make, -0.5)), c(make, 0.5))


def leaky(make, x):
    return make.ew("Max", make.ew("Mul", x, c(make, 0.1)), x)


def prelu(make, x):
    return make.ew("PRelu", x, make.constant([0.25] * 6))


CASES = {
    silu: "Silu", swish: "Swish", hard_swish_by_division: "HardSwish", hard_swish_by_sigmoid: "HardSwish",
    hard_swish_of_parts: "HardSwish", hard_sigmoid: "HardSigmoid", gelu_one: "Gelu", gelu_two: "Gelu",
    gelu_tanh: "GeluTanh", gelu_tanh_by_products: "GeluTanh", mish: "Mish", relu: "Relu", clip: "Clip",
    leaky: "LeakyRelu", prelu: "LeakyRelu",
}  # fmt: skip


@pytest.mark.parametrize("spell", CASES, ids=lambda f: f.__name__)
def test_activation(make, check, spell) -> None:
    graph = check(make.graph(spell(make, make.input(4, 6))), "recognise", **CLOSE)
    assert functions(graph) == [CASES[spell]]


@pytest.mark.parametrize("spell", CASES, ids=lambda f: f.__name__)
def test_activation_of_a_product(make, check, spell) -> None:
    x = make.ew("Mul", make.input(4, 6), make.input(4, 6))
    graph = check(make.graph(spell(make, x)), "recognise", **CLOSE)
    assert functions(graph) == ["Mul", CASES[spell]]


def test_almost_gelu_stays(make, check) -> None:
    x = make.input(4, 6)
    gate = make.ew("Add", make.ew("Erf", make.ew("Mul", x, c(make, 0.7))), c(make, 1))
    graph = check(make.graph(make.ew("Mul", make.ew("Mul", x, gate), c(make, 0.5))), "recognise")
    assert "Gelu" not in functions(graph)


def mean(make, x, *axes):
    return make.op("reduce", ReduceAttrs(ReduceKind.MEAN, axes), x)


def layer_norm(make, x, axes, inverse):
    d = make.ew("Sub", x, mean(make, x, *axes))
    square = make.ew("Pow", d, c(make, 2)) if inverse else make.ew("Mul", d, d)
    total = make.ew("Add", mean(make, square, *axes), c(make, 1e-5))
    if inverse:
        return make.ew("Mul", d, make.ew("Reciprocal", make.ew("Sqrt", total)))
    return make.ew("Div", d, make.ew("Sqrt", total))


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("axes", [(2,), (1, 2)])
def test_layer_normalization(make, check, ops, axes, inverse) -> None:
    y = layer_norm(make, make.input(3, 4, 5), axes, inverse)
    y = make.ew("Add", make.ew("Mul", y, make.random(5)), make.random(1, 1, 5))
    assert ops(check(make.graph(y), "recognise", **CLOSE)) == ["normalize"]


def test_normalisation_over_leading_axes_stays(make, check, ops) -> None:
    y = layer_norm(make, make.input(3, 4, 5), (1,), False)
    assert "normalize" not in ops(check(make.graph(y), "recognise", **CLOSE))


@pytest.mark.parametrize("division", [False, True])
def test_rms_normalization(make, check, ops, division) -> None:
    x = make.input(3, 4, 5)
    root = make.ew("Sqrt", make.ew("Add", mean(make, make.ew("Mul", x, x), 2), c(make, 1e-6)))
    y = make.ew("Div", x, root) if division else make.ew("Mul", x, make.ew("Div", c(make, 1), root))
    graph = check(make.graph(make.ew("Mul", y, make.random(5))), "recognise", **CLOSE)
    assert ops(graph) == ["normalize"]


def heads(make, x, count):
    """[B, L, C] -> [B, L, H, D]"""
    batch, rows, width = x.type.shape
    return make.reshape(x, batch, rows, count, width // count)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("early", [False, True])
def test_attention_of_heads(make, check, ops, masked, early) -> None:
    q, k, v = (make.transpose(heads(make, make.input(2, n, 12), 3), 0, 2, 1, 3) for n in (5, 7, 7))
    q = make.ew("Mul", q, c(make, 0.5)) if early else q
    scores = make.matmul(q, make.transpose(k, 0, 1, 3, 2))
    scores = scores if early else make.ew("Div", scores, c(make, 2))
    scores = make.ew("Add", scores, make.input(5, 7)) if masked else scores
    y = make.matmul(make.op("softmax", SoftmaxAttrs(3), scores), v)
    y = make.reshape(make.transpose(y, 0, 2, 1, 3), 2, 5, 12)
    graph = check(make.graph(y), "canonicalize", "recognise", "dce", rtol=1e-4, atol=1e-5)
    assert [name for name in ops(graph) if name != "reshape"] == ["attention"]


def test_attention_with_shared_heads(make, check, ops) -> None:
    def repeated(x):
        x = make.op("expand", {"shape": (1, 7, 2, 3, 4)}, make.reshape(heads(make, x, 2), 1, 7, 2, 1, 4))
        return make.reshape(x, 1, 7, 6, 4)

    q = make.transpose(heads(make, make.input(1, 5, 24), 6), 0, 2, 1, 3)
    k = make.transpose(repeated(make.input(1, 7, 8)), 0, 2, 3, 1)
    v = make.transpose(repeated(make.input(1, 7, 8)), 0, 2, 1, 3)
    y = make.matmul(make.op("softmax", SoftmaxAttrs(3), make.matmul(q, k)), v)
    graph = check(make.graph(y), "recognise", "canonicalize", "dce", rtol=1e-4, atol=1e-5)
    assert [name for name in ops(graph) if name != "reshape"] == ["attention"]


def test_attention_over_pixels(make, check, ops) -> None:
    """Channels-first: values times the transposed softmax."""
    q, k, v = make.input(1, 4, 30), make.input(1, 4, 30), make.input(1, 6, 30)
    weights = make.op("softmax", SoftmaxAttrs(2), make.matmul(make.transpose(q, 0, 2, 1), k))
    y = make.matmul(v, make.transpose(weights, 0, 2, 1))
    graph = check(make.graph(y), "recognise", "dce", rtol=1e-4, atol=1e-5)
    assert "attention" in ops(graph) and "matmul" not in ops(graph)


def test_attention_of_doubles_stays(make, check, ops) -> None:
    q, k, v = (make.input(1, 2, 5, 4, dtype=DType.F64) for _ in range(3))
    weights = make.op("softmax", SoftmaxAttrs(3), make.matmul(q, k, trans_b=True))
    graph = check(make.graph(make.matmul(weights, v)), "recognise", rtol=1e-9)
    assert ops(graph) == ["matmul", "softmax", "matmul"]


def test_attention_whose_weights_are_read_elsewhere_stays(make, check, ops) -> None:
    q, k, v = (make.input(1, 2, 5, 4) for _ in range(3))
    weights = make.op("softmax", SoftmaxAttrs(3), make.matmul(q, k, trans_b=True))
    graph = check(make.graph(make.matmul(weights, v), weights), "recognise", rtol=1e-4, atol=1e-5)
    assert ops(graph) == ["matmul", "softmax", "matmul"]


def qkv(make, x, order: tuple[int, ...], shape: tuple[int, ...]):
    """[B, L, 3 H D] -> three of [B, H, L, D]; ``shape`` has an axis of 3 and the heads in some order."""
    x = make.transpose(make.reshape(x, *x.type.shape[:2], *shape), *order)
    rest = x.type.shape[1:]
    for start in range(3):
        attrs = {"starts": (start, 0, 0, 0, 0), "steps": (1,) * 5, "shape": (1, *rest)}
        yield make.reshape(make.op("slice", attrs, x), *rest)


@pytest.mark.parametrize(
    ("order", "shape", "kinds"),
    [
        ((2, 0, 3, 1, 4), (3, 2, 4), [(2, 5, 8)] * 3),  # all heads of q, then those of k, then those of v
        ((3, 0, 2, 1, 4), (2, 3, 4), [(2, 5, 2, 4)] * 3),  # q, k and v of a head side by side
    ],
)
def test_attention_reads_parts_of_a_product(make, check, order, shape, kinds) -> None:
    q, k, v = qkv(make, make.input(2, 5, 24), order, shape)
    weights = make.op("softmax", SoftmaxAttrs(3), make.matmul(q, make.transpose(k, 0, 1, 3, 2)))
    y = make.transpose(make.matmul(weights, v), 0, 2, 1, 3)
    graph = check(make.graph(y), "recognise", "canonicalize", "dce", rtol=1e-4, atol=1e-5)
    assert {node.op.name for node in graph.nodes} <= {"slice", "reshape", "attention"}
    (found,) = (node for node in graph.nodes if node.op.name == "attention")
    assert [value.type.shape for value in found.inputs[:3]] == kinds
    for value in found.inputs[:3]:
        (attrs, whole) = (value.producer.attrs, value.producer.inputs[0].type.shape)
        assert attrs.shape[:-1] == whole[:-1] and attrs.shape[-1] * 3 == whole[-1]
