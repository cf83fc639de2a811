"""A small engine: ``p = softmax(x)``, ``z = x[k]`` (rows, so that a run can meet an index out of range)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import ingot


@pytest.fixture(scope="session")
def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Softmax", ["x"], ["p"], axis=-1, name="soft"),
            helper.make_node("Gather", ["x", "k"], ["z"], axis=0, name="pick"),
        ],
        "small",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 5]),
            helper.make_tensor_value_info("k", TensorProto.INT64, [3]),
        ],
        [
            helper.make_tensor_value_info("p", TensorProto.FLOAT, [4, 5]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 5]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


@pytest.fixture(scope="session")
def engine(model: onnx.ModelProto) -> ingot.Engine:
    return ingot.build(model)


@pytest.fixture
def saved(engine: ingot.Engine, tmp_path: Path) -> Path:
    path = tmp_path / "small.ingot"
    engine.save(path)
    return path


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)


@pytest.fixture
def k() -> np.ndarray:
    return np.array([2, 0, 3])


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.fixture
def expected(x: np.ndarray, k: np.ndarray) -> dict[str, np.ndarray]:
    return {"p": softmax(x), "z": x[k]}
