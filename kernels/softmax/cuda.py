"""Softmax on CUDA: a warp or a block a row, or a thread a column."""

from __future__ import annotations

from typing import Any

from ingot.kernels.common.cuda import CPP, blocks_for
from ingot.kernels.common.cuda_rows import MANY_ROWS, SHORT, is_real, lines, storage, team_for
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import is_int8
from ingot.kernels.softmax import int8
from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.targets import Target

COLUMNS = 128
LONG = 512
#: of the peak of memory
EFFICIENCY = 0.6


def _params(node: NodeView) -> dict[str, Any]:
    attrs = real_attrs(node)
    return {"kind": int(attrs.kind), "axis": attrs.axis}


def _launch(node: NodeView, target: Target) -> Launch:
    x, y = node.inputs[0].type, node.outputs[0].type
    outer, n, inner = lines(x.shape, real_attrs(node).axis)
    types = storage(x.dtype, y.dtype)
    if inner > 1 or (n <= SHORT and outer >= MANY_ROWS):
        kernel, grid, block = f"softmax_columns<{types}>", blocks_for(outer * inner, COLUMNS), COLUMNS
    elif (team := team_for(outer, n)) is None:
        kernel, grid, block = f"softmax_long<{types}>", (max(outer, 1), 1, 1), LONG
    else:
        kernel, grid, block = f"softmax_rows<{types}, {team.threads}, {team.each}>", team.grid(outer), team.block
    return Launch("softmax/softmax.cu", kernel, grid, block)


def _launch_s8(node: NodeView, target: Target) -> Launch:
    x, y = node.inputs[0].type, node.outputs[0].type
    outer, n, inner = lines(x.shape, node.attrs.real.axis)
    if inner > 1 or (n <= SHORT and outer >= MANY_ROWS):
        kernel, grid, block = f"softmax_s8_columns<{CPP[y.dtype]}>", blocks_for(outer * inner, COLUMNS), COLUMNS
    else:
        team = team_for(outer, min(n, 512 * 16))  # longer rows are read three times
        kernel, grid, block = (
            f"softmax_s8_rows<{CPP[y.dtype]}, {team.threads}, {team.each}>",
            team.grid(outer),
            team.block,
        )
    return Launch("softmax/softmax_s8.cu", kernel, grid, block, exact=True)


TACTICS = (
    Tactic(
        "softmax_s8_cuda",
        "ingot_softmax_s8_params",
        int8.params,
        when=is_int8,
        inplace=(0,),
        numerics="exact",
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch_s8,
    ),
    Tactic(
        "softmax_cuda",
        "ingot_softmax_params",
        _params,
        when=lambda node: not is_int8(node) and is_real(node),
        inplace=(0,),
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch,
    ),
)
