"""Transposed convolution of channels-last images, one to three spatial axes, groups, dilation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.common.half import HALF, half_result
from ingot.kernels.common.quantized import result_type
from ingot.kernels.conv.attrs import ConvAttrs
from ingot.kernels.conv.op import channels_first, channels_last, kernel_shape, per_axis
from ingot.kernels.conv.panels import pack_panels
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
    Work,
    onnx_op,
)

from . import cuda, cuda_gemm, half, int8
from .attrs import ConvTransposeAttrs, HalfConvTransposeAttrs, conv_transpose_params, sorted_taps


def infer(attrs: ConvTransposeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[N, *S, C] -> [N, *S', O]; Unsupported when the extents do not go together."""
    x, w = inputs[0], inputs[1]
    spatial = len(attrs.kernel)
    if not 1 <= spatial <= 3 or x.rank != spatial + 2:
        raise Unsupported(f"a transposed convolution of rank {x.rank}", "1 to 3 spatial axes")
    if min(attrs.strides + attrs.dilations + attrs.kernel) < 1 or min(attrs.pads[:spatial]) < 0:
        raise Unsupported("a kernel, stride, dilation or pad out of range", "positive strides, pads of 0 or more")
    if w.shape[2:] != attrs.kernel or x.shape[-1] != w.shape[0] or x.shape[-1] % attrs.groups:
        raise Unsupported(
            f"weights {w.shape} for {x.shape[-1]} channels in {attrs.groups} groups",
            "weights of shape [C, O / groups, *kernel]",
        )
    if min(w.shape) < 1:
        raise Unsupported("a transposed convolution without channels", "at least one channel")
    extra = attrs.output_padding or (0,) * spatial
    extents = []
    for axis, size in enumerate(x.shape[1:-1]):
        window = (attrs.kernel[axis] - 1) * attrs.dilations[axis] + 1
        pads = attrs.pads[axis] + attrs.pads[axis + spatial]
        extents.append(max((size - 1) * attrs.strides[axis] + window - pads + extra[axis], 0))
    result = TensorType(x.dtype, (x.shape[0], *extents, w.shape[1] * attrs.groups))
    if isinstance(attrs, HalfConvTransposeAttrs):
        return (half_result(attrs, inputs, result.shape),)
    if isinstance(attrs, int8.QConvTransposeAttrs):
        int8.check_operands(attrs, inputs, result.shape)
        return (result_type(result.shape, attrs.output),)
    if len(inputs) > 3 and inputs[3] is not None and inputs[3] != result:
        raise Unsupported(f"a residual {inputs[3]} for {result}", "a residual of the result's type")
    return (result,)


def pack(node: NodeView, w: np.ndarray) -> np.ndarray:
    """[C, O / groups, *kernel] -> [groups * ceil(O / groups / 16), taps sorted by phase, C / groups, 16]."""
    attrs: ConvTransposeAttrs = node.attrs
    channels, out = w.shape[:2]
    taps = sorted_taps(attrs)
    grouped = w.reshape(attrs.groups, channels // attrs.groups, out, len(taps))[..., taps]
    return pack_panels(grouped.transpose(0, 2, 3, 1))


def _tuned(node: NodeView) -> bool:
    return all(v.type.dtype is DType.F32 for v in node.inputs[:2]) and node.inputs[1].data is not None


def _plain(node: NodeView) -> bool:
    dtype = node.inputs[0].type.dtype
    plain = dtype is DType.F32 or (dtype is DType.F64 and node.attrs.activation.kind is ActivationKind.NONE)
    return plain and node.inputs[1].type.dtype is dtype


TACTICS = (
    *int8.TACTICS,
    *half.TACTICS,
    Tactic(
        kernel="conv_transpose_f32_n16",
        params_type="ingot_conv_transpose_params",
        params=conv_transpose_params,
        when=_tuned,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
    ),
    Tactic(
        kernel="conv_transpose_plain",
        params_type="ingot_conv_transpose_params",
        params=conv_transpose_params,
        when=_plain,
        inplace=(3,),
        efficiency=lambda node, target: SCALAR,
    ),
    *cuda_gemm.tactics(_tuned),
    *cuda.tactics(_tuned, _plain, pack),
)


def _sample(
    name: str,
    size: tuple[int, ...],
    channels: int,
    out: int,
    kernel: tuple[int, ...],
    *,
    strides: tuple[int, ...] | None = None,
    pads: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    groups: int = 1,
    output_padding: tuple[int, ...] = (),
    residual: bool = False,
    activation: Activation = NO_ACTIVATION,
    dtype: DType = DType.F32,
    constant: tuple[int, ...] = (1, 2),
) -> Sample:
    ones = (1,) * len(kernel)
    attrs = ConvTransposeAttrs(
        kernel,
        strides or ones,
        pads or (0,) * (2 * len(kernel)),
        dilations or ones,
        groups,
        output_padding,
        activation,
    )
    x = TensorType(dtype, (2, *size, channels))
    w = TensorType(dtype, (channels, out // groups, *kernel))
    (result,) = infer(attrs, (x, w))
    return Sample(attrs, (x, w, TensorType(dtype, (out,)), result if residual else None), constant, name)


#: size, channels, results, kernel and options of samples in half; of "float32" only weights are
HALF_CASES = {
    "2x2 stride 2": ((5, 6), 18, 20, (2, 2), {"strides": (2, 2)}),
    "4x4 stride 2": ((5, 7), 16, 73, (4, 4), {"strides": (2, 2), "pads": (1, 1, 1, 1), "residual": True}),
    "2x2 stride 3": ((4, 4), 4, 5, (2, 2), {"strides": (3, 3)}),
    "grouped": ((5, 5), 12, 34, (3, 3), {"strides": (2, 2), "pads": (1, 1, 1, 1), "groups": 2}),
    "float32": ((30,), 8, 16, (16,), {"strides": (8,), "pads": (4, 4)}),
}


def samples() -> Iterable[Sample]:
    """Strides, dilations, cropped and extended outputs, groups, one to three axes."""
    relu = Activation(ActivationKind.RELU)
    yield _sample("2x2 stride 2", (5, 6), 17, 20, (2, 2), strides=(2, 2), activation=relu)
    yield _sample("4x4 stride 2", (5, 7), 16, 33, (4, 4), strides=(2, 2), pads=(1, 1, 1, 1), residual=True)
    yield _sample("3x3 stride 3", (4, 4), 3, 5, (3, 3), strides=(3, 2), pads=(1, 0, 0, 1), output_padding=(1, 1))
    yield _sample("2x2 stride 3", (4, 4), 3, 5, (2, 2), strides=(3, 3))
    yield _sample("dilated", (6, 5), 5, 8, (3, 3), strides=(2, 1), dilations=(2, 3), pads=(1, 2, 2, 1))
    yield _sample("dilated 3 stride 2", (6, 5), 5, 8, (3, 2), strides=(2, 2), dilations=(3, 3))
    yield _sample("one axis", (30,), 8, 16, (16,), strides=(8,), pads=(4, 4))
    yield _sample("three axes", (3, 2, 4), 4, 6, (2, 3, 2), strides=(1, 2, 2), pads=(0, 1, 0, 0, 1, 0))
    yield _sample("grouped", (5, 5), 12, 34, (3, 3), strides=(2, 2), pads=(1, 1, 1, 1), groups=2, residual=True)
    yield _sample("depthwise", (5, 5), 16, 16, (4, 4), strides=(2, 2), pads=(1, 1, 1, 1), groups=16)
    yield _sample("weights at run time", (4, 5), 4, 6, (3, 3), strides=(2, 2), groups=2, constant=())
    yield _sample("float64", (4, 5), 4, 6, (3, 3), strides=(2, 2), dtype=DType.F64)
    for dtype in HALF:
        for name, case in HALF_CASES.items():
            sample = _sample(f"{dtype.name.lower()} {name}", *case[:4], **case[4])
            inputs = list(sample.inputs)
            inputs[1] = TensorType(dtype, inputs[1].shape)
            if name != "float32":
                inputs[0] = TensorType(dtype, inputs[0].shape)
            attrs = half.attrs_of(sample.attrs, DType.F32 if name == "float32" else dtype)
            yield Sample(attrs, tuple(inputs), sample.constant, sample.name)
    yield from int8.samples()


def _work(node: NodeView) -> Work:
    """A multiply-add for each element of x and each weight of its input channel."""
    x, w = node.inputs[0].type, node.inputs[1].type
    return Work(2 * x.count * math.prod(w.shape[1:]), w.dtype)


SPEC = OpSpec(
    name="conv_transpose",
    attrs=ConvTransposeAttrs,
    infer=infer,
    tactics=TACTICS,
    samples=samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
    quantize=int8.quantize,
    weights=lambda node: {1: 1 if node.attrs.groups == 1 else None},
    half=half.RULE,
    work=_work,
)


@onnx_op("ConvTranspose")
def _conv_transpose(b: Builder) -> Any:
    x, w, bias = b.input(0), b.input(1), b.input(2)
    rank = x.type.rank
    if rank < 3 or w.type.rank != rank:
        raise Unsupported(f"ConvTranspose of {x.type} with weights {w.type}", "input and weights of one rank, 3 to 5")
    kernel = kernel_shape(b, w)
    spatial = len(kernel)
    strides = per_axis(b, "strides", spatial, 1)
    dilations = per_axis(b, "dilations", spatial, 1)
    extra = per_axis(b, "output_padding", spatial, 0)
    size = x.type.shape[2:]
    windows = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    full = [(n - 1) * s + k for n, s, k in zip(size, strides, windows)]
    mode, wanted = b.attr("auto_pad", "NOTSET"), b.attr("output_shape")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"auto_pad {mode}", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    if wanted is None and mode.startswith("SAME"):
        wanted = [n * s for n, s in zip(size, strides)]
    if wanted is None:
        pads = per_axis(b, "pads", 2 * spatial, 0) if mode == "NOTSET" else (0,) * (2 * spatial)
    else:
        # what is too much is cut off, evenly; what is too little is added behind
        total = [f + e - int(n) for f, e, n in zip(full, extra, wanted[-spatial:])]
        extra = tuple(e - min(t, 0) for e, t in zip(extra, total))
        half = [max(t, 0) // 2 for t in total]
        rest = [max(t, 0) - h for t, h in zip(total, half)]
        pads = (*half, *rest) if mode == "SAME_UPPER" else (*rest, *half)
    attrs = ConvTransposeAttrs(kernel, strides, pads, dilations, int(b.attr("group", 1)), extra)
    mirrored = mirror(attrs, w.data) if w.type.dtype is not DType.BF16 else None
    if mirrored is not None:
        conv, weights = mirrored
        y = b.emit("conv", conv, [b.transpose(x, channels_last(rank)), b.constant(weights), bias, None])[0]
    else:
        y = b.emit("conv_transpose", attrs, [b.transpose(x, channels_last(rank)), w, bias, None])[0]
    return b.transpose(y, channels_first(rank))


def mirror(attrs: ConvTransposeAttrs, w: np.ndarray | None) -> tuple[ConvAttrs, np.ndarray] | None:
    """Without stride a transposed convolution is a convolution with mirrored weights; ``None`` when it is not one.

    ``w`` is ``[C, O / groups, *kernel]`` or None when it is not constant; gives ``[O, C / groups, *kernel]``.
    """
    spatial = len(attrs.kernel)
    reach = [(k - 1) * d for k, d in zip(attrs.kernel, attrs.dilations)]
    extra = attrs.output_padding or (0,) * spatial
    begins = tuple(r - p for r, p in zip(reach, attrs.pads[:spatial]))
    ends = tuple(r - p + e for r, p, e in zip(reach, attrs.pads[spatial:], extra))
    if w is None or max(attrs.strides) > 1 or min(begins + ends) < 0:
        return None
    groups, channels, out = attrs.groups, w.shape[0] // attrs.groups, w.shape[1]
    turned = w.reshape(groups, channels, out, *attrs.kernel).swapaxes(1, 2)
    flipped = np.flip(turned, axis=tuple(range(3, 3 + spatial))).reshape(groups * out, channels, *attrs.kernel)
    conv = ConvAttrs(attrs.kernel, attrs.strides, begins + ends, attrs.dilations, groups, attrs.activation)
    return conv, np.ascontiguousarray(flipped)
