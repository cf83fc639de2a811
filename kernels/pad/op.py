"""Pad in all modes; negative amounts crop. CenterCropPad is the constant mode with amounts from a wanted shape."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.common.quantized import activation_of
from ingot.kernels.spec import (
    Builder,
    DType,
    Half,
    NodeView,
    OpSpec,
    Params,
    Quant,
    QuantForm,
    QuantInput,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)
from ingot.kernels.strided_copy.cuda import moved_by

MODES = ("constant", "reflect", "edge", "wrap")
"""In the order of ``ingot_pad_mode``."""


@dataclass(frozen=True, slots=True)
class PadAttrs:
    """Elements added in front of and behind each axis; ``value`` is what the constant mode adds."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: str = "constant"
    value: float | int = 0


def _infer(attrs: PadAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if attrs.mode not in MODES:
        raise Unsupported(f"pad mode {attrs.mode!r}", " or ".join(MODES))
    if not len(attrs.before) == len(attrs.after) == x.rank:
        raise Unsupported(f"pad of {x} by {attrs.before} and {attrs.after}", "an amount for both ends of each axis")
    shape = tuple(n + b + a for n, b, a in zip(x.shape, attrs.before, attrs.after))
    cropped = [(n + min(b, 0), n + min(a, 0), n + b + a) for n, b, a in zip(x.shape, attrs.before, attrs.after)]
    if any(min(rest) < 0 for rest in cropped):
        raise Unsupported(f"pad of {x} by {attrs.before} and {attrs.after}", "crops of no more than there is")
    if attrs.mode != "constant" and any(n == 0 and m for n, m in zip(x.shape, shape)):
        raise Unsupported(f"pad of the empty {x} in mode {attrs.mode}", "mode constant")
    return (TensorType(x.dtype, shape),)


def _permute(attrs: PadAttrs, perm: tuple[int, ...], node: NodeView) -> PadAttrs:
    before, after = (tuple(amounts[p] for p in perm) for amounts in (attrs.before, attrs.after))
    return PadAttrs(before, after, attrs.mode, attrs.value)


def _value_bytes(dtype: DType, value: float | int) -> list[int]:
    if dtype is DType.BF16:  # the upper half of a float32
        data = struct.pack("<f", value)[2:]
    else:
        data = np.array(value).astype(dtype.numpy).tobytes()
    return list(data.ljust(8, b"\0"))


def _params(node: NodeView) -> Params:
    attrs: PadAttrs = node.attrs
    return {
        "before": list(attrs.before),
        "value": _value_bytes(node.outputs[0].type.dtype, attrs.value),
        "mode": MODES.index(attrs.mode),
    }


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (2, 5, 4, 9))
    for mode in MODES:
        yield Sample(PadAttrs((0, 1, 2, 0), (0, 3, 1, 0), mode, 0.5), (x,), name=mode)
        yield Sample(PadAttrs((1, 0, -1, 2), (0, 2, 0, 3), mode), (x,), name=f"{mode}_crop")
    yield Sample(PadAttrs((2,), (1,), value=7), (TensorType(DType.I64, (3,)),), name="int64")
    yield Sample(PadAttrs((0, 1), (0, 0)), (TensorType(DType.BOOL, (3, 2)),), name="bool")


def _quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """The same pad of int8 when its value is one that int8 stands for."""
    attrs: PadAttrs = node.attrs
    quant = activation_of(inputs[0])
    if quant is None:
        return None
    value = np.clip(np.rint(np.float64(attrs.value) / quant.scale) + quant.zero_point, -128, 127)
    if attrs.mode == "constant" and output is None and (value - quant.zero_point) * quant.scale != attrs.value:
        return None
    moved = PadAttrs(attrs.before, attrs.after, attrs.mode, int(value))
    return QuantForm("pad", moved, (inputs[0].value,), TensorType(DType.I8, node.outputs[0].type.shape, quant))


_ON_CPU = Tactic(
    kernel="pad",
    params_type="ingot_pad_params",
    params=_params,
    pitched_inputs=(0,),
    pitched_outputs=(0,),
    numerics="exact",
)

SPEC = OpSpec(
    name="pad",
    attrs=PadAttrs,
    infer=_infer,
    tactics=(_ON_CPU, moved_by(_ON_CPU, "pad", "pad/pad.cu", 0.7)),
    samples=_samples,
    permute=_permute,
    quantize=_quantize,
    half=Half(able=lambda node: abs(node.attrs.value) <= 65504, operands=(0,), moves=True),
)


def pad(b: Builder, x: Any, before: Sequence[int], after: Sequence[int], mode: str = "constant", value: Any = 0) -> Any:
    """``x`` padded; nothing is emitted where all amounts are zero."""
    if not any((*before, *after)):
        return x
    return b.emit("pad", PadAttrs(tuple(before), tuple(after), mode, value), [x])[0]


@onnx_op("Pad")
def _pad(b: Builder) -> Any:
    x = b.input(0)
    rank = x.type.rank
    if b.opset < 11:
        amounts, value = b.attr("pads"), b.attr("value", 0.0)
    else:
        amounts, given = b.const(1).ravel().tolist(), b.const(2)
        value = given.ravel().tolist()[0] if given is not None and given.size else 0
    axes = b.const(3) if b.opset >= 18 else None
    axes = list(range(rank)) if axes is None else [normal_axis(int(a), rank) for a in axes.ravel()]
    if len(amounts) != 2 * len(axes):
        raise Unsupported(f"Pad with {len(amounts)} amounts for {len(axes)} axes", "two amounts an axis")
    before, after = [0] * rank, [0] * rank
    for i, axis in enumerate(axes):
        before[axis], after[axis] = int(amounts[i]), int(amounts[i + len(axes)])
    return pad(b, x, before, after, b.attr("mode", "constant"), value)


@onnx_op("CenterCropPad")
def _center_crop_pad(b: Builder) -> Any:
    x, wanted = b.input(0), [int(n) for n in b.const(1).ravel()]
    axes = b.attr("axes", list(range(x.type.rank)))
    before, after = [0] * x.type.rank, [0] * x.type.rank
    for axis, n in zip((normal_axis(a, x.type.rank) for a in axes), wanted):
        missing = n - x.type.shape[axis]
        # the odd element is taken from the end, and added at the end
        before[axis] = missing // 2 if missing > 0 else -(-missing // 2)
        after[axis] = missing - before[axis]
    return pad(b, x, before, after)
