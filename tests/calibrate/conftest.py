"""A small network with everything calibration looks at, and a hand for its data."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper


def small_model(channels: int = 3) -> onnx.ModelProto:
    """``image`` [1, channels, 8, 8] -> convolution, ReLU, convolution, mean -> ``scores`` [1, 5]."""
    random = np.random.default_rng(3)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(random.normal(scale=0.3, size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("Conv", ["r1", "w2"], ["c2"]),
        helper.make_node("GlobalAveragePool", ["c2"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, channels, 8, 8])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 5])],
        [weights("w1", 4, channels, 3, 3), weights("b1", 4), weights("w2", 5, 4, 3, 3)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.fixture
def model() -> onnx.ModelProto:
    return small_model()


@pytest.fixture
def images() -> np.ndarray:
    """Twelve samples, [12, 1, 3, 8, 8]."""
    return np.random.default_rng(4).normal(size=(12, 1, 3, 8, 8)).astype(np.float32)
