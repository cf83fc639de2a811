"""Reductions on CUDA of few rows of many columns, as an average over an image: made for one shape, so that nothing has
to be found out before the first read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.common.half import real_attrs
from ingot.kernels.common.int8 import is_int8
from ingot.kernels.spec import Launch, NodeView, Tactic
from ingot.targets import Target

#: threads of a block, those side by side, columns and rows of each
THREADS, ACROSS, COLUMNS, ROWS = 128, 8, 4, 8
#: of the peak of memory
EFFICIENCY = 0.7


def _extents(node: NodeView) -> tuple[int, int, int] | None:
    """What is kept before, rows and columns of a fold over neighbouring axes before the last one, where a block can
    have all rows in registers; None for others."""
    x, attrs = node.inputs[0].type, node.attrs.real if is_int8(node) else real_attrs(node)
    axes = [axis for axis in attrs.axes if x.shape[axis] != 1]
    if not x.count or x.dtype.size > 4 or not axes or axes != list(range(axes[0], axes[-1] + 1)):
        return None
    first, last = axes[0], axes[-1] + 1
    outer, rows, columns = (math.prod(part) for part in (x.shape[:first], x.shape[first:last], x.shape[last:]))
    fits = columns % COLUMNS == 0 and columns > 1 and rows <= THREADS // ACROSS * ROWS
    return (outer, rows, columns) if fits and attrs.kind.name != "LOG_SUM_EXP" else None


def _frame(node: NodeView, fold: str, target: Target) -> dict[str, Any]:
    outer, rows, columns = _extents(node)
    kernel = f"reduce_few_rows<{fold}, {THREADS}, {ACROSS}, {COLUMNS}, {rows}, {columns}>"
    return {"kernel": kernel, "grid": (outer * ceil_div(columns, ACROSS * COLUMNS), 1, 1), "block": THREADS}


def twin(tactic: Tactic, launch: Callable[..., Launch]) -> Tactic:
    """The tactic for few rows; ``launch`` is that of any rows, given how the kernel is started."""
    return replace(
        tactic,
        when=lambda node: tactic.when(node) and _extents(node) is not None,
        variant="rows at once",
        workspace=lambda node: 0,
        efficiency=lambda node, target: EFFICIENCY,
        launch=lambda node, target: launch(node, target, _frame),
    )
