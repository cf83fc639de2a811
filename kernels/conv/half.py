"""Convolution of what is stored in float16 or bfloat16: attributes, weights, when kernels can do a node."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import fields

import numpy as np

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.common.half import HALF, pack_half, takes_weights
from ingot.kernels.spec import DType, Half, NodeView, Sample, Tactic, TensorType

from .attrs import ConvAttrs, HalfConvAttrs, conv_params, infer
from .panels import pack_depthwise


def to_half(node: NodeView, inputs: Sequence[DType | None], output: DType) -> HalfConvAttrs:
    """The attributes of the node in half."""
    plain = {f.name: getattr(node.attrs, f.name) for f in fields(ConvAttrs)}
    return HalfConvAttrs(**plain, output=output)


def pack_conv_half(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[O, C / groups, *kernel] -> [groups * ceil(O / groups / 16), ceil(taps * C / groups / 2), 32]."""
    out, groups = w.shape[0], node.attrs.groups
    rows = w.reshape(out, w.shape[1], math.prod(w.shape[2:])).swapaxes(1, 2).reshape(out, -1)
    return np.concatenate([pack_half(part) for part in np.split(rows, groups)])


def _tactic(kernel: str, dtype: DType) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_params",
        params=conv_params,
        when=lambda node: takes_weights(node, HalfConvAttrs, dtype),
        pack={1: pack_conv_half},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    )


def _is_depthwise(node: NodeView) -> bool:
    x, w = node.inputs[0].type, node.inputs[1].type
    return node.attrs.groups == x.shape[-1] == w.shape[0]


def takes_depthwise(node: NodeView, dtype: DType) -> bool:
    if not isinstance(node.attrs, HalfConvAttrs):
        return False
    x, w, _, residual = node.inputs
    if w.data is None or w.type.dtype is not DType.F32:
        return False
    stored = [x.type.dtype, node.attrs.output, DType.F32 if residual is None else residual.type.dtype]
    return _is_depthwise(node) and x.type.rank <= 4 and dtype in stored


def _depthwise_tactic(kernel: str, dtype: DType) -> Tactic:
    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_params",
        params=conv_params,
        when=lambda node: takes_depthwise(node, dtype),
        pack={1: pack_depthwise},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    )


TACTICS = (
    _depthwise_tactic("conv_f16_dw", DType.F16),
    _depthwise_tactic("conv_bf16_dw", DType.BF16),
    _tactic("conv_f16_n16", DType.F16),
    _tactic("conv_bf16_n16k2", DType.BF16),
)

RULE = Half(
    able=lambda node: node.inputs[1].data is not None,
    operands=(0, 3),
    weights=lambda node: () if _is_depthwise(node) else (1,),  # those of a depthwise convolution are few
    attrs=to_half,
)


def _sample(
    name: str,
    size: tuple[int, ...],
    channels: int,
    out: int,
    kernel: tuple[int, ...],
    *,
    half: DType,
    x: DType | None = None,
    output: DType | None = None,
    residual: DType | None = None,
    batch: int = 1,
    strides: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    groups: int = 1,
    bias: bool = True,
    activation: Activation = NO_ACTIVATION,
) -> Sample:
    ones = (1,) * len(kernel)
    pads = pads or (0,) * (2 * len(kernel))
    attrs = HalfConvAttrs(kernel, strides or ones, pads, dilations or ones, groups, activation, output=output or half)
    inputs = [
        TensorType(x or half, (batch, *size, channels)),
        TensorType(DType.F32 if groups == channels == out else half, (out, channels // groups, *kernel)),
        TensorType(DType.F32, (out,)) if bias else None,
        None,
    ]
    if residual is not None:
        inputs[3] = TensorType(residual, infer(attrs, inputs)[0].shape)
    return Sample(attrs, tuple(inputs), (1, 2) if bias else (1,), f"{half.name.lower()} {name}")


def samples() -> Iterable[Sample]:
    """The borders, groups and shapes of the float samples; operands and results in half and in float32."""
    relu = Activation(ActivationKind.RELU)
    for half in HALF:
        for channels, out in ((1, 8), (3, 16), (16, 17), (17, 40), (32, 140), (33, 1)):
            yield _sample(f"3x3 {channels}->{out}", (9, 11), channels, out, (3, 3), half=half, pads=(1,) * 4)
        silu = Activation(ActivationKind.SILU)
        yield _sample(
            "3x3 silu", (7, 8), 20, 37, (3, 3), half=half, pads=(0, 1, 2, 1), batch=2, activation=silu, residual=half
        )
        one, two = {"half": half, "x": DType.F32}, {"half": half, "output": DType.F32}
        yield _sample("first layer", (23, 31), 3, 32, (3, 3), **one, strides=(2, 2), pads=(1,) * 4, activation=relu)
        yield _sample("7x7 stride 3", (20, 17), 3, 40, (7, 7), half=half, strides=(3, 3), pads=(3, 2, 1, 3), bias=False)
        yield _sample("pointwise", (7, 7), 24, 70, (1, 1), **two, residual=half, activation=relu)
        yield _sample("pointwise of float32", (7, 7), 25, 33, (1, 1), **one, residual=DType.F32)
        yield _sample("pointwise stride 2", (7, 9), 16, 33, (1, 1), half=half, strides=(2, 2), batch=2)
        yield _sample("one pixel", (1, 1), 65, 210, (1, 1), half=half, activation=Activation(ActivationKind.SILU))
        yield _sample("one window", (3, 3), 17, 70, (3, 3), **one, activation=relu)
        yield _sample("dilated", (13, 12), 18, 20, (3, 3), half=half, pads=(2, 0, 1, 4), dilations=(2, 3), batch=2)
        yield _sample("wide pads", (2, 1), 4, 5, (3, 3), half=half, pads=(4, 5, 3, 2))
        yield _sample("one axis", (50,), 5, 17, (9,), **two, strides=(4,), pads=(4, 3))
        yield _sample("three axes", (5, 6, 7), 3, 8, (3, 2, 3), half=half, strides=(1, 2, 1), residual=half)
        yield _sample("patches", (16, 24), 3, 40, (8, 8), **one, strides=(8, 8), batch=2, residual=half)
        yield _sample("patches that overlap", (5, 16), 8, 33, (3, 2), half=half, strides=(1, 2), activation=relu)
        yield _sample("patches of one axis", (64,), 1, 17, (16,), **two, strides=(16,))
        yield _sample("many groups", (5, 6), 64, 80, (3, 3), half=half, pads=(1,) * 4, groups=4, residual=half)
        yield _sample("grouped", (8, 7), 36, 51, (3, 3), half=half, pads=(1,) * 4, groups=3, residual=half)
        yield _sample("many weights", (4, 5), 130, 300, (3, 3), half=half, pads=(1,) * 4)
        for channels in (1, 17, 64, 150):
            yield _sample(
                f"depthwise {channels}", (10, 37), channels, channels, (3, 3), half=half, pads=(1,) * 4,
                groups=channels, residual=half,
            )  # fmt: skip
        deep = {"groups": 24, "batch": 2}
        yield _sample("depthwise stride 2", (11, 19), 24, 24, (5, 3), **one, **deep, strides=(2, 2), pads=(2, 1, 1, 0))
        yield _sample("depthwise dilated", (9, 40), 24, 24, (3, 5), **two, **deep, dilations=(2, 4), pads=(1, 8, 1, 8))
        yield _sample("depthwise wide pads", (2, 3), 24, 24, (3, 3), half=half, **deep, pads=(4, 3, 5, 6))
        for kernel, stride in ((3, 2), (5, 1), (5, 2)):
            yield _sample(
                f"depthwise {kernel}x{kernel} stride {stride}", (9, 11), 24, 24, (kernel,) * 2, half=half, **deep,
                strides=(stride,) * 2, pads=(1, 2, 2, 1), activation=relu, residual=half if stride == 1 else None,
            )  # fmt: skip
        for stride in (1, 2):
            yield _sample(
                f"depthwise silu stride {stride}", (7, 6), 40, 40, (3, 3), half=half, strides=(stride,) * 2,
                pads=(1, 0, 1, 2), groups=40, activation=silu, residual=half,
            )  # fmt: skip
        yield _sample("depthwise 3x3 of float32", (7, 5), 24, 24, (3, 3), **one, **deep, pads=(1,) * 4)
        yield _sample("depthwise one axis", (70,), 24, 24, (7,), half=half, **deep, pads=(6, 0), activation=relu)
