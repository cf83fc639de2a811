"""A model in QuantizeLinear and DequantizeLinear, written so that onnxruntime has integer operators for it."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper


def in_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same numbers: a Clip before QuantizeLinear becomes a Clip of integers behind it, and int8 becomes uint8.

    ``rne(clip(v) / s) == clip(rne(v / s))`` for bounds rounded likewise. onnxruntime leaves a convolution in float32
    between QuantizeLinear and DequantizeLinear where a Clip that does something follows, and, on x86, where a tensor of
    int8 has more than one reader; then its sums carry the noise of float32.
    """
    rewriter = _Rewriter(model)
    nodes = [new for node in model.graph.node for new in rewriter.rewrite(node)]
    read = {name for node in nodes for name in node.input} | {info.name for info in model.graph.output}
    graph = helper.make_graph(
        [node for node in nodes if any(name in read for name in node.output)],
        model.graph.name,
        model.graph.input,
        model.graph.output,
        [*model.graph.initializer, *rewriter.added.values()],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


class _Rewriter:
    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.added: dict[str, onnx.TensorProto] = {}

    def rewrite(self, given: onnx.NodeProto) -> list[onnx.NodeProto]:
        node = onnx.NodeProto()
        node.CopyFrom(given)
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] in self.constants:
            return [node]
        scale, zero = (self.constants[name] for name in node.input[1:3])
        raised = zero.astype(np.int64) + (128 if zero.dtype == np.int8 else 0)
        node.input[2] = self._add(f"{node.input[2]}/uint8", raised)
        clip = self.makers.get(node.input[0])
        if node.op_type == "DequantizeLinear" or clip is None or clip.op_type != "Clip":
            return [node]
        bounds = [np.rint(self.constants[name] / scale) + raised for name in clip.input[1:3]]
        names = [self._add(f"{node.output[0]}/bound{i}", np.clip(bound, 0, 255)) for i, bound in enumerate(bounds)]
        result, node.output[0] = node.output[0], f"{node.output[0]}/all"
        node.input[0] = clip.input[0]
        return [node, helper.make_node("Clip", [node.output[0], *names], [result])]

    def _add(self, name: str, value: np.ndarray) -> str:
        self.added[name] = numpy_helper.from_array(value.astype(np.uint8), name)
        return name
