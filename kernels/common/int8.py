"""Operators of one int8 tensor that do more than move it: how their attributes, types and parameters are wrapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ingot.kernels.common.half import HalfAttrs
from ingot.kernels.common.quantized import result_type
from ingot.kernels.spec import DType, NodeView, Quant, TensorType, Unsupported

TERMS_MAX = 1 << 23
"""The sum of so many differences of two int8 numbers fits int32: INGOT_S8_TERMS_MAX."""


@dataclass(frozen=True, slots=True)
class Int8Attrs:
    """The integer form of an operator: its attributes in float, how its first input stands for real numbers, and how
    the result does; ``output`` None: the result is float32."""

    real: Any
    x: Quant
    output: Quant | None


Infer = Callable[[Any, Sequence[TensorType | None]], tuple[TensorType, ...]]
Permute = Callable[[Any, tuple[int, ...], NodeView], Any | None]


def is_int8(node: NodeView) -> bool:
    """Whether the node is the integer form of its operator."""
    return isinstance(node.attrs, Int8Attrs)


def with_int8(infer: Infer, tables: int = 0) -> Infer:
    """The shape rule for both forms. The last ``tables`` inputs belong to the integer form alone."""

    def both(attrs: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        if not isinstance(attrs, Int8Attrs):
            return infer(attrs, inputs)
        x = inputs[0]
        if x.dtype is not DType.I8:
            raise Unsupported(f"the integer form of an operator on {x}", "int8")
        rest = inputs[1 : len(inputs) - tables]
        (result,) = infer(attrs.real, [TensorType(DType.F32, x.shape), *rest])
        return (result_type(result.shape, attrs.output),)

    return both


def permute_int8(permute: Permute) -> Permute:
    """The transpose rule for this form, the one in half and the plain one."""

    def both(attrs: Any, perm: tuple[int, ...], node: NodeView) -> Any | None:
        if not isinstance(attrs, (Int8Attrs, HalfAttrs)):
            return permute(attrs, perm, node)
        real = permute(attrs.real, perm, node)
        return None if real is None else replace(attrs, real=real)

    return both


def scales(attrs: Int8Attrs) -> dict[str, Any]:
    """The fields of the C struct ``ingot_s8_scales``."""
    output = attrs.output or Quant(1.0)
    return {
        "input_scale": attrs.x.scale,
        "output_scale": output.scale,
        "input_zero": attrs.x.zero_point,
        "output_zero": output.zero_point,
    }


#: the C enumerators of ``ingot_s8_model``
MODELS = {None: 0, DType.F32: 1, DType.I8: 2, DType.U8: 3}
