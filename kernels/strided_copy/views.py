"""Parameters of the ``strided_copy`` kernel for the operators that it does: transpose, slice, expand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ingot.kernels.spec import NodeView, Params, Tactic

from . import cuda, fixed_cuda

BROADCAST = 255
"""``INGOT_STRIDED_BROADCAST``: an output axis that walks no input axis."""


def strided_copy(params: Callable[[NodeView], Params]) -> Tactic:
    """The tactic: rows may have gaps on both sides, and nothing is rounded."""
    return Tactic(
        kernel="strided_copy",
        params_type="ingot_strided_copy_params",
        params=params,
        pitched_inputs=(0,),
        pitched_outputs=(0,),
        numerics="exact",
    )


def strided_copies(params: Callable[[NodeView], Params]) -> tuple[Tactic, ...]:
    """The tactics of an operator that is such a view, for all backends."""
    tactic = strided_copy(params)
    return (tactic, fixed_cuda.on_cuda(tactic), cuda.on_cuda(tactic))


def view(axis: Sequence[int], start: Sequence[int] = (), step: Sequence[int] | None = None) -> Params:
    """``out[i] = in[j]`` with ``j[axis[o]] = start[axis[o]] + step[o] * i[o]``; steps of one when not given."""
    return {"start": list(start), "step": list(step or [1] * len(axis)), "axis": list(axis)}
