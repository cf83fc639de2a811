"""CUDA tactics that do any convolution as its definition says: a thread has four output channels of a few pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

from ingot.kernels.common.cuda import CPP, activation_kind, blocks_for, ceil_div
from ingot.kernels.common.half import takes_weights
from ingot.kernels.spec import SCALAR, DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import HalfConvAttrs, conv_params
from .half import pack_conv_half
from .int8 import Way, is_s8, pack_conv_s8, s8_params
from .panels import is_float, pack_conv

THREADS = 128
PIXELS = 4


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


def _share(share: float) -> Callable[[NodeView, Target], float]:
    """Of a peak. One group is for products: their share of a small problem, which is small, is not to be compared with
    this."""
    return lambda node, target: share if node.attrs.groups > 1 else share / 1000


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
        efficiency=_share(0.03),
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
            efficiency=_share(0.25),
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
            efficiency=_share(0.06),
            launch=lambda node, target: _launch(node, f"conv_direct_s8<{PIXELS}>", exact=True),
        ),
        Tactic(
            kernel="conv_direct_plain_cuda",
            params_type="ingot_conv_params",
            params=conv_params,
            when=is_plain,
            inplace=(3,),
            efficiency=lambda node, target: SCALAR,
            launch=_plain,
        ),
    )
