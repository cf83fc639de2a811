"""ArgMax and ArgMin on CUDA: a team of threads a row, or a thread a column. Of few long rows several blocks have a part
each."""

from __future__ import annotations

from collections.abc import Callable

from ingot.kernels.common.cuda import CPP, blocks_for
from ingot.kernels.common.cuda_rows import MANY_ROWS, SHORT, Team, lines
from ingot.kernels.spec import DType, Launch, NodeView, Params, Tactic
from ingot.targets import Target

COLUMNS = 128
#: elements for each thread, at least, before more threads share a row
EACH = 8
#: elements of a part, blocks of all parts and parts of a row, at most; below LONG a row is not parted
PART, BLOCKS, PARTS = 4096, 128, 64
LONG = 4 * PART
#: of the peak of memory
EFFICIENCY = 0.5


def _is_columns(node: NodeView) -> bool:
    outer, n, inner = lines(node.inputs[0].type.shape, node.attrs.axis)
    return inner > 1 or (n <= SHORT and outer >= MANY_ROWS)


def _parts(node: NodeView) -> int:
    """Blocks that share a row."""
    outer, n, _ = lines(node.inputs[0].type.shape, node.attrs.axis)
    if _is_columns(node) or n < LONG or not outer:
        return 1
    return max(min(n // PART, BLOCKS // outer, PARTS), 1)


def _launch(node: NodeView, target: Target) -> Launch:
    x, parts = node.inputs[0].type, _parts(node)
    outer, n, inner = lines(x.shape, node.attrs.axis)
    if _is_columns(node):
        kernel, grid, block = f"arg_reduce_columns<{CPP[x.dtype]}>", blocks_for(outer * inner, COLUMNS), COLUMNS
    else:
        team = Team(512 if n > 256 * EACH else 256 if n > 32 * EACH else 32, EACH)
        kernel, block = f"arg_reduce_rows<{CPP[x.dtype]}, {team.threads}>", team.block
        grid = (team.grid(outer)[0], parts, 1)
    counters = outer if parts > 1 else 0
    return Launch("arg_reduce/arg_reduce.cu", kernel, grid, block, counters=counters, exact=True)


def _workspace(node: NodeView) -> int:
    """What parts come to: at most 16 bytes each."""
    parts = _parts(node)
    return 16 * parts * node.outputs[0].type.count if parts > 1 else 0


def tactic(kernel: str, params: Callable[[NodeView], Params], *dtypes: DType) -> Tactic:
    """Given what makes the fields of the C struct ``ingot_arg_reduce_params``, and the types it is for."""
    return Tactic(
        kernel,
        "ingot_arg_reduce_params",
        params,
        when=lambda node: node.inputs[0].type.dtype in dtypes,
        workspace=_workspace,
        numerics="exact",
        efficiency=lambda node, target: EFFICIENCY,
        launch=_launch,
    )
