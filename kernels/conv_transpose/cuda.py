"""CUDA tactics of transposed convolution: a thread has four output channels of a few pixels of one phase."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ingot.kernels.common.cuda import CPP, activation_kind, blocks_for, ceil_div
from ingot.kernels.common.half import takes_weights
from ingot.kernels.spec import SCALAR, DType, Launch, NodeView, Tactic
from ingot.targets import Target

from . import half, int8
from .attrs import HalfConvTransposeAttrs, conv_transpose_params

THREADS = 128
PIXELS = 4
Packs = Mapping[int, Callable[[NodeView, np.ndarray], np.ndarray]]


def _launch(node: NodeView, kernel: str, exact: bool = False) -> Launch:
    n, *lines, width, channels = node.outputs[0].type.shape
    stride, groups = node.attrs.strides[-1], node.attrs.groups
    pixels = stride * ceil_div(ceil_div(width, stride), PIXELS)
    threads = n * math.prod(lines) * pixels * groups * ceil_div(channels // groups, 4)
    source = "conv_transpose/conv_transpose.cu"
    return Launch(source, kernel, blocks_for(threads, THREADS), THREADS, exact=exact)


def _packed(node: NodeView, target: Target) -> Launch:
    x, w, _, _ = node.inputs
    types = [CPP[dtype] for dtype in (w.type.dtype, x.type.dtype, node.outputs[0].type.dtype)]
    return _launch(node, f"conv_transpose<{', '.join(types)}, {activation_kind(node.attrs.activation)}>")


def _plain(node: NodeView, target: Target) -> Launch:
    dtype = CPP[node.inputs[0].type.dtype]
    return _launch(node, f"conv_transpose_plain<{dtype}, {activation_kind(node.attrs.activation)}>")


def _tactic(kernel: str, when: Callable[[NodeView], bool], pack: Packs, efficiency: float) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_transpose_params",
        params=conv_transpose_params,
        when=when,
        pack=pack,
        pitched_inputs=(0, 3) if pack else (),
        pitched_outputs=(0,) if pack else (),
        inplace=(3,),
        efficiency=lambda node, target: efficiency,
        launch=_packed if pack else _plain,
    )


def tactics(
    is_tuned: Callable[[NodeView], bool],
    is_plain: Callable[[NodeView], bool],
    pack: Callable[[NodeView, np.ndarray], np.ndarray],
) -> tuple[Tactic, ...]:
    """``is_tuned`` and ``is_plain`` say when the CPU's kernels of float32 with packed and with plain weights can do a
    node, ``pack`` how the former wants them."""
    return (
        Tactic(
            kernel="conv_transpose_s8_cuda",
            params_type="ingot_conv_transpose_s8_params",
            params=int8.s8_params,
            when=int8.is_s8,
            pack={1: lambda node, w: int8.pack_conv_transpose_s8(node.attrs, w)},
            pitched_inputs=(0, 3),
            pitched_outputs=(0,),
            inplace=(3,),
            numerics="exact",
            efficiency=lambda node, target: 0.06,
            launch=lambda node, target: _launch(node, f"conv_transpose_s8<{PIXELS}>", exact=True),
        ),
        *(
            _tactic(
                f"conv_transpose_{name}_cuda",
                lambda node, dtype=dtype: takes_weights(node, HalfConvTransposeAttrs, dtype),
                {1: half.pack},
                0.03,
            )
            for name, dtype in (("f16", DType.F16), ("bf16", DType.BF16))
        ),
        _tactic("conv_transpose_f32_cuda", is_tuned, {1: pack}, 0.25),
        _tactic("conv_transpose_plain_cuda", is_plain, {}, SCALAR),
    )
