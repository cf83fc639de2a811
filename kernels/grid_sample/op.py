"""GridSample: an image at given points. Inside, images are channels-last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.grid_sample import cuda
from ingot.kernels.spec import (
    Builder,
    DType,
    NodeView,
    OpSpec,
    Params,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    onnx_op,
)

MODES = ("nearest", "linear", "cubic")
"""In the order of ``ingot_grid_mode``; likewise the next one."""
PADDINGS = ("zeros", "border", "reflection")
_OLD_MODES = {"bilinear": "linear", "bicubic": "cubic"}


@dataclass(frozen=True, slots=True)
class GridSampleAttrs:
    """Inputs: the image [N, *S, C] and the grid [N, *P, len(S)]. ``align_corners``: -1 and 1 are centres, not edges."""

    mode: str = "linear"
    padding: str = "zeros"
    align_corners: bool = False


def _infer(attrs: GridSampleAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    x, grid = inputs
    for word, known in ((attrs.mode, MODES), (attrs.padding, PADDINGS)):
        if word not in known:
            raise Unsupported(f"grid_sample with {word!r}", " or ".join(known))
    fits = 3 <= x.rank <= 5 and grid.rank == x.rank and grid.shape[-1] == x.rank - 2 and grid.shape[0] == x.shape[0]
    if not fits or x.dtype is not grid.dtype:
        raise Unsupported(f"grid_sample of {x} at {grid}", "images of 1 to 3 axes and as many coordinates")
    if 0 in x.shape[1:-1] and 0 not in grid.shape:
        raise Unsupported(f"grid_sample of the empty {x}", "an image with elements")
    return (TensorType(x.dtype, (*grid.shape[:-1], x.shape[-1])),)


def _samples() -> Iterable[Sample]:
    grid = np.random.default_rng(1).uniform(-1.6, 1.6, (2, 5, 4, 2)).astype(np.float32)
    for mode in MODES:
        for padding in PADDINGS:
            attrs = GridSampleAttrs(mode, padding, align_corners=mode == "linear")
            yield Sample(attrs, (TensorType(DType.F32, (2, 6, 7, 9)), grid), name=f"{mode}_{padding}")
    grid = np.random.default_rng(2).uniform(-1.2, 1.2, (1, 2, 3, 4, 3)).astype(np.float32)
    yield Sample(GridSampleAttrs(), (TensorType(DType.F32, (1, 3, 4, 5, 2)), grid), name="volume")


def _params(node: NodeView) -> Params:
    return {
        "mode": MODES.index(node.attrs.mode),
        "padding": PADDINGS.index(node.attrs.padding),
        "align_corners": int(node.attrs.align_corners),
    }


SPEC = OpSpec(
    name="grid_sample",
    attrs=GridSampleAttrs,
    infer=_infer,
    tactics=(
        Tactic(
            kernel="grid_sample",
            params_type="ingot_grid_sample_params",
            params=_params,
            when=lambda node: node.inputs[0].type.dtype is DType.F32,
            pitched_inputs=(0,),
            pitched_outputs=(0,),
            numerics="exact",
        ),
        *cuda.tactics(_params),
    ),
    samples=_samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


@onnx_op("GridSample")
def _grid_sample(b: Builder) -> Any:
    x, grid = b.input(0), b.input(1)
    rank, dtype = x.type.rank, x.type.dtype
    if rank < 3 or dtype is DType.F64 or not dtype.is_float:
        raise Unsupported(f"GridSample of {x.type}", "a float32 or float16 image [N, C, ...]")
    mode = b.attr("mode", "linear")
    attrs = GridSampleAttrs(
        _OLD_MODES.get(mode, mode), b.attr("padding_mode", "zeros"), bool(b.attr("align_corners", 0))
    )
    x = b.transpose(x, (0, *range(2, rank), 1))
    y = b.emit("grid_sample", attrs, [x, b.cast(grid, dtype)])[0]
    return b.transpose(y, (0, rank - 1, *range(1, rank - 1)))
