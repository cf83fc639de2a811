"""float32 -> int8: ``clamp(round half even(x / scale) + zero)``. ``elementwise/onnx_quantize.py`` imports it.

It exists so that passes can see where a graph is quantised; where one is left, an elementwise program does it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.kernels.elementwise import lower
from ingot.kernels.elementwise.cuda import on_cuda
from ingot.kernels.elementwise.program import Insn, Program
from ingot.kernels.spec import DType, NodeView, OpSpec, Params, Quant, Sample, Tactic, TensorType, Unsupported

from . import onnx_qlinear  # noqa: F401 - the importers register themselves


@dataclass(frozen=True, slots=True)
class QuantizeAttrs:
    """How the int8 result stands for real numbers."""

    quant: Quant


def _infer(attrs: QuantizeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if x.dtype is not DType.F32:
        raise Unsupported(f"quantize of {x}", "float32")
    if not (attrs.quant.scale > 0 and np.isfinite(attrs.quant.scale)) or not -128 <= attrs.quant.zero_point <= 127:
        raise Unsupported(f"{attrs.quant}", "a positive scale and a zero point in [-128, 127]")
    return (TensorType(DType.I8, x.shape, attrs.quant),)


def program(attrs: QuantizeAttrs) -> Program:
    """The elementwise program of the operator."""
    return Program((Insn("QuantizeLinear", DType.I8, (0,), attrs.quant.scale, float(attrs.quant.zero_point)),))


def _params(node: NodeView) -> Params:
    return lower.params(program(node.attrs), [node.inputs[0].type.dtype])


def _permute(attrs: QuantizeAttrs, perm: tuple[int, ...], node: NodeView) -> QuantizeAttrs:
    return attrs


def _samples() -> Iterable[Sample]:
    yield Sample(QuantizeAttrs(Quant(0.02)), (TensorType(DType.F32, (2, 5, 7, 19)),))
    yield Sample(QuantizeAttrs(Quant(0.05, -128)), (TensorType(DType.F32, (1000,)),), name="zero point")


_ON_CPU = Tactic("elementwise", "ingot_elementwise_params", _params, numerics="exact")

SPEC = OpSpec(
    name="quantize",
    attrs=QuantizeAttrs,
    infer=_infer,
    tactics=(_ON_CPU, on_cuda(_ON_CPU, lambda node: program(node.attrs))),
    samples=_samples,
    permute=_permute,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)
