"""Max, average and Lp pooling over the spatial axes of ``[N, *spatial, C]``."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingot.kernels.common.half import HALF, HalfAttrs, is_half, real_attrs, with_half
from ingot.kernels.common.int8 import with_int8
from ingot.kernels.pool import (
    cuda,
    int8,
    unpool,  # noqa: F401  (it registers an importer)
)
from ingot.kernels.reduce.op import ReduceKind, reduce
from ingot.kernels.spec import Builder, DType, Half, NodeView, OpSpec, Sample, Tactic, TensorType, Unsupported, onnx_op


class PoolKind(enum.IntEnum):
    """Values of the C enum ``ingot_pool_kind``."""

    MAX = 0
    AVERAGE = 1
    AVERAGE_PADDED = 2
    LP = 3


@dataclass(frozen=True, slots=True)
class PoolAttrs:
    """Window geometry, one entry a spatial axis; ``pads`` are all begins, then all ends, as in ONNX.

    With ``indices`` there is a second output: where in the flattened channels-first input each maximum stood
    (int64), rows first or, with ``storage_order`` 1, columns first.
    """

    kind: PoolKind
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool = False
    p: int = 2
    indices: bool = False
    storage_order: int = 0


def _extent(attrs: PoolAttrs, axis: int, size: int) -> int:
    spatial = len(attrs.kernel)
    window = (attrs.kernel[axis] - 1) * attrs.dilations[axis] + 1
    room = size + attrs.pads[axis] + attrs.pads[axis + spatial] - window
    stride = attrs.strides[axis]
    if not attrs.ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    # a window must not begin in the padding behind the input
    return count - 1 if (count - 1) * stride >= size + attrs.pads[axis] else count


def infer(attrs: PoolAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """[N, *spatial, C] -> [N, *windows, C], and the same in int64 for the indices."""
    x = inputs[0]
    spatial = len(attrs.kernel)
    if not 1 <= spatial <= 3 or x.rank != spatial + 2:
        raise Unsupported(f"pooling of rank {x.rank} with {spatial} spatial axes", "1 to 3 spatial axes")
    if min(attrs.kernel + attrs.strides + attrs.dilations) < 1 or min(attrs.pads) < 0:
        raise Unsupported(
            "a pooling window, stride, dilation or pad out of range", "positive windows, pads of 0 or more"
        )
    if attrs.kind is not PoolKind.MAX and not x.dtype.is_float:
        raise Unsupported(f"{attrs.kind.name} pooling of {x.dtype.name}", "a cast to float32 before it")
    windows = tuple(_extent(attrs, axis, size) for axis, size in enumerate(x.shape[1:-1]))
    if min(windows) < 1:
        raise Unsupported(f"a pooling window {attrs.kernel} larger than its input {x.shape[1:-1]}", "a smaller window")
    result = TensorType(x.dtype, (x.shape[0], *windows, x.shape[-1]))
    return (result, TensorType(DType.I64, result.shape)) if attrs.indices else (result,)


def _is_fast(node: NodeView) -> bool:
    attrs: PoolAttrs = node.attrs
    return (
        not is_half(node)
        and node.inputs[0].type.dtype is DType.F32
        and attrs.kind is not PoolKind.LP
        and not attrs.indices
    )


def _is_half_image(node: NodeView) -> bool:
    """Maxima and averages along one or two axes of what is stored in one half type, or becomes so."""
    x, attrs = node.inputs[0].type, real_attrs(node)
    if not is_half(node) or attrs.kind is PoolKind.LP or attrs.indices or x.rank > 4:
        return False
    return len({x.dtype, node.outputs[0].type.dtype} & set(HALF)) == 1


def _is_known(node: NodeView) -> bool:
    known = (DType.F32, DType.F64, DType.I8, DType.U8)
    return type(node.attrs) is PoolAttrs and node.inputs[0].type.dtype in known


def _real_samples() -> Iterable[Sample]:
    def case(
        kind: PoolKind, shape: tuple[int, ...], kernel, stride=1, pad=0, dilation=1, dtype=DType.F32, **more
    ) -> Sample:
        n = len(shape) - 2
        kernel = (kernel,) * n if isinstance(kernel, int) else kernel
        attrs = PoolAttrs(kind, kernel, (stride,) * n, (pad,) * (2 * n), (dilation,) * n, **more)
        label = f"{kind.name}-{shape}-k{kernel}-s{stride}-p{pad}-d{dilation}"
        return Sample(attrs, (TensorType(dtype, shape),), name=label)

    for kind in PoolKind:
        yield case(kind, (1, 9, 11, 3), 3, 2, 1)
        yield case(kind, (2, 8, 8, 64), 2, 2)
        yield case(kind, (1, 7, 9, 20), 3, 1, 1)
        yield case(kind, (1, 13, 12, 33), 5, 1, 2)
        yield case(kind, (1, 16, 5), 3, 2, 1)
        yield case(kind, (1, 5, 6, 7, 18), (2, 3, 2), 2, 1)
        yield case(kind, (1, 10, 10, 8), 3, 1, 0, 2, ceil_mode=True)
        yield case(kind, (1, 9, 9, 4), 2, 2, 0, ceil_mode=True, dtype=DType.F64)
    yield case(PoolKind.MAX, (1, 6, 6, 5), 3, 1, 1, dtype=DType.U8)
    yield case(PoolKind.MAX, (1, 6, 6, 5), 3, 1, 1, dtype=DType.I8)
    yield case(PoolKind.MAX, (2, 6, 6, 5), 2, 2, indices=True, storage_order=1)


def samples() -> Iterable[Sample]:
    real = tuple(_real_samples())
    yield from real
    f32 = tuple(s for s in real if s.inputs[0].dtype is DType.F32)
    for sample in f32[::3]:
        x, output = TensorType(DType.F16, sample.inputs[0].shape), DType.F16 if sample.attrs.p == 2 else DType.BF16
        if not sample.attrs.indices:
            yield Sample(HalfAttrs(sample.attrs, output), (x,), name=f"half-{sample.name}")
    yield from int8.samples(s for s in f32 if s.attrs.kind is not PoolKind.LP and not s.attrs.indices)


SPEC = OpSpec(
    name="pool",
    attrs=PoolAttrs,
    infer=with_half(with_int8(infer)),
    tactics=(
        Tactic(
            "pool_s8",
            "ingot_pool_s8_params",
            lambda node: int8.params(node, cuda.params(node)),
            when=int8.takes,
            pitched_inputs=(0,),
            pitched_outputs=(0,),
            numerics="exact",
        ),
        Tactic("pool_f32", "ingot_pool_params", cuda.params, when=_is_fast, pitched_inputs=(0,), pitched_outputs=(0,)),
        Tactic(
            "pool_half",
            "ingot_pool_params",
            cuda.params,
            when=_is_half_image,
            pitched_inputs=(0,),
            pitched_outputs=(0,),
        ),
        Tactic("pool", "ingot_pool_params", cuda.params, when=_is_known, pitched_inputs=(0,), pitched_outputs=(0, 1)),
        *cuda.TACTICS,
    ),
    samples=samples,
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
    quantize=int8.quantize,
    half=Half(
        able=lambda node: not node.attrs.indices,
        attrs=lambda node, inputs, output: HalfAttrs(node.attrs, output),
    ),
)


def channels_last(rank: int) -> tuple[int, ...]:
    """The permutation from ``[N, C, *spatial]`` to ``[N, *spatial, C]``."""
    return (0, *range(2, rank), 1)


def channels_first(rank: int) -> tuple[int, ...]:
    """The permutation from ``[N, *spatial, C]`` to ``[N, C, *spatial]``."""
    return (0, rank - 1, *range(1, rank - 1))


def window_pads(b: Builder, size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations):
    """``pads`` as the node gives them, or as its ``auto_pad`` asks."""
    auto = b.attr("auto_pad", "NOTSET")
    if auto == "VALID":
        return (0,) * (2 * len(size))
    if auto == "NOTSET":
        return tuple(b.attr("pads", None) or (0,) * (2 * len(size)))
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"auto_pad {auto!r}", "NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    small, large = [], []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        small.append(total // 2)
        large.append(total - total // 2)
    return tuple(small + large if auto == "SAME_UPPER" else large + small)


@onnx_op("MaxPool", "AveragePool", "LpPool")
def import_pool(b: Builder):
    """The windowed poolings."""
    x = b.input(0)
    rank = x.type.rank
    kernel = tuple(b.attr("kernel_shape"))
    n = len(kernel)
    strides, dilations = tuple(b.attr("strides", None) or (1,) * n), tuple(b.attr("dilations", None) or (1,) * n)
    if rank != n + 2 or len(strides) != n or len(dilations) != n:
        raise Unsupported(f"{b.op_type} of rank {rank} with kernel_shape {list(kernel)}", f"an input of rank {n + 2}")
    pads = window_pads(b, x.type.shape[2:], kernel, strides, dilations)
    if len(pads) != 2 * n:
        raise Unsupported(f"{len(pads)} pads for {n} spatial axes", f"{2 * n} pads")
    kind = {"MaxPool": PoolKind.MAX, "LpPool": PoolKind.LP}.get(b.op_type, PoolKind.AVERAGE)
    if kind is PoolKind.AVERAGE and b.attr("count_include_pad", 0):
        kind = PoolKind.AVERAGE_PADDED
    attrs = PoolAttrs(
        kind,
        kernel,
        strides,
        pads,
        dilations,
        ceil_mode=bool(b.attr("ceil_mode", 0)),
        p=int(b.attr("p", 2)) if kind is PoolKind.LP else 2,
        indices=b.op_type == "MaxPool" and b.output_count > 1,
        storage_order=b.attr("storage_order", 0),
    )
    results = b.emit("pool", attrs, [b.transpose(x, channels_last(rank))])
    return [b.transpose(result, channels_first(rank)) for result in results]


@onnx_op("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def import_global_pool(b: Builder):
    """Poolings over all spatial axes: reductions, channels-last."""
    x = b.input(0)
    rank, shape = x.type.rank, x.type.shape
    if rank < 3:
        raise Unsupported(f"{b.op_type} of rank {rank}", "an input [N, C, *spatial]")
    last = b.transpose(x, channels_last(rank))
    p = b.attr("p", 2) if b.op_type == "GlobalLpPool" else 0
    kinds = {"GlobalAveragePool": ReduceKind.MEAN, "GlobalMaxPool": ReduceKind.MAX}
    kind = kinds.get(b.op_type) or {1: ReduceKind.L1, 2: ReduceKind.L2}.get(p)
    if kind is not None:
        result = reduce(b, kind, last, range(1, rank - 1))
    else:
        n = rank - 2
        attrs = PoolAttrs(PoolKind.LP, tuple(shape[2:]), (1,) * n, (0,) * 2 * n, (1,) * n, p=int(p))
        result = b.emit("pool", attrs, [last])[0]
    return [b.transpose(result, channels_first(rank))]
