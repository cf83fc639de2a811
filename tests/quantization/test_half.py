"""float16 and bfloat16: what is stored in them, how it is rounded, and what is kept out of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

import ingot
from ingot._kernel import aligned, available_isas, empty, make_params, run_kernel
from ingot.builder.quantization.half_weights import round_half
from ingot.kernels.common.half import HALF, narrow, pack_half, widen
from ingot.kernels.spec import DType

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets

KERNELS = {DType.F16: "matmul_f16_n16", DType.BF16: "matmul_bf16_n16k2"}
#: half a unit in the last place, relative
ROUNDING = {DType.F16: 2.0**-11, DType.BF16: 2.0**-8}
BOUNDS = {"fp16": 5e-3, "bf16": 5e-2}


def product(x: np.ndarray, w: np.ndarray, half: DType, isa: str, *, bias=None, residual=None) -> np.ndarray:
    """x @ w + bias + residual as the kernel stores it, all but the bias in ``half``; as float32."""
    out = empty((len(x), w.shape[1]), half.numpy)
    operands = [
        narrow(x, half),
        pack_half(narrow(w, half).T),
        bias,
        None if residual is None else narrow(residual, half),
    ]
    run_kernel(
        KERNELS[half],
        [None if a is None else aligned(a) for a in operands],
        [out],
        make_params("ingot_matmul_params", {"alpha": 1.0}),
        isa=isa,
        constant=[1],
        bfloat16=[0, 1, 3, 4] if half is DType.BF16 else [],
    )
    return widen(out, half)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 24), st.sampled_from([0, 1, 2, 7, 64, 515]), st.integers(1, 150), st.booleans(),
    st.sampled_from(HALF), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_products(m: int, k: int, n: int, residual: bool, half: DType, seed: int) -> None:
    """Against exact products of the rounded operands: float32 sums, one rounding at the store."""
    rng = np.random.default_rng(seed)
    x, w, r = (rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n)))
    bias = rng.standard_normal(n).astype(np.float32)
    left, right, rest = (widen(narrow(a, half), half).astype(np.float64) for a in (x, w, r))
    exact = left @ right + bias + (rest if residual else 0)
    size = np.abs(left) @ np.abs(right) + np.abs(bias) + np.abs(rest)
    for isa in available_isas(KERNELS[half]):
        got = product(x, w, half, isa, bias=bias, residual=r if residual else None)
        allowed = ROUNDING[half] * np.abs(exact) + 1e-6 * (1 + k / 64) * size + 1e-7
        assert (np.abs(got - exact) <= allowed).all(), isa


@pytest.mark.parametrize("half", HALF)
def test_stores_round_to_even_and_overflow(half: DType) -> None:
    """Results on ties, out of range and not numbers."""
    step = 2 * ROUNDING[half]
    ties = [1 + step / 2, 1 + 1.5 * step, -(1 + step / 2), 1 + step / 4]
    odd = np.array([*ties, 1e38, -1e38, np.inf, -np.inf, np.nan, 65519.0, 65520.0, 1e-7, 6e-8, 0.0], np.float32)
    for isa in available_isas(KERNELS[half]):
        got = product(np.zeros((3, 4), np.float32), np.zeros((4, len(odd)), np.float32), half, isa, bias=odd)
        wanted = np.broadcast_to(widen(narrow(odd, half), half), got.shape)
        np.testing.assert_array_equal(got, wanted, isa)
    assert wanted[0, 0] == 1 and wanted[0, 1] == 1 + 2 * step


@pytest.mark.parametrize("half", HALF)
def test_padding_is_no_operand(half: DType) -> None:
    """What lies behind an odd run of operands is not multiplied by the zeros that pad the weights."""
    wide = np.full((5, 16), np.nan, np.float32)
    wide[:, :7] = 1
    w = np.ones((7, 9), np.float32)
    rows = aligned(narrow(wide, half))[:, :7]
    for isa in available_isas(KERNELS[half]):
        out = empty((5, 9), half.numpy)
        run_kernel(
            KERNELS[half], [rows, aligned(pack_half(narrow(w, half).T)), None, None], [out],
            make_params("ingot_matmul_params", {"alpha": 1.0}), isa=isa, constant=[1],
            bfloat16=[0, 1, 4] if half is DType.BF16 else [],
        )  # fmt: skip
        assert (widen(out, half) == 7).all(), isa


@pytest.mark.parametrize("half", HALF)
def test_weights_keep_their_sums(half: DType) -> None:
    """Every weight becomes one of its two neighbours, and channels add up better than by rounding to the nearest."""
    w = np.random.default_rng(0).standard_normal((6, 11, 3, 3)).astype(np.float32)
    w[5] = 0.25  # needs no rounding
    rounded = widen(round_half(w, half, 0), half)
    nearest = widen(narrow(w, half), half)
    assert (np.abs(rounded - w) <= 2 * ROUNDING[half] * np.abs(w)).all()
    off, before = (np.abs((a - w).sum(axis=(1, 2, 3), dtype=np.float64)) for a in (rounded, nearest))
    assert (off <= before).all() and off[:5].sum() < before[:5].sum() / 4
    assert (rounded[5] == 0.25).all()


def error(got: list[np.ndarray], wanted: list[np.ndarray]) -> float:
    pairs = zip(got, wanted, strict=True)
    return max(float(np.linalg.norm(a.astype(np.float64) - b) / np.linalg.norm(b)) for a, b in pairs)


def ledger(engine: ingot.Engine) -> list[dict]:
    return engine.inspect()["metadata"]["ledger"]


def convolutions(engine: ingot.Engine) -> dict[str, dict]:
    """Their rows of the ledger, by the name of the first ONNX node in them."""
    return {row["layer"].split("+")[0]: row for row in ledger(engine) if "conv" in row["kernel"]}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@pytest.mark.parametrize("seed", [0, 1])
def test_networks(precision: str, seed: int) -> None:
    """Near float32, in less memory, the same bits for any number of threads and from any build."""
    model, samples = nets.mixed(seed)
    plain, engine = ingot.build(model), ingot.build(model, precision=precision)
    engine.self_test()
    assert ingot.build(model, precision=precision).digest == engine.digest
    wanted = nets.outputs(plain, samples[0])
    assert error(nets.outputs(engine, samples[0]), wanted) < BOUNDS[precision]
    memory, before = (e.inspect()["metadata"]["memory"] for e in (engine, plain))
    assert memory["constants"] < 0.75 * before["constants"] and memory["arena"] <= before["arena"]
    results = []
    for threads in (1, 2):
        with engine.context(threads=threads) as context:
            results.append([array.tobytes() for array in context.run(samples[0]).values()])
    assert results[0] == results[1]
    convs = list(convolutions(engine).values())
    assert len(convs) == 7 and all(row["asked"] == row["got"] == precision for row in convs)
    assert all(row.get("why") for row in ledger(engine) if row["got"] != precision)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_every_instruction_set(precision: str, tmp_path: Path) -> None:
    model, samples = nets.mixed(0)
    ingot.build(model, precision=precision).save(tmp_path / "engine")
    wanted = nets.outputs(ingot.build(model), samples[0])
    for isa in available_isas(KERNELS[DType.F16 if precision == "fp16" else DType.BF16]):
        loaded = ingot.load(tmp_path / "engine", isa=isa)
        loaded.self_test()
        assert error(nets.outputs(loaded, samples[0]), wanted) < BOUNDS[precision], isa


SEVEN = ("bf16", "fp32", "int8", "fp16", "int8", "fp32", "fp16")


def test_layers_may_differ() -> None:
    """Each layer gets its own, int8 among them, and neighbours of different kinds meet in float32."""
    model, samples = nets.mixed(0)
    asked = dict(zip(convolutions(ingot.build(model, precision="fp16")), SEVEN, strict=True))
    engine = ingot.build(model, precision="fp16", layer_precision=asked, calibration=samples, allow_fallback=True)
    got = {name: row["got"] for name, row in convolutions(engine).items()}
    assert got == asked
    assert error(nets.outputs(engine, samples[0]), nets.outputs(ingot.build(model), samples[0])) < 0.1


def large(scale: float, inputs: float = 1.0) -> tuple:
    """Weights of the first convolution are ``scale`` times as large, its results ``inputs`` times again."""
    net = nets.Net((1, 3, 8, 8), 3)
    y = net.op("Relu", net.conv("x", 3, 8))
    for tensor in net.constants[:2]:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(scale), tensor.name))
    return net.model(net.conv(y, 8, 4)), [{"x": sample["x"] * np.float32(inputs)} for sample in net.samples(3)]


def test_layers_that_would_overflow_stay() -> None:
    """With data the layer is kept and the ledger says so; without, the build says that nobody looked."""
    model, samples = large(1.0, 1e6)
    wanted = nets.outputs(ingot.build(model), samples[0])
    engine = ingot.build(model, precision="fp16", calibration=samples)
    assert error(nets.outputs(engine, samples[0]), wanted) < BOUNDS["fp16"]
    kept = [row for row in ledger(engine) if "would overflow fp16: largest" in row.get("why", "")]
    assert kept and all(row["asked"] == "fp16" and row["got"] == "fp32" for row in kept)
    assert not any("warning" in line for line in engine.inspect()["metadata"]["passes"])
    blind = ingot.build(model, precision="fp16", self_test=False)
    assert any("warning: no calibration data" in line for line in blind.inspect()["metadata"]["passes"])
    assert not np.isfinite(nets.outputs(blind, samples[0])[0]).all()
    coarse = ingot.build(model, precision="bf16")  # has the range of float32
    assert error(nets.outputs(coarse, samples[0]), wanted) < BOUNDS["bf16"]
    assert not any("warning" in line for line in coarse.inspect()["metadata"]["passes"])


@pytest.mark.parametrize(("scale", "why"), [(1e6, "its weights reach"), (1e-8, "too small for fp16")])
def test_weights_out_of_range_stay(scale: float, why: str) -> None:
    model, samples = large(scale)
    engine = ingot.build(model, precision="fp16", calibration=samples)
    assert any(why in row.get("why", "") and row["got"] == "fp32" for row in ledger(engine))
    assert error(nets.outputs(engine, samples[0]), nets.outputs(ingot.build(model), samples[0])) < BOUNDS["fp16"]


def test_calibration_caches_are_those_of_int8(tmp_path: Path) -> None:
    model, samples = large(1.0, 1e6)
    cache = tmp_path / "cache"
    written = ingot.build(model, precision="fp16", calibration=samples, calibration_cache=cache)
    assert ingot.build(model, precision="fp16", calibration_cache=cache).digest == written.digest
    ingot.build(model, precision="int8", calibration_cache=cache)
