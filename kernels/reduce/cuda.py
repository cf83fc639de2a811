"""Reductions on CUDA: rows that lie side by side by teams of threads, columns side by side by blocks. Of few long ones
several blocks have a part each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.common.cuda_rows import Team, is_real, storage
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import is_int8
from ingot.kernels.reduce import few_rows_cuda, int8
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

INTEGERS = (DType.I32, DType.I64, DType.I8, DType.U8, DType.BOOL)
#: threads of a block that share the vectors of a row of columns; few, where there are few blocks
ACROSS, ACROSS_FEW = 8, 2
#: elements of a row for each thread, at least, before more threads share it
EACH = 16
#: bytes of a part, blocks of all parts and parts of a result, at most; below LONG a result is not parted
PART, BLOCKS, PARTS = 32 << 10, 128, 64
LONG = 4 * PART
#: of the peak of memory
EFFICIENCY = 0.6
#: kernel, grid and block for a way to fold
Frame = Callable[[NodeView, str, Target], dict[str, Any]]


def params(node: NodeView) -> dict[str, int]:
    """The fields of the C struct ``ingot_reduce_params``."""
    attrs = real_attrs(node)
    return {"kind": int(attrs.kind), "axes": sum(1 << a for a in attrs.axes)}


@dataclass(frozen=True, slots=True)
class _Shape:
    """``terms`` elements of ``size`` bytes become one of ``results``. ``columns`` of these lie side by side in the
    input; 0: elements that become one do."""

    terms: int
    results: int
    size: int
    columns: int
    shifts: bool
    empty: bool

    @property
    def length(self) -> int:
        """Columns that a thread has."""
        return 2 if self.size > 4 else 4

    def tiles(self, across: int) -> int:
        """Blocks for the columns, where ``across`` threads share the vectors of a row."""
        return self.results // self.columns * ceil_div(self.columns, across * self.length)

    @property
    def parts(self) -> int:
        """Blocks that share a result, or a tile of columns."""
        tiles = self.tiles(ACROSS) if self.columns else self.results
        moved = self.terms * self.size * (ACROSS * self.length if self.columns else 1)
        if self.empty or self.shifts or moved < LONG:
            return 1
        return max(min(moved // PART, BLOCKS // tiles, PARTS), 1)


def _shape(node: NodeView) -> _Shape:
    x, y = node.inputs[0].type, node.outputs[0].type
    attrs = node.attrs.real if is_int8(node) else real_attrs(node)
    kept = [axis not in attrs.axes for axis, extent in enumerate(x.shape) if extent != 1]
    columns = 0
    if x.count and kept and kept[-1]:
        columns = 1
        for axis in reversed(range(x.rank)):
            if x.shape[axis] != 1 and axis in attrs.axes:
                break
            columns *= x.shape[axis]
    shifts = attrs.kind.name == "LOG_SUM_EXP"
    return _Shape(x.count // max(y.count, 1), y.count, x.dtype.size, columns, shifts, not x.count)


def _frame(node: NodeView, fold: str, target: Target) -> dict[str, Any]:
    """How the kernel for a way to fold is started."""
    s = _shape(node)
    terms, parts = s.terms, s.parts
    if not s.columns:
        team = Team(512 if terms > 256 * EACH else 256 if terms > 32 * EACH else 32, 1)
        threads, blocks = team.block, team.grid(1 if s.empty else s.results)[0]
        kernel = f"reduce_runs<{fold}, {team.threads}>"
    else:
        threads = 512 if terms >= 256 else 256 if terms >= 32 else 128
        few = terms >= 256 and s.tiles(ACROSS) < target.figures.get("sm_count", 8) and parts == 1
        across = ACROSS_FEW if few else ACROSS
        kernel, blocks = f"reduce_columns<{fold}, {threads}, {across}>", max(s.tiles(across), 1)
    counters = s.results if parts > 1 else 0
    return {"kernel": kernel, "grid": (blocks, parts, 1), "block": threads, "counters": counters}


def _workspace(node: NodeView) -> int:
    """What parts come to: at most 8 bytes each."""
    s = _shape(node)
    return 8 * s.parts * s.results if s.parts > 1 else 0


def _launch(node: NodeView, target: Target, frame_of: Frame = _frame) -> Launch:
    types = storage(node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    exact = node.inputs[0].type.dtype in INTEGERS
    frame = frame_of(node, f"ingot::reduce_fold<{types}, {int(real_attrs(node).kind)}>", target)
    return Launch("reduce/reduce.cu", **frame, exact=exact)


def _launch_s8(node: NodeView, target: Target, frame_of: Frame = _frame) -> Launch:
    frame = frame_of(node, f"ingot::reduce_s8_fold<{CPP[node.outputs[0].type.dtype]}>", target)
    return Launch("reduce/reduce_s8.cu", **frame, exact=True)


def _efficiency(node: NodeView, target: Target) -> float:
    return EFFICIENCY


_TACTICS = (
    Tactic(
        "reduce_s8_cuda",
        "ingot_reduce_s8_params",
        int8.params,
        when=is_int8,
        numerics="exact",
        workspace=_workspace,
        efficiency=_efficiency,
        launch=_launch_s8,
    ),
    Tactic(
        "reduce_cuda",
        "ingot_reduce_params",
        params,
        when=lambda node: not is_int8(node) and is_real(node),
        workspace=_workspace,
        efficiency=_efficiency,
        launch=_launch,
    ),
    Tactic(
        "reduce_integers_cuda",
        "ingot_reduce_params",
        params,
        when=lambda node: not is_int8(node) and node.inputs[0].type.dtype in INTEGERS,
        numerics="exact",
        workspace=_workspace,
        efficiency=_efficiency,
        launch=_launch,
    ),
)

TACTICS = (
    *(few_rows_cuda.twin(tactic, _launch_s8 if tactic is _TACTICS[0] else _launch) for tactic in _TACTICS),
    *_TACTICS,
)
