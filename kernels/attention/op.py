"""Scaled dot-product attention in one step: softmax(scale * q k^T + mask) v for each head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.half import HALF, HalfAttrs, is_half, real_attrs, stored_on_cuda, with_half
from ingot.kernels.spec import DType, NodeView, OpSpec, Sample, Tactic, TensorType, Unsupported

from . import cuda


@dataclass(frozen=True, slots=True)
class AttentionAttrs:
    """``rows_first`` says for q, k, v and the result whether they are [B, L, H, D] rather than [B, H, L, D].

    With ``causal``, row i sees columns up to i + ``diagonal`` only. Scores become ``softcap`` * tanh(score /
    ``softcap``) before the mask is added, unless it is 0.
    """

    scale: float = 1.0
    rows_first: tuple[bool, bool, bool, bool] = (False, False, False, False)
    causal: bool = False
    diagonal: int = 0
    softcap: float = 0.0


def _split(shape: tuple[int, ...], rows_first: bool) -> tuple[int, int, int, int]:
    """Batch, heads, rows and width."""
    batch, a, b, width = shape
    return (batch, b, a, width) if rows_first else (batch, a, b, width)


def infer(attrs: AttentionAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """q [B, H, Lq, D], k [B, G, Lk, D], v [B, G, Lk, E], mask [B or 1, H or 1, Lq or 1, Lk] or None -> [B, H, Lq, E].

    G divides H; consecutive heads of q share one of k and v.
    """
    q, k, v, mask = [*inputs, None][:4]
    if any(t.rank != 4 for t in (q, k, v)) or q.dtype is not k.dtype or q.dtype is not v.dtype:
        raise Unsupported(f"attention of {q}, {k} and {v}", "three tensors [B, H, L, D] of one type")
    if q.dtype not in (DType.F32, DType.F16, DType.BF16):
        raise Unsupported(f"attention of {q.dtype.name}", "float32")
    batch, heads, rows, width = _split(q.shape, attrs.rows_first[0])
    k_batch, groups, keys, k_width = _split(k.shape, attrs.rows_first[1])
    v_batch, v_groups, v_keys, out_width = _split(v.shape, attrs.rows_first[2])
    fits = batch == k_batch == v_batch and groups == v_groups and keys == v_keys and width == k_width
    if not fits or groups < 1 or heads % groups or keys < 1:
        raise Unsupported(f"attention of {q}, {k} and {v}", "operands that agree in batch, heads, rows and width")
    if mask is not None:
        full = (batch, heads, rows)
        if mask.rank != 4 or mask.shape[3] != keys or any(m not in (1, n) for m, n in zip(mask.shape, full)):
            raise Unsupported(f"attention with a mask {mask}", f"a mask that broadcasts to {(*full, keys)}")
        if mask.dtype is not q.dtype:
            raise Unsupported(f"attention of {q} with a mask {mask}", "a mask of the same type, added to the scores")
    shape = (batch, rows, heads, out_width) if attrs.rows_first[3] else (batch, heads, rows, out_width)
    return (TensorType(q.dtype, shape),)


def _params(node: NodeView) -> dict[str, Any]:
    attrs: AttentionAttrs = real_attrs(node)
    return {
        "scale": attrs.scale,
        "softcap": attrs.softcap,
        "rows_first": sum(1 << i for i, first in enumerate(attrs.rows_first) if first),
        "causal": int(attrs.causal),
        "diagonal": attrs.diagonal,
    }


def samples() -> Iterable[Sample]:
    def case(b, h, g, lq, lk, d, e, mask=None, rows_first=(False,) * 4, **attrs) -> Sample:
        def operand(heads: int, rows: int, width: int, first: bool) -> TensorType:
            return TensorType(DType.F32, (b, rows, heads, width) if first else (b, heads, rows, width))

        q, k, v = (operand(*x, first) for x, first in zip(((h, lq, d), (g, lk, d), (g, lk, e)), rows_first))
        m = None if mask is None else TensorType(DType.F32, (*mask, lk))
        name = f"{b}x{h}/{g}-{lq}x{lk}x{d}-{''.join(str(int(r)) for r in rows_first)}-{sorted(attrs)}"
        return Sample(AttentionAttrs(attrs.pop("scale", 0.3), tuple(rows_first), **attrs), (q, k, v, m), name=name)

    yield case(1, 2, 2, 70, 70, 16, 16)
    yield case(2, 4, 2, 9, 33, 8, 20, mask=(2, 1, 9))
    yield case(1, 4, 1, 1, 100, 32, 32, mask=(1, 1, 1))
    yield case(1, 3, 3, 17, 17, 5, 7, causal=True)
    yield case(1, 2, 2, 3, 20, 8, 8, causal=True, diagonal=17, rows_first=(True, True, True, True))
    yield case(1, 1, 1, 130, 65, 4, 32, softcap=2.0, rows_first=(True, False, True, False))
    yield case(1, 2, 1, 5, 40, 130, 140, mask=(1, 2, 5))
    yield from _half_samples(
        case(1, 2, 2, 70, 70, 16, 16),
        case(2, 4, 2, 9, 133, 24, 40, mask=(2, 1, 9), rows_first=(True, True, True, True)),
        case(1, 1, 1, 100, 100, 64, 64, causal=True),
        case(1, 2, 1, 17, 20, 5, 7, softcap=2.0),
        case(1, 1, 1, 70, 70, 80, 96),
        case(1, 1, 1, 3, 70, 140, 32),
    )


def _half_samples(*samples: Sample) -> Iterable[Sample]:
    """The same with q, k and v in half, and one with q alone; results in half and in float32."""
    for number, sample in enumerate(samples):
        for dtype in HALF:
            output = dtype if number != 1 else DType.F32
            inputs = [x and TensorType(dtype if i < 3 else DType.F32, x.shape) for i, x in enumerate(sample.inputs)]
            yield Sample(HalfAttrs(sample.attrs, output), tuple(inputs), name=f"{dtype.name.lower()} {sample.name}")
    q, *rest = samples[0].inputs
    mixed = (TensorType(DType.F16, q.shape), *rest)
    yield Sample(HalfAttrs(samples[0].attrs, DType.F16), mixed, name=f"f16 and float32 {samples[0].name}")


def _is_f32(node: NodeView) -> bool:
    return node.inputs[0].type.dtype is DType.F32 and not is_half(node)


SPEC = OpSpec(
    name="attention",
    attrs=AttentionAttrs,
    infer=with_half(infer),
    tactics=(
        Tactic("attention_f32", "ingot_attention_params", _params, when=_is_f32),
        *cuda.tactics(_params, lambda node: is_half(node) or _is_f32(node)),
    ),
    samples=samples,
    half=stored_on_cuda(),
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)
