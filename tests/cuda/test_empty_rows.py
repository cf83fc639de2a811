"""Operators that fold, resample and normalise, on tensors without elements and along empty axes: as on the CPU."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from ingot.kernels.arg_reduce.op import ArgReduceAttrs
from ingot.kernels.cumsum.op import CumsumAttrs
from ingot.kernels.lrn.op import LrnAttrs
from ingot.kernels.normalize.op import NormalizeAttrs, NormalizeKind
from ingot.kernels.pool.op import PoolAttrs, PoolKind
from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind
from ingot.kernels.resize.op import ResizeAttrs
from ingot.kernels.softmax.op import SoftmaxAttrs
from ingot.kernels.spec import DType, Sample, TensorType
from ingot.kernels.topk.op import TopkAttrs

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("cuda", "kernels"))
import samples
from test_samples import test_sample as check_sample

LAYER = NormalizeAttrs(NormalizeKind.LAYER, 1e-5, 1)
GROUP = NormalizeAttrs(NormalizeKind.GROUP, 1e-5, groups=2)
KINDS = (ReduceKind.SUM, ReduceKind.MAX, ReduceKind.MEAN, ReduceKind.LOG_SUM_EXP)


def resize(mode: str, shape: tuple[int, ...], scales: tuple[float, float] = (2.0, 2.0)) -> ResizeAttrs:
    return ResizeAttrs(shape, (1.0, *scales, 1.0), mode)


def pool(kind: PoolKind) -> PoolAttrs:
    return PoolAttrs(kind, (2, 2), (1, 1), (0,) * 4, (1, 1))


CASES: list[tuple[str, Any, tuple[tuple[int, ...], ...]]] = [
    *(("softmax", SoftmaxAttrs(1), (shape,)) for shape in ((3, 0), (0, 5), (2, 0, 4), (2, 3, 0))),
    *(("normalize", LAYER, (shape, shape[1:])) for shape in ((3, 0), (0, 4))),
    *(("normalize", GROUP, (shape, shape[2:])) for shape in ((1, 0, 4), (0, 3, 4), (1, 3, 0))),
    *(("reduce", ReduceAttrs(kind, (1,)), (shape,)) for kind in KINDS for shape in ((3, 0), (0, 3), (3, 0, 4))),
    *(("pool", pool(kind), (shape,)) for kind in PoolKind for shape in ((1, 4, 4, 0), (0, 4, 4, 3))),
    *(("resize", resize(mode, (1, 8, 8, 0)), ((1, 4, 4, 0),)) for mode in ("nearest", "linear")),
    *(("resize", resize(mode, (0, 8, 8, 3)), ((0, 4, 4, 3),)) for mode in ("nearest", "linear")),
    *(("resize", resize(mode, (1, 0, 8, 3), (0.01, 2.0)), ((1, 4, 4, 3),)) for mode in ("nearest", "linear")),
    *(("resize", resize(mode, (1, 8, 0, 3), (2.0, 0.01)), ((1, 4, 4, 3),)) for mode in ("nearest", "linear")),
    *(("topk", TopkAttrs(1, k), (shape,)) for k, shape in ((0, (3, 4)), (2, (0, 4)), (0, (3, 0)))),
    *(("cumsum", CumsumAttrs(1), (shape,)) for shape in ((3, 0), (0, 3), (3, 0, 2))),
    *(("lrn", LrnAttrs(3), (shape,)) for shape in ((2, 0), (0, 2))),
    *(("arg_reduce", ArgReduceAttrs(1), (shape,)) for shape in ((0, 3), (2, 3, 0))),
]


@pytest.mark.parametrize(("name", "attrs", "shapes"), CASES)
def test_empty(name: str, attrs: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    inputs = [TensorType(DType.F32, shape) for shape in shapes]
    operands = (*inputs, None) if name == "normalize" else tuple(inputs)
    check_sample(samples.SPECS[name], Sample(attrs, operands, (1,) if name == "normalize" else ()))
