"""Models that arrive quantised: each operator within one quantum of onnxruntime, almost everywhere equal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from imported import Model, assert_alike, steps

SHAPE = (1, 8, 12, 12)
X = 0.05
#: dtype -> zero points of x and y
STORED = {np.int8: (3, -11), np.uint8: (120, 17)}
types = pytest.mark.parametrize("dtype", list(STORED), ids=lambda t: t.__name__)


# -- layers: QuantizeLinear and DequantizeLinear around float operators ------------------------------------------------

#: name -> element type of the weights, one scale for each channel or one for all, zero point
WEIGHTS = {
    "channels": (np.int8, True, 0),
    "tensor": (np.int8, False, 0),
    "around 5": (np.int8, False, 5),
    "uint8": (np.uint8, False, 128),
    "uint8, 9 bits": (np.uint8, False, 101),
    "uint8, all positive": (np.uint8, False, 0),
}


def conv(m: Model, x: str, kind: tuple, bias: bool, shape: tuple[int, ...], **attributes: object) -> str:
    dtype, channels, zero = kind
    w, scales = m.weights(shape, dtype, 0 if channels else None, zero)
    inputs = [x, w] + ([m.bias(shape[0], np.float32(X) * scales)] if bias else [])
    return m.op("Conv", *inputs, **attributes)


LAYERS: dict[str, Callable[..., str]] = {
    "conv": lambda m, x, kind, bias: conv(m, x, kind, bias, (9, 8, 3, 3), pads=[1, 1, 1, 1]),
    "pointwise relu": lambda m, x, kind, bias: m.op("Relu", conv(m, x, kind, bias, (20, 8, 1, 1))),
    "depthwise": lambda m, x, kind, bias: conv(m, x, kind, bias, (8, 1, 3, 3), group=8, strides=[2, 2]),
    "grouped": lambda m, x, kind, bias: conv(m, x, kind, bias, (6, 4, 2, 2), group=2),
    "relu6": lambda m, x, kind, bias: m.op(
        "Clip", conv(m, x, kind, bias, (9, 8, 3, 3)), m.constant(np.float32(0)), m.constant(np.float32(6))
    ),
}


@types
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("kind", list(WEIGHTS.values()), ids=list(WEIGHTS))
@pytest.mark.parametrize("layer", list(LAYERS.values()), ids=list(LAYERS))
def test_layer(layer: Callable[..., str], kind: tuple, bias: bool, dtype: type) -> None:
    zero, y_zero = STORED[dtype]
    m = Model(dtype)
    x = m.real(m.stored("x", X, zero), X, zero)
    y_scale = 0.11 if kind[0] is np.int8 else 0.37
    y = m.real(m.stored(layer(m, x, kind, bias), y_scale, y_zero), y_scale, y_zero)
    assert_alike(steps(m.finish(y, SHAPE), SHAPE, X, y_scale))


@types
@pytest.mark.parametrize("kind", list(WEIGHTS.values()), ids=list(WEIGHTS))
def test_product(kind: tuple, dtype: type) -> None:
    """Gemm with an int32 bias."""
    zero, y_zero = STORED[dtype]
    w_dtype, channels, w_zero = kind
    m = Model(dtype)
    shape = (16, 30)
    x = m.real(m.stored("x", X, zero), X, zero)
    w, scales = m.weights((11, 30), w_dtype, 0 if channels else None, w_zero)
    y = m.op("Gemm", x, w, m.bias(11, np.float32(X) * scales), transB=1)
    y_scale = 0.11 if w_dtype is np.int8 else 0.37
    y = m.real(m.stored(y, y_scale, y_zero), y_scale, y_zero)
    assert_alike(steps(m.finish(y, shape), shape, X, y_scale))


# -- everything else ---------------------------------------------------------------------------------------------------

SAME = object()
#: name -> the operator, scale of its result (SAME: that of x, zero point included)
OTHERS: dict[str, tuple[Callable[[Model, str], str], object]] = {
    "add": (lambda m, x: m.op("Add", x, x), 0.1),
    "mul": (lambda m, x: m.op("Mul", x, x), 0.2),
    "relu": (lambda m, x: m.op("Relu", x), 0.04),
    "sigmoid": (lambda m, x: m.op("Sigmoid", x), 1 / 256),
    "tanh": (lambda m, x: m.op("Tanh", x), 1 / 128),
    "leaky relu": (lambda m, x: m.op("LeakyRelu", x, alpha=0.1), 0.05),
    "silu": (lambda m, x: m.op("Mul", x, m.op("Sigmoid", x)), 0.04),
    "softmax": (lambda m, x: m.op("Softmax", x, axis=1), 1 / 256),
    "max pool": (lambda m, x: m.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2]), SAME),
    "average 2x2": (lambda m, x: m.op("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2]), SAME),
    "average 3x3": (lambda m, x: m.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1]), SAME),
    "average padded": (
        lambda m, x: m.op("AveragePool", x, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        0.04,
    ),
    "average of all": (lambda m, x: m.op("AveragePool", x, kernel_shape=[12, 12]), SAME),
    "global average": (lambda m, x: m.op("GlobalAveragePool", x), 0.02),
    "mean": (lambda m, x: m.op("ReduceMean", x, axes=[2, 3]), 0.02),
    "concat": (lambda m, x: m.op("Concat", x, x, axis=1), SAME),
    "pad": (lambda m, x: m.op("Pad", x, m.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))), SAME),
    "transpose": (lambda m, x: m.op("Transpose", x, perm=[0, 2, 3, 1]), SAME),
    "resize to twice": (
        lambda m, x: m.op("Resize", x, "", m.constant(np.array([1, 1, 2, 2], np.float32)), mode="linear"),
        SAME,
    ),
    "resize corners": (
        lambda m, x: m.op(
            "Resize", x, "", "", m.constant(np.array([1, 8, 29, 17], np.int64)),
            mode="linear", coordinate_transformation_mode="align_corners",
        ),
        0.06,
    ),
    "resize nearest": (
        lambda m, x: m.op("Resize", x, "", m.constant(np.array([1, 1, 2, 3], np.float32)), mode="nearest"),
        SAME,
    ),
}  # fmt: skip


@types
@pytest.mark.parametrize("name", list(OTHERS))
def test_operator(name: str, dtype: type) -> None:
    make, scale = OTHERS[name]
    zero, y_zero = STORED[dtype]
    y_scale, y_zero = (X, zero) if scale is SAME else (scale, y_zero)
    if name in ("sigmoid", "softmax"):
        y_zero = np.iinfo(dtype).min
    m = Model(dtype)
    y = make(m, m.real(m.stored("x", X, zero), X, zero))
    y = m.real(m.stored(y, y_scale, y_zero), y_scale, y_zero)
    assert_alike(steps(m.finish(y, SHAPE), SHAPE, X, y_scale))


# -- operators on integers ---------------------------------------------------------------------------------------------


def qlinear_conv(m: Model, x: str, q: tuple[str, str], r: tuple[str, str]) -> str:
    w = m.integers((8, 8, 3, 3), np.int8, 8)
    bias = m.constant(m.random.integers(-9000, 9000, 8).astype(np.int32))
    return m.op("QLinearConv", x, *q, *w, *r, bias)


def qlinear_conv_uint8(m: Model, x: str, q: tuple[str, str], r: tuple[str, str]) -> str:
    w = m.integers((8, 8, 3, 3), np.uint8, 1, 140)
    return m.op("QLinearConv", x, *q, *w, *r, pads=[1, 1, 1, 1])


def qgemm(m: Model, x: str, q: tuple[str, str], r: tuple[str, str]) -> str:
    bias = m.constant(m.random.integers(-9000, 9000, 9).astype(np.int32))
    flat = m.op("Reshape", x, m.constant(np.array([96, 12], np.int64)))
    return m.microsoft("QGemm", flat, *q, *m.integers((12, 9), np.int8, 1), bias, *r)


QLINEAR: dict[str, Callable[..., str]] = {
    "QLinearConv": qlinear_conv,
    "QLinearConv of uint8": qlinear_conv_uint8,
    "QLinearMatMul": lambda m, x, q, r: m.op("QLinearMatMul", x, *q, *m.integers((12, 9), np.int8, 1), *r),
    "QGemm": qgemm,
    "QLinearAdd": lambda m, x, q, r: m.microsoft("QLinearAdd", x, *q, x, *q, *r),
    "QLinearMul": lambda m, x, q, r: m.microsoft("QLinearMul", x, *q, x, *q, *r),
    "QLinearSigmoid": lambda m, x, q, r: m.microsoft("QLinearSigmoid", x, *q, *r),
    "QLinearLeakyRelu": lambda m, x, q, r: m.microsoft("QLinearLeakyRelu", x, *q, *r, alpha=0.2),
    "QLinearGlobalAveragePool": lambda m, x, q, r: m.microsoft("QLinearGlobalAveragePool", x, *q, *r),
    "QLinearAveragePool": lambda m, x, q, r: m.microsoft("QLinearAveragePool", x, *q, *q, kernel_shape=[2, 2]),
    "QLinearConcat": lambda m, x, q, r: m.microsoft("QLinearConcat", *r, x, *q, x, *q, axis=1),
}


@types
@pytest.mark.parametrize("name", list(QLINEAR))
def test_qlinear(name: str, dtype: type) -> None:
    if name == "QLinearConv of uint8" and dtype is np.int8:
        dtype = np.uint8  # onnxruntime has no int8 by uint8
    zero, y_zero = STORED[dtype]
    m = Model(dtype)
    q, r = m.quant(X, zero), m.quant(0.09, y_zero)
    y = QLINEAR[name](m, m.op("QuantizeLinear", "x", *q), q, r)
    back, scale = (q, X) if name == "QLinearAveragePool" else (r, 0.09)
    assert_alike(steps(m.finish(m.op("DequantizeLinear", y, *back), SHAPE), SHAPE, X, scale))


# -- what is no layer of integers --------------------------------------------------------------------------------------


def test_layers_left_in_float() -> None:
    """A model that arrives quantised may leave layers in float: no error, and the ledger says so."""
    m = Model(np.int8)
    x = m.real(m.stored("x", 0.05, 0), 0.05, 0)
    y = m.real(m.stored(conv(m, x, WEIGHTS["channels"], False, (9, 8, 3, 3)), 0.1, 0), 0.1, 0)
    z = m.op("Relu", m.op("Sigmoid", y))
    w = m.constant(m.random.standard_normal((4, 9, 1, 1)).astype(np.float32))
    engine = ingot.build(m.finish(m.op("Conv", z, w), SHAPE), precision="int8")
    rows = [r for r in engine.inspect()["metadata"]["ledger"] if r["got"] != r["asked"]]
    assert any("leaves it in float" in row["why"] for row in rows)


@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_products_of_constants_are_folded(dtype, precision: str) -> None:
    """QLinearMatMul of constants: nothing but the sum behind it is left to run."""
    random, m = np.random.default_rng(3), Model(dtype)
    zero = 3 if dtype is np.int8 else 130

    def whole(*shape: int) -> str:
        return m.constant((random.integers(0, 255, shape) + np.iinfo(dtype).min).astype(dtype))

    a, b, y = (m.quant(scale, zero) for scale in (0.02, 0.03, 0.2))
    product = m.op("QLinearMatMul", whole(5, 7), *a, whole(7, 5), *b, *y)
    model = m.finish(m.op("Add", m.op("DequantizeLinear", product, *y), "x"), (5, 5))
    x = random.standard_normal((5, 5)).astype(np.float32)
    engine = ingot.build(model, precision=precision)
    assert [step["kernel"] for step in engine.inspect()["programs"][0]["steps"]] == ["elementwise"]
    (got,) = engine.context().run({"x": x}).values()
    (wanted,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
