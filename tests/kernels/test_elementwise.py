"""The elementwise kernel: every function on every instruction set, broadcasting, edge values, hostile programs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingot import _kernel
from ingot.errors import IngotError
from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.elementwise import lower
from ingot.kernels.elementwise.functions import CASTS, ELEMENTWISE
from ingot.kernels.elementwise.op import SPEC, as_activation, cast_program, compose
from ingot.kernels.elementwise.program import Insn, Program, infer, single
from ingot.kernels.spec import DType, Sample, TensorType, Unsupported

ISAS = _kernel.available_isas("elementwise")
STRUCT = "ingot_elementwise_params"


def types_of(arrays) -> list[TensorType]:
    return [TensorType(DType.of(a.dtype), a.shape) for a in arrays]


def execute(program: Program, *arrays: np.ndarray, isa: str = "portable", splits: int = 1) -> np.ndarray:
    (result,) = infer(program, types_of(arrays))
    out = _kernel.empty(result.shape, result.dtype.numpy)
    params = _kernel.make_params(STRUCT, lower.params(program, [t.dtype for t in types_of(arrays)]))
    _kernel.run_kernel("elementwise", arrays, [out], params, isa=isa, splits=splits)
    return out


def apply(function: str, *arrays: np.ndarray, isa: str = "portable", **constants: float) -> np.ndarray:
    return execute(single(function, types_of(arrays), **constants), *arrays, isa=isa)


def arrays_of(sample: Sample) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [
        rng.uniform(-2, 2, x.shape).astype(x.dtype.numpy) if isinstance(x, TensorType) else x for x in sample.inputs
    ]


# --- instruction sets agree ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isa", ISAS[1:])
@pytest.mark.parametrize("sample", list(SPEC.samples()), ids=lambda s: s.name)
def test_instruction_sets_agree_with_portable(sample, isa):
    arrays = arrays_of(sample)
    expected = execute(sample.attrs, *arrays)
    actual = execute(sample.attrs, *arrays, isa=isa)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(actual, expected, rtol=1e-3 if expected.dtype == np.float16 else 2e-6)
    else:
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("count", [1, 12, 15, 16, 17, 511, 512, 513, 8191, 8192, 8193, 20000])
def test_any_split_gives_the_same_bits(count, isa):
    rng = np.random.default_rng(count)
    x, y = rng.normal(size=(2, count)).astype(np.float32)
    program = Program((Insn("Tanh", DType.F32, (0,)), Insn("Mul", DType.F32, (2, 1))))
    whole = execute(program, x, y, isa=isa)
    np.testing.assert_array_equal(execute(program, x, y, isa=isa, splits=3), whole)
    np.testing.assert_allclose(whole, np.tanh(x) * y, rtol=1e-5)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("count", [5, 512, 9001])
def test_output_may_take_the_place_of_an_input(count, isa):
    rng = np.random.default_rng(0)
    x, y = _kernel.empty((count,), np.float32), rng.normal(size=count).astype(np.float32)
    x[...] = rng.normal(size=count)
    program = Program(
        (Insn("Add", DType.F32, (0, 1)), Insn("Relu", DType.F32, (2,)), Insn("Sub", DType.F32, (3, 0))),
    )
    expected = np.maximum(x + y, 0) - x
    params = _kernel.make_params(STRUCT, lower.params(program, [DType.F32] * 2))
    _kernel.run_kernel("elementwise", [x, y], [x], params, isa=isa)
    np.testing.assert_array_equal(x, expected)


# --- the program of batch normalisation, which is one loop ------------------------------------------------------------


def scaled(x_zero: int, y_zero: int, relu: bool, swapped: bool) -> Program:
    """int8 times one operand plus another, to int8."""
    insns = [
        Insn("Dequantize", DType.F32, (0,), 0.11, x_zero),
        Insn("Mul", DType.F32, (1, 3) if swapped else (3, 1)),
        Insn("Add", DType.F32, (2, 4) if swapped else (4, 2)),
    ]
    insns += [Insn("Relu", DType.F32, (5,))] * relu
    return Program((*insns, Insn("Quantize", DType.I8, (5 + relu,), 9.3, y_zero)))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(1, 5), (3, 7, 70), (2, 300, 64), (5, 600)], ids=str)
def test_batch_normalisation_rounds_where_its_instructions_do(shape, relu, isa):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, shape).astype(np.int8)
    factor, term = rng.normal(size=(2, shape[-1])).astype(np.float32)
    awkward = np.array([np.nan, np.inf, -np.inf, 3e38, -0.0], np.float32)
    factor[:5], term[:5] = awkward, awkward[::-1]
    for x_zero, y_zero, swapped in ((0, -128, False), (-128, 3, True), (127, 127, False)):
        program = scaled(x_zero, y_zero, relu, swapped)
        with np.errstate(invalid="ignore", over="ignore"):
            v = (x.astype(np.float32) - np.float32(x_zero)) * np.float32(0.11) * factor + term
            v = (np.where(v < 0, np.float32(0), v) if relu else v) * np.float32(9.3)
        v = np.clip(np.nan_to_num(v, nan=0.0, posinf=np.inf, neginf=-np.inf), -128 - y_zero, 127 - y_zero)
        wanted = (np.rint(v) + y_zero).astype(np.int8)
        for splits in (1, 3):
            np.testing.assert_array_equal(execute(program, x, factor, term, isa=isa, splits=splits), wanted)


# --- broadcasting ----------------------------------------------------------------------------------------------------


@st.composite
def broadcast_shapes(draw) -> list[tuple[int, ...]]:
    extents = draw(st.lists(st.sampled_from([0, 1, 2, 3, 5, 16, 17, 40]), max_size=5))
    assume(np.prod(extents) <= 100_000)
    shapes = []
    for _ in range(3):
        keep = draw(st.lists(st.booleans(), min_size=len(extents), max_size=len(extents)))
        skip = draw(st.integers(0, len(extents)))
        shapes.append(tuple(n if k else 1 for n, k in zip(extents, keep))[skip:])
    return shapes


@settings(max_examples=150, deadline=None)
@given(broadcast_shapes(), st.sampled_from([np.float32, np.int64, np.uint8, np.float16]), st.sampled_from([1, 2, 5]))
def test_broadcasts_like_numpy(shapes, dtype, splits):
    rng = np.random.default_rng(len(shapes))
    x, y, z = (rng.integers(0, 5, shape).astype(dtype) for shape in shapes)
    kind = DType.of(np.dtype(dtype))
    program = Program((Insn("Mul", kind, (0, 1)), Insn("Add", kind, (3, 2))))
    actual = execute(program, x, y, z, isa=ISAS[-1], splits=splits)
    np.testing.assert_array_equal(actual, x * y + z, strict=True)


# --- functions -------------------------------------------------------------------------------------------------------

INTEGERS = [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64]


def edges(dtype) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of a type's edge values."""
    info = np.iinfo(dtype)
    values = sorted(
        {info.min, info.min + 1, info.max - 1, info.max, 0, 1, 2, 3, 7, max(-1, info.min), max(-7, info.min)}
    )
    x, y = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    return x.ravel(), y.ravel()


def python_div(x: int, y: int) -> int:
    return 0 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def python_fmod(x: int, y: int) -> int:
    return 0 if y == 0 else x - y * python_div(x, y)


EXACT = {
    "Add": lambda x, y: x + y,
    "Sub": lambda x, y: x - y,
    "Mul": lambda x, y: x * y,
    "Div": python_div,
    "Mod": lambda x, y: 0 if y == 0 else x % y,
    "Fmod": python_fmod,
    "Min": min,
    "Max": max,
    "Equal": lambda x, y: x == y,
    "Less": lambda x, y: x < y,
    "LessOrEqual": lambda x, y: x <= y,
    "Greater": lambda x, y: x > y,
    "GreaterOrEqual": lambda x, y: x >= y,
    "BitwiseAnd": lambda x, y: x & y,
    "BitwiseOr": lambda x, y: x | y,
    "BitwiseXor": lambda x, y: x ^ y,
    "PRelu": lambda x, y: x * y if x < 0 else x,
}


def wrapped(values: list[int], dtype) -> np.ndarray:
    bits = np.dtype(dtype).itemsize * 8
    unsigned = [int(v) % (1 << bits) for v in values]
    return np.array(unsigned, f"u{bits // 8}").view(dtype)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("function", EXACT)
def test_integers_wrap_and_never_trap(function, dtype, isa):
    x, y = edges(dtype)
    actual = apply(function, x, y, isa=isa)
    results = [EXACT[function](int(a), int(b)) for a, b in zip(x, y)]
    expected = np.array(results, bool) if actual.dtype == bool else wrapped(results, dtype)
    np.testing.assert_array_equal(actual, expected, strict=True)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_powers(dtype):
    base, exponent = (
        a.ravel() for a in np.meshgrid(np.array([0, 1, 2, 3, 5], dtype), np.array([0, 1, 2, 5, 11], dtype))
    )
    np.testing.assert_array_equal(apply("Pow", base, exponent), base**exponent, strict=True)


def test_negative_integer_powers():
    x = np.array([0, 1, -1, -1, 2], np.int32)
    y = np.array([-1, -2, -2, -3, -1], np.int32)
    assert apply("Pow", x, y).tolist() == [0, 1, 1, -1, 0]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_by_too_much(dtype):
    bits = np.dtype(dtype).itemsize * 8
    x = np.array([1, 5, np.iinfo(dtype).max, np.iinfo(dtype).min], dtype)
    for distance in (1, bits - 1, bits):
        y = np.full(4, distance, dtype)
        left = wrapped([int(v) << distance for v in x], dtype)
        np.testing.assert_array_equal(apply("ShiftLeft", x, y), left)
        np.testing.assert_array_equal(apply("ShiftRight", x, y), wrapped([int(v) >> distance for v in x], dtype))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_nan_comes_through(dtype, isa):
    nan, one = np.array([np.nan, 1, np.nan], dtype), np.array([1, np.nan, np.nan], dtype)
    for function in ("Min", "Max", "Add", "Mul", "Fmod"):
        assert np.isnan(apply(function, nan, one, isa=isa)).all(), function
    for function in ("Relu", "Clip", "Sign", "Shrink", "Floor", "Round", "LeakyRelu", "Elu", "ThresholdedRelu"):
        assert np.isnan(apply(function, nan[:1], isa=isa, alpha=0.5, beta=0.75)).all(), function


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding(dtype, isa):
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, 8388607.5, 1e30, -0.0, np.inf, -2.3, 2.7], dtype)
    for function, reference in {"Round": np.rint, "Floor": np.floor, "Ceil": np.ceil}.items():
        actual = apply(function, x, isa=isa)
        np.testing.assert_array_equal(actual, reference(x))
        np.testing.assert_array_equal(np.signbit(actual), np.signbit(reference(x)))


def test_flags_of_is_inf():
    x = np.array([np.inf, -np.inf, np.nan, 0], np.float32)
    assert apply("IsInf", x, alpha=1, beta=1).tolist() == [True, True, False, False]
    assert apply("IsInf", x, alpha=0, beta=1).tolist() == [True, False, False, False]
    assert apply("IsInf", x, alpha=1, beta=0).tolist() == [False, True, False, False]
    assert apply("IsNaN", x).tolist() == [False, False, True, False]


# --- conversions -----------------------------------------------------------------------------------------------------

STORED = [d for d in DType if d is not DType.BF16]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("target", STORED, ids=lambda d: d.name)
@pytest.mark.parametrize("source", STORED, ids=lambda d: d.name)
def test_conversions_are_numpys(source, target, isa):
    rng = np.random.default_rng(3)
    if source.is_float:
        x = rng.uniform(-100, 100, 500)
        if target.is_float or target is DType.BOOL:
            x = np.concatenate([x, [0, -0.0, 65504, 65519, 65520, 1e-7, 6e-8, 2.9e-8, np.inf, -np.inf, np.nan]])
        with np.errstate(over="ignore"):
            x = x.astype(source.numpy)
    elif source is DType.BOOL:
        x = rng.integers(0, 2, 500).astype(bool)
    else:
        info = np.iinfo(source.numpy)
        x = rng.integers(info.min, info.max, 500, source.numpy, endpoint=True)
        x[:4] = 0, 1, info.min, info.max
    with np.errstate(over="ignore", invalid="ignore"):
        np.testing.assert_array_equal(
            execute(cast_program(source, target), x, isa=isa), x.astype(target.numpy), strict=True
        )


@pytest.mark.parametrize("isa", ISAS)
def test_every_float16_converts_and_comes_back(isa):
    x = np.arange(65536, dtype=np.uint16).view(np.float16)
    wide = execute(cast_program(DType.F16, DType.F32), x, isa=isa)
    np.testing.assert_array_equal(wide, x.astype(np.float32))
    np.testing.assert_array_equal(execute(cast_program(DType.F32, DType.F16), wide, isa=isa), x)


@pytest.mark.parametrize("isa", ISAS)
def test_bits_may_change_their_type(isa):
    rng = np.random.default_rng(0)
    for pair in (np.float32, np.int32), (np.float64, np.uint64), (np.float16, np.int16), (np.int8, np.uint8):
        source, target = map(np.dtype, pair)
        x = rng.integers(0, 256, 100 * source.itemsize, np.uint8).view(source)
        program = Program((Insn("BitCast", DType.of(target), (0,)),))
        assert execute(program, x, isa=isa).tobytes() == x.tobytes()
    with pytest.raises(Unsupported, match="BitCast of f32 to f64"):
        infer(Program((Insn("BitCast", DType.F64, (0,)),)), [TensorType(DType.F32, (1,))])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_floats_out_of_range_saturate(source, isa):
    x = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 2147483647, 1e19, -1e19, 1e20, -2.9], source)
    lowest, highest = -(2**63), 2**63 - 1
    as_i32 = execute(cast_program(DType.of(np.dtype(source)), DType.I32), x, isa=isa)
    assert as_i32.tolist()[:5] == [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31)] and as_i32[9] == -2
    as_i64 = execute(cast_program(DType.of(np.dtype(source)), DType.I64), x, isa=isa)
    assert as_i64.tolist()[:3] == [0, highest, lowest] and as_i64.tolist()[6:] == [highest, lowest, highest, -2]
    as_u64 = execute(cast_program(DType.of(np.dtype(source)), DType.U64), x, isa=isa)
    assert as_u64[[0, 1, 8]].tolist() == [0, 2**64 - 1, 2**64 - 1] and as_u64[6] == int(x[6])


# --- programs --------------------------------------------------------------------------------------------------------


class Value:
    """What composing needs of a graph's value."""

    data = None

    def __init__(self, name: str, shape=(4, 5), dtype=DType.F32) -> None:
        self.name, self.type = name, TensorType(dtype, shape)


def test_composing_shares_inputs_and_work():
    a, b, c = Value("a"), Value("b"), Value("c")
    pair = [a.type, a.type]
    producer, consumer = single("Add", pair), single("Mul", pair)
    program, inputs = compose(producer, [a, b], consumer, [c, a], c)
    assert inputs == [a, b]
    assert program.insns == (Insn("Add", DType.F32, (0, 1)), Insn("Mul", DType.F32, (2, 0)))


def test_composing_stops_at_the_limits():
    values = [Value(str(i)) for i in range(13)]
    program, inputs = single("Add", [values[0].type] * 2), values[:2]
    for value in values[2:12]:
        result = Value("r")
        program, inputs = compose(program, inputs, single("Add", [value.type] * 2), [result, value], result)
    assert len(inputs) == 12
    result = Value("r")
    assert compose(program, inputs, single("Add", [result.type] * 2), [result, values[12]], result) is None
    long = Program(tuple(Insn("Neg", DType.F32, (i,)) for i in range(32)))
    assert lower.fits(long, [DType.F32])
    assert not lower.fits(Program((*long.insns, Insn("Neg", DType.F32, (32,)))), [DType.F32])


def test_registers_are_used_again():
    insns = [Insn("Neg", DType.F32, (i,)) for i in range(20)]
    assert lower.params(Program(tuple(insns)), [DType.F32])["register_count"] == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_programs(data):
    rng = np.random.default_rng(5)
    x = [rng.integers(-9, 9, 700).astype(t) for t in (np.int32, np.int64, np.float32)]
    types = [DType.I32, DType.I64, DType.F32]
    values, insns = list(x), []
    for _ in range(data.draw(st.integers(1, 12))):
        a = data.draw(st.integers(0, len(values) - 1))
        alike = [i for i, t in enumerate(types) if t is types[a]]
        b = data.draw(st.sampled_from(alike))
        function = data.draw(st.sampled_from(["Add", "Min", "Cast", "Abs"]))
        if function == "Cast":
            target = data.draw(st.sampled_from([DType.I32, DType.I64, DType.F32, DType.I16]))
            insns.append(Insn("Cast", target, (a,)))
            values.append(values[a].astype(target.numpy))
        else:
            args = (a,) if function == "Abs" else (a, b)
            insns.append(Insn(function, types[a], args))
            numpys = {"Add": np.add, "Min": np.minimum, "Abs": np.abs}
            values.append(numpys[function](*(values[i] for i in args)))
        types.append(insns[-1].dtype)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(execute(Program(tuple(insns)), *x, isa=ISAS[-1]), values[-1], strict=True)


def test_activations_are_recognised():
    x = [TensorType(DType.F32, (4,))]
    assert as_activation(single("Relu", x)) == Activation(ActivationKind.RELU)
    assert as_activation(single("Clip", x, 0.0, 6.0)) == Activation(ActivationKind.CLIP, 0.0, 6.0)
    silu = Program((Insn("Sigmoid", DType.F32, (0,)), Insn("Mul", DType.F32, (0, 1))))
    assert as_activation(silu) == Activation(ActivationKind.SILU)
    assert as_activation(single("Add", x * 2)) is None
    assert as_activation(single("Exp", x)) is None
    for kind in ActivationKind:
        assert kind is ActivationKind.NONE or kind.name.replace("_", "") in map(str.upper, ELEMENTWISE)


def test_unsound_programs_are_refused_by_name():
    f32, i32 = TensorType(DType.F32, (2,)), TensorType(DType.I32, (2,))
    with pytest.raises(Unsupported, match="Add of f32 and i32"):
        single("Add", [f32, i32])
    with pytest.raises(Unsupported, match="Sqrt of i32"):
        single("Sqrt", [i32])
    with pytest.raises(Unsupported, match="does not exist"):
        single("Frobnicate", [f32])
    with pytest.raises(Unsupported, match="broadcast"):
        infer(single("Add", [f32, f32]), [f32, TensorType(DType.F32, (3,))])


# --- the check -------------------------------------------------------------------------------------------------------


def refused(fields: dict, *arrays: np.ndarray, out: np.ndarray | None = None) -> str:
    out = _kernel.empty((8,), np.float32) if out is None else out
    with pytest.raises(IngotError) as error:
        _kernel.run_kernel("elementwise", arrays, [out], _kernel.make_params(STRUCT, fields))
    return str(error.value)


def test_check_refuses_unsound_parameters():
    x = np.zeros(8, np.float32)
    neg = {"function": ELEMENTWISE["Neg"].code, "dtype": DType.F32.value}
    assert "instruction count" in refused({"insn_count": 0}, x)
    assert "instruction count" in refused({"insn_count": 33}, x)
    assert "too many registers" in refused({"insn_count": 1, "register_count": 13, "insns": [neg]}, x)
    assert "unknown function" in refused({"insn_count": 1, "insns": [neg | {"function": 200}]}, x)
    assert "neither an input" in refused({"insn_count": 1, "insns": [neg | {"args": [1]}]}, x)
    assert "neither an input" in refused({"insn_count": 1, "register_count": 1, "insns": [neg | {"args": [12]}]}, x)
    assert "neither an input" in refused({"insn_count": 1, "insns": [neg | {"args": [24]}]}, x)
    assert "unused argument" in refused({"insn_count": 1, "insns": [neg | {"args": [0, 1]}]}, x, x)
    assert "wrong type" in refused({"insn_count": 1, "insns": [neg | {"dtype": DType.F64.value}]}, x)
    assert "last instruction" in refused({"insn_count": 1, "register_count": 2, "insns": [neg | {"dst": 1}]}, x)
    assert "no such register" in refused({"insn_count": 2, "insns": [neg, neg]}, x)
    assert "does not take" in refused({"insn_count": 1, "insns": [neg]}, np.zeros(8, np.uint8))
    assert "does not broadcast" in refused({"insn_count": 1, "insns": [neg]}, np.zeros(7, np.float32))
    assert "higher rank" in refused({"insn_count": 1, "insns": [neg]}, np.zeros((1, 8), np.float32))
    out = np.zeros(8, np.int32)
    assert "output's type" in refused({"insn_count": 1, "insns": [neg]}, x, out=out)


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=520, max_size=520), st.integers(1, 3), st.data())
def test_any_bytes_are_refused_or_run(params, count, data):
    """Whatever parameters a file brings, the kernel refuses them or stays inside its operands."""
    record = bytearray(params)
    record[0:8] = bytes([data.draw(st.integers(0, 3)), 0, 0, 0, data.draw(st.integers(0, 3)), 0, 0, 0])
    for i in range(3):
        field = record[8 + 16 * i :]
        field[0] %= 111
        field[2] %= 3
        field[6:8] = b"\0\0"
        for a in range(3, 6):
            field[a] = data.draw(st.sampled_from([0, 0, 1, 2, 12, 13, 24]))
        record[8 + 16 * i :] = field
    dtypes = data.draw(st.lists(st.sampled_from([np.float32, np.int32, np.bool_]), min_size=count, max_size=count))
    arrays = [np.ones(100, dtype) for dtype in dtypes]
    guarded = np.full(3 * 64 + 800, 0x5A, np.uint8)
    start = -guarded.ctypes.data % 64 + 64
    out = guarded[start : start + 100 * np.dtype(dtypes[0]).itemsize].view(dtypes[0])
    try:
        _kernel.run_kernel("elementwise", arrays, [out], bytes(record))
    except IngotError:
        assert (guarded == 0x5A).all()
    end = start + out.nbytes
    assert (guarded[:start] == 0x5A).all() and (guarded[end:] == 0x5A).all()


# --- twins -----------------------------------------------------------------------------------------------------------

KERNELS = Path(lower.__file__).parent


def c_enum(path: Path, prefix: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(rf"{prefix}_(\w+) = (\d+)", path.read_text())}


def test_python_and_c_agree_on_the_functions():
    codes = c_enum(KERNELS / "elementwise.h", "INGOT_EW")
    names = {code: re.sub("_", "", name).upper() for name, code in codes.items() if not name.startswith("MAX_")}
    for function in ELEMENTWISE.values():
        if function.name != "Cast" and not function.swapped:
            assert names[function.code] == function.name.upper()
    for (source, target), code in CASTS.items():
        assert names[code] == f"CAST{source.name}{target.name}"
    limits = {"INSNS": lower.MAX_INSNS, "INPUTS": lower.MAX_INPUTS, "REGISTERS": lower.MAX_REGISTERS}
    assert all(codes[f"MAX_{name}"] == value for name, value in limits.items())


def test_python_and_c_agree_on_the_activations():
    kinds = c_enum(KERNELS.parent / "common" / "activation.h", "INGOT_ACT")
    assert {kind.name: kind.value for kind in ActivationKind} == {k: v for k, v in kinds.items() if k != "COUNT"}
