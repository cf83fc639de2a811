"""The samples of the operators as nodes and arrays, and a kernel of the CPU on them: what tests of kernels share."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.kernels.common.half import HALF, real_attrs, to_bfloat16, widen
from ingot.kernels.conv.attrs import QConvAttrs
from ingot.kernels.image_conv.attrs import operands
from ingot.kernels.quantize.op import QuantizeAttrs
from ingot.kernels.spec import DENSE, DType, Layout, OpSpec, Sample, Tactic, TensorType

_spec = importlib.util.spec_from_file_location("guard", Path(__file__).with_name("guard.py"))
guard = sys.modules.setdefault("guard", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(guard)

SPECS = kernels.load()
CASES = [
    pytest.param(spec, sample, id=f"{name}-{i}-{sample.name}" if sample.name else f"{name}-{i}")
    for name, spec in SPECS.items()
    for i, sample in enumerate(spec.samples())
]


def random_array(rng: np.random.Generator, kind: TensorType, spread: float = 1.0) -> np.ndarray:
    if kind.dtype is DType.BOOL:
        return rng.integers(0, 2, kind.shape).astype(np.bool_)
    if kind.dtype is DType.BF16:
        return to_bfloat16(spread * rng.standard_normal(kind.shape))
    if kind.dtype.is_float:
        return (spread * rng.standard_normal(kind.shape)).astype(kind.dtype.numpy)
    low = -100 if kind.dtype.is_signed else 0
    return rng.integers(low, 100, kind.shape).astype(kind.dtype.numpy)


def make_node(spec: OpSpec, sample: Sample) -> tuple[Node, list[np.ndarray | None]]:
    """The node, and the arrays of its inputs (constants among them)."""
    rng = np.random.default_rng(7)
    arrays: list[np.ndarray | None] = []
    values: list[Value | None] = []
    for i, given in enumerate(sample.inputs):
        if given is None:
            arrays.append(None)
            values.append(None)
            continue
        spread = sample.spread if i in sample.constant else 1.0
        array = given if isinstance(given, np.ndarray) else random_array(rng, given, spread)
        arrays.append(array)
        kind = TensorType(DType.of(array.dtype), array.shape) if given is array else given
        values.append(Value(f"in{i}", kind, array if i in sample.constant else None))
    node = Node(spec, sample.attrs, values, [], (spec.name,))
    kinds = spec.infer(sample.attrs, [None if v is None else v.type for v in values])
    node.outputs = [Value(f"out{i}", kind, None, node) for i, kind in enumerate(kinds)]
    return node, arrays


def in_float32(node: Node, arrays: list[np.ndarray | None]) -> tuple[Node, list[np.ndarray | None]]:
    """The node of ``HalfAttrs`` as an operator of float32, and its inputs."""
    half = [v is not None and v.type.dtype in HALF for v in node.inputs]
    wide = [widen(a, v.type.dtype) if h else a for v, a, h in zip(node.inputs, arrays, half)]
    kinds = [TensorType(DType.F32, v.type.shape) if h else v and v.type for v, h in zip(node.inputs, half)]
    sample = Sample(real_attrs(node), tuple(kinds), tuple(i for i, v in enumerate(node.inputs) if v and v.is_constant))
    return make_node(node.op, sample)[0], wide


def blocked(array: np.ndarray, layout: Layout) -> np.ndarray:
    """The array as a row-major one with the bytes of that layout."""
    if not layout.block:
        return array
    split = array.reshape(*array.shape[:-1], -1, layout.block)
    return np.ascontiguousarray(np.moveaxis(split, -2, 1))


def unblocked(array: np.ndarray, layout: Layout) -> np.ndarray:
    """What :func:`blocked` was given."""
    if not layout.block:
        return array
    joined = np.moveaxis(array, 1, -2)
    return np.ascontiguousarray(joined).reshape(*joined.shape[:-2], -1)


def run(node: Node, tactic: Tactic, arrays: list[np.ndarray | None], isa: str, splits: int) -> list[np.ndarray]:
    """The results of a kernel of the CPU; nothing is written but them."""
    inputs = list(arrays)
    for index, pack in tactic.pack.items():
        if index < len(inputs) and inputs[index] is not None:
            inputs[index] = np.ascontiguousarray(pack(node, inputs[index]))
    for index, layout in tactic.reads.items():
        inputs[index] = blocked(inputs[index], layout)
    written = [tactic.writes, *(DENSE for _ in node.outputs[1:])]
    held = [None if a is None else guard.Guarded.of(a) for a in inputs]
    before = [None if h is None else h.raw.copy() for h in held]
    kinds = [layout.stored(v.type) for v, layout in zip(node.outputs, written)]
    outputs = [guard.Guarded(kind.shape, kind.dtype.numpy) for kind in kinds]
    run_kernel(
        tactic.kernel,
        [None if h is None else h.array for h in held],
        [o.array for o in outputs],
        make_params(tactic.params_type, tactic.params(node)),
        isa=isa,
        constant=[i for i, v in enumerate(node.inputs) if v is not None and (v.is_constant or i in tactic.pack)],
        workspace=tactic.workspace(node),
        splits=splits,
        bfloat16=[
            i for i, v in enumerate([*node.inputs, *node.outputs]) if v is not None and v.type.dtype is DType.BF16
        ],
    )
    for h, b in zip(held, before):
        assert h is None or (h.raw == b).all(), "an input was written"
    assert all(o.tail_untouched() for o in outputs), "bytes behind an output were written"
    return [unblocked(o.array.copy(), layout) for o, layout in zip(outputs, written)]


def in_steps(node: Node, arrays: list[np.ndarray | None]) -> tuple[Node, list[np.ndarray | None]]:
    """The convolution alone that an image's is, and its inputs: the image quantised and channels last."""
    conv, (x, *others) = node.attrs.conv, arrays
    if isinstance(conv, QConvAttrs) and x.dtype == np.float32:
        (x,) = _portable(*make_node(SPECS["quantize"], Sample(QuantizeAttrs(conv.x), (x,))))
    inputs = operands(node.attrs, (np.ascontiguousarray(np.moveaxis(x, 1, -1)), *others))
    kinds = operands(node.attrs, [v and v.type.dtype for v in node.inputs])
    kinds = [a if kind is not DType.BF16 else TensorType(kind, a.shape) for a, kind in zip(inputs, kinds)]
    constant = tuple(i for i, a in enumerate(inputs) if i and a is not None)
    step = make_node(SPECS["conv"], Sample(conv, tuple(kinds), ()))[0]
    for i in constant:
        step.inputs[i].data = inputs[i]
    return step, list(inputs)


def _portable(node: Node, arrays: list[np.ndarray | None]) -> list[np.ndarray]:
    tactic = next(t for t in node.op.tactics if t.kernel and t.is_for("cpu") and t.when(node))
    return run(node, tactic, arrays, "portable", 1)
