"""Ranges in front of tables, and of tensors with a lower bound."""

from __future__ import annotations

import numpy as np
import pytest

from ingot import kernels
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.quantization.signs import lower_bounds
from ingot.builder.quantization.tables import is_table, quant_for
from ingot.kernels.elementwise.op import single
from ingot.kernels.spec import DType, Quant, TensorType

KIND = TensorType(DType.F32, (1, 8))


def function(name: str, alpha: float = 0.0) -> tuple[Node, Value]:
    x = Value("x", KIND)
    node = Node(kernels.load()["elementwise"], single(name, [KIND], alpha), [x], [])
    node.outputs = [Value("y", KIND, None, node)]
    return node, x


def ends(quant: Quant) -> tuple[float, float]:
    return (-128 - quant.zero_point) * quant.scale, (127 - quant.zero_point) * quant.scale


def test_flat_ends_are_cut() -> None:
    node, x = function("Silu")
    assert is_table(node, x)
    low, high = ends(quant_for([(node, Quant(20 / 127))], x, -100.0, 20.0))
    assert -6 < low < -2
    assert high == pytest.approx(20, rel=0.02)
    node, x = function("Sigmoid")
    low, high = ends(quant_for([(node, Quant(1 / 255, -128))], x, -50.0, 90.0))
    assert -8 < low < -4
    assert 4 < high < 8


def test_all_readers_count() -> None:
    node, x = function("Silu")
    other, _ = function("Tanh")
    other.inputs = [x]
    one = ends(quant_for([(node, Quant(0.1))], x, -100.0, 20.0))
    both = ends(quant_for([(node, Quant(0.1)), (other, Quant(1 / 127))], x, -100.0, 20.0))
    assert both[0] <= one[0]
    assert both[1] == pytest.approx(20, rel=0.02)


@pytest.mark.parametrize("bounds", [(0.0, 0.0), (3.0, 4.0), (-4.0, -3.0), (-1e-30, 1e-30), (-3e38, 3e38)])
def test_any_range(bounds: tuple[float, float]) -> None:
    node, x = function("Tanh")
    quant = quant_for([(node, Quant(1 / 127))], x, *bounds)
    assert quant.scale > 0
    assert np.isfinite(quant.scale)
    assert -128 <= quant.zero_point <= 127


@pytest.mark.parametrize("name", ["Silu", "HardSwish", "Gelu", "GeluTanh", "Mish", "Relu", "Sigmoid"])
def test_bounds_hold(name: str) -> None:
    from ingot.builder.evaluate import evaluate

    node, x = function(name)
    (bound,) = [b for v, b in lower_bounds(Graph([x], node.outputs, [node])).items() if v is node.output]
    points = np.linspace(-20, 20, 100001, dtype=np.float32)
    kind = TensorType(DType.F32, points.shape)
    probe = Node(node.op, node.attrs, [Value("p", kind, points)], [])
    probe.outputs = [Value("q", kind, None, probe)]
    assert evaluate(probe)[0].min() >= bound
