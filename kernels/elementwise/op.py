"""The elementwise operator: its rule, its tactic, its samples. The importers stand in ``onnx_*.py``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ingot.kernels.spec import (
    DType,
    NodeView,
    OpSpec,
    Sample,
    Tactic,
    TensorType,
)

from . import cuda, half, lower, onnx_activation, onnx_arithmetic, onnx_quantize  # noqa: F401 - the importers register themselves
from .functions import ELEMENTWISE, Function
from .program import Insn, Program, cast_program, compose, infer, single
from .quantized import EXACT, is_exact, quantize
from .recognise import as_activation

__all__ = [
    "ELEMENTWISE", "EXACT", "SPEC", "Function", "Insn", "Program", "as_activation", "cast_program", "compose", "infer",
    "is_exact", "single",
]  # fmt: skip


def _types(node: NodeView) -> list[DType]:
    return [value.type.dtype for value in node.inputs]


def _permute(program: Program, perm: tuple[int, ...], node: NodeView) -> Program | None:
    """The program knows nothing of axes: any transpose moves through when every input has all axes, or none."""
    rank = node.outputs[0].type.rank
    return program if all(v.type.rank in (0, rank) for v in node.inputs) else None


#: Exact inputs are unlikely to be an element short of a vector: 37 is odd, more than two vectors and less than three.
_SHAPE = (3, 37)


def _values(dtype: DType, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.is_float:  # where every function is defined but Acosh, which gets NaN
        return rng.uniform(0.05, 0.95, shape).astype(dtype.numpy)
    return rng.integers(0, 2 if dtype is DType.BOOL else 7, shape).astype(dtype.numpy)


def _samples() -> Iterable[Sample]:
    for function in ELEMENTWISE.values():
        if function.name in ("Cast", "BitCast") or function.gives not in (None, DType.BOOL):
            continue
        for dtype in (DType.F32, DType.F64, DType.F16, DType.I32, DType.I64, DType.U8, DType.BOOL):
            if dtype in function.types:
                types = [DType.BOOL, dtype, dtype] if function.name == "Where" else [dtype] * function.arity
                inputs = tuple(_values(t, _SHAPE, i) for i, t in enumerate(types))
                program = single(function.name, [TensorType(t, _SHAPE) for t in types], 0.25, 0.75)
                yield Sample(program, inputs, name=f"{function.name}_{dtype.name.lower()}")
    for source in DType:
        for target in DType:
            if DType.BF16 not in (source, target):
                yield Sample(
                    cast_program(source, target),
                    (_values(source, _SHAPE, 0),),
                    name=f"Cast_{source.name.lower()}_{target.name.lower()}",
                )
    yield from _broadcasts()
    yield from _quantised()


def _broadcasts() -> Iterable[Sample]:
    """x * a + b, each operand broadcast in another way."""
    program = Program((Insn("Mul", DType.F32, (0, 1)), Insn("Add", DType.F32, (3, 2))))
    for name, shapes in {
        "scalar": ((5, 100), (), (1,)),
        "channel": ((2, 11, 11, 3), (3,), (1, 1, 1, 3)),
        "wide_channel": ((40, 600), (600,), (1, 600)),
        "row": ((40, 600), (40, 1), (40, 1)),
        "outer": ((40, 1), (1, 600), ()),
        "middle": ((4, 5, 6, 7), (1, 5, 1, 7), (4, 1, 6, 1)),
        "empty": ((0, 4), (4,), (1, 1)),
    }.items():
        yield Sample(program, tuple(TensorType(DType.F32, shape) for shape in shapes), name=f"broadcast_{name}")


def _quantised() -> Iterable[Sample]:
    """To int8 and back: ties, saturation, what is no number; and a sum of two that stand for real numbers."""
    awkward = (np.nan, np.inf, -np.inf, -0.0, 3e38, -3e38, 1e-40, -1e-40)
    x = np.concatenate([np.array(awkward, np.float32), np.arange(-300, 300, dtype=np.float32) / 2])
    q = np.arange(-128, 128).astype(np.int8)
    for zero in (0, -128, 127, 3):
        for function in ("Quantize", "QuantizeLinear"):
            program = single(function, [TensorType(DType.F32, x.shape)], 1.0, zero)
            yield Sample(program, (x,), name=f"{function} to {zero}")
        program = single("Dequantize", [TensorType(DType.I8, q.shape)], 0.1, zero)
        yield Sample(program, (q,), name=f"Dequantize from {zero}")
    insns = (
        Insn("Dequantize", DType.F32, (0,), 0.11, 3),
        Insn("Dequantize", DType.F32, (1,), 0.07, -5),
        Insn("Add", DType.F32, (2, 3)),
        Insn("Relu", DType.F32, (4,)),
        Insn("Quantize", DType.I8, (5,), 12.5, -128),
    )
    small = TensorType(DType.I8, (1, 13, 7, 37))
    yield Sample(Program(insns), (small, small), name="quantised sum")
    yield Sample(Program(insns), (small, TensorType(DType.I8, (37,))), name="quantised sum with a row")


_ON_CPU = Tactic(
    kernel="elementwise",
    params_type="ingot_elementwise_params",
    params=lambda node: lower.params(node.attrs, _types(node)),
    when=lambda node: lower.fits(node.attrs, _types(node)),
    inplace=tuple(range(lower.MAX_INPUTS)),
)

SPEC = OpSpec(
    name="elementwise",
    attrs=Program,
    infer=infer,
    tactics=(_ON_CPU, cuda.on_cuda(_ON_CPU, lambda node: node.attrs)),
    samples=_samples,
    permute=_permute,
    quantize=quantize,
    half=half.RULE,
)
