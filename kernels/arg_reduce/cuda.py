"""ArgMax and ArgMin on CUDA: a team of threads a row, or a thread a column."""

from __future__ import annotations

from collections.abc import Callable

from ingot.kernels.common.cuda import CPP, blocks_for
from ingot.kernels.common.cuda_rows import MANY_ROWS, SHORT, Team, lines
from ingot.kernels.spec import DType, Launch, NodeView, Params, Tactic
from ingot.targets import Target

COLUMNS = 128
#: elements for each thread, at least, before more threads share a row
EACH = 8
#: of the peak of memory
EFFICIENCY = 0.5


def _launch(node: NodeView, target: Target) -> Launch:
    x = node.inputs[0].type
    outer, n, inner = lines(x.shape, node.attrs.axis)
    if inner > 1 or (n <= SHORT and outer >= MANY_ROWS):
        kernel, grid, block = f"arg_reduce_columns<{CPP[x.dtype]}>", blocks_for(outer * inner, COLUMNS), COLUMNS
    else:
        team = Team(512 if n > 256 * EACH else 256 if n > 32 * EACH else 32, EACH)
        kernel, grid, block = f"arg_reduce_rows<{CPP[x.dtype]}, {team.threads}>", team.grid(outer), team.block
    return Launch("arg_reduce/arg_reduce.cu", kernel, grid, block, exact=True)


def tactic(kernel: str, params: Callable[[NodeView], Params], *dtypes: DType) -> Tactic:
    """Given what makes the fields of the C struct ``ingot_arg_reduce_params``, and the types it is for."""
    return Tactic(
        kernel,
        "ingot_arg_reduce_params",
        params,
        when=lambda node: node.inputs[0].type.dtype in dtypes,
        numerics="exact",
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch,
    )
