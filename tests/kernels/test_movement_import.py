"""Forms of data movement that ONNX had in other opsets than the newest: the node tests only have the newest."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ingot.builder.onnx_backend import IngotBackend
from ingot.errors import IngotError

X = np.arange(2 * 4 * 6, dtype=np.float32).reshape(1, 2, 4, 6)
V = np.array([3, 1, 2, 5, 4], np.float32)


def run(op: str, opset: int, *inputs: Any, outputs: int = 1, **attributes: Any) -> list[np.ndarray]:
    """One node; the first input arrives at run time, the others are initialisers. ``None`` is an absent input."""
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    first = np.asarray(inputs[0])
    graph = helper.make_graph(
        [helper.make_node(op, names, results, **attributes)],
        op,
        [helper.make_tensor_value_info("x0", helper.np_dtype_to_tensor_dtype(first.dtype), first.shape)],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in results],
        [onnx.numpy_helper.from_array(np.asarray(a), n) for a, n in zip(inputs[1:], names[1:]) if a is not None],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return list(IngotBackend.prepare(model).run([first]))


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES: dict[str, tuple[Any, ...]] = {
    "Reshape-5": (X, "Reshape", 7, [ints(0, -1, 3)], {}, X.reshape(1, 16, 3)),
    "Flatten-1": (X, "Flatten", 7, [], {"axis": 2}, X.reshape(2, 24)),
    "Flatten-11": (X, "Flatten", 11, [], {"axis": -1}, X.reshape(8, 6)),
    "Squeeze-1": (X, "Squeeze", 7, [], {"axes": [0]}, X[0]),
    "Squeeze-13": (X, "Squeeze", 13, [], {}, X[0]),
    "Unsqueeze-1": (X, "Unsqueeze", 7, [], {"axes": [0, 5]}, X[None, ..., None]),
    "Unsqueeze-11": (X, "Unsqueeze", 11, [], {"axes": [-1]}, X[..., None]),
    "Slice-1": (X, "Slice", 7, [], {"starts": [1, -3], "ends": [9, -1], "axes": [2, 3]}, X[:, :, 1:9, -3:-1]),
    "Slice-1 no axes": (X, "Slice", 7, [], {"starts": [0, 1], "ends": [1, 2]}, X[0:1, 1:2]),
    "Slice-10": (X, "Slice", 10, [ints(-1), ints(-100), ints(3), ints(-2)], {}, X[..., ::-2]),
    "Slice-13 int32": (X, "Slice", 13, [np.int32([1]), np.int32([3])], {}, X[1:3]),
    "Pad-2": (X, "Pad", 7, [], {"pads": [0, 0, 1, 2, 0, 0, 0, 1], "value": 3.0}, None),
    "Pad-11": (X, "Pad", 11, [ints(0, 0, 1, 2, 0, 0, 0, 1), np.float32(3)], {}, None),
    "Pad-18": (X, "Pad", 18, [ints(1, 2, 0, 1), np.float32(3), ints(2, -1)], {}, None),
    "TopK-1": (V, "TopK", 9, [], {"k": 2, "axis": 0}, V[[3, 4]]),
    "TopK-10": (V, "TopK", 10, [ints(2)], {}, V[[3, 4]]),
    "TopK-11": (V, "TopK", 11, [ints(2)], {"largest": 0, "sorted": 0}, V[[1, 2]]),
    "Upsample-7": (X, "Upsample", 7, [], {"scales": [1.0, 1.0, 2.0, 2.0]}, X.repeat(2, 2).repeat(2, 3)),
    "Upsample-9": (X, "Upsample", 9, [np.float32([1, 1, 2, 1])], {}, X.repeat(2, 2)),
    "Resize-10": (X, "Resize", 10, [np.float32([1, 1, 1, 3])], {}, X.repeat(3, 3)),
    "Resize-11 sizes": (
        X,
        "Resize",
        11,
        [np.float32([]), np.float32([]), ints(1, 2, 8, 6)],
        {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"},
        X.repeat(2, 2),
    ),
    "Scatter-9": (V, "Scatter", 9, [ints(1, 3), np.float32([7, 8])], {}, np.float32([3, 7, 2, 8, 4])),
    "Concat-4": (V, "Concat", 7, [V], {"axis": 0}, np.concatenate([V, V])),
    "Gather-1": (X, "Gather", 7, [ints(5, 0, -1)], {"axis": 3}, X[..., [5, 0, -1]]),
    "Gather-1 even steps": (X, "Gather", 7, [ints(5, 3, 1)], {"axis": 3}, X[..., [5, 3, 1]]),
    "Gather-1 windows": (V.repeat(9), "Gather", 7, [np.add.outer(ints(0, 1, 2), np.arange(40))], {}, None),
    "Gather-1 repeated": (V, "Gather", 7, [ints(2, 2, 2, 1)], {}, V[[2, 2, 2, 1]]),
    "Gather-1 scalar": (X, "Gather", 7, [np.int64(-2)], {"axis": 2}, X[:, :, -2]),
    "Tile-6": (X, "Tile", 7, [ints(2, 1, 3, 2)], {}, np.tile(X, (2, 1, 3, 2))),
    "Expand-8": (V, "Expand", 8, [ints(3, 1)], {}, np.tile(V, (3, 1))),
    "DepthToSpace-1": (X.repeat(2, 1), "DepthToSpace", 7, [], {"blocksize": 2}, None),
}
PADDED = np.pad(X, ((0, 0), (0, 0), (1, 0), (2, 1)), constant_values=3)


@pytest.mark.parametrize("name", CASES)
def test_form(name: str) -> None:
    x, op, opset, inputs, attributes, expected = CASES[name]
    if op == "Pad":
        expected = PADDED
    elif name == "Gather-1 windows":
        expected = x[inputs[0]]
    elif op == "DepthToSpace":
        expected = x.reshape(1, 2, 2, 1, 4, 6).transpose(0, 3, 4, 1, 5, 2).reshape(1, 1, 8, 12)
    result = run(op, opset, x, *inputs, outputs=2 if op == "TopK" else 1, **attributes)
    np.testing.assert_array_equal(result[0], expected)


@pytest.mark.parametrize(
    ("opset", "inputs", "attributes", "sizes"),
    [
        (7, [], {"split": [1, 5]}, [1, 5]),
        (7, [], {}, [3, 3]),
        (13, [ints(4, 2)], {}, [4, 2]),
        (18, [], {"num_outputs": 4}, [2, 2, 2, 0]),
    ],
)
def test_split(opset: int, inputs: list[Any], attributes: dict[str, Any], sizes: list[int]) -> None:
    pieces = run("Split", opset, X, *inputs, outputs=len(sizes), axis=3, **attributes)
    for piece, expected in zip(pieces, np.split(X, np.cumsum(sizes)[:-1], 3)):
        np.testing.assert_array_equal(piece, expected)


def assigned(*key: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices and updates of ``X[key] = ...`` as an exporter spells them, and the result."""
    everywhere = np.stack(np.meshgrid(*map(range, X.shape), indexing="ij"), -1)
    indices = everywhere[key]
    updates = -np.arange(indices[..., 0].size, dtype=np.float32).reshape(indices.shape[:-1])
    result = X.copy()
    result[key] = updates
    return indices, updates, result


@pytest.mark.parametrize(
    "key",
    [
        np.s_[...],
        np.s_[:, :, 1:3],
        np.s_[:, 1:, 0:2, 4:],
        np.s_[:, :, :, 2],
        np.s_[:, :, ::2],  # no box: goes the general way
        np.s_[:, :, ::-1],
    ],
)
def test_slice_assignment(key: Any) -> None:
    indices, updates, expected = assigned(*key) if isinstance(key, tuple) else assigned(key)
    (y,) = run("ScatterND", 16, X, indices, updates)
    np.testing.assert_array_equal(y, expected)
    (y,) = run("ScatterND", 16, X, indices - np.array([0, 2, 0, 6]), updates)
    np.testing.assert_array_equal(y, expected)


EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)),
    "ij,jk": ((2, 3), (3, 4)),
    "bhqd,bhkd->bhqk": ((2, 3, 4, 5), (2, 3, 6, 5)),
    "bij,bjk,bkl->bil": ((2, 3, 4), (2, 4, 5), (2, 5, 3)),
    "i,j->ij": ((3,), (4,)),
    "ij->ji": ((2, 3),),
    "ij->": ((2, 3),),
    "ii->i": ((3, 3),),
    "iij->ij": ((3, 3, 2),),
    "ij,ij->i": ((2, 3), (2, 3)),
    "ij,jk->": ((2, 3), (3, 4)),
    "ij,kl->ik": ((2, 3), (4, 5)),
    "...ij,...jk->...ik": ((2, 3, 4), (2, 4, 5)),
    "b...d,d->b...": ((2, 3, 4), (4,)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_einsum(equation: str, dtype: Any) -> None:
    random = np.random.default_rng(0)
    operands = [random.integers(-5, 6, shape).astype(dtype) for shape in EQUATIONS[equation]]
    (y,) = run("Einsum", 12, *operands, equation=equation)
    np.testing.assert_allclose(y, np.einsum(equation, *operands), rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "opset", "inputs", "attributes", "words"),
    [
        ("Reshape", 13, [ints(5, -1)], {}, "Reshape of"),
        ("Squeeze", 11, [], {"axes": [1]}, "axes of extent 1"),
        ("Slice", 13, [ints(0), ints(1), ints(0), ints(0)], {}, "no step 0"),
        ("Split", 13, [ints(1, 2)], {"axis": 3}, "add up"),
        ("Gather", 13, [ints(9)], {"axis": 0}, "out of range"),
        ("Tile", 13, [ints(2)], {}, "repeat count"),
        ("Transpose", 13, [], {"perm": [0, 1, 1, 2]}, "permutation"),
        ("TopK", 11, [ints(9)], {}, "no more than there are"),
        ("Resize", 13, [], {}, "scales"),
        ("Resize", 13, [np.float32([]), np.float32([]), ints(1, 2, -4, 6)], {}, "scale for each axis"),
        ("Resize", 13, [np.float32([]), np.float32([1, 1, np.inf, 1])], {}, "Resize"),
        ("Expand", 13, [ints(1, 2, -4, 6)], {}, "Expand"),
        ("Split", 18, [], {"num_outputs": 1 << 40}, "for each output"),
        ("OneHot", 13, [ints(1 << 50), np.float32([0, 1])], {}, "depth"),
        ("Pad", 13, [ints(1, 1)], {}, "two amounts"),
        ("DepthToSpace", 13, [], {"blocksize": 3}, "multiple"),
    ],
)
def test_what_cannot_be_built_is_said(op: str, opset: int, inputs: list[Any], attributes: Any, words: str) -> None:
    with pytest.raises(IngotError, match=words):
        run(op, opset, X, *inputs, **attributes)
