"""What of a model that arrives quantised is rounded how: the passes ``rounding`` and ``hoist_quantize``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingot.builder import onnx_model
from ingot.builder.ir import Graph
from ingot.builder.onnx_import import import_model
from ingot.builder.pipeline import FROM_QUANTIZE, TO_QUANTIZE, run_passes
from ingot.kernels.spec import DType

sys.path.insert(0, str(Path(__file__).resolve().parent))
from imported import Model

SHAPE = (1, 4, 6, 6)


def graph_of(m: Model, y: str) -> Graph:
    graph = import_model(onnx_model.read(m.finish(y, SHAPE)), {}, None)
    run_passes(graph, TO_QUANTIZE)
    return graph


def rounded(graph: Graph) -> list[DType | None]:
    return [node.attrs.quant.rounds_as for node in graph.nodes if node.op.name == "quantize"]


def once(m: Model, q: str) -> str:
    return m.real(q, 0.1, 0)


def twice(m: Model, q: str) -> str:
    return m.op("Add", m.real(q, 0.1, 0), m.op("Relu", m.real(q, 0.2, 0)))


def moved(m: Model, q: str) -> str:
    return m.real(m.op("Reshape", q, m.constant(np.array([1, -1], np.int64))), 0.1, 0)


@pytest.mark.parametrize(
    ("dtype", "reader", "wanted"),
    [
        (np.int8, once, DType.U8),
        (np.int8, twice, DType.F32),
        (np.int8, moved, DType.F32),
        (np.uint8, once, DType.U8),
        (np.uint8, twice, DType.U8),
        (np.uint8, moved, DType.U8),
    ],
)
def test_who_reads_it_decides(dtype: type, reader: Callable[[Model, str], str], wanted: DType) -> None:
    m = Model(dtype)
    assert rounded(graph_of(m, reader(m, m.stored("x", 0.1, 0)))) == [wanted]


def test_operators_on_integers_round_in_their_own() -> None:
    m = Model(np.int8)
    q = m.quant(0.1, 0)
    y = m.microsoft("QLinearAdd", m.op("QuantizeLinear", "x", *q), *q, m.op("QuantizeLinear", "x", *q), *q, *q)
    assert sorted(str(kind) for kind in rounded(graph_of(m, m.op("DequantizeLinear", y, *q)))).count("DType.I8") == 1


@pytest.mark.parametrize("axes", [[0, 2, 3, 1], None], ids=["transpose", "reshape"])
def test_a_result_is_rounded_once_whatever_moves_it(axes: list[int] | None) -> None:
    """Convolution, transpose or reshape, quantize: one node of integers, and bytes that move."""
    m = Model(np.int8)
    w, _ = m.weights((5, 4, 1, 1), np.int8, 0)
    y = m.op("Conv", m.real(m.stored("x", 0.1, 3), 0.1, 3), w)
    shape = m.constant(np.array([5, 36], np.int64))
    y = m.op("Transpose", y, perm=axes) if axes else m.op("Reshape", y, shape)
    graph = graph_of(m, m.real(m.stored(y, 0.2, 1), 0.2, 1))
    run_passes(graph, FROM_QUANTIZE)
    (conv,) = [node for node in graph.nodes if node.op.name == "conv"]
    assert conv.output.type.dtype is DType.I8
    assert conv.attrs.steps
    assert not any(insn.function == "QuantizeLinear" for node in graph.nodes[1:] if node.op.name == "elementwise"
                   for insn in node.attrs.insns)  # fmt: skip


def test_what_others_read_is_not_moved() -> None:
    m = Model(np.int8)
    y = m.op("Transpose", "x", perm=[0, 2, 3, 1])
    z = m.op("Add", m.real(m.stored(y, 0.1, 0), 0.1, 0), y)
    graph = graph_of(m, z)
    run_passes(graph, ("hoist_quantize",))
    (quantize,) = [node for node in graph.nodes if node.op.name == "quantize"]
    assert quantize.inputs[0].producer is not None
