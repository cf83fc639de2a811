"""Grid sampling on CUDA: a block does some points."""

from __future__ import annotations

from collections.abc import Callable

from ingot.kernels.common.cuda import blocks_for
from ingot.kernels.spec import DType, Launch, NodeView, Params, Tactic
from ingot.targets import Target

THREADS, POINTS = 128, 32
#: of the peak of memory
EFFICIENCY = 0.4
_TAPS = {"nearest": 1, "linear": 2, "cubic": 4}


def _launch(node: NodeView, target: Target) -> Launch:
    y = node.outputs[0].type
    kernel = f"grid_sample<{y.rank - 2}, {_TAPS[node.attrs.mode]}>"
    grid = blocks_for(y.count // max(y.shape[-1], 1), POINTS)
    return Launch("grid_sample/grid_sample.cu", kernel, grid, THREADS, exact=True)


def tactics(params: Callable[[NodeView], Params]) -> tuple[Tactic, ...]:
    """Given what makes the fields of the C struct ``ingot_grid_sample_params``."""
    return (
        Tactic(
            "grid_sample_cuda",
            "ingot_grid_sample_params",
            params,
            when=lambda node: node.inputs[0].type.dtype is DType.F32,
            pitched_inputs=(0,),
            pitched_outputs=(0,),
            numerics="exact",
            efficiency=lambda node, target: EFFICIENCY,
            launch=_launch,
        ),
    )
