"""Element types: operators that have no kernel for a type compute in the type they name, between two casts."""

from __future__ import annotations

from ingot.builder.evaluate import compute_types
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Names
from ingot.kernels.common.half import real_attrs
from ingot.kernels.elementwise.op import cast_program
from ingot.kernels.spec import DType, OpSpec, TensorType


def run(graph: Graph) -> None:
    """Insert casts around nodes with operands of a type in ``OpSpec.cast_to``."""
    elementwise, names = _elementwise(), Names(graph)
    nodes: list[Node] = []
    casts: dict[tuple[Value, DType], Value] = {}
    changed = 0

    def cast(value: Value, dtype: DType, source: tuple[str, ...]) -> Value:
        key = (value, dtype)
        if key not in casts:
            node = Node(elementwise, cast_program(value.type.dtype, dtype), [value], [], source)
            name = names.fresh(f"{value.name}.{dtype.name.lower()}")
            node.outputs = [Value(name, TensorType(dtype, value.type.shape), None, node)]
            nodes.append(node)
            casts[key] = node.output
        return casts[key]

    for node in graph.nodes:
        wide = compute_types(node)
        narrow = [v for v in [*node.inputs, *node.outputs] if v is not None and v.type.dtype in wide]
        if not narrow or (node.op is elementwise and is_cast(node)):
            nodes.append(node)
            continue
        changed += 1
        node.inputs = [
            v if v is None or v.type.dtype not in wide else cast(v, wide[v.type.dtype], node.source)
            for v in node.inputs
        ]
        node.attrs = real_attrs(node)
        node.attrs = node.op.widen(node.attrs) if node.op.widen else node.attrs
        nodes.append(node)
        for index, value in enumerate(node.outputs):
            if value.type.dtype not in wide:
                continue
            dtype = wide[value.type.dtype]
            name = names.fresh(f"{value.name}.{dtype.name.lower()}")
            inner = Value(name, TensorType(dtype, value.type.shape), None, node)
            node.outputs[index] = inner
            back = Node(elementwise, cast_program(dtype, value.type.dtype), [inner], [value], node.source)
            value.producer = back
            nodes.append(back)
    if changed:
        graph.nodes = nodes
        graph.report.append(("legalize", f"{changed} node(s) compute in a wider type"))


def is_cast(node: Node) -> bool:
    """Whether an elementwise node only converts between types."""
    return all(insn.function == "Cast" for insn in node.attrs.insns)


def _elementwise() -> OpSpec:
    from ingot import kernels

    return kernels.load()["elementwise"]
