"""CUDA tactics of attention: on tensor cores where q, k and v are stored in half, in float32 where they are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.common.half import HALF, real_attrs
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

WARPS = 4
#: widths of q, k and v that fit registers on tensor cores
WIDEST = 128
#: queries of a warp in float32, the second where there are few
ROWS = (8, 2)
KEYS, DEPTH, LANES = 64, 64, 32
#: of keys on tensor cores; queries of a warp go in tiles of sixteen
MMA_KEYS = 64
#: widths up to which a warp has two tiles of queries
MMA_TWICE = 64


def _operands(node: NodeView) -> tuple[int, int, int, int, int]:
    """Batch, heads and rows of q, its width, and that of v."""
    q, v = node.inputs[0].type.shape, node.inputs[2].type.shape
    rows_first = real_attrs(node).rows_first[0]
    heads, rows = (q[2], q[1]) if rows_first else (q[1], q[2])
    return q[0], heads, rows, q[3], v[3]


def _types(node: NodeView) -> set[DType]:
    return {value.type.dtype for value in node.inputs[:3]}


def _real(node: NodeView, target: Target) -> Launch:
    batch, heads, rows, _, width = _operands(node)
    each = ROWS[rows <= WARPS * ROWS[1]]
    columns = min(ceil_div(width, LANES), 4)
    types = _types(node)
    stored = CPP[types.pop()] if len(types) == 1 else "ingot::any_real"
    queries = WARPS * each
    floats = queries * DEPTH + KEYS * (DEPTH + 4) + KEYS * LANES * columns + queries * KEYS
    blocks = batch * heads * ceil_div(rows, queries) * ceil_div(width, LANES * columns)
    kernel = f"attention<{stored}, {each}, {columns}>"
    return Launch("attention/attention.cu", kernel, (max(blocks, 1), 1, 1), WARPS * 32, 4 * floats)


def _mma(node: NodeView, target: Target) -> Launch:
    batch, heads, rows, depth, width = _operands(node)
    deep, wide = ceil_div(depth, 16), ceil_div(width, 16)
    few = batch * heads * ceil_div(rows, 128) < int(target.figures.get("sm_count", 1))
    tiles = 2 if max(depth, width) <= MMA_TWICE and not few else 1
    queries = 16 * WARPS * tiles
    keys = 2 * MMA_KEYS * (16 * deep + 8 + 16 * wide + 8)
    shared = 2 * max(keys, queries * (16 * deep + 8))
    plain = node.inputs[3] is None and real_attrs(node).softcap == 0.0
    types = f"{CPP[node.inputs[0].type.dtype]}, {CPP[node.outputs[0].type.dtype]}"
    kernel = f"attention_mma<{types}, {deep}, {wide}, {tiles}, {'true' if plain else 'false'}>"
    blocks = batch * heads * ceil_div(rows, queries)
    return Launch("attention/attention_mma.cu", kernel, (max(blocks, 1), 1, 1), WARPS * 32, shared)


def _fits_mma(node: NodeView) -> bool:
    types = _types(node)
    *_, depth, width = _operands(node)
    return len(types) == 1 and types <= set(HALF) and depth <= WIDEST and width <= WIDEST


def tactics(params: Callable[[NodeView], dict[str, Any]], is_real: Callable[[NodeView], bool]) -> tuple[Tactic, ...]:
    """``params`` gives the fields of ``ingot_attention_params``; ``is_real`` says whether operands are float32 or, in
    half, any."""
    return (
        Tactic(
            "attention_mma_cuda",
            "ingot_attention_params",
            params,
            when=lambda node: is_real(node) and _fits_mma(node),
            efficiency=lambda node, target: 0.4,
            launch=_mma,
        ),
        Tactic(
            "attention_cuda",
            "ingot_attention_params",
            params,
            when=is_real,
            efficiency=lambda node, target: 0.3 if _types(node) == {DType.F32} else 0.03,
            launch=_real,
        ),
    )
