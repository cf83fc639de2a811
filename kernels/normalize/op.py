"""Layer, RMS, instance and group normalisation; importers of their relatives stand in ``lowered.py``."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ingot.kernels.common.half import HalfAttrs, is_half, stored_on_cuda, with_half
from ingot.kernels.common.int8 import is_int8, permute_int8, with_int8
from ingot.kernels.normalize import (
    batch_normalization,  # noqa: F401  (it registers importers)
    cuda,
    int8,
    lowered,  # noqa: F401  (it registers importers)
)
from ingot.kernels.pool.op import channels_first, channels_last
from ingot.kernels.spec import (
    Builder,
    DType,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
    Unsupported,
    normal_axis,
    onnx_op,
)


class NormalizeKind(enum.IntEnum):
    """Values of the C enum ``ingot_normalize_kind``."""

    LAYER = 0
    RMS = 1
    GROUP = 2


@dataclass(frozen=True, slots=True)
class NormalizeAttrs:
    """LAYER and RMS: over the axes from ``axis`` on. GROUP: over the spatial axes and C / ``groups`` channels.

    ``outputs``: 1, or up to 3 with the mean and the inverse standard deviation of LAYER.
    """

    kind: NormalizeKind
    epsilon: float
    axis: int = 0
    groups: int = 1
    outputs: int = 1


def infer(attrs: NormalizeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    """x, scale or None, bias or None -> like x; then mean and inverse deviation, with extent 1 from the axis on."""
    x = inputs[0]
    if not x.dtype.is_float:
        raise Unsupported(f"normalisation of {x.dtype.name}", "a cast to float32 before it")
    if attrs.kind is NormalizeKind.GROUP:
        if x.rank < 2 or attrs.groups < 1 or x.shape[-1] % attrs.groups:
            raise Unsupported(f"{attrs.groups} groups of {x.shape[-1:]} channels", "groups that divide the channels")
        wanted = x.shape[-1:]
    else:
        wanted = x.shape[attrs.axis :]
    for factor in inputs[1:]:
        if factor is not None and (factor.shape != wanted or factor.dtype is not x.dtype):
            raise Unsupported(f"normalisation of {x} with a scale or bias {factor}", f"shape {wanted}")
    moment = TensorType(x.dtype, x.shape[: attrs.axis] + (1,) * (x.rank - attrs.axis))
    return (x, moment, moment)[: attrs.outputs]


def permute(attrs: NormalizeAttrs, perm: tuple[int, ...], node: NodeView) -> NormalizeAttrs | None:
    """Axes may change places as long as those that are normalised together stay where they are."""
    rank = len(perm)
    if attrs.kind is NormalizeKind.GROUP:
        fixed = (0, rank - 1)
    else:
        fixed = range(attrs.axis, rank)
    return attrs if all(perm[a] == a for a in fixed) else None


def _tactic(dtype: DType) -> Tactic:
    return Tactic(
        f"normalize_{dtype.name.lower()}",
        "ingot_normalize_params",
        cuda.params,
        when=lambda node: node.inputs[0].type.dtype is dtype and not is_int8(node) and not is_half(node),
        inplace=(0,),
    )


def samples() -> Iterable[Sample]:
    real = tuple(_real_samples())
    yield from real
    yield from _half_samples()
    yield from int8.samples(s for s in real if s.inputs[0].dtype is DType.F32 and s.attrs.outputs == 1)


def _half_samples() -> Iterable[Sample]:
    for dtype, output in ((DType.F16, DType.F16), (DType.F32, DType.BF16), (DType.BF16, DType.F32)):
        for shape in ((3, 40), (2, 1500), (1, 20000), (2, 45)):
            factor = TensorType(DType.F32, shape[1:])
            attrs = HalfAttrs(NormalizeAttrs(NormalizeKind.LAYER, 1e-5, 1), output)
            yield Sample(attrs, (TensorType(dtype, shape), factor, factor), (1, 2), f"half-layer-{shape}")
        for shape, groups in (((2, 5, 6, 8), 8), ((1, 9, 60), 3), ((1, 9, 48), 3), ((2, 4, 30), 5)):
            factor = TensorType(DType.F32, shape[-1:])
            attrs = HalfAttrs(NormalizeAttrs(NormalizeKind.GROUP, 1e-5, groups=groups), output)
            yield Sample(attrs, (TensorType(dtype, shape), factor, None), (1,), f"half-group-{shape}-{groups}")


def _real_samples() -> Iterable[Sample]:
    for dtype in (DType.F32, DType.F64):
        for shape, axis in (((3, 40), 1), ((2, 5, 257), 2), ((2, 3, 4, 5), 2), ((7,), 0)):
            x, factor = TensorType(dtype, shape), TensorType(dtype, shape[axis:])
            yield Sample(NormalizeAttrs(NormalizeKind.LAYER, 1e-5, axis), (x, factor, factor), (1, 2), f"layer-{shape}")
            yield Sample(
                NormalizeAttrs(NormalizeKind.LAYER, 1e-5, axis, outputs=3), (x, factor, None), (1,), f"moments-{shape}"
            )
            yield Sample(NormalizeAttrs(NormalizeKind.RMS, 1e-6, axis), (x, factor, None), (1,), f"rms-{shape}")
        for shape, groups in (
            ((2, 5, 6, 8), 8),
            ((1, 9, 30), 3),
            ((1, 4, 4, 4, 128), 1),
            ((2, 40, 70), 70),
            ((1, 600, 96), 3),
        ):
            x, factor = TensorType(dtype, shape), TensorType(dtype, shape[-1:])
            attrs = NormalizeAttrs(NormalizeKind.GROUP, 1e-5, groups=groups)
            yield Sample(attrs, (x, factor, factor), (1, 2), f"group-{shape}-{groups}")


SPEC = OpSpec(
    name="normalize",
    attrs=NormalizeAttrs,
    infer=with_half(with_int8(infer)),
    tactics=(
        Tactic(
            "normalize_s8",
            "ingot_normalize_s8_params",
            lambda node: int8.params(node, cuda.params(node)),
            when=is_int8,
            inplace=(0,),
            numerics="exact",
        ),
        _tactic(DType.F32),
        _tactic(DType.F64),
        *cuda.TACTICS,
    ),
    samples=samples,
    permute=permute_int8(permute),
    quantize=int8.quantize,
    half=stored_on_cuda(operands=(0,), able=lambda node: node.attrs.outputs == 1),
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


def _wide(b: Builder, index: int, dtype: DType):
    """An input in the type that is computed in; ``None`` when it is absent."""
    value = b.input(index)
    return None if value is None else b.cast(value, dtype)


@onnx_op("LayerNormalization", "RMSNormalization")
def import_layer(b: Builder):
    """Half types are computed in float32 throughout, as ``stash_type`` asks by default."""
    own = b.input(0).type
    dtype = DType.F64 if own.dtype is DType.F64 else DType.F32
    x, scale, bias = (_wide(b, i, dtype) for i in range(3))
    axis = normal_axis(b.attr("axis", -1), own.rank)
    wanted = own.shape[axis:]
    fused = all(f is None or f.type.shape == wanted for f in (scale, bias))
    kind = NormalizeKind.LAYER if b.op_type == "LayerNormalization" else NormalizeKind.RMS
    outputs = max(b.output_count, 1) if kind is NormalizeKind.LAYER else 1
    attrs = NormalizeAttrs(kind, float(b.attr("epsilon", 1e-5)), axis, outputs=outputs)
    results = b.emit("normalize", attrs, [x, scale, bias] if fused else [x, None, None])
    y = results[0]
    if not fused:  # factors that broadcast
        y = b.elementwise("Mul", y, scale)
        y = y if bias is None else b.elementwise("Add", y, bias)
    return [b.cast(y, own.dtype), *results[1:]]


@onnx_op("InstanceNormalization", "GroupNormalization")
def import_group(b: Builder):
    """Channels-first in ONNX; a factor for each channel, for GroupNormalization before opset 21 for each group."""
    own = b.input(0).type
    dtype = DType.F64 if own.dtype is DType.F64 else DType.F32
    x, scale, bias = (_wide(b, i, dtype) for i in range(3))
    if own.rank < 3:
        raise Unsupported(f"{b.op_type} of rank {own.rank}", "an input [N, C, *spatial]")
    channels = own.shape[1]
    groups = channels if b.op_type == "InstanceNormalization" else b.attr("num_groups")
    if groups < 1 or channels % groups:
        raise Unsupported(f"{groups} groups of {channels} channels", "groups that divide the channels")
    if b.op_type == "GroupNormalization" and b.opset < 21:
        ones = b.constant(np.ones((groups, channels // groups), dtype.numpy))
        scale, bias = (
            b.reshape(b.elementwise("Mul", b.reshape(f, (groups, 1)), ones), (channels,)) for f in (scale, bias)
        )
    attrs = NormalizeAttrs(NormalizeKind.GROUP, float(b.attr("epsilon", 1e-5)), groups=groups)
    y = b.emit("normalize", attrs, [b.transpose(x, channels_last(own.rank)), scale, bias])[0]
    return [b.cast(b.transpose(y, channels_first(own.rank)), own.dtype)]
