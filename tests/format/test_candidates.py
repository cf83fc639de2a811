"""Generated constants and tuning packs, as the loader sees them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ingot._native import lib
from ingot.builder import plan, writer
from ingot.builder.tuning.measure import Pack
from ingot.errors import IngotError

sys.path.insert(0, str(Path(__file__).parent))
import hand as by_hand
from hand import Hand, Opened, refusal


class TestGenerated:
    """y = x * gain, where the runtime makes the gain."""

    def scaled(self) -> Hand:
        hand = Hand("scaled")
        x = hand.input("x", (16,))
        gain = hand.tensor("gain", (16,), plan.GENERATED)
        y = hand.output("y", (16,))
        hand.binary("mul", x, gain, y)
        hand.program.fills = [plan.Fill(gain, lib.INGOT_FILL_MODERATE, seed=5)]
        return hand

    def test_it_is_there_in_every_run_and_after_a_reset(self) -> None:
        with Opened(self.scaled().engine()) as opened:
            opened.array(0)[:] = 1
            opened.run()
            first = opened.array(1).copy()
            assert (np.abs(first) >= 0.5).all() and (np.abs(first) < 1).all() and len(set(first)) == 16
            opened.array(0)[:] = 2
            assert lib.ingot_context_reset(opened.context) == 0
            opened.run()
            np.testing.assert_array_equal(opened.array(1), 2 * first)

    def test_a_fill_of_bytes_and_one_of_an_unknown_kind(self) -> None:
        hand = self.scaled()
        hand.program.fills = [plan.Fill(1, lib.INGOT_FILL_BYTES, value=0)]
        with Opened(hand.engine()) as opened:
            opened.array(0)[:] = 1
            opened.run()
            assert not opened.array(1).any()
        hand.program.fills = [plan.Fill(1, lib.INGOT_FILL_KIND_COUNT)]
        assert refusal(hand.engine()).status == "format"

    def test_nobody_writes_it(self) -> None:
        hand = self.scaled()
        hand.unary("relu", 0, 1)
        error = refusal(hand.engine())
        assert error.status == "format" and "writes a constant" in str(error)

    @pytest.mark.parametrize("size", [0, 64, 127, 1 << 48])
    def test_its_storage_has_room_and_a_tail(self, size: int) -> None:
        hand = self.scaled()
        hand.program.generated_size = size
        assert refusal(hand.engine()).status == "format"

    def test_a_fill_of_a_constant_of_the_file_is_refused(self) -> None:
        hand = self.scaled()
        hand.program.buffers[1] = plan.Buffer(plan.CONSTANT, 64, np.ones(16, np.float32))
        assert refusal(hand.engine()).status == "format"


class TestRoles:
    def test_programs_of_both_roles_do_not_mix(self) -> None:
        run, candidate = TestGenerated().scaled().program, TestGenerated().scaled().program
        candidate.is_candidate = True
        error = refusal(by_hand.engine([writer.Variant("cpu", [run, candidate])]))
        assert error.status == "format" and "mixed" in str(error)

    def pack(self, change: Callable[[plan.Program], None] = lambda program: None, arch: int = 0) -> bytes:
        hand = TestGenerated().scaled()
        hand.program.is_candidate = True
        hand.program.name = "t\tp\tk\t1"
        change(hand.program)
        return by_hand.engine([writer.Variant("cpu", [hand.program], arch=arch)])

    def test_a_candidate_is_measured(self) -> None:
        with Pack(self.pack()) as pack:
            assert [key.problem for key in pack.keys] == ["p"]
            assert len(pack.measure(range(1), 0)) == 1

    def test_a_pack_for_a_processor_of_a_later_version(self) -> None:
        with pytest.raises(IngotError, match="unknown processor"):
            Pack(self.pack(arch=lib.INGOT_CPU_LEVEL_COUNT))
