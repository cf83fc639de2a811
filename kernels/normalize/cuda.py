"""Normalisation on CUDA: a warp or a block for what is normalised together; a block for groups of few channels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.common.cuda_rows import Team, is_real, storage, team_for
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import is_int8
from ingot.kernels.normalize import int8
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

#: threads of a block that does groups of few channels, and channels that it does side by side
FEW, COLUMNS = 1024, 8
#: of a row that is read more than once
LONGEST = Team(512, 16)
#: elements of a row that a warp has in registers, its lanes waiting for no other warp; rows of a block
SHORT, ROW_WARPS = 1024, 4
#: of the peak of memory
EFFICIENCY = 0.6


@dataclass(frozen=True, slots=True)
class _Rows:
    """``count`` rows or, not ``flat``, groups of channels, of so many elements; ``of_group`` channels, of so many."""

    count: int
    length: int
    flat: bool = True
    of_group: int = 0
    channels: int = 0

    @property
    def is_short(self) -> bool:
        """Whether a kernel made for that length has them in the registers of a warp."""
        return self.flat and 0 < self.length <= SHORT and self.length % 4 == 0

    @property
    def team(self) -> Team:
        return team_for(self.count, self.length) or LONGEST

    def few(self) -> tuple[int, int, int] | None:
        """The grid of the kernel for groups of few channels, where they are."""
        if self.flat or not 0 < self.of_group < COLUMNS:
            return None
        images = self.count * self.of_group // self.channels
        return (max(images * ceil_div(self.channels, COLUMNS // self.of_group * self.of_group), 1), 1, 1)


def _attrs(node: NodeView) -> Any:
    return node.attrs.real if is_int8(node) else real_attrs(node)


def params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_normalize_params``."""
    attrs = _attrs(node)
    return {"kind": int(attrs.kind), "axis": attrs.axis, "groups": attrs.groups, "epsilon": attrs.epsilon}


def _rows(node: NodeView) -> _Rows:
    attrs, shape = _attrs(node), node.inputs[0].type.shape
    if attrs.kind.name != "GROUP":
        return _Rows(math.prod(shape[: attrs.axis]), math.prod(shape[attrs.axis :]))
    of_group = shape[-1] // attrs.groups
    count, length = shape[0] * attrs.groups, math.prod(shape[1:-1]) * of_group
    return _Rows(count, length, False, of_group, shape[-1])


def _launch(node: NodeView, target: Target) -> Launch:
    rows, types = _rows(node), storage(node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    if grid := rows.few():
        return Launch("normalize/normalize.cu", f"normalize_few<{types}>", grid, FEW)
    constant = str(all(value is None or value.data is not None for value in node.inputs[1:])).lower()
    if rows.is_short and len(node.outputs) == 1 and node.inputs[0].type.dtype is not DType.F64:
        centred = str(_attrs(node).kind.name == "LAYER").lower()
        kernel = f"normalize_row<{types}, {rows.length}, {centred}, {constant}>"
        return Launch("normalize/row.cu", kernel, (max(ceil_div(rows.count, ROW_WARPS), 1), 1, 1), 32 * ROW_WARPS)
    team, flat = rows.team, str(rows.flat).lower()
    kernel = f"normalize_rows<{types}, {len(node.outputs)}, {flat}, {team.threads}, {team.each}, {constant}>"
    return Launch("normalize/normalize.cu", kernel, team.grid(rows.count), team.block)


def _launch_s8(node: NodeView, target: Target) -> Launch:
    rows, result = _rows(node), CPP[node.outputs[0].type.dtype]
    if grid := rows.few():
        return Launch("normalize/normalize_s8.cu", f"normalize_s8_few<{result}>", grid, FEW, exact=True)
    team, flat = rows.team, str(rows.flat).lower()
    kernel = f"normalize_s8_rows<{result}, {flat}, {team.threads}, {team.each}>"
    return Launch("normalize/normalize_s8.cu", kernel, team.grid(rows.count), team.block, exact=True)


TACTICS = (
    Tactic(
        "normalize_s8_cuda",
        "ingot_normalize_s8_params",
        lambda node: int8.params(node, params(node)),
        when=lambda node: is_int8(node) and len(node.inputs) == 3,
        inplace=(0,),
        numerics="exact",
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch_s8,
    ),
    Tactic(
        "normalize_cuda",
        "ingot_normalize_params",
        params,
        when=lambda node: not is_int8(node) and is_real(node) and len(node.inputs) == 3,
        inplace=(0,),
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch,
    ),
)
