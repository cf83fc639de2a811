"""Resize (Upsample is its old name): interpolation onto another grid of the same axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ingot.kernels.common.half import HalfAttrs, is_half, stored_on_cuda, with_half
from ingot.kernels.common.int8 import Int8Attrs, is_int8, permute_int8, with_int8
from ingot.kernels.resize import cuda, int8
from ingot.kernels.resize.cuda import COORDINATES, MODES, ROUNDINGS
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


@dataclass(frozen=True, slots=True)
class ResizeAttrs:
    """The shape of the result; ``scales`` tells how places map, which rounded extents do not. Words are ONNX's.

    ``roi`` is (begin, end) for each axis, 0 the first element and 1 the last, for tf_crop_and_resize.
    """

    shape: tuple[int, ...]
    scales: tuple[float, ...]
    mode: str = "nearest"
    coordinate: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    roi: tuple[tuple[float, float], ...] | None = None
    cubic_a: float = -0.75
    extrapolation: float = 0.0
    antialias: bool = False
    exclude_outside: bool = False

    def resized(self, shape: tuple[int, ...]) -> list[bool]:
        """For each axis of an input of this shape, whether anything happens along it."""
        crop = [self.coordinate == "tf_crop_and_resize" and r != (0.0, 1.0) for r in self.roi or ()]
        crop = crop or [False] * len(shape)
        return [s != 1.0 or n != m or c for s, n, m, c in zip(self.scales, shape, self.shape, crop)]


def _infer(attrs: ResizeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    words = ((attrs.mode, MODES), (attrs.coordinate, COORDINATES), (attrs.rounding, ROUNDINGS))
    for word, known in words:
        if word not in known:
            raise Unsupported(f"resize with {word!r}", " or ".join(known))
    if (
        not x.rank
        or not len(attrs.shape) == len(attrs.scales) == x.rank
        or min(attrs.scales) <= 0
        or min(attrs.shape) < 0
    ):
        raise Unsupported(f"resize of {x} to {attrs.shape} by {attrs.scales}", "a positive scale for each axis")
    if any(n == 0 and m for n, m in zip(x.shape, attrs.shape)):
        raise Unsupported(f"resize of the empty {x}", "an input with elements")
    return (TensorType(x.dtype, attrs.shape),)


def _permute(attrs: ResizeAttrs, perm: tuple[int, ...], node: NodeView) -> ResizeAttrs:
    return ResizeAttrs(
        shape=tuple(attrs.shape[p] for p in perm),
        scales=tuple(attrs.scales[p] for p in perm),
        mode=attrs.mode,
        coordinate=attrs.coordinate,
        rounding=attrs.rounding,
        roi=attrs.roi and tuple(attrs.roi[p] for p in perm),
        cubic_a=attrs.cubic_a,
        extrapolation=attrs.extrapolation,
        antialias=attrs.antialias,
        exclude_outside=attrs.exclude_outside,
    )


def _permute_both(attrs: Any, perm: tuple[int, ...], node: NodeView) -> Any | None:
    if isinstance(attrs, Int8Attrs) and not int8.keeps_order(attrs, perm, node):
        return None
    return permute_int8(_permute)(attrs, perm, node)


def _can(node: NodeView) -> bool:
    """Places between elements need a type that the kernel computes in; whole elements are only moved."""
    if is_int8(node) or is_half(node):
        return False
    return cuda.moves(node) or node.inputs[0].type.dtype in (DType.F32, DType.F64)


def _samples() -> Iterable[Sample]:
    x = TensorType(DType.F32, (2, 7, 5, 9))
    double, odd = ((2, 14, 10, 9), (1.0, 2.0, 2.0, 1.0)), ((2, 10, 3, 9), (1.0, 10 / 7, 3 / 5, 1.0))
    for mode in MODES:
        for coordinate in COORDINATES[:5]:
            yield Sample(ResizeAttrs(*double, mode, coordinate), (x,), name=f"{mode}_{coordinate}")
        yield Sample(ResizeAttrs(*odd, mode), (x,), name=f"{mode}_odd")
    yield Sample(ResizeAttrs(*odd, "linear", antialias=True), (x,), name="antialias")
    yield Sample(ResizeAttrs(*odd, "cubic", antialias=True, exclude_outside=True), (x,), name="cubic_antialias")
    roi = ((0.0, 1.0), (0.25, 1.25), (0.5, 0.75), (0.0, 1.0))
    yield Sample(ResizeAttrs(*odd, "linear", "tf_crop_and_resize", roi=roi, extrapolation=7.0), (x,), name="crop")
    planes = TensorType(DType.F32, (1, 2, 6, 8))
    yield Sample(ResizeAttrs((1, 2, 9, 13), (1.0, 1.0, 1.5, 1.625), "linear"), (planes,), name="planes")
    u8 = TensorType(DType.U8, (1, 4, 4, 3))
    yield Sample(ResizeAttrs((1, 8, 8, 3), (1.0, 2.0, 2.0, 1.0), "nearest", "asymmetric", "floor"), (u8,), name="u8")
    wide = ResizeAttrs((1, 3, 40), (1.0, 0.04, 1.0), "linear", antialias=True)
    yield Sample(wide, (TensorType(DType.F32, (1, 75, 40)),), name="long_filter")
    for mode, output in (("nearest", DType.F16), ("nearest", DType.F32), ("linear", DType.F16), ("cubic", DType.BF16)):
        for shape in ((2, 7, 5, 9), (2, 7, 5, 32)):
            attrs = ResizeAttrs((*shape[:1], 14, 10, *shape[3:]), (1.0, 2.0, 2.0, 1.0), mode)
            yield Sample(HalfAttrs(attrs, output), (TensorType(DType.F16, shape),), name=f"half-{mode}-{shape}")
    for coordinate in COORDINATES[:5]:
        yield int8.sample(ResizeAttrs(*double, "linear", coordinate), x)
        yield int8.sample(ResizeAttrs(*double, "linear", coordinate), x, model=True)
    yield int8.sample(
        ResizeAttrs((2, 10, 3, 40), (1.0, 10 / 7, 3 / 5, 1.0), "linear"), TensorType(DType.F32, (2, 7, 5, 40))
    )
    yield int8.sample(ResizeAttrs((1, 2, 9, 43), (1.0, 1.0, 1.5, 5.375), "linear"), planes)
    yield int8.sample(ResizeAttrs((4, 7, 5, 9), (2.0, 1.0, 1.0, 1.0), "linear"), x)


SPEC = OpSpec(
    name="resize",
    attrs=ResizeAttrs,
    infer=with_half(with_int8(_infer)),
    tactics=(
        Tactic(
            kernel="resize_s8",
            params_type="ingot_resize_s8_params",
            params=lambda node: int8.params(node, cuda.params(node)),
            when=is_int8,
            pitched_outputs=(0,),
            numerics="exact",
        ),
        Tactic(
            kernel="resize",
            params_type="ingot_resize_params",
            params=cuda.params,
            when=_can,
            pitched_outputs=(0,),
            numerics="exact",
        ),
        *cuda.TACTICS,
    ),
    samples=_samples,
    permute=_permute_both,
    quantize=int8.quantize,
    half=stored_on_cuda(),
    cast_to={DType.F16: DType.F32, DType.BF16: DType.F32},
)


def _sizes(b: Builder, shape: tuple[int, ...], axes: list[int], sizes: list[int]) -> tuple[list[int], list[float]]:
    """Extents and scales of all axes from wanted extents of some."""
    scales = [1.0] * len(shape)
    wanted = list(shape)
    for axis, n in zip(axes, sizes):
        wanted[axis], scales[axis] = n, n / shape[axis] if shape[axis] else 1.0
    policy = b.attr("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        if policy not in ("not_larger", "not_smaller"):
            raise Unsupported(f"Resize with keep_aspect_ratio_policy {policy!r}", "stretch, not_larger or not_smaller")
        scale = (min if policy == "not_larger" else max)(scales[a] for a in axes)
        for axis in axes:
            wanted[axis], scales[axis] = int(scale * shape[axis] + 0.5), scale
    return wanted, scales


def _scaled(shape: tuple[int, ...], axes: list[int], given: Sequence[float]) -> tuple[list[int], list[float]]:
    """Extents and scales of all axes from scales of some."""
    scales = [1.0] * len(shape)
    for axis, scale in zip(axes, given):
        scales[axis] = float(scale)
    return [int(s * n) for s, n in zip(scales, shape)], scales


def _emit(b: Builder, x: Any, attrs: ResizeAttrs) -> Any:
    """Images are interpolated channels-last; integers are interpolated as float32 and rounded."""
    dtype = x.type.dtype
    rounds = not dtype.is_float and not (attrs.mode == "nearest" and attrs.coordinate != "tf_crop_and_resize")
    if rounds:
        x = b.cast(x, DType.F32 if dtype.size < 4 else DType.F64)
    rank = x.type.rank
    if rank > 2 and not any(attrs.resized(x.type.shape)[:2]):
        last = (0, *range(2, rank), 1)
        x = b.emit("resize", _permute(attrs, last, None), [b.transpose(x, last)])[0]
        x = b.transpose(x, (0, rank - 1, *range(1, rank - 1)))
    else:
        x = b.emit("resize", attrs, [x])[0]
    if rounds:
        limits = np.iinfo(dtype.numpy)
        low, high = (b.constant(np.array(v, x.type.dtype.numpy)) for v in (limits.min, limits.max))
        x = b.elementwise("Min", b.elementwise("Max", b.elementwise("Round", x), low), high)
    return b.cast(x, dtype) if rounds else x


@onnx_op("Resize", "Upsample")
def _resize(b: Builder) -> Any:
    x = b.input(0)
    shape = x.type.shape
    if b.op_type == "Upsample" or b.opset < 11:
        scales = b.attr("scales") if b.op_type == "Upsample" and b.opset < 9 else b.const(1).ravel()
        extents, scales = _scaled(shape, list(range(len(shape))), scales)
        mode = b.attr("mode", "nearest").replace("bilinear", "linear")
        return _emit(b, x, ResizeAttrs(tuple(extents), tuple(scales), mode, "asymmetric", "floor"))

    axes = b.attr("axes")
    axes = list(range(len(shape))) if axes is None else [normal_axis(a, len(shape)) for a in axes]
    roi, scales, sizes = (b.const(i) for i in (1, 2, 3))
    if sizes is not None and sizes.size:
        if len(sizes) != len(axes):
            raise Unsupported(f"Resize with {len(sizes)} sizes for {len(axes)} axes", "a size for each axis")
        extents, scales = _sizes(b, shape, axes, [int(n) for n in sizes.ravel()])
    elif scales is not None and scales.size == len(axes):
        extents, scales = _scaled(shape, axes, scales.ravel())
    else:
        raise Unsupported("Resize without scales and sizes", "one of them as a constant")
    coordinate = b.attr("coordinate_transformation_mode", "half_pixel")
    regions = [(0.0, 1.0)] * len(shape)
    if coordinate == "tf_crop_and_resize":
        if roi is None or roi.size != 2 * len(axes):
            raise Unsupported("Resize with tf_crop_and_resize and no roi", "roi as a constant")
        for i, axis in enumerate(axes):
            regions[axis] = (float(roi.ravel()[i]), float(roi.ravel()[i + len(axes)]))
    attrs = ResizeAttrs(
        shape=tuple(extents),
        scales=tuple(scales),
        mode=b.attr("mode", "nearest"),
        coordinate=coordinate,
        rounding=b.attr("nearest_mode", "round_prefer_floor"),
        roi=tuple(regions) if coordinate == "tf_crop_and_resize" else None,
        cubic_a=b.attr("cubic_coeff_a", -0.75),
        extrapolation=b.attr("extrapolation_value", 0.0),
        antialias=bool(b.attr("antialias", 0)),
        exclude_outside=bool(b.attr("exclude_outside", 0)),
    )
    return x if not any(attrs.resized(shape)) else _emit(b, x, attrs)
