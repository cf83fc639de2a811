"""Products of float64 and of integers on CUDA: ``plain.cu``."""

from __future__ import annotations

from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.common.cuda import CPP, blocks_for
from ingot.kernels.spec import SCALAR, DType, Launch, NodeView, Tactic
from ingot.targets import Target

from .attrs import MatMulAttrs
from .cuda import fields

_THREADS = 128
_UNSIGNED = {DType.I32: DType.U32, DType.I64: DType.U64}
PLAIN = (DType.F64, DType.I32, DType.U32, DType.I64, DType.U64)


def is_plain(node: NodeView) -> bool:
    """Whether the plain kernels, of the CPU and of CUDA, can do a product."""
    attrs: MatMulAttrs = node.attrs
    dtype = node.inputs[0].type.dtype
    scaled = attrs.alpha != 1.0 and dtype is not DType.F64
    return dtype in PLAIN and attrs.activation.kind is ActivationKind.NONE and not scaled


def _launch(node: NodeView, target: Target) -> Launch:
    dtype = node.inputs[0].type.dtype
    kernel = f"matmul_plain<{CPP[_UNSIGNED.get(dtype, dtype)]}>"
    return Launch("matmul/plain.cu", kernel, blocks_for(node.outputs[0].type.count, _THREADS), _THREADS)


TACTICS = (
    Tactic(
        kernel="matmul_plain_cuda",
        params_type="ingot_matmul_params",
        params=fields,
        when=is_plain,
        inplace=(3,),
        efficiency=lambda node, target: SCALAR,
        launch=_launch,
    ),
)
