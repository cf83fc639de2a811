"""The CUDA kernel of lookup."""

from __future__ import annotations

from ingot.kernels.common.cuda import blocks_for, ceil_div
from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.targets import Target

_THREADS = 256
_AT_ONCE = 16  # bytes of a thread


def _launch(node: NodeView, target: Target) -> Launch:
    threads = ceil_div(node.outputs[0].type.count, _AT_ONCE)
    return Launch("lookup/lookup.cu", "lookup", blocks_for(threads, _THREADS), _THREADS, exact=True)


def _efficiency(node: NodeView, target: Target) -> float:
    return 0.8


TACTICS = (
    Tactic(
        "lookup_cuda",
        "ingot_lookup_params",
        inplace=(0,),
        numerics="exact",
        launch=_launch,
        efficiency=_efficiency,
    ),
)
