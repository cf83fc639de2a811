"""CUDA tactics of attention: on tensor cores where q, k and v are stored in half, in float32 where they are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.common.half import HALF, real_attrs
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import dims

WARPS = 4
#: widths of q, k and v that fit registers on tensor cores
WIDEST = 128
#: queries of a warp in float32, the second where there are few
ROWS = (8, 2)
KEYS, DEPTH, LANES = 64, 64, 32
#: blocks along the second and the third axis of a grid
GRID_MAX = 65535


#: shared memory that a block may have on every device, bytes
SHARED_MAX = 99 * 1024
#: of figures that a target does not give
_FIGURES = {"sm_count": 8, "clock_mhz": 1000.0, "memory_gbs": 100.0, "shared_bytes_per_sm": 100 * 1024}
#: clocks until the first keys are there, of a tile of keys however small, and of joining parts
_FILL, _STEP, _JOIN = 1500.0, 600.0, 700.0
#: what a multiprocessor does in a clock: multiply-adds of m16n8k16, scores, bytes that it copies; registers of a thread
_MULTIPLIES, _SCORES, _BYTES, _REGISTERS = 0.6, 10.0, 24.0, 168
#: of the time of the largest cut, on warp groups
_GROUP_SHARE = 0.6


@dataclass(frozen=True, slots=True)
class Shape:
    """Batch, heads, rows of queries and keys; widths of q and v in sixteens."""

    batch: int
    heads: int
    rows: int
    keys: int
    deep: int
    wide: int


@dataclass(frozen=True, slots=True)
class Cut:
    """How attention on tensor cores is cut: a block has ``rows`` x ``parts`` warps, those of a part have ``tiles`` of
    16 queries each, and the parts take turns at tiles of ``keys`` keys."""

    rows: int
    parts: int
    tiles: int
    keys: int = 64

    def __str__(self) -> str:
        return f"warps={self.rows}x{self.parts} tiles={self.tiles}"

    @property
    def queries(self) -> int:
        """Of a block."""
        return 16 * self.tiles * self.rows

    def shared(self, shape: Shape) -> int:
        """Bytes for queries and two stages of keys and values, or one where no part has more; then for results."""
        k_pitch, v_pitch = 16 * shape.deep + 8, 16 * shape.wide + 8
        stages = min(2 * self.parts, ceil_div(shape.keys, self.keys))
        operands = self.queries * k_pitch + stages * self.keys * (k_pitch + v_pitch)
        joined = self.parts * self.queries * (v_pitch + 2) if self.parts > 1 else 0
        return max(2 * operands, 4 * joined)

    def fitted(self, shape: Shape) -> Cut | None:
        """The same with fewer keys where shared memory is too small; None: they would be none, or so few that half of
        the parts are idle."""
        if self.parts > 4 and shape.keys <= self.keys * self.parts // 2:
            return None
        cut = self
        while cut.shared(shape) > SHARED_MAX:
            if cut.keys <= 16:
                return None
            cut = replace(cut, keys=cut.keys // 2)
        return cut

    def ns(self, shape: Shape, figures: Mapping[str, Any]) -> float:
        """About how long it takes: a multiprocessor goes through the tiles of keys of the blocks it has at once."""
        blocks = ceil_div(shape.rows, self.queries) * shape.heads * shape.batch
        own = ceil_div(blocks, figures["sm_count"])
        threads = 32 * self.rows * self.parts
        most = min(figures["shared_bytes_per_sm"] // (self.shared(shape) + 1024), 65536 // (threads * _REGISTERS))
        resident = max(min(own, most), 1)
        products = self.tiles * self.keys // 8 * (shape.deep + shape.wide)
        busy = self.rows * self.parts * (products / _MULTIPLIES + 16 * self.tiles * self.keys / _SCORES)
        busy = max(busy, self.parts * self.keys * (shape.deep + shape.wide) * 32 / _BYTES)
        steps = ceil_div(ceil_div(shape.keys, self.keys), self.parts)
        clocks = _FILL + steps * max(resident * busy, _STEP) + (_JOIN if self.parts > 1 else 0.0)
        return ceil_div(own, resident) * clocks * 1000.0 / figures["clock_mhz"]


#: the arch that has warp groups; groups of a block, 64 queries and four warps each, and their keys
GROUP_ARCH = "sm_90a"
GROUPS, GROUP_QUERIES, GROUP_KEYS = 2, 64, 128
#: few queries to a block, whose keys are spread over its warps; then many
CUTS = (Cut(1, 8, 1, 32), Cut(1, 4, 1, 32), Cut(4, 1, 1), Cut(4, 1, 2))


def _shape(node: NodeView) -> tuple[Shape, int, int]:
    """And the widths of q and v."""
    (batch, heads, rows, depth), (_, _, keys, _), (*_, width) = dims(
        real_attrs(node), [value.type.shape for value in node.inputs[:3]]
    )
    return Shape(batch, heads, rows, keys, ceil_div(depth, 16), ceil_div(width, 16)), depth, width


def _types(node: NodeView) -> set[DType]:
    return {value.type.dtype for value in node.inputs[:3]}


def _real(node: NodeView, target: Target) -> Launch:
    shape, _, width = _shape(node)
    batch, heads, rows = shape.batch, shape.heads, shape.rows
    each = ROWS[rows <= WARPS * ROWS[1]]
    columns = min(ceil_div(width, LANES), 4)
    types = _types(node)
    stored = CPP[types.pop()] if len(types) == 1 else "ingot::any_real"
    queries = WARPS * each
    floats = queries * DEPTH + KEYS * (DEPTH + 4) + KEYS * LANES * columns + queries * KEYS
    blocks = batch * heads * ceil_div(rows, queries) * ceil_div(width, LANES * columns)
    kernel = f"attention<{stored}, {each}, {columns}>"
    return Launch("attention/attention.cu", kernel, (max(blocks, 1), 1, 1), WARPS * 32, 4 * floats)


def _is_plain(node: NodeView) -> bool:
    """Neither a mask nor a cap, and scores that keep their order when they are scaled."""
    attrs = real_attrs(node)
    return node.inputs[3] is None and attrs.softcap == 0.0 and attrs.scale > 0.0


def _in_groups(node: NodeView, target: Target, cut: Cut) -> bool:
    """Whether warp groups take the place of a cut of many queries."""
    _, depth, width = _shape(node)
    return target.arch == GROUP_ARCH and cut == CUTS[-1] and _is_plain(node) and depth == width and depth in (64, 128)


def _group(node: NodeView, types: str) -> Launch:
    shape, depth, _ = _shape(node)
    queries = GROUPS * GROUP_QUERIES
    grid = (max(ceil_div(shape.rows, queries), 1), max(shape.heads, 1), max(shape.batch, 1))
    kernel = f"attention_group<{types}, {depth // 64}, {GROUPS}>"
    shared = 2 * depth * (queries + 4 * GROUP_KEYS)
    return Launch("attention/attention_group.cu", kernel, grid, 128 * GROUPS, shared)


def _mma(node: NodeView, target: Target, cut: Cut) -> Launch:
    shape, *_ = _shape(node)
    types = f"{CPP[node.inputs[0].type.dtype]}, {CPP[node.outputs[0].type.dtype]}"
    if _in_groups(node, target, cut):
        return _group(node, types)
    cut = cut.fitted(shape) or cut
    plain = _is_plain(node)
    numbers = f"{shape.deep}, {shape.wide}, {cut.tiles}, {cut.rows}, {cut.parts}, {cut.keys}"
    kernel = f"attention_mma<{types}, {numbers}, {'true' if plain else 'false'}>"
    grid = (max(ceil_div(shape.rows, cut.queries), 1), max(shape.heads, 1), max(shape.batch, 1))
    return Launch("attention/attention_mma.cu", kernel, grid, 32 * cut.rows * cut.parts, cut.shared(shape))


def _fits_mma(node: NodeView, cut: Cut) -> bool:
    types = _types(node)
    shape, depth, width = _shape(node)
    fits = depth <= WIDEST and width <= WIDEST and shape.batch <= GRID_MAX and shape.heads <= GRID_MAX
    return len(types) == 1 and types <= set(HALF) and fits and cut.fitted(shape) is not None


def _efficiency(node: NodeView, target: Target, cut: Cut) -> float:
    shape, depth, width = _shape(node)
    figures = {**_FIGURES, **target.figures}
    took = (cut.fitted(shape) or cut).ns(shape, figures) * (_GROUP_SHARE if _in_groups(node, target, cut) else 1.0)
    peak = figures["sm_count"] * figures["clock_mhz"] / 1000.0 * figures.get("ops_per_clock", {}).get("f16", 1024)
    work = 2 * shape.batch * shape.heads * shape.rows * shape.keys * (depth + width)
    moved = sum(value.type.nbytes for value in [*node.inputs, *node.outputs] if value is not None)
    return max(1e-3, max(work / peak, moved / figures["memory_gbs"]) / took)


def _real_efficiency(node: NodeView, target: Target) -> float:
    """Of the kernel without tensor cores: half of what any with them reaches, where there is one."""
    if _types(node) == {DType.F32}:
        return 0.3
    return min((_efficiency(node, target, cut) / 2 for cut in CUTS if _fits_mma(node, cut)), default=0.03)


def tactics(params: Callable[[NodeView], dict[str, Any]], is_real: Callable[[NodeView], bool]) -> tuple[Tactic, ...]:
    """``params`` gives the fields of ``ingot_attention_params``; ``is_real`` says whether operands are float32 or, in
    half, any."""
    return (
        *(
            Tactic(
                "attention_mma_cuda",
                "ingot_attention_params",
                params,
                when=lambda node, cut=cut: is_real(node) and _fits_mma(node, cut),
                pitched_inputs=(0, 1, 2),
                variant=str(cut),
                efficiency=lambda node, target, cut=cut: _efficiency(node, target, cut),
                launch=lambda node, target, cut=cut: _mma(node, target, cut),
            )
            for cut in CUTS
        ),
        Tactic(
            "attention_cuda",
            "ingot_attention_params",
            params,
            when=is_real,
            pitched_inputs=(0, 1, 2),
            efficiency=_real_efficiency,
            launch=_real,
        ),
    )
