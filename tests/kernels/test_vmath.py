"""The float32 mathematics of ``kernels/common/vmath.h`` against float64, in units in the last place."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ingot import _kernel
from ingot.kernels.elementwise import lower
from ingot.kernels.elementwise.program import single
from ingot.kernels.spec import DType, TensorType

ISAS = _kernel.available_isas("elementwise")


def run(function: str, *arrays: np.ndarray, isa: str, **constants: float) -> np.ndarray:
    program = single(function, [TensorType(DType.F32, a.shape) for a in arrays], **constants)
    out = _kernel.empty(arrays[0].shape, np.float32)
    params = _kernel.make_params("ingot_elementwise_params", lower.params(program, [DType.F32] * len(arrays)))
    _kernel.run_kernel("elementwise", arrays, [out], params, isa=isa)
    return out


def samples() -> np.ndarray:
    rng = np.random.default_rng(0)
    any_bits = rng.integers(0, 2**32, 100_000, np.uint32).view(np.float32)
    special = [0, 1, 88.72283, 88.72284, 87.3, 103.9, 104, np.inf, np.nan, 1e-45, 1.1754944e-38, 0.5, 20, 1e6, 3.4e38]
    parts = [any_bits, rng.normal(size=50_000), rng.uniform(-100, 100, 50_000), 1 + rng.normal(size=20_000) * 1e-3]
    with np.errstate(invalid="ignore"):
        return np.concatenate([*parts, special, np.negative(special)]).astype(np.float32)


def ulps(actual: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in units in the last place of the float32 next to the exact value."""
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    same = (actual == rounded) | (np.isnan(actual) & np.isnan(rounded))
    finite = np.isfinite(actual) & np.isfinite(rounded)
    assert (same | finite).all(), "an infinity or NaN too many or too few"
    unit = np.abs(np.spacing(rounded[finite])).astype(np.float64)
    return float(np.max(np.abs(actual[finite].astype(np.float64) - exact[finite]) / unit, initial=0))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """0 where its exponential would be below 2^-126."""
    e = np.exp(-np.abs(x))
    return np.where(x < -87.33654, 0, np.where(x < 0, e, 1) / (1 + e))


#: function -> (float64 reference, allowed error in ulp)
REFERENCES = {
    "Exp": (np.exp, 1.5),
    "Log": (np.log, 1.5),
    "Sigmoid": (sigmoid, 2.5),
    "Tanh": (np.tanh, 2),
    "Erf": (np.vectorize(math.erf), 2),
    "Softplus": (lambda x: np.logaddexp(0, x), 2),
    "Sin": (np.sin, 2),
    "Cos": (np.cos, 2),
    "Tan": (np.tan, 4),
    "Asin": (np.arcsin, 3),
    "Acos": (np.arccos, 2),
    "Atan": (np.arctan, 3),
    "Sinh": (np.sinh, 2),
    "Cosh": (np.cosh, 2),
    "Asinh": (np.arcsinh, 2),
    "Acosh": (np.arccosh, 3),
    "Atanh": (np.arctanh, 2.5),
    "Sqrt": (np.sqrt, 0.51),
    "Elu": (lambda x: np.where(x < 0, np.expm1(x), x), 2),
}


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("function", REFERENCES)
def test_error_in_ulp(function, isa):
    reference, allowed = REFERENCES[function]
    x = samples()
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
    assert ulps(run(function, x, isa=isa, alpha=1.0), exact) <= allowed


@pytest.mark.parametrize("isa", ISAS)
def test_signs_of_zero(isa):
    zeros = np.array([0.0, -0.0], np.float32)
    for function in ("Tanh", "Erf", "Sin", "Tan", "Asin", "Atan", "Sinh", "Asinh", "Atanh", "Sqrt", "Elu"):
        assert np.signbit(run(function, zeros, isa=isa, alpha=1.0)).tolist() == [False, True], function


@pytest.mark.parametrize("isa", ISAS)
def test_powers(isa):
    rng = np.random.default_rng(0)
    special = np.array([0, 1, 2, 3, 0.5, 0.3, np.inf, 1e-45, 16777216, 16777217, 3.4e38, 1e30], np.float32)
    special = np.concatenate([special, -special, [np.nan]]).astype(np.float32)
    a, b = (m.ravel() for m in np.meshgrid(special, special))
    x = np.concatenate([a, np.abs(rng.normal(size=50_000)), np.exp(rng.uniform(-80, 80, 50_000))]).astype(np.float32)
    y = np.concatenate([b, rng.uniform(-60, 60, 50_000), rng.uniform(-2, 2, 50_000)]).astype(np.float32)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.float64), y.astype(np.float64))
    actual = run("Pow", x, y, isa=isa)
    assert ulps(actual, exact) <= 1
    known = ~np.isnan(exact)
    np.testing.assert_array_equal(np.signbit(actual[known]), np.signbit(exact[known]))
