"""Begin with what could prove the format wrong: one engine with everything in it that later issues will need."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot._kernel import available_isas, make_params
from ingot._native import ffi, lib
from ingot.builder import plan, writer
from ingot.errors import IngotError
from ingot.kernels.conv.int8 import pack_conv_s8
from ingot.kernels.spec import DType

sys.path.insert(0, str(Path(__file__).parent))
import ed25519
from hand import LAUNCH, Hand, Opened, elementwise, engine, refusal

LARGEST, COLUMNS = 16, 4
WEIGHTS = np.random.default_rng(0).normal(size=(64,)).astype(np.float32)


def reversing() -> Hand:
    """y = x + x with its rows in reverse order, for 1 to 16 rows: where the copy starts depends on the shape."""
    hand = Hand("reversing")
    x = hand.input("x", (LARGEST, COLUMNS), smallest=(1, COLUMNS))
    reverse = hand.tensor("reverse", (LARGEST, COLUMNS))
    y = hand.output("y", (LARGEST, COLUMNS))
    params = {"start": [LARGEST - 1, 0], "step": [-1, 1], "axis": [0, 1]}
    hand.step("strided_copy", [x], [reverse], make_params("ingot_strided_copy_params", params))
    hand.binary("add", x, reverse, y)
    rows, one, last = 0, 1, 2
    hand.program.shape_code = [
        plan.ShapeInsn(lib.INGOT_SHAPE_DIM, rows, 0, 0),
        plan.ShapeInsn(lib.INGOT_SHAPE_CONST, one, imm=1),
        plan.ShapeInsn(lib.INGOT_SHAPE_SUB, last, rows, one),
    ]
    start = ffi.offsetof("ingot_strided_copy_params", "start")
    hand.program.patches = [
        plan.Patch(lib.INGOT_PATCH_DIM, rows, reverse, 0),
        plan.Patch(lib.INGOT_PATCH_DIM, rows, y, 0),
        plan.Patch(lib.INGOT_PATCH_PARAM_I64, last, 0, start),
    ]
    return hand


def branches(
    edges: list[tuple[int, int]] | None = None, places: tuple[int, int, int, int, int] = (0, 256, 512, 256, 0)
) -> Hand:
    """Two branches that may run at the same time. With the default edges, ``left2`` works in place of ``left`` and
    ``right2`` takes over the bytes of ``start``, which the edge from the left branch to it allows."""
    hand = Hand("branches")
    x = hand.input("x", (64,))
    w = hand.constant("w", WEIGHTS)
    names = ("start", "left", "right", "left2", "right2")
    start, left, right, left2, right2 = (hand.tensor(n, (64,), offset=at) for n, at in zip(names, places))
    y = hand.output("y", (64,))
    hand.binary("mul", x, w, start)
    hand.unary("relu", start, left)
    hand.binary("add", start, w, right)
    hand.unary("neg", left, left2)
    hand.binary("mul", right, right, right2)
    hand.binary("add", left2, right2, y)
    hand.program.edges = edges if edges is not None else list(EDGES)
    return hand


EDGES = ((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5), (1, 4))


def two_variants(first: int = 10) -> bytes:
    """A CUDA variant, preferred where there is CUDA, and a CPU variant with the same constants."""
    cuda = Hand("cuda")
    x, w, y = cuda.input("x", (64,)), cuda.constant("w", WEIGHTS), cuda.output("y", (64,))
    cuda.step("elementwise_cuda", [x, w], [y], elementwise(lib.INGOT_EW_MUL, 2), launch=LAUNCH)
    cuda.program.edges = []
    return engine(
        [
            writer.Variant("jetson", [cuda.program], lib.INGOT_BACKEND_CUDA, 87, first, 12060, 8),
            writer.Variant("cpu", [branches().program], lib.INGOT_BACKEND_CPU, 0, 1),
        ]
    )


def expected(x: np.ndarray) -> np.ndarray:
    start = x * WEIGHTS
    return -np.maximum(start, 0) + (start + WEIGHTS) * (start + WEIGHTS)


def run_branches(raw: bytes, **options: object) -> np.ndarray:
    with Opened(raw, **options) as opened:
        x = np.linspace(-1, 1, 64, dtype=np.float32)
        opened.array(0)[:] = x
        opened.run()
        y = opened.array(1).copy()
    np.testing.assert_array_equal(y, expected(x))
    return y


class TestVariants:
    def test_the_one_that_fits_is_taken(self) -> None:
        raw = two_variants()
        with Opened(raw) as opened:
            assert opened.variant == "cpu"
        run_branches(raw)

    def test_constants_are_stored_once(self) -> None:
        assert two_variants().count(WEIGHTS.tobytes()) == 1

    def test_the_preferred_of_several(self) -> None:
        slow, fast = branches().program, branches().program
        raw = engine([writer.Variant("slow", [slow], preference=1), writer.Variant("fast", [fast], preference=2)])
        with Opened(raw) as opened:
            assert opened.variant == "fast"


class TestShapeProgram:
    @pytest.mark.parametrize("threads", [1, 3])
    def test_shapes_follow(self, threads: int) -> None:
        with Opened(reversing().engine(), threads=threads) as opened:
            for rows in (LARGEST, 1, 7, 16, 2):
                opened.set_shape(0, (rows, COLUMNS))
                assert opened.shape(1) == (rows, COLUMNS)
                x = np.arange(rows * COLUMNS, dtype=np.float32).reshape(rows, COLUMNS) ** 2
                opened.array(0)[:] = x
                opened.run()
                np.testing.assert_array_equal(opened.array(1), x + x[::-1])

    @pytest.mark.parametrize("shape", [(0, 4), (17, 4), (8, 3), (8,), (8, 4, 1), (-1, 4)])
    def test_others_are_refused_and_the_former_stays(self, shape: tuple[int, ...]) -> None:
        with Opened(reversing().engine()) as opened:
            opened.set_shape(0, (5, COLUMNS))
            x = np.arange(20, dtype=np.float32).reshape(5, COLUMNS)
            opened.array(0)[:] = x
            with pytest.raises(IngotError) as caught:
                opened.set_shape(0, shape)
            assert caught.value.status == "shape"
            assert opened.shape(0) == opened.shape(1) == (5, COLUMNS)
            opened.run()
            np.testing.assert_array_equal(opened.array(1), x + x[::-1])

    def test_a_parameter_the_kernel_refuses_keeps_the_former_shape(self) -> None:
        """The start of the copy is one off for shapes below the largest: outside the tensor, so never run."""
        hand = reversing()
        hand.program.shape_code[2] = plan.ShapeInsn(lib.INGOT_SHAPE_MAX, 2, 1, 1)  # last = 1, whatever the rows
        hand.program.shape_code[1] = plan.ShapeInsn(lib.INGOT_SHAPE_CONST, 1, imm=LARGEST - 1)
        with Opened(hand.engine()) as opened:
            with pytest.raises(IngotError) as caught:
                opened.set_shape(0, (5, COLUMNS))
            assert caught.value.status == "step"
            assert opened.shape(0) == (LARGEST, COLUMNS)
            opened.array(0)[:] = 1
            opened.run()
            assert (opened.array(1) == 2).all()

    def test_an_extent_beyond_the_plan_is_refused(self) -> None:
        hand = reversing()
        hand.program.shape_code[2] = plan.ShapeInsn(lib.INGOT_SHAPE_ADD, 2, 0, 1)
        hand.program.patches = [*hand.program.patches[:2], plan.Patch(lib.INGOT_PATCH_DIM, 2, 1, 0)]
        assert refusal(hand.engine()).status == "shape"

    @pytest.mark.parametrize(
        "insn",
        [
            plan.ShapeInsn(lib.INGOT_SHAPE_OP_COUNT, 2),
            plan.ShapeInsn(lib.INGOT_SHAPE_ADD, 2, 0, 7),  # register 7 was never written
            plan.ShapeInsn(lib.INGOT_SHAPE_DIM, 2, 1, 0),  # an output
            plan.ShapeInsn(lib.INGOT_SHAPE_DIM, 2, 0, 8),  # no such axis
            plan.ShapeInsn(lib.INGOT_SHAPE_DIM, 2, 9, 0),  # no such input
        ],
    )
    def test_malformed_code_is_refused(self, insn: plan.ShapeInsn) -> None:
        hand = reversing()
        hand.program.shape_code[2] = insn
        assert refusal(hand.engine()).status == "format"

    @pytest.mark.parametrize(
        "patch",
        [
            plan.Patch(lib.INGOT_PATCH_KIND_COUNT, 0, 0, 0),
            plan.Patch(lib.INGOT_PATCH_DIM, 3, 0, 0),  # no such register
            plan.Patch(lib.INGOT_PATCH_DIM, 0, 3, 0),  # no such tensor
            plan.Patch(lib.INGOT_PATCH_DIM, 0, 1, 2),  # no such axis
            plan.Patch(lib.INGOT_PATCH_PARAM_I64, 0, 2, 0),  # no such step
            plan.Patch(lib.INGOT_PATCH_PARAM_I64, 0, 0, 4),  # not aligned
            plan.Patch(lib.INGOT_PATCH_PARAM_I64, 0, 0, 4096),  # behind the parameters
            plan.Patch(lib.INGOT_PATCH_LAUNCH, 0, 0, 0),  # no launch record
        ],
    )
    def test_malformed_patches_are_refused(self, patch: plan.Patch) -> None:
        hand = reversing()
        hand.program.patches.append(patch)
        assert refusal(hand.engine()).status == "format"


class TestSharing:
    def test_edges_that_allow_the_sharing(self) -> None:
        run_branches(branches().engine(), threads=2)

    def test_in_file_order_no_edge_is_needed(self) -> None:
        hand = branches()
        hand.program.edges = None
        run_branches(hand.engine())

    @pytest.mark.parametrize("gone", range(len(EDGES)))
    def test_without_any_one_edge_it_is_refused(self, gone: int) -> None:
        edges = [edge for i, edge in enumerate(EDGES) if i != gone]
        assert refusal(branches(edges).engine()).status == "plan"

    @pytest.mark.parametrize(
        "places",
        [
            (0, 256, 256, 256, 0),  # right on left, both alive
            (0, 256, 512, 512, 0),  # left2 on right
            (0, 0, 512, 256, 0),  # left in place of start, which right still needs
            (0, 256, 512, 256, 256),  # right2 on left2
            (0, 256, 512, 320, 0),  # in place, but shifted
            (0, 256, 448, 256, 0),  # a part of right on left
        ],
    )
    def test_a_buffer_moved_onto_a_live_one_is_refused(self, places: tuple[int, int, int, int, int]) -> None:
        assert refusal(branches(places=places).engine()).status == "plan"

    def test_without_sharing_the_edges_of_the_data_suffice(self) -> None:
        places = (0, 256, 512, 768, 1024)
        run_branches(branches(list(EDGES[:-1]), places).engine())

    @pytest.mark.parametrize("edge", [(1, 0), (2, 2), (0, 6), (6, 7)])
    def test_edges_lead_forward(self, edge: tuple[int, int]) -> None:
        assert refusal(branches([*EDGES, edge]).engine()).status == "format"


class TestSignature:
    SEED, OTHER = bytes(range(32)), bytes(32)
    REQUIRED = lib.INGOT_OPEN_REQUIRE_SIGNATURE

    def signed(self, seed: bytes = SEED) -> bytes:
        return branches().engine(sign=lambda digest: (ed25519.public_key(seed), ed25519.sign(seed, digest)))

    def test_signed_by_a_known_key(self) -> None:
        key, other = ed25519.public_key(self.SEED), ed25519.public_key(self.OTHER)
        run_branches(self.signed(), flags=self.REQUIRED, keys=[key])
        run_branches(self.signed(), flags=self.REQUIRED, keys=[other, key])
        run_branches(self.signed())

    def test_missing(self) -> None:
        error = refusal(branches().engine(), flags=self.REQUIRED, keys=[ed25519.public_key(self.SEED)])
        assert error.status == "signature"

    def test_of_another_key(self) -> None:
        error = refusal(self.signed(), flags=self.REQUIRED, keys=[ed25519.public_key(self.OTHER)])
        assert error.status == "signature"

    def test_required_without_a_key(self) -> None:
        assert refusal(self.signed(), flags=self.REQUIRED).status == "argument"

    def test_forged(self) -> None:
        def sign(digest: bytes) -> tuple[bytes, bytes]:
            return ed25519.public_key(self.SEED), ed25519.sign(self.OTHER, digest)

        raw = branches().engine(sign=sign)
        assert refusal(raw, flags=self.REQUIRED, keys=[ed25519.public_key(self.SEED)]).status == "signature"

    def test_of_another_engine(self) -> None:
        stolen: list[bytes] = []
        reversing().engine(sign=lambda digest: (bytes(32), stolen.append(digest) or bytes(64)))
        key = ed25519.public_key(self.SEED)
        raw = branches().engine(sign=lambda _: (key, ed25519.sign(self.SEED, stolen[0])))
        assert refusal(raw, flags=self.REQUIRED, keys=[key]).status == "signature"

    def test_signing_leaves_the_identity(self) -> None:
        digests: list[bytes] = []
        for seed in (self.SEED, self.OTHER):
            with Opened(self.signed(seed)) as opened:
                digests.append(bytes(opened.info.digest))
        assert digests[0] == digests[1]


class TestStateAndFills:
    def counter(self) -> Hand:
        """sum += x * gain, with the gain made by the runtime; y is the sum."""
        hand = Hand("counter")
        x = hand.input("x", (16,))
        total = hand.tensor("total", (16,), plan.STATE)
        gain = hand.tensor("gain", (16,), plan.STATE, offset=64)
        scaled = hand.tensor("scaled", (16,))
        y = hand.output("y", (16,))
        hand.binary("mul", x, gain, scaled)
        hand.binary("add", total, scaled, total)
        hand.unary("relu", total, y)
        hand.program.fills = [plan.Fill(gain, 1, seed=5)]
        return hand

    def test_state_is_kept_and_reset(self) -> None:
        with Opened(self.counter().engine()) as opened:
            opened.array(0)[:] = 1
            sums = []
            for _ in range(3):
                opened.run()
                sums.append(opened.array(1).copy())
            assert sums[0].any() and (sums[0] >= 0).all()
            np.testing.assert_allclose(sums[2], 3 * sums[0], rtol=1e-6)
            assert lib.ingot_context_reset(opened.context) == 0
            opened.run()
            np.testing.assert_array_equal(opened.array(1), sums[0])

    def test_a_fill_of_what_is_not_state_is_refused(self) -> None:
        hand = self.counter()
        hand.program.fills = [plan.Fill(3, 1)]
        assert refusal(hand.engine()).status == "format"


class TestInt8:
    """One packed layout, several implementations, the same bits: those of integer arithmetic."""

    CHANNELS, OUT, H, W = 7, 20, 5, 6
    INPUT_ZERO, OUTPUT_ZERO, INVERSE = 3, -5, np.float32(1 / 0.37)

    def numbers(self) -> tuple[np.ndarray, ...]:
        random = np.random.default_rng(8)
        x = random.integers(-128, 128, (1, self.H, self.W, self.CHANNELS), np.int8)
        w = random.integers(-127, 128, (self.OUT, self.CHANNELS, 3, 3), np.int8)
        scale = random.uniform(1e-4, 1e-3, self.OUT).astype(np.float32)
        bias = random.uniform(-2, 2, self.OUT).astype(np.float32)
        return x, w, scale, bias

    def int8_engine(self) -> bytes:
        _, w, scale, bias = self.numbers()
        weights, sums = pack_conv_s8(w)
        hand = Hand("int8")
        x = hand.input("x", (1, self.H, self.W, self.CHANNELS), dtype=DType.I8)
        constants = [hand.constant(n, a) for n, a in (("w", weights), ("bias", bias), ("sums", sums), ("scale", scale))]
        y = hand.output("y", (1, self.H, self.W, self.OUT), dtype=DType.I8)
        ones, pads = [1, 1, 1], [0, 1, 1]
        conv = {
            "kernel": [1, 3, 3],
            "strides": ones,
            "dilations": ones,
            "pads_begin": pads,
            "pads_end": pads,
            "groups": 1,
        }
        params = {
            "conv": {**conv, "pads_begin": pads, "pads_end": pads, "activation": {"kind": lib.INGOT_ACT_RELU}},
            "numbers": {
                "inverse_scale": float(self.INVERSE),
                "input_zero": self.INPUT_ZERO,
                "output_zero": self.OUTPUT_ZERO,
                "output_min": -128,
            },
        }
        operands = [x, constants[0], constants[1], plan.NO_INDEX, constants[2], constants[3]]
        hand.step("conv_s8_n16k4", operands, [y], make_params("ingot_conv_s8_params", params))
        return hand.engine()

    def reference(self) -> np.ndarray:
        x, w, scale, bias = self.numbers()
        centred = np.zeros((self.H + 2, self.W + 2, self.CHANNELS), np.int64)
        centred[1:-1, 1:-1] = x[0].astype(np.int64) - self.INPUT_ZERO
        total = np.zeros((self.H, self.W, self.OUT), np.int64)
        for i in range(3):
            for j in range(3):
                total += centred[i : i + self.H, j : j + self.W] @ w[:, :, i, j].astype(np.int64).T
        # binary64 holds the product of a sum below 2^29 and a binary32 scale exactly
        real = (total.astype(np.float64) * scale.astype(np.float64) + bias.astype(np.float64)).astype(np.float32)
        real = np.maximum(real, np.float32(0)) * self.INVERSE
        return np.clip(np.rint(real) + self.OUTPUT_ZERO, -128, 127).astype(np.int8)

    def test_every_implementation_gives_the_bits_of_the_integers(self) -> None:
        raw, isas = self.int8_engine(), available_isas("conv_s8_n16k4")
        assert isas[0] == "portable"
        for isa in isas:
            for threads in (1, 3):
                with Opened(raw, isa=isa, threads=threads) as opened:
                    assert ffi.string(opened.info.isa).decode() == isa
                    opened.array(0, np.int8)[:] = self.numbers()[0]
                    opened.run()
                    np.testing.assert_array_equal(opened.array(1, np.int8)[0], self.reference())

    def test_an_unknown_instruction_set_is_refused(self) -> None:
        assert refusal(self.int8_engine(), isa="mmx").status == "isa"
