"""Candidates made of the operators' samples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ingot.builder.ir import Node, Value
from ingot.builder.tuning.keys import Candidate
from ingot.kernels.common.half import to_bfloat16
from ingot.kernels.spec import DType, OpSpec, Sample, TensorType, Unsupported


def node_of(spec: OpSpec, sample: Sample, seed: int = 0) -> Node | None:
    """A node with these operands, constants made up; ``None`` for a sample that the operator refuses."""
    random = np.random.default_rng(seed)
    inputs: list[Value | None] = []
    for index, given in enumerate(sample.inputs):
        if isinstance(given, np.ndarray):
            kind = TensorType(DType.of(given.dtype), given.shape)
            inputs.append(Value(f"x{index}", kind, given if index in sample.constant else None))
        elif given is None or index not in sample.constant:
            inputs.append(None if given is None else Value(f"x{index}", given))
        else:
            least = int(given.dtype in (DType.I8, DType.I16))  # weights without zeros; wider ones may be indices
            numbers = random.integers(least, least + 2, given.shape)
            data = random.uniform(-1, 1, given.shape) if given.dtype.is_float else numbers
            data = to_bfloat16(data) if given.dtype is DType.BF16 else data.astype(given.dtype.numpy)
            inputs.append(Value(f"x{index}", given, data))
    try:
        types = spec.infer(sample.attrs, [None if v is None else v.type for v in inputs])
    except Unsupported:
        return None
    return Node(spec, sample.attrs, inputs, [Value(f"y{i}", t) for i, t in enumerate(types)], (sample.name,))


def candidates_of(spec: OpSpec, backend: str = "cpu") -> Iterator[Candidate]:
    """Every tactic of the backend with every sample of the operator that it can do and that absorbs nothing."""
    for index, sample in enumerate(spec.samples()):
        node = node_of(spec, sample)
        for tactic in spec.tactics if node else ():
            if tactic.kernel and tactic.is_for(backend) and not tactic.absorbs and tactic.when(node):
                yield Candidate(f"{spec.name} sample {index}", tactic, node)
