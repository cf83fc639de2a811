"""Writes the two trained networks as ONNX: a few lines over onnx.helper that number the values and keep the weights."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
IR_VERSION = 10  # the oldest that knows opset 21


class Writer:
    """Collects nodes in order; `node` returns the name of the value it makes, `weight` that of a float32 constant."""

    def __init__(self, name: str, description: str):
        self.name = name
        self.description = description
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values) -> str:
        """Adds an initializer: values [any shape], stored as float32."""
        array = np.ascontiguousarray(np.asarray(values), dtype=np.float32)
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, name: str, *inputs: str, result: str | None = None, **attributes) -> str:
        """Adds a node with one result, called `result` or else as the node."""
        result = result or f"{name}_out"
        self.nodes.append(helper.make_node(operator, list(inputs), [result], name=name, **attributes))
        return result

    def save(self, path: Path, inputs: dict[str, list[int]], outputs: dict[str, list[int]]) -> int:
        """Checks the model, writes it and returns its size in bytes; inputs and outputs are {name: shape}, float32."""
        infos = [
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
            for values in (inputs, outputs)
        ]
        graph = helper.make_graph(self.nodes, self.name, *infos, self.weights, doc_string=self.description)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="ingot-examples",
        )
        onnx.checker.check_model(model, full_check=True)
        data = model.SerializeToString(deterministic=True)
        path.write_bytes(data)
        return len(data)
