"""INT8 matrix products and the epilogue they share with convolutions, against integers and single roundings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingot._kernel import aligned, available_isas, empty, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.conv.int8 import pack_s8, storable
from ingot.kernels.conv_transpose.attrs import ConvTransposeAttrs, conv_transpose_params
from ingot.kernels.conv_transpose.int8 import pack_conv_transpose_s8, phase_sums
from ingot.kernels.conv_transpose.op import infer
from ingot.kernels.spec import DType, Quant, TensorType

common = settings(max_examples=25, deadline=None)
byte = st.integers(-128, 127)
NUMBERS = {"inverse_scale": 1.0, "output_min": -128}


def numbers(**changes: float) -> dict[str, float]:
    return NUMBERS | changes


def params(given: dict[str, float], activation: dict[str, float] | None = None, **fields: int) -> bytes:
    matmul = {"alpha": 1.0, "trans_a": fields.get("trans_a", 0), "trans_b": fields.get("trans_b", 0)}
    matmul["activation"] = activation or {}
    return make_params(
        "ingot_matmul_s8_params", {"matmul": matmul, "numbers": given, "b_zero": fields.get("b_zero", 0)}
    )


def fma(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x * scale + bias rounded once, for float32 operands whose exact result float80 holds or nearly so."""
    return (x.astype(np.longdouble) * scale.astype(np.longdouble) + bias.astype(np.longdouble)).astype(np.float32)


def requantise(v: np.ndarray, given: dict[str, float]) -> np.ndarray:
    y = v * np.float32(given["inverse_scale"])
    y = np.clip(np.rint(np.nan_to_num(y, posinf=1e9, neginf=-1e9)) + given.get("output_zero", 0), -128, 127)
    return y.astype(np.int8)


@common
@given(
    st.integers(1, 24), st.sampled_from([0, 1, 4, 7, 64, 515]), st.integers(1, 150), byte, byte, byte,
    st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_matmul_is_exact(
    m: int, k: int, n: int, a_zero: int, b_zero: int, output_zero: int, trans_a: bool, trans_b: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    extremes = seed % 4 == 0
    a, b = (rng.choice([-128, 127], s) if extremes else rng.integers(-128, 128, s) for s in ((m, k), (k, n)))
    scale = rng.uniform(1e-4, 1e-3, n).astype(np.float32)
    residual = rng.integers(-128, 128, (m, n)).astype(np.int8)
    given_numbers = numbers(
        inverse_scale=7.0, input_zero=a_zero, output_zero=output_zero, residual_scale=0.5, residual_zero=-3
    )
    left = aligned((a.T if trans_a else a).astype(np.int8))
    right = aligned((b.T if trans_b else b).astype(np.int8))
    for kernel in ("matmul_s8_n16k4", "matmul_s8"):
        packed = kernel == "matmul_s8_n16k4"
        zero = 0 if packed else b_zero
        scales = scale if packed else np.full(n, scale[0])
        exact = (a.astype(np.int64) - a_zero) @ (b.astype(np.int64) - zero)
        v = fma(exact.astype(np.float32), scales, np.zeros(n, np.float32))
        v = fma(residual.astype(np.float32) + np.float32(3), np.full((m, n), 0.5, np.float32), v)
        operands = [
            left,
            aligned(pack_s8(b.T.astype(np.int8))) if packed else right,
            None,
            aligned(residual),
            aligned(b.sum(axis=0, dtype=np.int32)) if packed else None,
            aligned(scale if packed else scale[:1]),
        ]
        blob = params(given_numbers, trans_a=int(trans_a), trans_b=int(trans_b and not packed), b_zero=zero)
        for isa in available_isas(kernel):
            for wanted in (requantise(v, given_numbers), v):
                y = empty((m, n), wanted.dtype)
                run_kernel(kernel, operands, [y], blob, isa=isa, constant=[1], splits=2)
                np.testing.assert_array_equal(y, wanted, err_msg=f"{kernel} {isa}")


@common
@given(
    st.integers(1, 9), st.integers(1, 40), st.sampled_from([1, 2]), st.lists(st.integers(1, 4), min_size=6, max_size=6),
    st.integers(0, 2), byte, st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_conv_transpose_is_exact(
    channels: int, out: int, groups: int, window: list[int], pad: int, zero: int, seed: int
) -> None:
    """Against the plain kernel in float64, which integers of this size do not round."""
    rng = np.random.default_rng(seed)
    kernel, strides, dilations = (tuple(window[i : i + 2]) for i in (0, 2, 4))
    attrs = ConvTransposeAttrs(kernel, strides, (pad, 0, 0, pad), dilations, groups)
    x = rng.integers(-128, 128, (2, 4, 5, channels * groups)).astype(np.int8)
    w = rng.integers(-128, 128, (channels * groups, out, *kernel)).astype(np.int8)
    node = SimpleNamespace(attrs=attrs)
    (kind,) = infer(attrs, (TensorType(DType.F64, x.shape), TensorType(DType.F64, w.shape)))
    exact = empty(kind.shape, np.float64)
    fields = conv_transpose_params(node)
    operands = [aligned(x.astype(np.float64) - zero), aligned(w.astype(np.float64)), None, None]
    run_kernel("conv_transpose_plain", operands, [exact], make_params("ingot_conv_transpose_params", fields))
    blob = make_params("ingot_conv_transpose_s8_params", {"conv": fields, "numbers": numbers(input_zero=zero)})
    operands = [
        aligned(x), aligned(pack_conv_transpose_s8(attrs, w)), None, None, aligned(phase_sums(attrs, w)),
        np.ones(out * groups, np.float32),
    ]  # fmt: skip
    for isa in available_isas("conv_transpose_s8_n16k4"):
        y = empty(kind.shape, np.float32)
        run_kernel("conv_transpose_s8_n16k4", operands, [y], blob, isa=isa, splits=3)
        np.testing.assert_array_equal(y, exact.astype(np.float32), err_msg=isa)


def epilogue(v: np.ndarray, given: dict[str, float], activation: dict[str, float], isa: str, dtype: type) -> np.ndarray:
    """What becomes of the real numbers ``v``: a product of nothing, and ``v`` as bias."""
    n = v.size
    y = empty((1, n), dtype)
    operands = [
        empty((1, 0), np.int8), empty((-(-n // 16), 0, 64), np.int8), v, None, empty((n,), np.int32),
        np.ones(n, np.float32),
    ]  # fmt: skip
    run_kernel("matmul_s8_n16k4", operands, [y], params(given, activation), isa=isa)
    return y[0]


@pytest.mark.parametrize("isa", available_isas("matmul_s8_n16k4"))
class TestEpilogue:
    AWKWARD = np.array(
        [
            0.5,
            1.5,
            -0.5,
            -1.5,
            2.5,
            126.5,
            127.5,
            -128.5,
            -129,
            1e30,
            -1e30,
            3e38,
            1e-45,
            -0.0,
            np.inf,
            -np.inf,
            np.nan,
        ],
        np.float32,
    )

    @pytest.mark.parametrize("scale", [1.0, 0.37, 1e-38, 3e38])
    @pytest.mark.parametrize("zero", [-128, -5, 0, 127])
    def test_ties_saturation_infinities_and_nan(self, isa: str, scale: float, zero: int) -> None:
        given_numbers = numbers(inverse_scale=scale, output_zero=zero)
        with np.errstate(over="ignore", under="ignore"):
            wanted = requantise(self.AWKWARD, given_numbers)
        np.testing.assert_array_equal(epilogue(self.AWKWARD, given_numbers, {}, isa, np.int8), wanted)

    @pytest.mark.parametrize("zero", [-128, -5, 0, 127])
    @pytest.mark.parametrize("kind", [0, 1, 2])
    def test_panels_of_numbers_that_fit_integers(self, isa: str, zero: int, kind: int) -> None:
        """They may be packed, which saturates; ties and the largest of them in all places of a panel."""
        v = np.concatenate([np.arange(-1300, 1300, 4), np.full(23, 2.0**30), np.full(23, -(2.0**30)), [-0.0]])
        v = v.astype(np.float32)
        given_numbers = numbers(inverse_scale=0.125, output_zero=zero)
        activation = {"kind": kind, "alpha": -300.0 * (kind == 2), "beta": 404.0 * (kind == 2)}
        clamped = np.clip(v, (-np.inf, 0.0, -300.0)[kind], 404.0 if kind == 2 else np.inf).astype(np.float32)
        wanted = requantise(clamped, given_numbers)
        np.testing.assert_array_equal(epilogue(v, given_numbers, activation, isa, np.int8), wanted)

    def test_a_nan_is_the_zero_point_whatever_the_activation(self, isa: str) -> None:
        for activation in ({"kind": 1}, {"kind": 2, "alpha": 1.0, "beta": 6.0}, {"kind": 2, "alpha": np.nan}):
            got = epilogue(np.full(5, np.nan, np.float32), numbers(output_zero=9), activation, isa, np.int8)
            assert (got == 9).all()

    def test_clamps(self, isa: str) -> None:
        for lo, hi in ((0.0, 6.0), (-3.0, 2.5), (500.0, 600.0), (4.0, -4.0), (-np.inf, np.inf), (np.nan, 1.0)):
            activation = {"kind": 2, "alpha": lo, "beta": hi}
            v = self.AWKWARD.copy()
            v[v < lo] = lo
            v[v > hi] = hi
            given_numbers = numbers(inverse_scale=11.0, output_zero=3)
            np.testing.assert_array_equal(epilogue(self.AWKWARD, given_numbers, activation, isa, np.float32), v)
            with np.errstate(over="ignore"):
                wanted = requantise(v, given_numbers)
            np.testing.assert_array_equal(epilogue(self.AWKWARD, given_numbers, activation, isa, np.int8), wanted)


@pytest.mark.parametrize(
    "change",
    [
        {"inverse_scale": 0.0},
        {"inverse_scale": -1.0},
        {"inverse_scale": float("inf")},
        {"inverse_scale": float("nan")},
        {"output_min": 0},
        {"input_zero": 128},
        {"output_zero": -129},
        {"residual_zero": 1000},
        {"output_min": -127, "output_zero": -128},
    ],
)
def test_numbers_that_no_requantisation_can_have_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(IngotError, match="quantisation"):
        epilogue(np.zeros(3, np.float32), numbers(**change), {}, "portable", np.int8)


def test_results_of_subnormal_scales_are_not_stored() -> None:
    assert storable(None) and storable(Quant(1e-38)) and storable(Quant(3.4e38))
    assert not any(storable(Quant(scale)) for scale in (0.0, 1e-40, float("inf"), float("nan"), -1.0))
