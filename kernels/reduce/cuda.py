"""Reductions on CUDA: rows that lie side by side by teams of threads, columns side by side by blocks."""

from __future__ import annotations

from typing import Any

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.common.cuda_rows import Team, is_real, storage
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import is_int8
from ingot.kernels.reduce import int8
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

INTEGERS = (DType.I32, DType.I64, DType.I8, DType.U8, DType.BOOL)
#: threads of a block that share the vectors of a row of columns; few, where there are few blocks
ACROSS, ACROSS_FEW = 8, 2
#: elements of a row for each thread, at least, before more threads share it
EACH = 16
#: of the peak of memory
EFFICIENCY = 0.6


def params(node: NodeView) -> dict[str, int]:
    """The fields of the C struct ``ingot_reduce_params``."""
    attrs = real_attrs(node)
    return {"kind": int(attrs.kind), "axes": sum(1 << a for a in attrs.axes)}


def _frame(node: NodeView, fold: str, target: Target) -> dict[str, Any]:
    """Kernel, grid and block for a way to fold."""
    x, y = node.inputs[0].type, node.outputs[0].type
    axes = (node.attrs.real if is_int8(node) else real_attrs(node)).axes
    terms = x.count // max(y.count, 1)
    kept = [axis not in axes for axis, extent in enumerate(x.shape) if extent != 1]
    if not x.count or not kept or not kept[-1]:
        team = Team(512 if terms > 256 * EACH else 256 if terms > 32 * EACH else 32, 1)
        return {
            "kernel": f"reduce_runs<{fold}, {team.threads}>",
            "grid": team.grid(y.count if x.count else 1),
            "block": team.block,
        }
    columns = 1
    for axis in reversed(range(x.rank)):
        if x.shape[axis] != 1 and axis in axes:
            break
        columns *= x.shape[axis]
    length = 2 if x.dtype.size > 4 else 4
    threads = 512 if terms >= 256 else 256 if terms >= 32 else 128
    outer = y.count // columns
    few = terms >= 256 and outer * ceil_div(columns, ACROSS * length) < target.figures.get("sm_count", 8)
    across = ACROSS_FEW if few else ACROSS
    tiles = outer * ceil_div(columns, across * length)
    return {"kernel": f"reduce_columns<{fold}, {threads}, {across}>", "grid": (max(tiles, 1), 1, 1), "block": threads}


def _launch(node: NodeView, target: Target) -> Launch:
    types = storage(node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    exact = node.inputs[0].type.dtype in INTEGERS
    frame = _frame(node, f"ingot::reduce_fold<{types}, {int(real_attrs(node).kind)}>", target)
    return Launch("reduce/reduce.cu", **frame, exact=exact)


def _launch_s8(node: NodeView, target: Target) -> Launch:
    frame = _frame(node, f"ingot::reduce_s8_fold<{CPP[node.outputs[0].type.dtype]}>", target)
    return Launch("reduce/reduce_s8.cu", **frame, exact=True)


def _efficiency(node: NodeView, target: Target) -> float:
    return EFFICIENCY


TACTICS = (
    Tactic(
        "reduce_s8_cuda",
        "ingot_reduce_s8_params",
        int8.params,
        when=is_int8,
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch_s8,
    ),
    Tactic(
        "reduce_cuda",
        "ingot_reduce_params",
        params,
        when=lambda node: not is_int8(node) and is_real(node),
        efficiency=_efficiency,
        launch=_launch,
    ),
    Tactic(
        "reduce_integers_cuda",
        "ingot_reduce_params",
        params,
        when=lambda node: not is_int8(node) and node.inputs[0].type.dtype in INTEGERS,
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch,
    ),
)
