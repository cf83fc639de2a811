"""Every operator's ``permute``: the permuted operator on permuted operands gives the permuted result."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ingot import kernels
from ingot.builder.evaluate import evaluate
from ingot.builder.ir import Node, Value
from ingot.kernels.common.half import HalfAttrs
from ingot.kernels.spec import DType, TensorType, Unsupported

#: a few extents are enough to see where axes go
LARGEST = 1 << 20


def size_of(sample) -> int:
    """Bytes of the sample's operands."""
    return sum(given.nbytes for given in sample.inputs if given is not None)


CASES = [
    pytest.param(spec, sample, id=f"{spec.name}-{index}-{sample.name}")
    for spec in kernels.load().values()
    if spec.permute is not None
    for index, sample in enumerate(spec.samples())
    if size_of(sample) <= LARGEST and not isinstance(sample.attrs, HalfAttrs)  # made after the layout pass
]


def operands(sample):
    random = np.random.default_rng(3)
    for given in sample.inputs:
        if given is None:
            yield None
        elif isinstance(given, np.ndarray):
            yield Value("c", TensorType(DType.of(given.dtype), given.shape), given)
        else:
            dtype = given.dtype.numpy
            data = random.standard_normal(given.shape) if given.dtype.is_float else random.integers(0, 9, given.shape)
            yield Value("c", given, np.asarray(np.abs(data), dtype))


def node_of(spec, attrs, inputs):
    types = spec.infer(attrs, [None if v is None else v.type for v in inputs])
    return Node(spec, attrs, inputs, [Value(f"y{i}", t) for i, t in enumerate(types)])


@pytest.mark.parametrize(("spec", "sample"), CASES)
def test_permute(spec, sample) -> None:
    inputs = list(operands(sample))
    node = node_of(spec, sample.attrs, inputs)
    rank = node.output.type.rank
    plain = evaluate(node)
    for perm in list(itertools.permutations(range(rank)))[1:7]:
        attrs = spec.permute(sample.attrs, perm, node)
        if attrs is None:
            continue

        def moved(value, perm=perm):
            if value is None or value.type.rank != rank:
                return value
            data = np.ascontiguousarray(value.data.transpose(perm))
            return Value("c", TensorType(value.type.dtype, data.shape), data)

        try:
            twin = node_of(spec, attrs, [moved(v) for v in inputs])
        except Unsupported:
            continue  # the layout pass asks the same question
        for want, got in zip(plain, evaluate(twin)):
            np.testing.assert_allclose(got, want.transpose(perm), rtol=1e-5, atol=1e-5)
