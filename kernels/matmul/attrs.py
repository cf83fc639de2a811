"""What a matrix product is: its attributes in float and in int8, and the shape of its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingot.kernels.common.activation import NO_ACTIVATION, Activation
from ingot.kernels.common.half import half_result
from ingot.kernels.common.quantized import UNIT
from ingot.kernels.spec import DType, NodeView, Quant, TensorType, Unsupported, Work, broadcast_shape


@dataclass(frozen=True, slots=True)
class MatMulAttrs:
    """``activation(alpha * a @ b + bias + residual)``.

    Inputs: a ``[..., M, K]`` (``[..., K, M]`` with ``trans_a``), b ``[..., K, N]`` (``[..., N, K]`` with ``trans_b``),
    batch axes broadcast; bias ``[N]`` or None; residual like the result or None. Result ``[..., M, N]``.
    """

    trans_a: bool = False
    trans_b: bool = False
    alpha: float = 1.0
    activation: Activation = NO_ACTIVATION


@dataclass(frozen=True, slots=True)
class QMatMulAttrs(MatMulAttrs):
    """The same of int8: how a, b, the residual and the result stand for real numbers.

    Inputs: a int8, b int8, bias ``[N]`` or None, residual int8 or None, sums, scale. Where b is a constant it is
    symmetric, ``b`` is None, sums are those of each column of b, int32 ``[N]``, and scale is ``alpha``
    times that of a times that of each column, float32 ``[N]``. Where b is an activation sums are None and scale is
    ``[1]``. A bias of int32 counts in that scale, one of float32 in real numbers. The result is int8, or float32 where
    ``output`` is None. Where ``steps``, scale and bounds of the activation count steps of the result.
    Where ``parts`` > 1, b is ``[parts, K, N]`` (``[parts, N, K]``): numbers of more than 8 bits, sums over the parts.
    """

    a: Quant = UNIT
    b: Quant | None = None
    residual: Quant | None = None
    output: Quant | None = None
    steps: bool = False
    parts: int = 1


@dataclass(frozen=True, slots=True)
class HalfMatMulAttrs(MatMulAttrs):
    """The same with a constant matrix b in float16 or bfloat16, computed in float32; a is not transposed.

    a, the residual and the result are each stored in the type of b or in float32, the bias in float32.
    """

    output: DType = DType.F32


def infer(attrs: MatMulAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[..., M, K], [..., K, N] -> [..., M, N]; Unsupported when the extents do not go together."""
    a, b = inputs[0], inputs[1]
    half = isinstance(attrs, HalfMatMulAttrs)
    if a.rank < 2 or b.rank < 2 or (a.dtype is not b.dtype and not half):
        raise Unsupported(f"a product of {a} and {b}", "matrices of one element type")
    m, k = a.shape[:-3:-1] if attrs.trans_a else a.shape[-2:]
    k_too, n = b.shape[:-3:-1] if attrs.trans_b else b.shape[-2:]
    if k != k_too:
        raise Unsupported(f"a product of {a} and {b}", "matrices with the same inner extent")
    in_parts = isinstance(attrs, QMatMulAttrs) and attrs.parts > 1
    result = TensorType(a.dtype, (*broadcast_shape(a.shape[:-2], () if in_parts else b.shape[:-2]), m, n))
    residual = inputs[3] if len(inputs) > 3 else None
    if half:
        return (half_result(attrs, inputs, result.shape),)
    if isinstance(attrs, QMatMulAttrs):
        _check_quantised(attrs, inputs, result.shape)
        dtype = DType.F32 if attrs.output is None else DType.I8
        return (TensorType(dtype, result.shape, attrs.output),)
    if residual is not None and residual != result:
        raise Unsupported(f"a residual {residual} for {result}", "a residual of the result's type")
    return (result,)


def work(node: NodeView) -> Work:
    """A multiply-add for each result and each index that is summed over."""
    a, b = node.inputs[0].type, node.inputs[1].type
    inner = a.shape[-2 if node.attrs.trans_a else -1]
    parts = node.attrs.parts if isinstance(node.attrs, QMatMulAttrs) else 1
    return Work(2 * node.outputs[0].type.count * inner * parts, b.dtype)


def _check_quantised(attrs: QMatMulAttrs, inputs: Sequence[TensorType | None], shape: tuple[int, ...]) -> None:
    a, b, bias, residual, sums, scale = inputs
    row, constant = (shape[-1],), attrs.b is None
    sound = (
        a.dtype is b.dtype is DType.I8
        and (attrs.parts == 1 or (constant and b.shape[:-2] == (attrs.parts,)))
        and (bias is None or bias.shape == row)
        and (bias is None or bias.dtype in ((DType.F32, DType.I32) if constant else (DType.F32,)))
        and (sums is not None) == constant
        and (sums is None or (sums.dtype, sums.shape) == (DType.I32, row))
        and (scale.dtype, scale.shape) == (DType.F32, row if constant else (1,))
        and (residual is None) == (attrs.residual is None)
        and (residual is None or (residual.dtype, residual.shape) == (DType.I8, shape))
    )
    if not sound:
        raise Unsupported(f"an int8 product of {', '.join(map(str, inputs))}", "the operands QMatMulAttrs names")
