"""Scaled dot-product attention in one step: softmax(scale * q k^T + mask) v for each head."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ingot.kernels.common.half import HALF, HalfAttrs, is_half, real_attrs, with_half
from ingot.kernels.spec import DType, Half, NodeView, OpSpec, Sample, Tactic, TensorType, Unsupported, Work

from . import cuda
from .attrs import AttentionAttrs, dims


def infer(attrs: AttentionAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """q [B, H, Lq, D], k [B, G, Lk, D], v [B, G, Lk, E], mask [B or 1, H or 1, Lq or 1, Lk] or None -> [B, H, Lq, E].

    G divides H; consecutive heads of q share one of k and v. Each of q, k and v lies as the attributes say.
    """
    q, k, v, mask = [*inputs, None][:4]
    ranks = [(4, 3) if first else (4,) for first in attrs.rows_first]
    known = all(t.rank in able for t, able in zip((q, k, v), ranks))
    if not known or q.dtype is not k.dtype or q.dtype is not v.dtype:
        raise Unsupported(f"attention of {q}, {k} and {v}", "three tensors [B, H, L, D] of one type")
    if q.dtype not in (DType.F32, DType.F16, DType.BF16):
        raise Unsupported(f"attention of {q.dtype.name}", "float32")
    of_q, of_k, of_v = dims(attrs, (q.shape, k.shape, v.shape))
    (batch, heads, rows, width), (k_batch, groups, keys, k_width), (v_batch, v_groups, v_keys, out_width) = (
        of_q,
        of_k,
        of_v,
    )
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
    def case(b, h, g, lq, lk, d, e, mask=None, rows_first=(False,) * 4, joined="", **attrs) -> Sample:
        def operand(name: str, heads: int, rows: int, width: int, first: bool) -> TensorType:
            if name in joined:
                return TensorType(DType.F32, (b, rows, heads * width))
            return TensorType(DType.F32, (b, rows, heads, width) if first else (b, heads, rows, width))

        sizes = (("q", h, lq, d), ("k", g, lk, d), ("v", g, lk, e))
        q, k, v = (operand(*x, first) for x, first in zip(sizes, rows_first))
        if "q" in joined:
            attrs["heads"] = h
        m = None if mask is None else TensorType(DType.F32, (*mask, lk))
        name = f"{b}x{h}/{g}-{lq}x{lk}x{d}-{''.join(str(int(r)) for r in rows_first)}-{joined}{sorted(attrs)}"
        return Sample(AttentionAttrs(attrs.pop("scale", 0.3), tuple(rows_first), **attrs), (q, k, v, m), name=name)

    yield case(1, 2, 2, 70, 70, 16, 16)
    yield case(2, 4, 2, 9, 33, 8, 20, mask=(2, 1, 9))
    yield case(1, 4, 1, 1, 100, 32, 32, mask=(1, 1, 1))
    yield case(1, 3, 3, 17, 17, 5, 7, causal=True)
    yield case(1, 2, 2, 3, 20, 8, 8, causal=True, diagonal=17, rows_first=(True, True, True, True))
    yield case(1, 1, 1, 130, 65, 4, 32, softcap=2.0, rows_first=(True, False, True, False))
    yield case(1, 2, 1, 5, 40, 130, 140, mask=(1, 2, 5))
    yield case(2, 4, 2, 21, 35, 8, 12, mask=(1, 1, 21), rows_first=(True,) * 4, joined="qkv")
    yield case(1, 2, 2, 1, 30, 16, 16, rows_first=(False, True, True, False), joined="v")
    yield from _half_samples(
        case(1, 2, 2, 70, 70, 16, 16),
        case(2, 4, 2, 9, 133, 24, 40, mask=(2, 1, 9), rows_first=(True, True, True, True)),
        case(1, 1, 1, 100, 100, 64, 64, causal=True),
        case(1, 2, 1, 20, 290, 32, 32, rows_first=(True,) * 4, joined="qkv"),
        case(1, 2, 1, 17, 20, 5, 7, softcap=2.0),
        case(1, 1, 1, 70, 70, 80, 96),
        case(1, 1, 1, 3, 70, 140, 32),
        case(1, 1, 1, 66, 290, 64, 64, causal=True, diagonal=225, rows_first=(True, False, True, True), joined="v"),
        case(1, 1, 1, 66, 130, 128, 128),
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


#: fewer queries are not worth packing keys and values for
_PACKED = 4


def _packs(node: NodeView) -> bool:
    """One in half, of q, k and v of one half type and float32, that the kernel of the CPU is made for."""
    stored = {value.type.dtype for value in node.inputs[:3]} | {node.outputs[0].type.dtype}
    (_, _, rows, _), *_ = dims(real_attrs(node), [value.type.shape for value in node.inputs[:3]])
    return is_half(node) and len(stored & set(HALF)) == 1 and rows >= _PACKED


def _is_f32(node: NodeView) -> bool:
    return node.inputs[0].type.dtype is DType.F32 and not is_half(node)


def _work(node: NodeView) -> Work:
    (batch, heads, rows, width), (_, _, keys, _), (*_, out_width) = dims(
        real_attrs(node), [value.type.shape for value in node.inputs[:3]]
    )
    return Work(2 * batch * heads * rows * keys * (width + out_width), node.inputs[0].type.dtype)


SPEC = OpSpec(
    name="attention",
    attrs=AttentionAttrs,
    infer=with_half(infer),
    tactics=(
        Tactic("attention_f32", "ingot_attention_params", _params, when=_is_f32, pitched_inputs=(0, 1, 2)),
        Tactic("attention_half", "ingot_attention_params", _params, when=_packs, pitched_inputs=(0, 1, 2)),
        *cuda.tactics(_params, lambda node: is_half(node) or _is_f32(node)),
    ),
    samples=samples,
    half=Half(attrs=lambda node, inputs, output: HalfAttrs(node.attrs, output)),
    work=_work,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)
