"""Convolution of channels-last images, one to three spatial axes, groups, dilation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.spec import (
    SCALAR,
    Builder,
    DType,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    onnx_op,
)

from . import (
    cuda,
    cuda_depthwise,
    cuda_direct,
    cuda_few_rows,
    cuda_groups,
    cuda_patches,
    cuda_tma,
    cut,
    depthwise,
    half,
    int8,
    pointwise,
    winograd,
)
from .attrs import ConvAttrs, HalfConvAttrs, conv_params, infer, work
from .panels import is_float, pack_conv
from .quantized import quantize


def _plain(node: NodeView) -> bool:
    dtype = node.inputs[0].type.dtype
    plain = dtype is DType.F32 or (dtype is DType.F64 and node.attrs.activation.kind is ActivationKind.NONE)
    return plain and node.inputs[1].type.dtype is dtype and not isinstance(node.attrs, HalfConvAttrs)


TACTICS = (
    *int8.TACTICS,
    *half.TACTICS,
    *depthwise.TACTICS,
    Tactic(
        kernel="conv_f32_n16",
        params_type="ingot_conv_params",
        params=conv_params,
        when=is_float,
        pack={1: pack_conv},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        efficiency=cut.efficiency,
    ),
    *winograd.TACTICS,
    *cut.TACTICS,
    *pointwise.TACTICS,
    Tactic(
        kernel="conv_plain",
        params_type="ingot_conv_params",
        params=conv_params,
        when=_plain,
        inplace=(3,),
        efficiency=lambda node, target: SCALAR,
    ),
    *cuda_depthwise.TACTICS,
    *cuda_patches.TACTICS,
    *cuda_few_rows.TACTICS,
    *cuda.TACTICS,
    *cuda_tma.TACTICS,
    *cuda_groups.TACTICS,
    *cuda_direct.tactics(_plain),
)


def _sample(
    name: str,
    size: tuple[int, ...],
    channels: int,
    out: int,
    kernel: tuple[int, ...],
    *,
    batch: int = 1,
    strides: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    groups: int = 1,
    bias: bool = True,
    residual: bool = False,
    activation: Activation = NO_ACTIVATION,
    dtype: DType = DType.F32,
    constant: tuple[int, ...] = (1, 2),
) -> Sample:
    ones = (1,) * len(kernel)
    attrs = ConvAttrs(kernel, strides or ones, pads or (0,) * (2 * len(kernel)), dilations or ones, groups, activation)
    x = TensorType(dtype, (batch, *size, channels))
    w = TensorType(dtype, (out, channels // groups, *kernel))
    (result,) = infer(attrs, (x, w))
    inputs = (x, w, TensorType(dtype, (out,)) if bias else None, result if residual else None)
    return Sample(attrs, inputs, tuple(i for i in constant if inputs[i] is not None), name)


def samples() -> Iterable[Sample]:
    """Odd extents, every border, groups, and the shapes of well-known networks made small."""
    relu = Activation(ActivationKind.RELU)
    relu6 = Activation(ActivationKind.CLIP, 0.0, 6.0)
    for channels, out in ((1, 8), (3, 16), (5, 15), (16, 17), (17, 40), (33, 1)):
        yield _sample(f"3x3 {channels}->{out}", (9, 11), channels, out, (3, 3), pads=(1,) * 4, activation=relu)
    yield _sample("first layer", (23, 31), 3, 32, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1), activation=relu6)
    yield _sample("7x7 stride 3", (20, 17), 3, 40, (7, 7), strides=(3, 3), pads=(3, 2, 1, 3), bias=False)
    yield _sample("pointwise", (7, 7), 24, 40, (1, 1), residual=True)
    yield _sample("pointwise stride 2", (7, 9), 16, 33, (1, 1), strides=(2, 2), batch=2)
    yield _sample("one pixel", (1, 1), 65, 70, (1, 1), activation=Activation(ActivationKind.HARD_SWISH))
    yield _sample("one window", (3, 3), 17, 70, (3, 3), activation=relu)
    for height, width, channels, out in ((1, 1, 5, 16), (2, 7, 17, 33), (6, 1, 16, 3), (8, 13, 32, 48), (27, 19, 3, 7)):
        name = f"3x3 of {height}x{width} {channels}->{out}"
        yield _sample(name, (height, width), channels, out, (3, 3), batch=2, pads=(1,) * 4, residual=True)
    yield _sample("3x3 padded unevenly", (9, 10), 6, 20, (3, 3), pads=(2, 0, 3, 5), activation=relu6, bias=False)
    yield _sample("3x3 of planes", (3, 5, 6), 4, 8, (1, 3, 3), pads=(0, 1, 1) * 2, residual=True)
    mish = Activation(ActivationKind.MISH)
    yield _sample("3x3 bent", (7, 6), 20, 37, (3, 3), pads=(1,) * 4, residual=True, activation=mish)
    yield _sample("dilated", (13, 12), 17, 20, (3, 3), pads=(2, 0, 1, 4), dilations=(2, 3), batch=2)
    yield _sample("wide pads", (2, 1), 4, 5, (3, 3), pads=(4, 5, 3, 2))
    yield _sample("one axis", (50,), 5, 17, (9,), strides=(4,), pads=(4, 3), activation=Activation(ActivationKind.TANH))
    yield _sample("three axes", (5, 6, 7), 3, 8, (3, 2, 3), strides=(1, 2, 1), pads=(1, 0, 1, 0, 1, 2), residual=True)
    yield _sample("patches", (9, 12), 3, 40, (3, 4), strides=(3, 4), batch=2, residual=True, activation=relu)
    yield _sample("grouped", (8, 7), 36, 51, (3, 3), pads=(1, 1, 1, 1), groups=3, residual=True, activation=relu)
    yield _sample("many groups", (5, 6), 64, 64, (3, 3), pads=(1, 1, 1, 1), groups=4, residual=True)
    yield _sample("two by two groups", (5, 6), 16, 16, (3, 3), pads=(1, 1, 1, 1), groups=8)
    for channels in (1, 8, 17, 33, 64):
        yield _sample(
            f"depthwise {channels}", (10, 21), channels, channels, (3, 3), pads=(1,) * 4, groups=channels, residual=True
        )
    yield _sample("depthwise stride 2", (11, 19), 24, 24, (5, 3), strides=(2, 2), pads=(2, 1, 1, 0), groups=24)
    for height, width, stride, channels in ((1, 1, 1, 5), (7, 7, 1, 270), (3, 9, 2, 20), (14, 5, 2, 48), (2, 6, 1, 16)):
        yield _sample(
            f"depthwise {height}x{width} {channels} stride {stride}", (height, width), channels, channels, (3, 3),
            strides=(stride,) * 2, pads=(1,) * 4, groups=channels, batch=2, residual=stride == 2,
            activation=relu6 if stride == 1 else Activation(ActivationKind.SILU),
        )  # fmt: skip
    for stride in (1, 2):
        yield _sample(
            f"depthwise 5x5 stride {stride}", (8, 13), 16, 16, (5, 5), strides=(stride,) * 2, pads=(2, 1, 1, 2),
            groups=16, batch=2, residual=stride == 2,
        )  # fmt: skip
    yield _sample("depthwise dilated", (3, 40), 16, 16, (3, 5), dilations=(1, 4), pads=(1, 8, 1, 8), groups=16)
    yield _sample("depthwise one axis", (40,), 20, 20, (7,), pads=(6, 0), groups=20, activation=relu6)
    yield _sample("depthwise multiplied", (6, 6), 5, 10, (3, 3), pads=(1, 1, 1, 1), groups=5)
    yield _sample("weights at run time", (6, 7), 4, 6, (3, 3), pads=(1, 0, 0, 1), groups=2, constant=())
    yield _sample("float64", (6, 7), 4, 6, (3, 2), pads=(1, 0, 0, 1), residual=True, dtype=DType.F64)
    yield from int8.samples()
    yield from half.samples()


SPEC = OpSpec(
    name="conv",
    attrs=ConvAttrs,
    infer=infer,
    tactics=TACTICS,
    samples=samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
    quantize=quantize,
    half=half.RULE,
    weights=lambda node: {1: 0},
    work=work,
)


def per_axis(b: Builder, name: str, count: int, default: int) -> tuple[int, ...]:
    """An ONNX attribute with ``count`` entries, filled with ``default`` when it is absent."""
    values = tuple(int(v) for v in b.attr(name) or (default,) * count)
    if len(values) != count:
        raise Unsupported(f"{name} with {len(values)} entries for {count}", f"{count} entries")
    return values


def channels_last(rank: int) -> tuple[int, ...]:
    """The permutation from [N, C, *S] to [N, *S, C]."""
    return (0, *range(2, rank), 1)


def channels_first(rank: int) -> tuple[int, ...]:
    """The permutation from [N, *S, C] to [N, C, *S]."""
    return (0, rank - 1, *range(1, rank - 1))


def kernel_shape(b: Builder, w: Any) -> tuple[int, ...]:
    """The spatial extents of the weights; Unsupported when ``kernel_shape`` says otherwise."""
    kernel = tuple(w.type.shape[2:])
    stated = b.attr("kernel_shape")
    if stated is not None and tuple(stated) != kernel:
        raise Unsupported(f"kernel_shape {tuple(stated)} for weights {w.type.shape}", f"kernel_shape {kernel}")
    return kernel


def _pads(b: Builder, size: Sequence[int], windows: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """``pads``, or what ``auto_pad`` makes of it."""
    mode = b.attr("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return per_axis(b, "pads", 2 * len(size), 0)
    if mode == "VALID":
        return (0,) * (2 * len(size))
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"auto_pad {mode}", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, windows, strides)]
    smaller, larger = [t // 2 for t in total], [t - t // 2 for t in total]
    return (*smaller, *larger) if mode == "SAME_UPPER" else (*larger, *smaller)


@onnx_op("Conv")
def _conv(b: Builder) -> Any:
    x, w, bias = b.input(0), b.input(1), b.input(2)
    rank = x.type.rank
    if rank < 3 or w.type.rank != rank:
        raise Unsupported(f"Conv of {x.type} with weights {w.type}", "input and weights of one rank, 3 to 5")
    kernel = kernel_shape(b, w)
    strides = per_axis(b, "strides", len(kernel), 1)
    dilations = per_axis(b, "dilations", len(kernel), 1)
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    pads = _pads(b, x.type.shape[2:], windows, strides)
    attrs = ConvAttrs(kernel, strides, pads, dilations, int(b.attr("group", 1)))
    y = b.emit("conv", attrs, [b.transpose(x, channels_last(rank)), w, bias, None])[0]
    return b.transpose(y, channels_first(rank))
