"""CUDA kernels that move data, beside NumPy and the CPU: shapes that take every way through them, indices out of range,
updates in order, operands that are aligned to their elements alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingot import kernels
from ingot.builder.ir import Node
from ingot.kernels.concat.op import ConcatAttrs
from ingot.kernels.elementwise.op import Insn, Program
from ingot.kernels.gather.op import GatherAttrs
from ingot.kernels.gather_elements.op import GatherElementsAttrs
from ingot.kernels.gather_nd.op import GatherNdAttrs
from ingot.kernels.lookup.op import LookupAttrs
from ingot.kernels.pad.op import MODES, PadAttrs
from ingot.kernels.scatter_elements.op import ScatterElementsAttrs
from ingot.kernels.scatter_nd.op import REDUCTIONS, ScatterNdAttrs
from ingot.kernels.slice.op import SliceAttrs
from ingot.kernels.spec import DType, Sample
from ingot.kernels.transpose.op import TransposeAttrs

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples

SPECS = kernels.load()
TARGET = harness.TARGETS["sm_87"]


def node_of(op: str, attrs: Any, *arrays: np.ndarray) -> Node:
    return samples.make_node(SPECS[op], Sample(attrs, tuple(arrays)))[0]


def run(op: str, attrs: Any, *arrays: np.ndarray, **options: Any) -> np.ndarray:
    """The first result by the CUDA tactics, in the emulator: all give the same."""
    node = node_of(op, attrs, *arrays)
    tactics = [t for t in SPECS[op].tactics if t.backend == "cuda" and t.when(node)]
    first, *others = [harness.run_node(node, tactic, TARGET, arrays, **options)[0] for tactic in tactics]
    assert all(other.tobytes() == first.tobytes() for other in others)
    return first


def run_on_cpu(op: str, attrs: Any, *arrays: np.ndarray) -> np.ndarray:
    node = node_of(op, attrs, *arrays)
    tactic = next(t for t in SPECS[op].tactics if t.backend == "cpu" and t.when(node))
    return samples.run(node, tactic, list(arrays), "portable", 1)[0]


def numbers(dtype: DType, shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Different bytes everywhere."""
    raw = np.random.default_rng(seed).integers(0, 255, (*shape, dtype.size), np.uint8)
    kind = np.dtype(f"u{dtype.size}")
    return raw.view(kind)[..., 0].astype(kind)


class TestTransposes:
    SHAPES = (
        ((48, 64), (1, 0)),  # whole words of bytes
        ((2, 132, 260), (0, 2, 1)),  # several tiles, the last ones cut
        ((2, 33, 130), (0, 2, 1)),  # no whole words
        ((3, 17, 5, 20), (0, 3, 1, 2)),
        ((2, 20, 3, 24), (3, 0, 2, 1)),
        ((40, 3), (1, 0)),  # too narrow for a tile
        ((2, 3, 5, 12), (0, 2, 3, 1)),  # planes to pixels
        ((5, 3, 3, 16), (1, 2, 0, 3)),
        ((16, 18, 4), (1, 0, 2)),  # runs of several elements
        ((2, 3, 4, 5, 6, 7), (5, 4, 3, 2, 1, 0)),
    )

    @pytest.mark.parametrize("dtype", [DType.U8, DType.U16, DType.U32, DType.U64])
    @pytest.mark.parametrize(("shape", "perm"), SHAPES)
    @pytest.mark.parametrize("options", [{}, {"pitched": True}, {"align": 0}], ids=["dense", "pitched", "unaligned"])
    def test_as_numpy(
        self, shape: tuple[int, ...], perm: tuple[int, ...], dtype: DType, options: dict[str, Any]
    ) -> None:
        x = numbers(dtype, shape)
        np.testing.assert_array_equal(run("transpose", TransposeAttrs(perm), x, **options), x.transpose(perm))


@pytest.mark.parametrize("dtype", [DType.U8, DType.U16, DType.U64])
@pytest.mark.parametrize("options", [{}, {"pitched": True}, {"align": 0}], ids=["dense", "pitched", "unaligned"])
class TestPieces:
    def test_slices(self, dtype: DType, options: dict[str, Any]) -> None:
        x = numbers(dtype, (5, 6, 40))
        got = run("slice", SliceAttrs((4, 0, 8), (-2, 1, 1), (3, 5, 32)), x, **options)
        np.testing.assert_array_equal(got, x[4::-2, :5, 8:])

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_concat(self, axis: int, dtype: DType, options: dict[str, Any]) -> None:
        shapes = [[3, 4, 8] for _ in range(3)]
        for i, shape in enumerate(shapes):
            shape[axis] = 4 * i + 2
        pieces = [numbers(dtype, shape, seed) for seed, shape in enumerate(shapes)]
        np.testing.assert_array_equal(
            run("concat", ConcatAttrs(axis), *pieces, **options), np.concatenate(pieces, axis)
        )

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("before", [(1, 2, 0), (0, 3, 4), (0, -1, 0), (0, 0, 0)])
    def test_pad(self, mode: str, before: tuple[int, ...], dtype: DType, options: dict[str, Any]) -> None:
        x, after = numbers(dtype, (3, 4, 8)), (0, 1, 0)
        cut = x[:, max(-before[1], 0) :]
        amounts = [(max(b, 0), a) for b, a in zip(before, after)]
        if mode == "constant" or before[1] >= 0:  # NumPy crops, and then repeats what is left
            extra = {"constant_values": 7} if mode == "constant" else {}
            got = run("pad", PadAttrs(before, after, mode, 7), x, **options)
            np.testing.assert_array_equal(got, np.pad(cut, amounts, mode, **extra))
        else:
            attrs = PadAttrs(before, after, mode)
            np.testing.assert_array_equal(run("pad", attrs, x, **options), run_on_cpu("pad", attrs, x))


class TestIndices:
    X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    #: operator, attributes, indices, what is updated
    CASES = (
        ("gather", GatherAttrs(1), [0, -4, 3], None),
        ("gather_elements", GatherElementsAttrs(1), [[[0, -1, 3], [2, 2, 1]]], None),
        ("gather_nd", GatherNdAttrs(), [[0, -1], [2, 3]], None),
        ("scatter_elements", ScatterElementsAttrs(1), [[[0, -1, 3], [2, 2, 1]]], (1, 2, 3)),
        ("scatter_nd", ScatterNdAttrs("add"), [[0, -1], [2, 3]], (2, 5)),
    )

    @pytest.mark.parametrize(("op", "attrs", "indices", "updated"), CASES, ids=[case[0] for case in CASES])
    @pytest.mark.parametrize("kind", [np.int32, np.int64])
    @pytest.mark.parametrize("wrong", [None, 5, -6, 2**31 - 1, -(2**31)])
    def test_out_of_range(
        self, op: str, attrs: Any, indices: list, updated: tuple[int, ...] | None, kind: type, wrong: int | None
    ) -> None:
        chosen = np.array(indices, kind)
        updates = [] if updated is None else [np.ones(updated, np.float32)]
        if wrong is None:
            got = run(op, attrs, self.X, chosen, *updates)
            assert got.tobytes() == run_on_cpu(op, attrs, self.X, chosen, *updates).tobytes()
            return
        chosen.flat[-1] = wrong
        with pytest.raises(IndexError):
            run(op, attrs, self.X, chosen, *updates)

    def test_indices_of_64_bits_are_not_cut(self) -> None:
        with pytest.raises(IndexError):
            run("gather", GatherAttrs(0), self.X, np.array([2**32], np.int64))

    def test_nothing_to_choose_from(self) -> None:
        with pytest.raises(IndexError):
            run("gather", GatherAttrs(1), np.zeros((3, 0, 5), np.float32), np.array([0]))


class TestScatter:
    """Many updates to few places: as the CPU does them one after the other."""

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("dtype", [np.float32, np.int8, np.int64])
    @pytest.mark.parametrize("width", [1, 3, 70])
    def test_in_order(self, reduction: str, dtype: type, width: int) -> None:
        rng = np.random.default_rng(3)
        data = rng.integers(-9, 9, (13, width)).astype(dtype)
        indices = rng.integers(0, 13, (700, 1))
        updates = (rng.standard_normal((700, width)) * 1.5).astype(dtype)
        arrays = (data, indices, updates)
        attrs = ScatterNdAttrs(reduction)
        assert run("scatter_nd", attrs, *arrays).tobytes() == run_on_cpu("scatter_nd", attrs, *arrays).tobytes()

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_elements_in_order(self, reduction: str) -> None:
        rng = np.random.default_rng(4)
        data = rng.standard_normal((5, 6)).astype(np.float32)
        indices = rng.integers(-5, 5, (400, 3))
        updates = rng.standard_normal((400, 3)).astype(np.float32)
        arrays, attrs = (data, indices, updates), ScatterElementsAttrs(0, reduction)
        got, wanted = (f("scatter_elements", attrs, *arrays) for f in (run, run_on_cpu))
        assert got.tobytes() == wanted.tobytes()


class TestUnaligned:
    """Inputs and outputs that a program binds are aligned to their elements alone."""

    @pytest.mark.parametrize("shape", [(64,), (5, 37)])
    def test_elementwise(self, shape: tuple[int, ...]) -> None:
        x, y = (np.random.default_rng(i).standard_normal(shape).astype(np.float32) for i in range(2))
        program = Program((Insn("Add", DType.F32, (0, 1)),))
        np.testing.assert_array_equal(run("elementwise", program, x, y, align=0), x + y)

    def test_elementwise_with_a_row(self) -> None:
        x, row = (np.random.default_rng(i).integers(-9, 9, n, np.int32) for i, n in enumerate([(3, 5, 16), (16,)]))
        program = Program((Insn("Mul", DType.I32, (0, 1)),))
        np.testing.assert_array_equal(run("elementwise", program, x, row, align=0), x * row)

    def test_lookup(self) -> None:
        x = np.random.default_rng(1).integers(-128, 128, 101).astype(np.int8)
        table = np.arange(256).astype(np.int8)[::-1].copy()
        np.testing.assert_array_equal(run("lookup", LookupAttrs(), x, table, align=0), table[x.astype(int) + 128])

    @pytest.mark.parametrize("dtype", [DType.U8, DType.U16, DType.U32])
    def test_gather(self, dtype: DType) -> None:
        x, chosen = numbers(dtype, (7, 16)), np.array([6, -7, 3])
        np.testing.assert_array_equal(run("gather", GatherAttrs(0), x, chosen, align=0), x[chosen])
        pairs = np.array([[1], [-1]])
        np.testing.assert_array_equal(run("gather_nd", GatherNdAttrs(), x, pairs, align=0), x[[1, -1]])


def test_a_transpose_of_few_bytes_is_one_block() -> None:
    node = node_of("transpose", TransposeAttrs((1, 0)), np.zeros((4, 4), np.uint8))
    (tactic,) = (t for t in SPECS["transpose"].tactics if t.kernel == "strided_copy_cuda")
    assert tactic.launch(node, TARGET).grid == (1, 1, 1)
