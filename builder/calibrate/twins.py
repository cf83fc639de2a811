"""A model whose BatchNormalizations normalise by the statistics of what they see, as they did in training.

On any input at all each of them then gives every channel the mean and deviation that it learned (its bias and scale),
which is what it has on real data. So ranges behind them are known without data, and errors of generated inputs do not
add up from layer to layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

#: fewer elements a channel have no statistics to speak of: the learned ones stay
LEAST_COUNT = 16


def normalising_twin(proto: onnx.ModelProto, shapes: Mapping[str, Sequence[int]]) -> onnx.ModelProto | None:
    """The twin of a model, ``shapes`` being those of its values; ``None`` when it has nothing to normalise."""
    twin = onnx.ModelProto()
    twin.CopyFrom(proto)
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for index, node in enumerate(proto.graph.node):
        shape = shapes.get(node.output[0], ()) if node.op_type == "BatchNormalization" else ()
        count = int(np.prod(shape, dtype=np.int64)) // max(shape[1], 1) if len(shape) >= 2 else 0
        if count < LEAST_COUNT or node.domain not in ("", "ai.onnx"):
            nodes.append(node)
            continue
        nodes += _normalise(twin.graph, node, len(shape), opset, f"ingot_twin_{index}")
        changed += 1
    if not changed:
        return None
    del twin.graph.node[:]
    twin.graph.node.extend(nodes)
    return twin


def _normalise(graph: onnx.GraphProto, node: onnx.NodeProto, rank: int, opset: int, stem: str) -> list[onnx.NodeProto]:
    """``(x - mean(x)) / sqrt(variance(x) + epsilon) * scale + bias``, statistics over all axes but the channels'."""
    x, scale, bias = node.input[:3]
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    axes = [axis for axis in range(rank) if axis != 1]
    nodes: list[onnx.NodeProto] = []

    def constant(array: np.ndarray, name: str) -> str:
        graph.initializer.append(numpy_helper.from_array(array, f"{stem}_{name}"))
        return f"{stem}_{name}"

    def emit(op_type: str, inputs: Sequence[str], name: str, **attributes: object) -> str:
        output = node.output[0] if name == "y" else f"{stem}_{name}"
        nodes.append(helper.make_node(op_type, list(inputs), [output], name=f"{stem}_{name}", **attributes))
        return output

    def mean(value: str, name: str) -> str:
        if opset >= 18:
            return emit("ReduceMean", [value, constant(np.array(axes, np.int64), f"{name}_axes")], name, keepdims=1)
        return emit("ReduceMean", [value], name, axes=axes, keepdims=1)

    def per_channel(value: str, name: str) -> str:
        return emit("Reshape", [value, constant(np.array([1, -1] + [1] * (rank - 2), np.int64), f"{name}_shape")], name)

    centred = emit("Sub", [x, mean(x, "mean")], "centred")
    variance = mean(emit("Mul", [centred, centred], "squares"), "variance")
    stable = emit("Add", [variance, constant(np.array(epsilon, np.float32), "epsilon")], "stable")
    unit = emit("Div", [centred, emit("Sqrt", [stable], "deviation")], "unit")
    scaled = emit("Mul", [unit, per_channel(scale, "scale")], "scaled")
    emit("Add", [scaled, per_channel(bias, "bias")], "y")
    return nodes


def normalisers(proto: onnx.ModelProto) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(mean, deviation) of inputs that the model itself brings to mean 0 and deviation 1, by name.

    It does so with a BatchNormalization, or with subtractions and products by constants, right behind the input.
    """
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    constants |= {
        node.output[0]: node.attribute[0].t
        for node in proto.graph.node
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value"
    }
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def data(name: str) -> np.ndarray | None:
        tensor = constants.get(name)
        if tensor is None or tensor.data_location == onnx.TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor).astype(np.float64)

    found = {}
    for info in proto.graph.input:
        affine = None if info.name in constants else _affine(info.name, readers, data)
        if affine is not None:
            factor, shift = affine
            if np.all(np.isfinite(factor)) and np.all(factor != 0) and np.all(np.isfinite(shift)):
                found[info.name] = (-shift / factor, 1 / np.abs(factor))
    return found


def _affine(
    name: str, readers: Mapping[str, list[onnx.NodeProto]], data: Callable[[str], np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray] | None:
    """(factor, shift) of what is done to the value before anything else; ``None`` when there is no factor."""
    factor, shift, scaled = np.ones(()), np.zeros(()), False
    while len(readers.get(name, ())) == 1:
        (node,) = readers[name]
        if node.op_type == "BatchNormalization" and node.input[0] == name and not scaled:
            mean, variance = data(node.input[3]), data(node.input[4])
            if mean is None or variance is None:
                return None
            rest = (-1, 1, 1)  # pictures; broadcasting takes away what is too much
            deviation = np.sqrt(variance + 1e-5).reshape(rest)
            return 1 / deviation, -mean.reshape(rest) / deviation
        if node.op_type not in ("Sub", "Add", "Mul", "Div") or len(node.input) != 2:
            break
        first = node.input[0] == name
        other = data(node.input[1] if first else node.input[0])
        if other is None or (not first and node.op_type in ("Sub", "Div")):
            break
        with np.errstate(all="ignore"):
            if node.op_type in ("Sub", "Add"):
                shift = shift + (other if node.op_type == "Add" else -other)
            else:
                by = other if node.op_type == "Mul" else 1 / other
                factor, shift, scaled = factor * by, shift * by, True
        name = node.output[0]
    return (factor, shift) if scaled else None
