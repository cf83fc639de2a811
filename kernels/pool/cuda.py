"""Pooling on CUDA: a thread does a few channels of a place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ingot.kernels.common.cuda import CPP, blocks_for, ceil_div
from ingot.kernels.common.cuda_rows import is_real, storage
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import MODELS, is_int8
from ingot.kernels.pool import int8
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

THREADS = 128
#: of the peak of memory, for any window and for those that are read at once
EFFICIENCY, EFFICIENCY_SQUARES = 0.4, 0.7
#: widths of such windows, and by how much they move
WIDTHS, STRIDES = (2, 3, 5), (1, 2)
#: threads that keep a device busy
FEW = 1 << 14
#: lines of blocks that a grid may have
MOST_LINES = 65535


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


Frame = Callable[[NodeView, str, str, bool], Launch]


def _windows(node: NodeView, source: str, fold: str, exact: bool) -> Launch:
    """Any window."""
    x, y = node.inputs[0].type, node.outputs[0].type
    channels = x.shape[-1]
    length = {8: 2, 1: 16 if channels % 16 == 0 else 4}.get(x.dtype.size, 4)
    grid = blocks_for(y.count // max(channels, 1) * ceil_div(channels, length), THREADS)
    return Launch(source, f"pool_windows<ingot::{fold}, {length}>", grid, THREADS, exact=exact)


def _squares(length: Callable[[NodeView], int]) -> Frame:
    """Square windows, all of which is read before it is folded; a thread has ``length`` channels."""

    def frame(node: NodeView, source: str, fold: str, exact: bool) -> Launch:
        n, height, width, channels = node.outputs[0].type.shape
        attrs, each = _attrs(node), length(node)
        kernel = f"pool_squares<ingot::{fold}, {attrs.kernel[0]}, {attrs.strides[0]}, {each}>"
        line = width * (channels // each)
        return Launch(source, kernel, (max(ceil_div(line, THREADS), 1), max(n * height, 1), 1), THREADS, exact=exact)

    return frame


def _attrs(node: NodeView) -> Any:
    return node.attrs.real if is_int8(node) else real_attrs(node)


def _four(node: NodeView) -> int:
    return 4


def _most(node: NodeView) -> int:
    """Channels that one access reads at most."""
    return 16 // node.inputs[0].type.dtype.size


def _is_small(node: NodeView) -> bool:
    """Whether there are few threads when each has as many channels as it can."""
    return node.outputs[0].type.count < FEW * _most(node)


def _is_square(node: NodeView) -> bool:
    """Whether windows are square, of a width and stride that there are instances for, over images with pixels."""
    x, attrs = node.inputs[0].type, _attrs(node)
    if x.rank != 4 or x.dtype.size > 4 or x.shape[-1] % 4 or not x.count:
        return False
    one_width, one_stride = len(set(attrs.kernel)) == 1, len(set(attrs.strides)) == 1
    known = one_width and one_stride and attrs.kernel[0] in WIDTHS and attrs.strides[0] in STRIDES
    return known and set(attrs.dilations) == {1} and node.outputs[0].type.shape[0] * x.shape[1] <= MOST_LINES


def _launch(node: NodeView, frame: Frame) -> Launch:
    types = storage(node.inputs[0].type.dtype, node.outputs[0].type.dtype)
    return frame(node, "pool/pool.cu", f"pool_fold<{types}, {int(real_attrs(node).kind)}>", False)


def _launch_bytes(node: NodeView, frame: Frame) -> Launch:
    return frame(node, "pool/pool.cu", "pool_bytes<uint8_t, ingot_pool_params>", True)


def _launch_indices(node: NodeView, target: Target) -> Launch:
    x, y = node.inputs[0].type, node.outputs[0].type
    grid = blocks_for(y.count, THREADS)
    return Launch("pool/pool.cu", f"pool_indices<{CPP[x.dtype]}>", grid, THREADS, exact=True)


def _launch_s8(node: NodeView, frame: Frame) -> Launch:
    if not is_int8(node):
        return frame(node, "pool/pool.cu", "pool_bytes<int8_t, ingot_pool_s8_params>", True)
    if MODELS[node.attrs.output and node.attrs.output.rounds_as]:
        return frame(node, "pool/pool_s8.cu", "pool_s8_model", True)
    return frame(node, "pool/pool_s8.cu", f"pool_s8_average<{CPP[node.outputs[0].type.dtype]}>", True)


def _has_indices(node: NodeView) -> bool:
    return not is_int8(node) and real_attrs(node).indices


def _tactics(
    kernel: str,
    params_type: str,
    fields: Callable[[NodeView], Any],
    when: Callable[[NodeView], bool],
    launch: Callable[[NodeView, Frame], Launch],
    numerics: str = "fp32",
) -> tuple[Tactic, ...]:
    """The tactics for any window, and for square ones with few and with many channels a thread."""
    tactic = Tactic(
        kernel,
        params_type,
        fields,
        when=when,
        pitched_inputs=(0,),
        pitched_outputs=(0,),
        numerics=numerics,
        efficiency=lambda node, target: EFFICIENCY,
        launch=lambda node, target: launch(node, _windows),
    )
    four = replace(
        tactic,
        when=lambda node: when(node) and _is_square(node),
        variant="windows at once, channels=4",
        efficiency=lambda node, target: (
            EFFICIENCY_SQUARES if _is_small(node) or _most(node) == 4 else 0.6 * EFFICIENCY_SQUARES
        ),
        launch=lambda node, target: launch(node, _squares(_four)),
    )
    most = replace(
        four,
        when=lambda node: four.when(node) and _most(node) > 4 and node.inputs[0].type.shape[-1] % _most(node) == 0,
        variant="windows at once, bytes=16",
        efficiency=lambda node, target: EFFICIENCY if _is_small(node) else EFFICIENCY_SQUARES,
        launch=lambda node, target: launch(node, _squares(_most)),
    )
    return (four, most, tactic)


TACTICS = (
    *_tactics(
        "pool_s8_cuda",
        "ingot_pool_s8_params",
        lambda node: int8.params(node, params(node)),
        int8.takes,
        _launch_s8,
        "exact",
    ),
    *_tactics(
        "pool_cuda",
        "ingot_pool_params",
        params,
        lambda node: not is_int8(node) and is_real(node) and not _has_indices(node),
        _launch,
    ),
    *_tactics(
        "pool_bytes_cuda",
        "ingot_pool_params",
        params,
        lambda node: node.inputs[0].type.dtype is DType.U8 and not _has_indices(node),
        _launch_bytes,
        "exact",
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
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch_indices,
    ),
)
