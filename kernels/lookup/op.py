"""A function of one int8 by a table of its 256 results, which the builder computes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.kernels.lookup.cuda import TACTICS as CUDA
from ingot.kernels.spec import DType, NodeView, OpSpec, Quant, Sample, Tactic, TensorType, Unsupported


@dataclass(frozen=True, slots=True)
class LookupAttrs:
    """How the result stands for real numbers. Inputs: x int8, table int8 ``[256]``, the entry of -128 first."""

    quant: Quant | None = None


def _infer(attrs: LookupAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    x, table = inputs
    if x.dtype is not DType.I8 or (table.dtype, table.shape) != (DType.I8, (256,)):
        raise Unsupported(f"lookup of {x} in {table}", "int8 and a table of 256")
    return (TensorType(DType.I8, x.shape, attrs.quant),)


def _permute(attrs: LookupAttrs, perm: tuple[int, ...], node: NodeView) -> LookupAttrs | None:
    return None  # the table would be transposed too


def _samples() -> Iterable[Sample]:
    table = ((np.arange(256) * 37 + 5) % 256 - 128).astype(np.int8)
    every = np.arange(-128, 128).astype(np.int8)
    yield Sample(LookupAttrs(), (every, table), (1,), "every value")
    yield Sample(LookupAttrs(), (TensorType(DType.I8, (3, 17, 40, 19)), table), (1,), "many")
    yield Sample(LookupAttrs(), (TensorType(DType.I8, (2, 0)), table), (1,), "empty")
    mixed = np.random.default_rng(1)
    for n in (127, 128, 129, 1000):
        x = mixed.integers(-128, 128, n).astype(np.int8)
        yield Sample(LookupAttrs(), (x, mixed.integers(-128, 128, 256).astype(np.int8)), (1,), f"any {n}")


SPEC = OpSpec(
    name="lookup",
    attrs=LookupAttrs,
    infer=_infer,
    tactics=(Tactic("lookup_s8", "ingot_lookup_params", inplace=(0,), numerics="exact"), *CUDA),
    samples=_samples,
    permute=_permute,
)
