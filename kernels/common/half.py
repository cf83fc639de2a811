"""float16 and bfloat16 as storage: conversions, and how kernels over them want their weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ingot.kernels.spec import DType, Half, NodeView, TensorType, Unsupported

HALF = (DType.F16, DType.BF16)
PANEL = 16

Infer = Callable[[Any, Sequence[TensorType | None]], tuple[TensorType, ...]]


@dataclass(frozen=True, slots=True)
class HalfAttrs:
    """An operator of float32 whose kernels take any of their operands in half, and store the result as ``output``: its
    attributes otherwise. Where there is no such kernel, casts around the operator do the same (passes/legalize.py)."""

    real: Any
    output: DType


def is_half(node: NodeView) -> bool:
    return isinstance(node.attrs, HalfAttrs)


def real_attrs(node: NodeView) -> Any:
    """The attributes of the operator, in half or not."""
    return node.attrs.real if isinstance(node.attrs, HalfAttrs) else node.attrs


def with_half(infer: Infer) -> Infer:
    """The shape rule for both forms."""

    def both(attrs: Any, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
        if not isinstance(attrs, HalfAttrs):
            return infer(attrs, inputs)
        wide = [replace(t, dtype=DType.F32) if t is not None and t.dtype in HALF else t for t in inputs]
        first, *rest = infer(attrs.real, wide)
        return (replace(first, dtype=attrs.output), *rest)

    return both


def stored_on_cuda(
    operands: tuple[int, ...] | None = None, able: Callable[[NodeView], bool] = lambda node: True
) -> Half:
    """The rule of an operator that has :class:`HalfAttrs` on CUDA alone; constants stay float32."""
    return Half(
        able=able,
        operands=operands,
        attrs=lambda node, inputs, output: HalfAttrs(node.attrs, output),
        backends=("cuda",),
    )


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The bits of bfloat16 numbers, uint16, as float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def to_bfloat16(array: np.ndarray) -> np.ndarray:
    """Numbers as bits of bfloat16, uint16: to nearest, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(array), 0x7FC0, rounded).astype(np.uint16)


def narrow(array: np.ndarray, dtype: DType) -> np.ndarray:
    """float32 numbers as they are stored in ``dtype``; what does not fit becomes infinite."""
    if dtype is DType.BF16:
        return to_bfloat16(array)
    with np.errstate(over="ignore"):
        return array.astype(np.float16)


def widen(array: np.ndarray, dtype: DType) -> np.ndarray:
    """What is stored in ``dtype`` as float32."""
    return from_bfloat16(array) if dtype is DType.BF16 else array.astype(np.float32)


def pack_half(columns: np.ndarray) -> np.ndarray:
    """[N, K] of float16, or bits of bfloat16 -> [ceil(N / 16), ceil(K / 2), 32], zeros added.

    float16 lies [2][16 columns], bfloat16 [16 columns][2], which is how instructions for it read pairs.
    """
    n, k = columns.shape
    panels, steps = -(-n // PANEL), -(-k // 2)
    padded = np.zeros((panels * PANEL, steps * 2), columns.dtype)
    padded[:n, :k] = columns
    blocks = padded.reshape(panels, PANEL, steps, 2)
    order = (0, 2, 3, 1) if columns.dtype == np.float16 else (0, 2, 1, 3)
    return np.ascontiguousarray(blocks.transpose(order)).reshape(panels, steps, 2 * PANEL)


def half_result(attrs: Any, inputs: Sequence[TensorType | None], shape: tuple[int, ...]) -> TensorType:
    """The result of a product of x, weights, bias and residual; Unsupported when their types do not go together."""
    x, w, bias, residual = inputs
    types = {v.dtype for v in (x, w, residual) if v is not None} | {attrs.output}
    sound = (
        len(types & set(HALF)) == 1
        and types <= {*HALF, DType.F32}
        and (bias is None or bias == TensorType(DType.F32, shape[-1:]))
        and (residual is None or residual.shape == shape)
    )
    if not sound:
        raise Unsupported(f"a product of {', '.join(map(str, inputs))}", "operands of one half type and of float32")
    return TensorType(attrs.output, shape)


def takes_weights(node: NodeView, attrs: type, dtype: DType) -> bool:
    """Whether a node has attributes of that class and constant weights of that type."""
    w = node.inputs[1]
    return isinstance(node.attrs, attrs) and w.data is not None and w.type.dtype is dtype
