"""The kernels of int8 convolution: how they want their weights, and when they can do a node."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.common.quantized import inverse
from ingot.kernels.spec import DType, NodeView, Quant, Sample, Tactic, TensorType

from . import int8_efficiency as reach
from .attrs import QConvAttrs, conv_params
from .int8_efficiency import LANES, PANEL, STEP

MOST_BLOCKS = 32


class Way(enum.IntEnum):
    """How ``conv_s8_n16k4`` reads windows: the C enumerators of ``ingot_conv_s8_way``."""

    POINTERS = 1
    LINES = 2
    WINDOWS = 3


class DepthwiseWay(enum.IntEnum):
    """How ``conv_s8_dw`` goes through an image: the C enumerators of ``ingot_depthwise_s8_way``."""

    LANES = 0
    COLUMNS = 1
    PAIRS = 2


_FLOAT32_MAX = float(np.finfo(np.float32).max)

_X, _Y = Quant(0.05, 3), Quant(0.03, -5)  # of samples


def s8_numbers(x: Quant, residual: Quant | None, output: Quant | None, steps: bool = False) -> dict[str, Any]:
    """The fields of the C struct ``ingot_s8_numbers``; ``steps``: results count steps of ``output`` already."""
    residual = residual or Quant(0.0)
    output = output or Quant(1.0)
    return {
        "inverse_scale": 1.0 if steps else inverse(output),
        "residual_scale": residual.scale,
        "input_zero": x.zero_point,
        "output_zero": output.zero_point,
        "residual_zero": residual.zero_point,
        "output_min": -128,
    }


def storable(output: Quant | None) -> bool:
    """Whether results can be multiplied by 1 / scale in float32: not so for subnormal scales."""
    return output is None or 1.0 / _FLOAT32_MAX <= output.scale <= _FLOAT32_MAX


def pack_s8(columns: np.ndarray) -> np.ndarray:
    """int8 [N, K] -> [ceil(N / 16), ceil(K / 4), 64]: four of each of sixteen columns side by side, zeros added."""
    n, k = columns.shape
    panels, steps = -(-n // PANEL), -(-k // STEP)
    padded = np.zeros((panels * PANEL, steps * STEP), np.int8)
    padded[:n, :k] = columns
    blocks = padded.reshape(panels, PANEL, steps, STEP).swapaxes(1, 2)
    return np.ascontiguousarray(blocks).reshape(panels, steps, PANEL * STEP)


def pack_conv_s8(
    w: np.ndarray, groups: int = 1, dilation: int = 1, windows: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """int8 [O, C / groups, *kernel] -> what ``conv_s8_n16k4`` reads; ``dilation`` is that of the last axis, ``windows``
    says that it writes windows out.

    Gives the weights, int8 [groups * ceil(O / groups / 16), steps, 64], and the sums of each output channel, int32
    [O]. Products come in the order [taps][C / groups]; without groups and dilation each row of the kernel is padded
    to a multiple of four, and else, or where windows are written out, the whole.
    """
    out, channels, width = w.shape[0], w.shape[1], w.shape[-1]
    by_rows = groups == 1 and (width == 1 or dilation == 1) and not windows
    run = channels * (width if by_rows else math.prod(w.shape[2:]))
    rows = np.moveaxis(w, 1, -1).reshape(out, -1, run)
    padded = np.zeros((out, rows.shape[1], -(-run // STEP) * STEP), np.int8)
    padded[:, :, :run] = rows
    packed = [pack_s8(part) for part in np.split(padded.reshape(out, -1), groups)]
    return np.concatenate(packed), rows.sum(axis=(1, 2), dtype=np.int32)


def pack_depthwise_s8(w: np.ndarray) -> np.ndarray:
    """int8 [C, 1, *kernel] -> [blocks, ceil(taps / 4), 256].

    Pixels side by side are one run of lanes; a block belongs to 64 of them, and there are as many as it takes until
    channels repeat, or those of one pixel where that were more than 32. A block is [quarter of 16 lanes][which 16
    lanes][4 lanes][4 taps]: the order in which the bytes of four taps fall when they are interleaved within 16 lanes.
    """
    channels, taps = w.shape[0], math.prod(w.shape[2:])
    blocks, steps = channels // math.gcd(channels, LANES), -(-taps // STEP)
    repeats = blocks <= MOST_BLOCKS
    blocks = blocks if repeats else -(-channels // LANES)
    padded = np.zeros((blocks * LANES, steps * STEP), np.int8)
    rows = w.reshape(channels, taps)
    lanes = np.arange(blocks * LANES)
    there = lanes if repeats else lanes[:channels]
    padded[there, :taps] = rows[there % channels]
    split = padded.reshape(blocks, 4, 4, 4, steps, STEP)  # block, 16th, quarter, lane, step, tap
    return np.ascontiguousarray(split.transpose(0, 4, 2, 1, 3, 5)).reshape(blocks, steps, LANES * STEP)


def pack_depthwise_columns_s8(w: np.ndarray) -> np.ndarray:
    """int8 [C, 1, *kernel] -> [ceil(C / 64), width, 256]: the lines of each column, filled up to four, as four taps."""
    channels, width = w.shape[0], w.shape[-1]
    lines = w.reshape(channels, -1, width).swapaxes(1, 2)
    padded = np.zeros((-(-channels // LANES) * LANES, width, STEP), np.int8)
    padded[:channels, :, : lines.shape[2]] = lines
    split = padded.reshape(-1, 4, 4, 4, width, STEP)  # block, 16th, quarter, lane, column, line
    return np.ascontiguousarray(split.transpose(0, 4, 2, 1, 3, 5)).reshape(-1, width, LANES * STEP)


def s8_params(node: NodeView) -> dict[str, Any]:
    """The fields of the C struct ``ingot_conv_s8_params``, without tuning."""
    attrs: QConvAttrs = node.attrs
    conv = conv_params(node)
    if attrs.parts > 1:  # taps of an axis of its own, all of which read the same pixel
        conv["kernel"][0], conv["dilations"][0] = attrs.parts, 0
    return {"conv": conv, "numbers": s8_numbers(attrs.x, attrs.residual, attrs.output, attrs.steps)}


def is_s8(node: NodeView) -> bool:
    """An int8 convolution with weights that are known, whose parts have an axis left."""
    attrs = node.attrs
    if not isinstance(attrs, QConvAttrs) or node.inputs[1].data is None or not storable(attrs.output):
        return False
    return attrs.parts == 1 or len(attrs.kernel) < 3


def _may_read_lines(node: NodeView) -> bool:
    """Whether each line of a window can be taken as one run."""
    return is_s8(node) and node.attrs.groups == 1 and (node.attrs.kernel[-1] == 1 or node.attrs.dilations[-1] == 1)


def is_depthwise_s8(node: NodeView) -> bool:
    return is_s8(node) and node.attrs.groups == node.inputs[0].type.shape[-1] == node.inputs[1].type.shape[0]


def goes_by_columns(node: NodeView) -> bool:
    attrs = node.attrs
    if not is_depthwise_s8(node) or attrs.parts > 1:
        return False
    moves = attrs.strides[-1] <= 2 and attrs.dilations[-1] == 1
    return moves and attrs.kernel[-1] == 3 and math.prod(attrs.kernel[:-1]) <= STEP


def _tactic(
    kernel: str,
    when: Callable[[NodeView], bool],
    pack: Callable[[NodeView, np.ndarray], np.ndarray],
    variant: str,
    efficiency: reach.Efficiency,
    **tuning: int,
) -> Tactic:
    """``tuning``: fields of the C struct ``ingot_s8_tuning``."""
    return Tactic(
        kernel=kernel,
        params_type="ingot_conv_s8_params",
        params=lambda node: s8_params(node) | {"tuning": tuning},
        when=when,
        pack={1: pack},
        pitched_inputs=(0, 3),
        pitched_outputs=(0,),
        inplace=(3,),
        numerics="exact",
        variant=variant,
        efficiency=efficiency,
    )


def _goes_by_pairs(node: NodeView) -> bool:
    attrs = node.attrs
    if not goes_by_columns(node) or len(attrs.kernel) < 2 or node.outputs[0].type.shape[-3] < 2:
        return False
    ones = (1,) * len(attrs.kernel)
    return attrs.strides == attrs.dilations == ones and attrs.kernel[-2] < STEP and attrs.kernel[:-2] in ((), (1,))


def _pack_taps(node: NodeView, w: np.ndarray) -> np.ndarray:
    return pack_depthwise_s8(w)


def _pack_columns(node: NodeView, w: np.ndarray) -> np.ndarray:
    return pack_depthwise_columns_s8(w)


def _depthwise(
    when: Callable[[NodeView], bool], way: DepthwiseWay, efficiency: reach.Efficiency, variant: str = ""
) -> Tactic:
    pack = _pack_taps if way is DepthwiseWay.LANES else _pack_columns
    return _tactic("conv_s8_dw", when, pack, variant, efficiency, way=int(way))


_USUAL = reach.products()


def _pack_lines(node: NodeView, w: np.ndarray) -> np.ndarray:
    return pack_conv_s8(w, node.attrs.groups, node.attrs.dilations[-1])[0]


def _pack_windows(node: NodeView, w: np.ndarray) -> np.ndarray:
    return pack_conv_s8(w, node.attrs.groups, node.attrs.dilations[-1], windows=True)[0]


def _general(
    variant: str = "",
    when: Callable[[NodeView], bool] = lambda node: True,
    efficiency: reach.Efficiency = _USUAL,
    windows: bool = False,
    **tuning: int,
) -> Tactic:
    pack = _pack_windows if windows else _pack_lines
    return _tactic("conv_s8_n16k4", lambda node: is_s8(node) and when(node), pack, variant, efficiency, **tuning)


def _panels(node: NodeView) -> int:
    """Of one group."""
    return -(-node.inputs[1].type.shape[0] // node.attrs.groups // PANEL)


#: from so many pixels in a row on the kernel takes tiles of neighbours when it decides: LEAST_WIDTH in C
ROW = 8

TACTICS = (
    _depthwise(is_depthwise_s8, DepthwiseWay.LANES, reach.lanes),
    _depthwise(goes_by_columns, DepthwiseWay.COLUMNS, reach.columns, "by=columns"),
    _depthwise(_goes_by_pairs, DepthwiseWay.PAIRS, reach.pairs, "by=pairs"),
    _general(),
    _general(
        "read=pointers",
        lambda node: _may_read_lines(node) and node.outputs[0].type.shape[-2] >= ROW,
        reach.products(0.96, thin=0.65),
        way=Way.POINTERS,
    ),
    _general(
        "read=lines",
        lambda node: _may_read_lines(node) and node.outputs[0].type.shape[-2] < ROW,
        reach.products(0.96),
        way=Way.LINES,
    ),
    _general(
        "read=windows",
        lambda node: math.prod(node.attrs.kernel) > 1,
        reach.products(0.85, thin=0.85),
        windows=True,
        way=Way.WINDOWS,
    ),
    _general(
        "rows=6",
        lambda node: node.outputs[0].type.count > 6 * node.outputs[0].type.shape[-1],
        reach.products(0.97),
        rows=6,
    ),
    _general("slice=2", lambda node: _panels(node) > 2, reach.products(0.96), slice=2),
    _general("slice=16", lambda node: _panels(node) > 8, reach.products(1.01), slice=16),
)


def s8_operands(
    rows: np.ndarray, shape: tuple[int, ...], attrs: Any, seed: int = 0
) -> tuple[np.ndarray, TensorType | None, np.ndarray, np.ndarray]:
    """What a sample needs beside x and weights: bias, residual, sums and scale for weights ``rows`` [O, terms].

    Where results count in steps the bias is one of integers.
    """
    random = np.random.default_rng(seed)
    out, terms = rows.shape
    step = 1.0 if attrs.steps else (attrs.output or Quant(1.0)).scale
    scale = random.uniform(0.5, 2.0, out) * step / (70 * math.sqrt(terms))
    if attrs.steps:
        bias = random.integers(-9000, 9000, out).astype(np.int32)
    else:
        bias = random.uniform(-1.0, 1.0, out).astype(np.float32)
    residual = None if attrs.residual is None else TensorType(DType.I8, shape)
    return bias, residual, rows.sum(axis=1, dtype=np.int32), scale.astype(np.float32)


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
    activation: Activation = NO_ACTIVATION,
    x: Quant = _X,
    residual: Quant | None = None,
    output: Quant | None = _Y,
    steps: bool = False,
    parts: int = 1,
) -> Sample:
    ones = (1,) * len(kernel)
    pads, dilations = pads or (0,) * (2 * len(kernel)), dilations or ones
    attrs = QConvAttrs(kernel, strides or ones, pads, dilations, groups, activation, x, residual, output, steps, parts)
    random = np.random.default_rng(len(name))
    images = random.integers(-128, 128, (batch, *size, channels), np.int8)
    split = (parts,) if parts > 1 else ()
    w = random.integers(-128, 128, (out, channels // groups, *split, *kernel), np.int8)
    if parts > 1:
        w[PANEL:, :, 1:] = 0  # in most panels nothing has to be added
    spatial = [
        (n + pads[i] + pads[i + len(size)] - (kernel[i] - 1) * dilations[i] - 1) // attrs.strides[i] + 1
        for i, n in enumerate(size)
    ]
    rest = s8_operands(w.reshape(out, -1), (batch, *spatial, out), attrs)
    return Sample(attrs, (images, w, rest[0] if bias else None, *rest[1:]), (1, 2, 4, 5) if bias else (1, 4, 5), name)


def samples() -> Iterable[Sample]:
    """All bytes, weights of -128 among them; the borders, groups and shapes of the float samples."""
    relu = Activation(ActivationKind.RELU)
    relu6 = Activation(ActivationKind.CLIP, 0.0, 6.0)
    near, real = Quant(0.11, 7), None
    for channels, out in ((1, 8), (3, 16), (5, 15), (16, 17), (17, 40), (32, 1), (8, 100)):
        yield _sample(f"int8 3x3 {channels}->{out}", (9, 11), channels, out, (3, 3), pads=(1,) * 4, activation=relu)
    yield _sample("int8 first layer", (23, 31), 3, 32, (3, 3), strides=(2, 2), pads=(1,) * 4, activation=relu6)
    yield _sample("int8 many groups", (5, 6), 128, 160, (3, 3), pads=(1,) * 4, groups=8, residual=near)
    yield _sample("int8 patches", (8, 12), 8, 40, (4, 4), strides=(4, 4), batch=2, residual=near, activation=relu)
    yield _sample("int8 7x7", (20, 17), 3, 40, (7, 7), strides=(3, 3), pads=(3, 2, 1, 3), bias=False)
    yield _sample("int8 pointwise", (7, 7), 24, 70, (1, 1), residual=near)
    yield _sample("int8 to float", (7, 7), 24, 70, (1, 1), residual=near, output=real, activation=relu)
    yield _sample("int8 pointwise stride 2", (7, 9), 16, 33, (1, 1), strides=(2, 2), batch=2, x=Quant(0.1, -128))
    yield _sample("int8 one pixel", (1, 1), 65, 130, (1, 1), activation=relu6, x=Quant(0.1, 127))
    yield _sample("int8 dilated", (13, 12), 20, 20, (3, 3), pads=(2, 0, 1, 4), dilations=(2, 3), batch=2)
    yield _sample("int8 wide pads", (2, 1), 4, 5, (3, 3), pads=(4, 5, 3, 2))
    yield _sample("int8 one axis", (50,), 5, 17, (9,), strides=(4,), pads=(4, 3), output=real)
    yield _sample("int8 three axes", (5, 6, 7), 3, 8, (3, 2, 3), strides=(1, 2, 1), pads=(1, 0, 1, 0, 1, 2))
    yield _sample("int8 grouped", (8, 7), 36, 51, (3, 3), pads=(1,) * 4, groups=3, residual=near, activation=relu)
    yield _sample("int8 two by two groups", (5, 6), 16, 16, (3, 3), pads=(1,) * 4, groups=8)
    for channels in (1, 8, 17, 33, 64, 150):
        yield _sample(
            f"int8 depthwise {channels}", (10, 13), channels, channels, (3, 3), pads=(1,) * 4, groups=channels,
            residual=near,
        )  # fmt: skip
    yield _sample("int8 depthwise stride 2", (11, 19), 24, 24, (5, 3), strides=(2, 2), pads=(2, 1, 1, 0), groups=24)
    yield _sample("int8 depthwise to float", (3, 40), 96, 96, (3, 5), pads=(1, 8, 1, 8), groups=96, output=real)
    yield _sample("int8 depthwise one axis", (40,), 20, 20, (7,), pads=(6, 0), groups=20, activation=relu6)
    yield _sample("int8 steps", (9, 11), 12, 40, (3, 3), pads=(1,) * 4, steps=True, activation=relu6)
    yield _sample("int8 depthwise steps", (5, 6), 70, 70, (3, 3), groups=70, steps=True, activation=relu)
    for parts in (2, 3):
        yield _sample(f"int8 {parts} parts", (7, 9), 16, 33, (3, 3), pads=(1,) * 4, parts=parts, residual=near)
        yield _sample(f"int8 {parts} parts gathered", (7, 9), 3, 20, (3, 3), parts=parts, steps=True)
        yield _sample(f"int8 {parts} parts pointwise", (5, 7), 24, 17, (1, 1), parts=parts, output=real)
        yield _sample(f"int8 {parts} parts grouped", (5, 7), 6, 9, (2, 2), groups=3, parts=parts)
        yield _sample(f"int8 {parts} parts depthwise", (6, 7), 66, 66, (3, 3), pads=(1,) * 4, groups=66, parts=parts)
        yield _sample(f"int8 {parts} parts one axis", (31,), 8, 16, (5,), pads=(4, 0), parts=parts)
    for size, channels, out in (((1, 1), 40, 300), ((6, 6), 24, 40), ((13, 7), 20, 300), ((3, 31), 6, 33)):
        name = f"int8 3x3 of {size[0]}x{size[1]} {channels}->{out}"
        yield _sample(name, size, channels, out, (3, 3), batch=2, pads=(1,) * 4, residual=near, activation=relu)
    yield _sample("int8 deep", (4, 5), 270, 43, (3, 3), pads=(1,) * 4, residual=near)
    yield _sample("int8 pointwise wide", (5, 5), 12, 300, (1, 1), batch=2)
    for channels in (7, 64, 128, 200):
        yield _sample(f"int8 3x3 depthwise {channels}", (9, 12), channels, channels, (3, 3), batch=2, groups=channels)
        name = f"int8 3x3 depthwise {channels} stride 2"
        yield _sample(
            name, (8, 15), channels, channels, (3, 3), strides=(2, 2), pads=(1, 0, 1, 2), groups=channels,
            activation=relu6,
        )  # fmt: skip
        name = f"int8 1x3 depthwise {channels}"
        yield _sample(name, (30,), channels, channels, (3,), strides=(2,), pads=(2, 0), groups=channels, output=real)
        name = f"int8 4x3 depthwise {channels}"
        yield _sample(
            name, (9, 3), channels, channels, (4, 3), strides=(1, 2), dilations=(2, 1), groups=channels, residual=near
        )
    for kernel, channels in (((2, 3), 70), ((3, 3), 130), ((1, 3), 64)):
        name = f"int8 depthwise rows of 75, {kernel[0]} lines"
        yield _sample(name, (6, 75), channels, channels, kernel, pads=(1,) * 4, groups=channels, residual=near)
        yield _sample(f"{name}, packed", (5, 75), channels, channels, kernel, pads=(1, 0, 0, 2), groups=channels)
    for stride in (1, 2):
        yield _sample(
            f"int8 depthwise 5x5 stride {stride}", (7, 9), 24, 24, (5, 5), batch=2, strides=(stride,) * 2,
            pads=(2, 1, 1, 2), groups=24, residual=near if stride == 1 else None, activation=relu,
        )  # fmt: skip
    yield _sample("int8 depthwise multiplied", (6, 6), 5, 10, (3, 3), pads=(1,) * 4, groups=5)
