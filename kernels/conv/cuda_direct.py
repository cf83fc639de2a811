"""CUDA tactics that do any convolution as its definition says: a thread has four output channels of a few pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

from ingot.kernels.common.cuda import CPP, activation_kind, blocks_for, ceil_div
from ingot.kernels.common.half import takes_weights
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import HalfConvAttrs, conv_params
from .half import pack_conv_half
from .int8 import Way, is_s8, pack_conv_s8, s8_params
from .panels import is_float, pack_conv

THREADS = 128
PIXELS = 4
#: blocks of a multiprocessor at a time, clocks of a step (256 taps of three channels took 242 us on an H200), and the
#: share of plain arithmetic that is not waiting
RESIDENT, CLOCKS_OF_STEP, PLAIN_SHARE = 4, 1750, 0.3


def _launch(node: NodeView, kernel: str, exact: bool = False) -> Launch:
    n, *lines, width, channels = node.outputs[0].type.shape
    groups = node.attrs.groups
    quarters = groups * ceil_div(channels // groups, 4)
    threads = n * math.prod(lines) * ceil_div(width, PIXELS) * quarters
    return Launch("conv/direct.cu", kernel, blocks_for(threads, THREADS), THREADS, exact=exact)


def _packed(node: NodeView, target: Target) -> Launch:
    x, w, _, _ = node.inputs
    types = [CPP[dtype] for dtype in (w.type.dtype, x.type.dtype, node.outputs[0].type.dtype)]
    return _launch(node, f"conv_direct<{', '.join(types)}, {activation_kind(node.attrs.activation)}>")


def _plain(node: NodeView, target: Target) -> Launch:
    dtype = CPP[node.inputs[0].type.dtype]
    return _launch(node, f"conv_direct_plain<{dtype}, {activation_kind(node.attrs.activation)}>")


def _reaches(node: NodeView, target: Target) -> float:
    """Of the roofline: a thread waits for what each tap reads of four channels before it goes on, as many times as
    there are more threads than a device holds; arithmetic is plain."""
    figures, peaks = target.figures, target.peak_gops
    launch = _launch(node, "")
    held = RESIDENT * int(figures.get("sm_count", 1))
    steps = math.prod(node.attrs.kernel) * ceil_div(node.inputs[0].type.shape[-1] // node.attrs.groups, 4)
    waits = ceil_div(launch.grid[0], held) * steps * CLOCKS_OF_STEP / (figures.get("clock_mhz", 1000.0) / 1000)
    work = node.op.work(node)
    moved = sum(v.type.nbytes for v in (*node.inputs, *node.outputs) if v is not None) / figures.get(
        "memory_gbs", 100.0
    )
    plain = peaks.get("f32", 1000.0)
    least = max(work.ops / peaks.get(work.dtype.name.lower(), plain), moved)
    return least / max(waits, work.ops / (PLAIN_SHARE * plain), moved / 0.5, 1e-9) if least else 1.0


def _half(kernel: str, dtype: DType) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_params",
        params=conv_params,
        when=lambda node: takes_weights(node, HalfConvAttrs, dtype),
        pack={1: pack_conv_half},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        efficiency=_reaches,
        launch=_packed,
    )


def tactics(is_plain: Callable[[NodeView], bool]) -> tuple[Tactic, ...]:
    """``is_plain``: whether the CPU's plain kernel can do a node."""
    return (
        Tactic(
            kernel="conv_direct_f32_cuda",
            params_type="ingot_conv_params",
            params=conv_params,
            when=is_float,
            pack={1: pack_conv},
            pitched_inputs=(0, 3),
            pitched_outputs=(0,),
            inplace=(3,),
            efficiency=_reaches,
            launch=_packed,
        ),
        _half("conv_direct_f16_cuda", DType.F16),
        _half("conv_direct_bf16_cuda", DType.BF16),
        Tactic(
            kernel="conv_direct_s8_cuda",
            params_type="ingot_conv_s8_params",
            params=lambda node: s8_params(node) | {"tuning": {"way": Way.WINDOWS}},
            when=is_s8,
            pack={1: lambda node, w: pack_conv_s8(w, node.attrs.groups, node.attrs.dilations[-1], True)[0]},
            pitched_inputs=(0, 3),
            pitched_outputs=(0,),
            inplace=(3,),
            numerics="exact",
            efficiency=_reaches,
            launch=lambda node, target: _launch(node, f"conv_direct_s8<{PIXELS}>", exact=True),
        ),
        Tactic(
            kernel="conv_direct_plain_cuda",
            params_type="ingot_conv_params",
            params=conv_params,
            when=is_plain,
            inplace=(3,),
            efficiency=lambda node, target: _reaches(node, target) / 4,  # its weights lie apart
            launch=_plain,
        ),
    )
