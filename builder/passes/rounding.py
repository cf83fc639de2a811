"""How results of a model that arrives quantised are rounded: what onnxruntime makes integer operators of, and what not.

On x86 it turns an int8 tensor into uint8 where QuantizeLinear is followed by one DequantizeLinear and nothing else, and
joins an operator with both where all its tensors have one type then. Any other stays float between the two.
"""

from __future__ import annotations

from dataclasses import replace

from ingot.builder.ir import Graph, Node
from ingot.builder.passes.rewrite import is_op
from ingot.kernels.spec import DType


def run(graph: Graph) -> None:
    """Mark the results of int8 that stay between float operators: ``Quant.rounds_as`` F32."""
    users, outputs = graph.users(), {id(value) for value in graph.outputs}
    for node in graph.nodes:
        if not is_op(node, "quantize") or node.attrs.quant.rounds_as is not DType.U8:
            continue
        readers = users.get(node.output, [])
        alone = len(readers) == 1 and is_op(readers[0], "dequantize") and id(node.output) not in outputs
        if not alone and not any(map(_is_uint8, readers)):
            quant = replace(node.attrs.quant, rounds_as=DType.F32)
            node.attrs = replace(node.attrs, quant=quant)
            node.output.type = replace(node.output.type, quant=quant)


def _is_uint8(reader: Node) -> bool:
    """Whether it makes uint8 of the result: that is what the model has, then, even if nobody needs it here."""
    return is_op(reader, "elementwise") and reader.output.type.dtype is DType.U8
