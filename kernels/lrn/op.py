"""Local response normalisation across the channels of ``[N, *spatial, C]``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.lrn import cuda
from ingot.kernels.pool.op import channels_first, channels_last
from ingot.kernels.spec import Builder, DType, NodeView, OpSpec, Sample, Tactic, TensorType, Unsupported, onnx_op


@dataclass(frozen=True, slots=True)
class LrnAttrs:
    """x / (bias + alpha / size * sum of squares over ``size`` channels around x) ^ beta."""

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    bias: float = 1.0


def infer(attrs: LrnAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[..., C] -> the same."""
    x = inputs[0]
    if attrs.size < 1 or x.rank < 1 or not x.dtype.is_float:
        raise Unsupported(f"LRN of {x} over {attrs.size} channels", "a float tensor and a size of at least 1")
    return (x,)


def permute(attrs: LrnAttrs, perm: tuple[int, ...], node: NodeView) -> LrnAttrs | None:
    return attrs if perm[-1] == len(perm) - 1 else None


def _params(node: NodeView) -> dict[str, Any]:
    attrs: LrnAttrs = node.attrs
    return {"size": attrs.size, "alpha": attrs.alpha, "beta": attrs.beta, "bias": attrs.bias}


def _tactic(dtype: DType) -> Tactic:
    return Tactic(
        f"lrn_{dtype.name.lower()}",
        "ingot_lrn_params",
        _params,
        when=lambda node: node.inputs[0].type.dtype is dtype,
    )


def samples() -> Iterable[Sample]:
    for dtype in (DType.F32, DType.F64):
        for size in (1, 3, 4, 100):
            for beta in (0.75, 0.5):
                yield Sample(
                    LrnAttrs(size, 2e-4, beta, 2.0), (TensorType(dtype, (2, 5, 4, 37)),), name=f"{size}-{beta}"
                )


SPEC = OpSpec(
    name="lrn",
    attrs=LrnAttrs,
    infer=infer,
    tactics=(
        _tactic(DType.F32),
        _tactic(DType.F64),
        cuda.tactic(DType.F32, _params),
        cuda.tactic(DType.F64, _params),
    ),
    samples=samples,
    permute=permute,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


@onnx_op("LRN")
def import_lrn(b: Builder):
    """Channels are axis 1 in ONNX."""
    x = b.input(0)
    rank = x.type.rank
    if rank < 2:
        raise Unsupported(f"LRN of rank {rank}", "an input [N, C, ...]")
    attrs = LrnAttrs(b.attr("size"), b.attr("alpha", 1e-4), b.attr("beta", 0.75), b.attr("bias", 1.0))
    y = b.emit("lrn", attrs, [b.transpose(x, channels_last(rank))])[0]
    return [b.transpose(y, channels_first(rank))]
