"""Interpolation of int8: linear with whole weights, nearest as it is."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ingot.kernels.common.int8 import MODELS, Int8Attrs, scales
from ingot.kernels.common.quantized import activation_of, result_type
from ingot.kernels.spec import DType, NodeView, Quant, QuantForm, QuantInput, Sample, TensorType

if TYPE_CHECKING:
    from ingot.kernels.resize.op import ResizeAttrs

AXES_MAX = 2
"""Weights have 11 bits for each axis: of two, sums fit int32."""


def quantize(node: NodeView, inputs: Sequence[QuantInput | None], output: Quant | None) -> QuantForm | None:
    """Nearest stands for the same numbers as its input; linear of up to two axes is requantised.

    A model's own result is computed in float32, as other runtimes do it: of two neighbours among the last axes.
    """
    attrs: ResizeAttrs = node.attrs
    x = activation_of(inputs[0])
    if x is None or attrs.coordinate == "tf_crop_and_resize":
        return None
    operands, shape = (inputs[0].value,), node.outputs[0].type.shape
    if attrs.mode == "nearest":
        return QuantForm("resize", attrs, operands, TensorType(DType.I8, shape, x))
    resized = attrs.resized(inputs[0].value.type.shape)
    if attrs.mode != "linear" or attrs.antialias or attrs.exclude_outside or sum(resized) > AXES_MAX:
        return None
    if output is not None and output.rounds_as is not None:
        if not any(map(all, itertools.pairwise(resized[-3:]))):
            return None
        output = replace(output, rounds_as=DType.F32)
    return QuantForm("resize", Int8Attrs(attrs, x, output), operands, result_type(shape, output))


def keeps_order(attrs: Int8Attrs, perm: tuple[int, ...], node: NodeView) -> bool:
    """Whether the integer form can move through a transpose: a model's own adds up its corners in the order of axes."""
    if attrs.output is None or attrs.output.rounds_as is None:
        return True
    resized = attrs.real.resized(node.inputs[0].type.shape)
    first, second = (perm.index(axis) for axis, changes in enumerate(resized) if changes)
    return second == first + 1 and second >= len(perm) - 2


def params(node: NodeView, resize: dict[str, Any]) -> dict[str, Any]:
    """The fields of the C struct ``ingot_resize_s8_params``, given those of ``ingot_resize_params``."""
    attrs: Int8Attrs = node.attrs
    return {"resize": resize, "scales": scales(attrs), "model": MODELS[attrs.output and attrs.output.rounds_as]}


def sample(attrs: ResizeAttrs, x: TensorType, model: bool = False) -> Sample:
    """The integer form of a sample; ``model``: of one that arrives quantised."""
    name = f"int8-{attrs.coordinate}-{x.shape}"
    if model:
        form = Int8Attrs(attrs, Quant(0.05, 3), Quant(0.05, -100, DType.F32))
        return Sample(form, (TensorType(DType.I8, x.shape),), name=f"{name}-model")
    real = len(attrs.coordinate) % 2 == 0
    form = Int8Attrs(attrs, Quant(0.05, 3), None if real else Quant(0.06, -100))
    return Sample(form, (TensorType(DType.I8, x.shape),), name=name)
