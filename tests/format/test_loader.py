"""What a hostile file may try that no honest one needs, and what a context owes its caller's memory."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot._kernel import make_params
from ingot._native import ffi, lib
from ingot.builder import plan
from ingot.errors import IngotError
from ingot.kernels.spec import DType

sys.path.insert(0, str(Path(__file__).parent))
from hand import Hand, Opened, elementwise, refusal
from test_proof import COLUMNS, LARGEST, reversing


class TestBoundBuffersAndShapes:
    """A buffer bound for one shape is not used for another."""

    @pytest.mark.parametrize("index", [0, 1])
    def test_a_run_with_a_buffer_of_the_former_shape_is_refused(self, index: int) -> None:
        with Opened(reversing().engine()) as opened:
            opened.set_shape(0, (2, COLUMNS))
            small = np.ones((2, COLUMNS), np.float32)
            opened.array(0)[:] = 1
            opened.bind(index, small)
            opened.run()
            opened.set_shape(0, (LARGEST, COLUMNS))
            with pytest.raises(IngotError, match="bind another") as caught:
                opened.run()
            assert caught.value.status == "shape"
            opened.bind(index, np.ones((LARGEST, COLUMNS), np.float32))
            opened.run()

    def test_back_to_the_shape_it_was_bound_for(self) -> None:
        with Opened(reversing().engine()) as opened:
            large = np.ones((LARGEST, COLUMNS), np.float32)
            opened.bind(0, large)
            opened.set_shape(0, (3, COLUMNS))
            opened.set_shape(0, (LARGEST, COLUMNS))
            opened.run()
            assert (opened.array(1) == 2).all()

    def test_binding_needs_the_size_of_the_shape(self) -> None:
        with Opened(reversing().engine()) as opened:
            opened.set_shape(0, (3, COLUMNS))
            with pytest.raises(IngotError) as caught:
                opened.bind(0, np.ones((4, COLUMNS), np.float32))
            assert caught.value.status == "shape"


class TestShapesThatGrow:
    def test_a_step_that_needs_more_scratch_for_a_smaller_shape(self) -> None:
        hand = reversing()
        registers = ffi.offsetof("ingot_elementwise_params", "register_count")
        hand.program.shape_code += [
            plan.ShapeInsn(lib.INGOT_SHAPE_CONST, 3, imm=LARGEST),
            plan.ShapeInsn(lib.INGOT_SHAPE_SUB, 4, 3, 0),
        ]
        hand.program.patches.append(plan.Patch(lib.INGOT_PATCH_PARAM_I32, 4, 1, registers))
        with Opened(hand.engine()) as opened:
            with pytest.raises(IngotError) as caught:
                opened.set_shape(0, (LARGEST - 12, COLUMNS))
            assert caught.value.status == "shape"
            assert opened.shape(0) == (LARGEST, COLUMNS)
            opened.run()

    def test_a_patch_does_not_move_an_input(self) -> None:
        hand = reversing()
        hand.program.patches.append(plan.Patch(lib.INGOT_PATCH_DIM, 1, 0, 0))
        with Opened(hand.engine()) as opened:
            opened.set_shape(0, (4, COLUMNS))
            assert opened.shape(0) == (4, COLUMNS)

    def test_a_range_without_code_is_checked_all_the_same(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (8, 4), smallest=(1, 4)), hand.output("y", (8, 4))
        hand.unary("relu", x, y)
        with Opened(hand.engine()) as opened:
            with pytest.raises(IngotError) as caught:
                opened.set_shape(0, (3, 4))  # y stays 8 rows
            assert caught.value.status == "step"
            assert opened.shape(0) == (8, 4)


class TestRecords:
    @pytest.mark.parametrize("shape", [(0, 2**40), (2**62, 0, 2**62), (0, 2**20, 2**5)])
    def test_empty_tensors_with_extents_out_of_range(self, shape: tuple[int, ...]) -> None:
        hand = Hand()
        x, y = hand.input("x", shape), hand.output("y", shape)
        hand.unary("relu", x, y)
        assert refusal(hand.engine()).status == "format"

    def test_empty_tensors_of_sound_extents(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (0, 512, 7)), hand.output("y", (0, 512, 7))
        hand.unary("relu", x, y)
        with Opened(hand.engine(), threads=2) as opened:
            opened.run()

    def test_a_scalar_with_a_pitch(self) -> None:
        hand = Hand()
        x, y = hand.input("x", ()), hand.output("y", ())
        hand.unary("relu", x, y)
        hand.program.tensors[x] = plan.Tensor("x", hand.program.tensors[x].type, 0, 0, 2)
        assert refusal(hand.engine()).status == "format"

    def test_a_constant_between_lines(self) -> None:
        hand = Hand()
        x, w, y = hand.input("x", (8,)), hand.constant("w", np.ones(64, np.float32)), hand.output("y", (8,))
        part = hand.view("part", (8,), hand.program.tensors[w].buffer, offset=4)
        hand.binary("add", x, part, y)
        assert refusal(hand.engine()).status == "format"

    def test_a_view_of_an_input_in_larger_elements(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (64,), dtype=DType.U8), hand.output("y", (16,))
        wide = hand.view("wide", (16,), hand.program.tensors[x].buffer)
        hand.unary("relu", wide, y)
        assert refusal(hand.engine()).status == "format"

    def test_in_place_with_elements_of_another_size(self) -> None:
        """The rows have the same bytes, but each element of the input is read for two of the output."""
        hand = Hand()
        x = hand.input("x", (4, 1), dtype=DType.F64)
        a = hand.tensor("a", (4, 1), dtype=DType.F64)
        b = hand.tensor("b", (4, 2))
        y = hand.output("y", (4, 2))
        hand.step("elementwise", [x], [a], elementwise(lib.INGOT_EW_RELU, 1, DType.F64))
        hand.step("elementwise", [a], [b], elementwise(lib.INGOT_EW_CAST_F64_F32, 1))
        hand.unary("relu", b, y)
        assert refusal(hand.engine()).status == "plan"

    def test_a_plan_that_takes_too_long_to_prove(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (4,)), hand.output("y", (4,))
        hand.program.buffers += [plan.Buffer(plan.ARENA, 64) for _ in range(24000)]
        hand.program.arena_size = 128
        hand.unary("relu", x, y)
        assert refusal(hand.engine()).status == "plan"

    def test_an_output_that_nobody_writes(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (4,)), hand.tensor("y", (4,))
        hand.output("z", (4,))
        hand.unary("relu", x, y)
        assert refusal(hand.engine()).status == "plan"

    def test_a_tensor_read_before_it_is_written(self) -> None:
        hand = Hand()
        hand.input("x", (4,))
        t, y = hand.tensor("t", (4,)), hand.output("y", (4,))
        hand.unary("relu", t, y)
        assert refusal(hand.engine()).status == "plan"

    def test_an_unknown_kernel_is_named(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (4,)), hand.output("y", (4,))
        hand.step("teleport", [x], [y])
        error = refusal(hand.engine(kernels={"teleport": (1, 0)}))
        assert error.status == "kernel" and "teleport" in str(error)

    def test_another_abi_is_refused(self) -> None:
        hand = Hand()
        x, y = hand.input("x", (4,)), hand.output("y", (4,))
        hand.unary("relu", x, y)
        size = len(make_params("ingot_elementwise_params", {}))
        error = refusal(hand.engine(kernels={"elementwise": (99, size)}))
        assert error.status == "kernel" and "99" in str(error)


def test_a_refusal_names_the_byte() -> None:
    """The offset is that of the record at fault: the second edge."""
    hand = Hand()
    x, t, y = hand.input("x", (4,)), hand.tensor("t", (4,)), hand.output("y", (4,))
    hand.unary("relu", x, t)
    hand.unary("relu", t, y)
    hand.program.edges = [(0, 1), (1, 0)]
    raw = hand.engine()
    assert refusal(raw).offset == raw.index(bytes([0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])) + 8


CORPUS = sorted((Path(__file__).parent.parent / "runtime_c" / "corpus").glob("*.ingot"))


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_engines_of_the_c_tests_are_of_these_kernels(path: Path) -> None:
    """A kernel's new abi makes them old: ``make_engines.py FOLDER --samples 1`` writes them anew."""
    with Opened(path.read_bytes()):
        pass
