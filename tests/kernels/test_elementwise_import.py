"""Elementwise operators in the forms of other opsets than the newest, and forms the node tests leave out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ingot.builder.onnx_backend import IngotBackend
from ingot.errors import IngotError

X = np.linspace(-3, 3, 24, dtype=np.float32).reshape(2, 3, 4)
Q = np.arange(-12, 12, dtype=np.int8).reshape(2, 3, 4)
SLOPES = np.float32([[0.1], [0.2], [0.3]])
TWO_BLOCKS = np.float32([[[1, 2]] * 3] * 2)


def run(op: str, opset: int, *inputs: Any, outputs: int = 1, **attributes: Any) -> list[np.ndarray]:
    """One node; the first input arrives at run time, the others are initialisers. ``None`` is an absent input."""
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    first = np.asarray(inputs[0])
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attributes)],
        op,
        [helper.make_tensor_value_info("x0", helper.np_dtype_to_tensor_dtype(first.dtype), first.shape)],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in results],
        [onnx.numpy_helper.from_array(np.asarray(a), n) for a, n in zip(inputs[1:], names[1:]) if a is not None],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return list(IngotBackend.prepare(model).run([first]))


def quantised(scale: Any, zero: Any, dtype: Any) -> np.ndarray:
    info = np.iinfo(dtype)
    return (np.rint(X / np.float32(scale)) + np.float32(zero)).clip(info.min, info.max).astype(dtype)


def blocks(values: list[float], block: int, extent: int) -> np.ndarray:
    return np.repeat(np.float32(values), block)[:extent]


CASES: dict[str, tuple[str, int, tuple[Any, ...], dict[str, Any], np.ndarray]] = {
    "Clip-6": ("Clip", 7, (X,), {"min": -1.0, "max": 2.0}, X.clip(-1, 2)),
    "Clip-6 one bound": ("Clip", 10, (X,), {"min": 0.5}, X.clip(0.5)),
    "Clip-11 no minimum": ("Clip", 11, (X, None, np.float32(1)), {}, X.clip(None, 1)),
    "Clip-11 relu": ("Clip", 11, (X, np.float32(0)), {}, X.clip(0)),
    "Clip-12 integers": ("Clip", 12, (Q, np.int8(-3), np.int8(5)), {}, Q.clip(-3, 5)),
    "Clip-13 no bounds": ("Clip", 13, (X, None, None), {}, X),
    "Clip-13 crossed bounds": ("Clip", 13, (X, np.float32(2), np.float32(-1)), {}, np.full_like(X, -1)),
    "Pow-7 square": ("Pow", 7, (X, np.float32(2)), {}, X * X),
    "Pow-12 integer exponent": ("Pow", 12, (X, np.int64(3)), {}, X**3),
    "Pow-13 integer base": ("Pow", 13, (np.int32([4, 9, 16]), np.float32(0.5)), {}, np.int32([2, 3, 4])),
    "Pow-13 exponent of higher rank": ("Pow", 13, (np.float32(3), np.float32([[2.0]])), {}, np.float32([[9]])),
    "Sum-8 one": ("Sum", 8, (X,), {}, X),
    "Sum-8 broadcast": ("Sum", 8, (X, X[0], X[:, :1, :1]), {}, X + X[0] + X[:, :1, :1]),
    "Mean-13": ("Mean", 13, (X, 2 * X, X[0]), {}, (3 * X + X[0]) / 3),
    "Max-8 many": ("Max", 8, (X, *(np.float32(i / 10) for i in range(20))), {}, np.maximum(X, np.float32(1.9))),
    "Min-12 integers": ("Min", 12, (Q, np.int8([0, 1, 2, 3])), {}, np.minimum(Q, np.int8([0, 1, 2, 3]))),
    "Mod-10 fmod": ("Mod", 10, (X, np.float32(0.75)), {"fmod": 1}, np.fmod(X, np.float32(0.75))),
    "PRelu-7": ("PRelu", 7, (X, SLOPES), {}, np.where(X < 0, X * SLOPES, X)),
    "HardSigmoid-6": ("HardSigmoid", 7, (X,), {}, (X * np.float32(0.2) + np.float32(0.5)).clip(0, 1)),
    "Selu-6": ("Selu", 7, (X,), {"alpha": 2.0, "gamma": 3.0}, 3 * np.where(X < 0, 2 * np.expm1(X), X)),
    "Cast-6": ("Cast", 7, (X,), {"to": TensorProto.INT32}, X.astype(np.int32)),
    "QuantizeLinear-10": ("QuantizeLinear", 10, (X, np.float32(0.1), np.uint8(30)), {}, quantised(0.1, 30, np.uint8)),
    "QuantizeLinear-10 no zero point": ("QuantizeLinear", 10, (X, np.float32(0.02)), {}, quantised(0.02, 0, np.uint8)),
    "QuantizeLinear-13 axis": (
        "QuantizeLinear",
        13,
        (X, np.float32([0.5, 0.25, 0.125]), np.int8([0, 1, -1])),
        {"axis": -2},
        quantised([[0.5], [0.25], [0.125]], [[0], [1], [-1]], np.int8),
    ),
    "QuantizeLinear-21 int16": (
        "QuantizeLinear",
        21,
        (X, np.float32(1e-5)),
        {"output_dtype": TensorProto.INT16},
        quantised(1e-5, 0, np.int16),
    ),
    "DequantizeLinear-10": (
        "DequantizeLinear",
        10,
        (Q, np.float32(0.5), np.int8(3)),
        {},
        (Q - np.float32(3)) * np.float32(0.5),
    ),
    "DequantizeLinear-13 axis": (
        "DequantizeLinear",
        13,
        (Q, np.float32([1, 2, 3])),
        {"axis": 1},
        Q * np.float32([[1], [2], [3]]),
    ),
    "DequantizeLinear-13 int32": (
        "DequantizeLinear",
        13,
        (Q.astype(np.int32), np.float32(0.5)),
        {},
        Q * np.float32(0.5),
    ),
    "DequantizeLinear-21 blocks": (
        "DequantizeLinear",
        21,
        (Q, TWO_BLOCKS),
        {"axis": 2, "block_size": 2},
        Q * blocks([1, 2], 2, 4),
    ),
    "DequantizeLinear-21 a short block": (
        "DequantizeLinear",
        21,
        (Q, TWO_BLOCKS),
        {"axis": 2, "block_size": 3},
        Q * blocks([1, 2], 3, 4),
    ),
    "DequantizeLinear-19 float16": (
        "DequantizeLinear",
        19,
        (Q, np.float16(0.5)),
        {},
        (Q * np.float32(0.5)).astype(np.float16),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_form(case):
    op, opset, inputs, attributes, expected = CASES[case]
    (actual,) = run(op, opset, *inputs, **attributes)
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=1e-6)
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(("opset", "inputs"), [(7, (X,)), (10, (X,)), (12, (X, np.float32(0.9), np.bool_(False)))])
def test_dropout_does_nothing(opset, inputs):
    attributes = {"ratio": 0.9} if opset < 12 else {}
    y, mask = run("Dropout", opset, *inputs, outputs=2, **attributes)
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(mask, np.ones_like(X, np.float32 if opset < 10 else bool), strict=True)


@pytest.mark.parametrize(
    ("match", "op", "opset", "inputs", "attributes"),
    [
        ("training", "Dropout", 12, (X, np.float32(0.5), np.bool_(True)), {}),
        ("direction", "BitShift", 11, (np.uint8([1]), np.uint8([1])), {"direction": "UP"}),
        ("approximate", "Gelu", 20, (X,), {"approximate": "sigmoid"}),
        ("scales of shape", "DequantizeLinear", 13, (Q, np.float32([1, 2])), {"axis": 1}),
        ("broadcast", "Add", 7, (X, np.zeros(5, np.float32)), {}),
        ("Add of f32 and f64", "Add", 7, (X, np.zeros(4)), {}),
    ],
)
def test_what_is_refused_says_why(match, op, opset, inputs, attributes):
    with pytest.raises(IngotError, match=match):
        run(op, opset, *inputs, **attributes)
