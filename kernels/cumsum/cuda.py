"""Running sums on CUDA: a warp a row, or a thread a column."""

from __future__ import annotations

from collections.abc import Callable

from ingot.kernels.common.cuda import CPP, blocks_for
from ingot.kernels.common.cuda_rows import lines
from ingot.kernels.spec import DType, Launch, NodeView, Params, Tactic
from ingot.targets import Target

THREADS, WARP = 128, 32
#: of the peak of memory
EFFICIENCY = 0.2
_FLOATS = (DType.F32, DType.F64)
#: sums wrap, which C++ promises of unsigned types
_UNSIGNED = {DType.I32: DType.U32, DType.I64: DType.U64, DType.U32: DType.U32, DType.U64: DType.U64}


def _launch(node: NodeView, target: Target) -> Launch:
    x = node.inputs[0].type
    kind = CPP[_UNSIGNED.get(x.dtype, x.dtype)]
    outer, _, inner = lines(x.shape, node.attrs.axis)
    if inner > 1:
        return Launch("cumsum/cumsum.cu", f"cumsum_columns<{kind}>", blocks_for(outer * inner, THREADS), THREADS)
    return Launch("cumsum/cumsum.cu", f"cumsum_rows<{kind}>", blocks_for(outer * WARP, THREADS), THREADS)


def tactics(params: Callable[[NodeView], Params]) -> tuple[Tactic, ...]:
    """Given what makes the fields of the C struct ``ingot_cumsum_params``."""

    def tactic(kernel: str, dtypes: tuple[DType, ...], numerics: str) -> Tactic:
        return Tactic(
            kernel,
            "ingot_cumsum_params",
            params,
            when=lambda node: node.inputs[0].type.dtype in dtypes,
            numerics=numerics,
            efficiency=lambda node, target: EFFICIENCY,
            launch=_launch,
        )

    return tactic("cumsum_cuda", _FLOATS, "fp32"), tactic("cumsum_integers_cuda", tuple(_UNSIGNED), "exact")
