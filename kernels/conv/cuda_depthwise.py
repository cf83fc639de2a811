"""CUDA tactics of depthwise convolutions with any window: a thread has four channels of a few pixels of a row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ingot.kernels.common.cuda import CPP, activation_kind, blocks_for, ceil_div
from ingot.kernels.spec import DType, Launch, NodeView, Tactic
from ingot.targets import Target

from . import cuda_depthwise_windows
from .attrs import conv_params
from .depthwise import is_depthwise
from .half import takes_depthwise
from .int8 import goes_by_columns, is_depthwise_s8, pack_depthwise_columns_s8, pack_depthwise_s8, s8_params
from .panels import pack_depthwise

THREADS = 128
#: neighbouring pixels of a thread: the first is the default, fewer keep small images busy
PIXELS = (4, 2)
#: threads of a multiprocessor below which memory is waited for
BUSY = 512
#: clocks until the first tap is there
FIRST = 1200


def _launch(node: NodeView, kernel: str, pixels: int, exact: bool = False) -> Launch:
    return Launch("conv/depthwise.cu", kernel, blocks_for(_threads(node, pixels), THREADS), THREADS, exact=exact)


def _threads(node: NodeView, pixels: int) -> int:
    n, *lines, width, channels = node.outputs[0].type.shape
    return n * math.prod(lines) * ceil_div(width, pixels) * ceil_div(channels, 4)


def _share(node: NodeView, target: Target, best: float, pixels: int, wait: int) -> float:
    """Of the roofline: of the bandwidth, where more pixels of a thread read less and fewer are needed where there are
    few threads; or of what a thread waits for each tap, ``wait`` clocks."""
    few = _threads(node, PIXELS[0]) < BUSY * int(target.figures.get("sm_count", 1))
    share = best if (pixels == PIXELS[0]) != few else 0.8 * best
    moved = sum(v.type.nbytes for v in (*node.inputs, *node.outputs) if v is not None)
    moved /= target.figures.get("memory_gbs", 100.0)
    waits = (FIRST + math.prod(node.attrs.kernel) * wait) / (target.figures.get("clock_mhz", 1000.0) / 1000)
    return moved / max(moved / share, waits, 1e-9) if moved else share


def _float(kernel: str, when: Callable[[NodeView], bool], pixels: int) -> Tactic:
    def launch(node: NodeView, target: Target) -> Launch:
        types = f"{CPP[node.inputs[0].type.dtype]}, {CPP[node.outputs[0].type.dtype]}"
        numbers = f"{pixels}, {activation_kind(node.attrs.activation)}"
        return _launch(node, f"conv_depthwise<{types}, {numbers}>", pixels)

    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_params",
        params=conv_params,
        when=when,
        pack={1: pack_depthwise},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        variant=f"pixels={pixels}",
        efficiency=lambda node, target: _share(node, target, 0.3, pixels, 600),
        launch=launch,
    )


def _s8(columns: bool, pixels: int) -> Tactic:
    pack: Callable[[np.ndarray], np.ndarray] = pack_depthwise_columns_s8 if columns else pack_depthwise_s8
    packs: Mapping[int, Callable[[NodeView, np.ndarray], np.ndarray]] = {1: lambda node, w: pack(w)}

    def launch(node: NodeView, target: Target) -> Launch:
        stride = node.attrs.strides[-1] if columns else 0
        kernel = f"conv_depthwise_s8<{'true' if columns else 'false'}, {stride}, {pixels}>"
        return _launch(node, kernel, pixels, exact=True)

    return Tactic(
        kernel="conv_depthwise_s8_cuda",
        params_type="ingot_conv_s8_params",
        params=lambda node: s8_params(node) | {"tuning": {"way": int(columns)}},
        when=goes_by_columns if columns else is_depthwise_s8,
        pack=packs,
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=f"by={'columns' if columns else 'taps'} pixels={pixels}",
        efficiency=lambda node, target: _share(node, target, 0.15, pixels, 400),
        launch=launch,
    )


TACTICS = (
    *cuda_depthwise_windows.TACTICS,
    *(_s8(True, pixels) for pixels in PIXELS),
    _s8(False, PIXELS[0]),
    *(_float("conv_depthwise_f32_cuda", is_depthwise, pixels) for pixels in PIXELS),
    *(
        _float(f"conv_depthwise_{name}_cuda", lambda node, dtype=dtype: takes_depthwise(node, dtype), pixels)
        for name, dtype in (("f16", DType.F16), ("bf16", DType.BF16))
        for pixels in PIXELS
    ),
)
