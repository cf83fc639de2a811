"""Local response normalisation on CUDA: a thread an element."""

from __future__ import annotations

from collections.abc import Callable

from ingot.kernels.common.cuda import CPP, blocks_for
from ingot.kernels.spec import DType, Launch, NodeView, Params, Tactic
from ingot.targets import Target

THREADS = 256
#: of the peak of memory
EFFICIENCY = 0.5


def _launch(node: NodeView, target: Target) -> Launch:
    x = node.inputs[0].type
    return Launch("lrn/lrn.cu", f"lrn<{CPP[x.dtype]}>", blocks_for(x.count, THREADS), THREADS)


def tactic(dtype: DType, params: Callable[[NodeView], Params]) -> Tactic:
    """Given what makes the fields of the C struct ``ingot_lrn_params``."""
    return Tactic(
        f"lrn_{dtype.name.lower()}_cuda",
        "ingot_lrn_params",
        params,
        when=lambda node: node.inputs[0].type.dtype is dtype,
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch,
    )
