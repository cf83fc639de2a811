"""Transpose, and the ONNX operators that are a transpose between two reshapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingot.kernels.common.quantized import carry
from ingot.kernels.spec import Builder, DType, Half, NodeView, OpSpec, Sample, TensorType, Unsupported, onnx_op
from ingot.kernels.strided_copy.views import strided_copies, view


@dataclass(frozen=True, slots=True)
class TransposeAttrs:
    """Axis ``i`` of the result is axis ``perm[i]`` of the input."""

    perm: tuple[int, ...]


def _infer(attrs: TransposeAttrs, inputs: Sequence[TensorType | None]) -> tuple[TensorType, ...]:
    (x,) = inputs
    if sorted(attrs.perm) != list(range(x.rank)):
        raise Unsupported(f"transpose of {x} by {attrs.perm}", f"a permutation of 0..{x.rank - 1}")
    return (TensorType(x.dtype, tuple(x.shape[p] for p in attrs.perm)),)


def _permute(attrs: TransposeAttrs, perm: tuple[int, ...], node: NodeView) -> TransposeAttrs:
    return TransposeAttrs(tuple(perm.index(attrs.perm[p]) for p in perm))


def _samples() -> Iterable[Sample]:
    cases = [
        ((1, 17, 9, 5), (0, 2, 3, 1)),
        ((2, 5, 16, 24), (0, 3, 1, 2)),
        ((3, 4, 2, 8), (0, 2, 1, 3)),
        ((33, 65), (1, 0)),
        ((2, 3, 2, 3, 2), (4, 2, 0, 3, 1)),
    ]
    for shape, perm in cases:
        yield Sample(TransposeAttrs(perm), (TensorType(DType.F32, shape),))
    for dtype in (DType.U8, DType.F16, DType.I64):
        yield Sample(TransposeAttrs((0, 2, 1)), (TensorType(dtype, (2, 19, 35)),), name=dtype.name.lower())
    yield Sample(TransposeAttrs((0, 2, 1)), (TensorType(DType.I8, (2, 3, 75)),), name="planes")


SPEC = OpSpec(
    name="transpose",
    attrs=TransposeAttrs,
    infer=_infer,
    tactics=strided_copies(lambda node: view(node.attrs.perm)),
    samples=_samples,
    permute=_permute,
    quantize=carry("transpose"),
    half=Half(operands=(0,), moves=True),
)


@onnx_op("Transpose")
def _transpose(b: Builder) -> Any:
    x = b.input(0)
    return b.transpose(x, b.attr("perm", list(range(x.type.rank))[::-1]))


def _image(b: Builder) -> tuple[Any, tuple[int, int, int, int], int]:
    """The input channels-last, its extents (N, H, W, C), and the block size."""
    x, block = b.input(0), b.attr("blocksize")
    if x.type.rank != 4 or block < 1:
        raise Unsupported(f"{b.op_type} of {x.type} with block size {block}", "an image [N, C, H, W]")
    n, c, h, w = x.type.shape
    return b.transpose(x, (0, 2, 3, 1)), (n, h, w, c), block


def _rearrange(b: Builder, x: Any, split: Sequence[int], perm: Sequence[int], shape: Sequence[int]) -> Any:
    """``x`` cut into ``split``, transposed, joined to the image ``shape``, channels-first again."""
    x = b.reshape(b.transpose(b.reshape(x, split), perm), shape)
    return b.transpose(x, (0, 3, 1, 2))


@onnx_op("DepthToSpace")
def _depth_to_space(b: Builder) -> Any:
    x, (n, h, w, c), s = _image(b)
    if c % (s * s):
        raise Unsupported(f"DepthToSpace of {c} channels with block size {s}", f"a multiple of {s * s} channels")
    depth = c // (s * s)
    shape = (n, h * s, w * s, depth)
    if b.attr("mode", "DCR") == "CRD":
        return _rearrange(b, x, (n, h, w, depth, s, s), (0, 1, 4, 2, 5, 3), shape)
    return _rearrange(b, x, (n, h, w, s, s, depth), (0, 1, 3, 2, 4, 5), shape)


@onnx_op("SpaceToDepth")
def _space_to_depth(b: Builder) -> Any:
    x, (n, h, w, c), s = _image(b)
    if h % s or w % s:
        raise Unsupported(f"SpaceToDepth of {h}x{w} with block size {s}", "extents that the block size divides")
    split, shape = (n, h // s, s, w // s, s, c), (n, h // s, w // s, s * s * c)
    crd = b.attr("mode", "DCR") == "CRD"
    return _rearrange(b, x, split, (0, 1, 3, 5, 2, 4) if crd else (0, 1, 3, 2, 4, 5), shape)
