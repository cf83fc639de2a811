"""Attention and recurrent layers on CUDA beyond their samples: what hides everything, what is too long, what does not
fit shared memory, and launches that leave a block too little of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import DTYPES, Description, make_params, refusal
from ingot.builder.ir import Node
from ingot.kernels.attention.op import AttentionAttrs
from ingot.kernels.common.half import HalfAttrs
from ingot.kernels.recurrent.attrs import Direction, RecurrentAttrs, RecurrentKind
from ingot.kernels.spec import DType, Launch, Sample, Tactic, TensorType

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples
from test_samples import assert_close, portable_results, tactics_for

SPECS = kernels.load()
TARGET = harness.TARGETS["sm_87"]
Arrays = list[np.ndarray | None]


def f32(*shape: int) -> TensorType:
    return TensorType(DType.F32, shape)


def made(op: str, sample: Sample) -> tuple[Node, Arrays, Tactic]:
    """The node, its arrays and the tactic that CUDA takes."""
    node, arrays = samples.make_node(SPECS[op], sample)
    return node, arrays, tactics_for(node, "cuda")[0]


# -- attention --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [DType.F32, DType.F16])
def test_a_mask_that_hides_a_row_gives_what_the_cpu_gives(dtype: DType) -> None:
    attrs = AttentionAttrs(0.5)
    heads = TensorType(dtype, (1, 1, 40, 16))
    mask = np.zeros((1, 1, 40, 40), np.float32)
    mask[0, 0, 3] = -np.inf
    mask[0, 0, 7, 1:] = -np.inf
    stored = attrs if dtype is DType.F32 else HalfAttrs(attrs, dtype)
    node, arrays, tactic = made("attention", Sample(stored, (heads, heads, heads, mask)))
    (wanted,) = portable_results(node, arrays)
    (got,) = harness.run_node(node, tactic, TARGET, arrays)
    assert np.isnan(got[0, 0, 3]).all() and not np.isnan(got[0, 0, [2, 4, 7]]).any()
    assert_close(got, wanted, dtype, dtype)


def test_rows_that_see_nothing_are_zero() -> None:
    attrs = AttentionAttrs(0.5, causal=True, diagonal=-2)
    for dtype, stored in ((DType.F32, attrs), (DType.F16, HalfAttrs(attrs, DType.F16))):
        heads = TensorType(dtype, (1, 2, 5, 16))
        node, arrays, tactic = made("attention", Sample(stored, (heads, heads, heads, None)))
        (got,) = harness.run_node(node, tactic, TARGET, arrays)
        assert (got[:, :, :2] == 0).all() and (got[:, :, 2:] != 0).any()


def test_scores_far_apart_neither_overflow_nor_vanish() -> None:
    attrs = AttentionAttrs(30.0)
    node, arrays, tactic = made(
        "attention", Sample(attrs, (f32(1, 1, 9, 8), f32(1, 1, 100, 8), f32(1, 1, 100, 8), None))
    )
    (got,) = harness.run_node(node, tactic, TARGET, arrays)
    assert_close(got, portable_results(node, arrays)[0], DType.F32, DType.F32)


# -- recurrent --------------------------------------------------------------------------------------------------------


def recurrent(
    kind: RecurrentKind, steps: int, batch: int, width: int, hidden: int, lens: Arrays | None = None
) -> Sample:
    rows = kind.gates * hidden
    attrs = RecurrentAttrs(kind, hidden, Direction.BIDIRECTIONAL)
    weights = f32(2, rows, width), f32(2, rows, hidden), f32(2, 2 * rows)
    return Sample(attrs, (f32(steps, batch, width), *weights, lens, None, None, None), (1, 2, 3))


@pytest.mark.parametrize("lens", [[5, 6], [-1, 2]])
def test_a_length_out_of_range_is_an_error(lens: list[int]) -> None:
    node, arrays, tactic = made("recurrent", recurrent(RecurrentKind.GRU, 5, 2, 3, 4, np.array(lens, np.int32)))
    with pytest.raises(IndexError):
        harness.run_node(node, tactic, TARGET, arrays)


@pytest.mark.parametrize("kind", list(RecurrentKind))
def test_what_does_not_fit_shared_memory_lies_in_a_workspace(
    kind: RecurrentKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingot.kernels.recurrent import cuda

    monkeypatch.setattr(cuda, "SHARED", 0)
    every = SPECS["recurrent"].samples()
    quantised = next(s for s in every if s.name.startswith(f"int8 {kind.name}") and s.name.endswith("BIDIRECTIONAL"))
    for sample in (recurrent(kind, 3, 6, 5, 20), quantised):
        node, arrays, tactic = made("recurrent", sample)
        assert tactic.workspace(node) > 0 and tactic.launch(node, TARGET).shared == 0
        wanted = portable_results(node, arrays)
        for got, value, w in zip(harness.run_node(node, tactic, TARGET, arrays), node.outputs, wanted, strict=True):
            assert_close(got, w, value.type.dtype, DType.F32)


def refuser(node: Node, arrays: Arrays, tactic: Tactic, launch: Launch) -> Callable[..., str]:
    """Why a step with so much shared memory and workspace is refused."""
    packed = [tactic.pack[i](node, a) if a is not None and i in tactic.pack else a for i, a in enumerate(arrays)]
    operands = [a if a is None else Description(DTYPES[a.dtype], a.shape) for a in packed]
    results = [Description(v.type.dtype.value, v.type.shape) for v in node.outputs]
    params = make_params(tactic.params_type, tactic.params(node))

    def reason(shared: int, workspace: int = 0) -> str:
        grid = (*launch.grid, launch.block, 1, 1, shared)
        return refusal(tactic.kernel, operands, results, params, workspace, grid) or ""

    return reason


@pytest.mark.parametrize("sample", ["RNN-5x3x7-16-FORWARD-F32", "int8 LSTM 1x1x130-64-FORWARD"])
def test_a_block_without_its_memory_is_refused(sample: str) -> None:
    found = next(s for s in SPECS["recurrent"].samples() if s.name == sample)
    node, arrays, tactic = made("recurrent", found)
    launch = tactic.launch(node, TARGET)
    reason = refuser(node, arrays, tactic, launch)
    assert reason(launch.shared) == ""
    assert "too little shared memory" in reason(launch.shared - 1)
    assert reason(0, launch.shared * launch.grid[0]) == ""
    assert "too small" in reason(launch.shared, launch.shared * launch.grid[0] - 1)


def test_only_usual_cells_take_the_short_way() -> None:
    sample = recurrent(RecurrentKind.LSTM, 2, 1, 3, 4)
    node, _, tactic = made("recurrent", sample)
    assert tactic.launch(node, TARGET).kernel.endswith("true>")
    for changed in (replace(sample.attrs, clip=0.5), replace(sample.attrs, input_forget=True)):
        node, _, tactic = made("recurrent", Sample(changed, sample.inputs, sample.constant))
        assert tactic.launch(node, TARGET).kernel.endswith("false>")


@pytest.mark.parametrize("kind", [RecurrentKind.GRU, RecurrentKind.LSTM])
def test_clusters_share_many_units_where_there_are_clusters(kind: RecurrentKind) -> None:
    target = harness.TARGETS["sm_90a"]
    small, _, tactic = made("recurrent", recurrent(kind, 2, 3, 4, 128))
    assert tactic.launch(small, target) == tactic.launch(small, TARGET)
    node, arrays, tactic = made("recurrent", recurrent(kind, 2, 3, 4, 250))
    alone, shared = tactic.launch(node, TARGET), tactic.launch(node, target)
    assert shared.kernel.startswith("recurrent_team<") and shared.grid[0] == 8 * alone.grid[0]
    reason = refuser(node, arrays, tactic, shared)
    assert reason(shared.shared) == "" and "share units" in reason(shared.shared - 1)
