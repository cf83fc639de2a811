"""Pooling on CUDA: a thread does a few channels of a place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ingot.kernels.common.cuda import CPP, blocks_for, ceil_div
from ingot.kernels.common.cuda_rows import is_real, storage
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import MODELS, is_int8
from ingot.kernels.pool import int8
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

THREADS = 128
#: of the peak of memory
EFFICIENCY = 0.6


def params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_pool_params``."""
    attrs = node.attrs.real if is_int8(node) else real_attrs(node)
    spatial = len(attrs.kernel)

    def three(values: Sequence[int], rest: int) -> list[int]:
        return [*values, *[rest] * (3 - spatial)]

    return {
        "kind": int(attrs.kind),
        "p": attrs.p,
        "kernel": three(attrs.kernel, 1),
        "stride": three(attrs.strides, 1),
        "dilation": three(attrs.dilations, 1),
        "pad_begin": three(attrs.pads[:spatial], 0),
        "pad_end": three(attrs.pads[spatial:], 0),
        "storage_order": attrs.storage_order,
    }


def _windows(node: NodeView, source: str, fold: str, exact: bool) -> Launch:
    x, y = node.inputs[0].type, node.outputs[0].type
    channels = x.shape[-1]
    length = {8: 2, 1: 16 if channels % 16 == 0 else 4}.get(x.dtype.size, 4)
    grid = blocks_for(y.count // max(channels, 1) * ceil_div(channels, length), THREADS)
    return Launch(source, f"pool_windows<ingot::{fold}, {length}>", grid, THREADS, exact=exact)


def _launch(node: NodeView, target: Target) -> Launch:
    types = storage(node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    return _windows(node, "pool/pool.cu", f"pool_fold<{types}, {int(real_attrs(node).kind)}>", False)


def _launch_bytes(node: NodeView, target: Target) -> Launch:
    return _windows(node, "pool/pool.cu", "pool_bytes<uint8_t, ingot_pool_params>", True)


def _launch_indices(node: NodeView, target: Target) -> Launch:
    x, y = node.inputs[0].type, node.outputs[0].type
    grid = blocks_for(y.count, THREADS)
    return Launch("pool/pool.cu", f"pool_indices<{CPP[x.dtype]}>", grid, THREADS, exact=True)


def _launch_s8(node: NodeView, target: Target) -> Launch:
    if not is_int8(node):
        return _windows(node, "pool/pool.cu", "pool_bytes<int8_t, ingot_pool_s8_params>", True)
    if MODELS[node.attrs.output and node.attrs.output.rounds_as]:
        return _windows(node, "pool/pool_s8.cu", "pool_s8_model", True)
    return _windows(node, "pool/pool_s8.cu", f"pool_s8_average<{CPP[node.outputs[0].type.dtype]}>", True)


def _has_indices(node: NodeView) -> bool:
    return not is_int8(node) and real_attrs(node).indices


def _efficiency(node: NodeView, target: Target) -> float:
    return EFFICIENCY


TACTICS = (
    Tactic(
        "pool_s8_cuda",
        "ingot_pool_s8_params",
        lambda node: int8.params(node, params(node)),
        when=int8.takes,
        pitched_inputs=(0,),
        pitched_outputs=(0,),
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch_s8,
    ),
    Tactic(
        "pool_cuda",
        "ingot_pool_params",
        params,
        when=lambda node: not is_int8(node) and is_real(node) and not _has_indices(node),
        pitched_inputs=(0,),
        pitched_outputs=(0,),
        efficiency=_efficiency,
        launch=_launch,
    ),
    Tactic(
        "pool_bytes_cuda",
        "ingot_pool_params",
        params,
        when=lambda node: node.inputs[0].type.dtype is DType.U8 and not _has_indices(node),
        pitched_inputs=(0,),
        pitched_outputs=(0,),
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch_bytes,
    ),
    Tactic(
        "pool_indices_cuda",
        "ingot_pool_params",
        params,
        when=lambda node: (
            _has_indices(node) and node.inputs[0].type.dtype in (DType.F32, DType.F64, DType.I8, DType.U8)
        ),
        pitched_inputs=(0,),
        pitched_outputs=(0, 1),
        numerics="exact",
        efficiency=_efficiency,
        launch=_launch_indices,
    ),
)
