"""Convolution of an image as it comes, channels first: what networks begin with.

No model has it: ``passes/image_conv.py`` makes it of a convolution, the transpose before it and the quantize before
that, for backends that have kernels for it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.common.half import HALF
from ingot.kernels.conv.attrs import ConvAttrs, HalfConvAttrs, QConvAttrs
from ingot.kernels.conv.int8 import s8_operands
from ingot.kernels.spec import DType, OpSpec, Quant, Sample, TensorType

from . import cpu, cuda
from .attrs import ImageConvAttrs, infer, work

_X = Quant(0.02, 3)
_RELU = Activation(ActivationKind.RELU)
_RELU6 = Activation(ActivationKind.CLIP, 0.0, 6.0)


def sample(
    name: str,
    shape: tuple[int, int, int, int],
    out: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    *,
    real: DType | None = None,
    x: DType = DType.F32,
    quant: Quant = _X,
    output: Quant | DType | None = None,
    activation: Activation = _RELU,
    steps: bool = False,
    bias: bool = True,
) -> Sample:
    """A case of an image of that shape; of int8 without ``real``, the type of the weights."""
    random = np.random.default_rng(len(name))
    where = (kernel, strides, pads, (1, 1), 1, activation)
    if real is not None:
        conv = ConvAttrs(*where) if real is DType.F32 else HalfConvAttrs(*where, output=output or real)
        inputs = [TensorType(x, shape), TensorType(real, (out, shape[1], *kernel)), TensorType(DType.F32, (out,))]
        return Sample(ImageConvAttrs(conv), (*inputs[:2], inputs[2] if bias else None), (1, 2) if bias else (1,), name)
    conv = QConvAttrs(*where, quant, None, output, steps)
    image = random.normal(0.0, 1.5, shape).astype(np.float32)
    image.flat[:4] = (np.nan, np.inf, -np.inf, 1e30)
    if x is DType.I8:
        image = random.integers(-128, 128, shape, np.int8)
    w = random.integers(-127, 128, (out, shape[1], *kernel), np.int8)
    rest = s8_operands(w.reshape(out, -1), (), conv)
    given = (image, w, rest[0] if bias else None, *rest[2:])
    return Sample(ImageConvAttrs(conv), given, (1, 2, 3, 4) if bias else (1, 3, 4), name)


def samples() -> Iterable[Sample]:
    """Borders, strides, few and many channels; what is quantised, rounded, or stored as it is multiplied."""
    y = Quant(0.05, -4)
    cases = (
        ("3x3 stride 2", (1, 3, 23, 37), 32, (3, 3), (2, 2), (1, 1, 1, 1)),
        ("7x7 stride 2", (2, 3, 21, 40), 64, (7, 7), (2, 2), (3, 3, 3, 3)),
        ("5x5 of one channel", (1, 1, 19, 19), 20, (5, 5), (1, 1), (2, 0, 1, 3)),
        ("2x4 of four channels", (1, 4, 9, 33), 70, (2, 4), (1, 3), (0, 2, 0, 0)),
        ("one pixel of two channels", (3, 2, 1, 1), 5, (1, 1), (1, 1), (0, 0, 0, 0)),
        ("wide pads", (1, 3, 2, 3), 33, (3, 9), (3, 1), (4, 5, 3, 6)),
    )
    for name, *rest in cases:
        yield sample(f"int8 {name}", *rest, output=y)
        for real in (DType.F32, *HALF):
            yield sample(f"{real.name.lower()} {name}", *rest, real=real)
    name, *rest = cases[0]
    yield sample("int8 of int8", *rest, x=DType.I8, output=y, activation=_RELU6)
    yield sample("int8 to float", *rest, quant=Quant(0.03, -128), activation=NO_ACTIVATION, bias=False)
    yield sample("int8 steps", *rest, output=y, steps=True, activation=_RELU6)
    for real in (DType.F32, *HALF):
        yield sample(f"{real.name.lower()} silu", *rest, real=real, activation=Activation(ActivationKind.SILU))
        yield sample(f"{real.name.lower()} of many results", (1, 2, 5, 6), 150, *rest[2:], real=real, bias=False)
    for half in HALF:
        yield sample(f"{half.name.lower()} of half", *rest, real=half, x=half, output=DType.F32, bias=False)


def large_samples() -> Iterable[tuple[str, Sample]]:
    """The first layers of ResNet-50 and MobileNet v2, for measurements."""
    for name, out, size in (("7x7 3->64", 64, 7), ("3x3 3->32", 32, 3)):
        for batch in (1, 8):
            where = ((batch, 3, 224, 224), out, (size, size), (2, 2), (size // 2,) * 4)
            yield f"{name} batch {batch} int8", sample("large", *where, output=Quant(0.05, -128))
            yield f"{name} batch {batch} fp16", sample("large", *where, real=DType.F16)


SPEC = OpSpec(
    name="image_conv",
    attrs=ImageConvAttrs,
    infer=infer,
    tactics=(*cpu.TACTICS, *cuda.TACTICS),
    samples=samples,
    work=work,
)
