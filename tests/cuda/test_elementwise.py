"""The generated elementwise kernel of CUDA in the emulator: all ways to broadcast, numbers at the edges, instances."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot import kernels
from ingot.builder.ir import Node
from ingot.kernels.common.half import from_bfloat16
from ingot.kernels.elementwise.cuda import axis_groups
from ingot.kernels.elementwise.op import Insn, Program, cast_program, single
from ingot.kernels.spec import DType, Launch, Sample, TensorType

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples

SPEC = kernels.load()["elementwise"]
ON_CPU, ON_CUDA = SPEC.tactics
TARGET = harness.TARGETS["sm_87"]
#: ties, limits of the integer types and what lies beside them, what is no number
AWKWARD = np.array(
    [
        *(0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 0.999, 127.5, -128.5, 255.5, 256.0, -1.0, 32767.5, 65535.9, -32769.0),
        *(2147483520.0, 2147483648.0, -2147483648.0, -2147483904.0, 4294967296.0, 9.2233715e18, 9.223372e18),
        *(-9.223372e18, 1.8446742e19, 1.8446744e19, 3e38, -3e38, 1e-40, -1e-40, 65504.0, 65519.0, 65520.0, 5.9e-8),
        *(2.9e-8, 1e9, np.inf, -np.inf, np.nan),
    ],
    np.float32,
)


def node_of(program: Program, *arrays: np.ndarray) -> Node:
    return samples.make_node(SPEC, Sample(program, arrays))[0]


def launch_of(program: Program, *arrays: np.ndarray) -> Launch:
    return ON_CUDA.launch(node_of(program, *arrays), TARGET)


def both(program: Program, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The result in the emulator, and of the portable kernel."""
    node = node_of(program, *arrays)
    (got,) = harness.run_node(node, ON_CUDA, TARGET, arrays)
    (wanted,) = samples.run(node, ON_CPU, list(arrays), "portable", 1)
    return got, wanted


def assert_same(got: np.ndarray, wanted: np.ndarray) -> None:
    """The same bits; there is one NaN."""
    if wanted.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        got, wanted = (np.where(np.isnan(a), 0, a) for a in (got, wanted))
    assert got.tobytes() == wanted.tobytes()


class TestBroadcasts:
    """x * a + b; NumPy rounds each, and so does an exact instance."""

    PROGRAM = Program((Insn("Mul", DType.F32, (0, 1)), Insn("Add", DType.F32, (3, 2))))
    SHAPES = (
        ((4, 8), (4, 8), (4, 8)),
        ((3, 37), (1, 37), (3, 1)),
        ((2, 3, 4, 16), (16,), (3, 1, 1)),
        ((2, 3, 4, 6), (1, 3, 1, 6), (2, 1, 4, 1)),
        ((2, 1, 3, 1, 2, 1, 4, 8), (2, 1, 1, 1, 2, 1, 1, 8), ()),
        ((5, 1), (1, 12), (12,)),
        ((1, 7), (9, 1), (1, 1, 1)),
        ((), (), ()),
        ((1,), (1, 1), (1, 1, 1)),
        ((3, 0, 4), (1, 4), (3, 1, 1)),
        ((2, 3000), (3000,), (2, 1)),
    )

    @pytest.mark.parametrize("shapes", SHAPES, ids=str)
    @pytest.mark.parametrize("seed", [1, 2])
    def test_as_numpy(self, shapes: tuple[tuple[int, ...], ...], seed: int) -> None:
        rng = np.random.default_rng(0)
        x, a, b = (np.asarray(rng.standard_normal(shape), np.float32) for shape in shapes)
        (got,) = harness.run_node(node_of(self.PROGRAM, x, a, b), ON_CUDA, TARGET, (x, a, b), seed=seed)
        np.testing.assert_array_equal(got, np.asarray(x * a + b, np.float32))

    def test_groups(self) -> None:
        assert axis_groups((2, 3, 4), [(2, 3, 4), (), (1,)]) == [(0, (True, False, False))]
        assert axis_groups((2, 3, 4), [(2, 3, 4), (4,)]) == [(0, (True, False)), (2, (True, True))]
        assert axis_groups((2, 1, 4), [(2, 1, 4), (2, 1, 1)]) == [(0, (True, True)), (2, (True, False))]
        assert axis_groups((1, 1), [(1, 1), ()]) == [(0, (True, True))]
        assert axis_groups((1, 6, 1), [(6, 1), (1,)]) == [(0, (True, False))]

    def test_vectors_fit_the_rows(self) -> None:
        x = np.zeros((4, 6), np.int8)
        add = Program((Insn("Add", DType.I8, (0, 1)),))
        assert launch_of(add, x, x).kernel.endswith(", 16>")
        assert launch_of(add, x, x[0]).kernel.endswith(", 2>")
        assert launch_of(cast_program(DType.I8, DType.F64), x).kernel.endswith(", 2>")


ONE = ("Floor", "Ceil", "Round", "Sign", "Abs", "Neg", "Relu", "Clip", "LeakyRelu", "Sqrt", "Reciprocal")
TWO = ("Min", "Max", "Div", "Equal", "Less", "LessOrEqual", "PRelu")
INTEGER = ("Div", "Mod", "Fmod", "Pow", "ShiftLeft", "ShiftRight")


class TestNumbers:
    @pytest.mark.parametrize("target", [d for d in DType if d is not DType.F32])
    @pytest.mark.parametrize("source", [np.float32, np.float64, np.float16])
    def test_conversions(self, source: type, target: DType) -> None:
        with np.errstate(over="ignore"):
            x = AWKWARD.astype(source)
        if DType.of(x.dtype) is target:
            return
        got, wanted = both(cast_program(DType.of(x.dtype), target), x)
        assert_same(got, wanted)

    @pytest.mark.parametrize("source", [np.int64, np.uint64, np.int32, np.uint32])
    @pytest.mark.parametrize("target", [DType.I8, DType.U16, DType.I32, DType.U32, DType.F16, DType.F32, DType.F64])
    def test_conversions_of_integers(self, source: type, target: DType) -> None:
        limits = np.iinfo(source)
        near = [limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 127, 128, 2**24 + 1, limits.max // 3]
        x = np.array(near, source)
        if DType.of(x.dtype) is target:
            return
        assert_same(*both(cast_program(DType.of(x.dtype), target), x))

    @pytest.mark.parametrize("name", ONE)
    def test_functions_of_one(self, name: str) -> None:
        program = single(name, [TensorType(DType.F32, AWKWARD.shape)], -1.0, 6.0)
        assert_same(*both(program, AWKWARD))

    @pytest.mark.parametrize("name", TWO)
    def test_functions_of_two(self, name: str) -> None:
        x, y = np.meshgrid(AWKWARD, AWKWARD)
        program = single(name, [TensorType(DType.F32, x.shape)] * 2)
        assert_same(*both(program, np.ascontiguousarray(x), np.ascontiguousarray(y)))

    @pytest.mark.parametrize("name", INTEGER)
    @pytest.mark.parametrize("dtype", [np.int32, np.int64, np.int8, np.uint8])
    def test_integers(self, name: str, dtype: type) -> None:
        limits = np.iinfo(dtype)
        signed = [-1, -2, -3] if limits.min < 0 else []
        some = np.array([limits.min, limits.min + 1, limits.max, 0, 1, 2, 3, 7, 31, 40, 64, *signed])
        x, y = (np.ascontiguousarray(a.astype(dtype)) for a in np.meshgrid(some, some))
        assert_same(*both(single(name, [TensorType(DType.of(x.dtype), x.shape)] * 2), x, y))


class TestHalves:
    """Arithmetic in float32 between conversions, as the half forms of nodes have it."""

    @pytest.mark.parametrize("kind", [DType.F16, DType.BF16])
    @pytest.mark.parametrize("name", ["Add", "Div", "Gelu", "Erf", "Swish"])
    def test_as_the_cpu(self, kind: DType, name: str) -> None:
        types = [TensorType(kind, (5, 24))] * (2 if name in ("Add", "Div") else 1)
        program = single(name, types, 1.5)
        node, arrays = samples.make_node(SPEC, Sample(program, tuple(types)))
        (got,) = harness.run_node(node, ON_CUDA, TARGET, arrays)
        (wanted,) = samples.run(node, ON_CPU, arrays, "portable", 1)
        if name in ("Add", "Div"):
            assert got.tobytes() == wanted.tobytes()
        else:
            got, wanted = (from_bfloat16(a) if kind is DType.BF16 else a.astype(np.float32) for a in (got, wanted))
            step = 2.0**-7 if kind is DType.BF16 else 2.0**-10
            np.testing.assert_allclose(got, wanted, rtol=step, atol=1e-6)


class TestInstances:
    def test_constants_are_parameters(self) -> None:
        x = np.zeros((4, 8), np.float32)
        made = [launch_of(Program((Insn("LeakyRelu", DType.F32, (0,), alpha),)), x) for alpha in (0.1, 0.2)]
        assert made[0] == made[1]

    def test_shapes_alike_share_one(self) -> None:
        add = Program((Insn("Add", DType.F32, (0, 1)),))
        made = [launch_of(add, np.zeros(s, np.float32), np.zeros(s, np.float32)) for s in ((4, 8), (4, 4, 2))]
        assert made[0] == made[1]

    def test_exact_programs_are_compiled_so(self) -> None:
        x = np.zeros(8, np.float32)
        assert launch_of(single("Relu", [TensorType(DType.F32, (8,))]), x).exact
        assert not launch_of(single("Sigmoid", [TensorType(DType.F32, (8,))]), x).exact
        assert launch_of(single("Add", [TensorType(DType.F16, (8,))] * 2), *[x.astype(np.float16)] * 2).exact
        quantized = Program((Insn("Cast", DType.F32, (0,)), Insn("QuantizeLinear", DType.I8, (1,), 0.1, 3.0)))
        assert launch_of(quantized, x.astype(np.float16)).exact
