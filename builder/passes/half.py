"""Where a float32 graph is stored in float16 or bfloat16, as was asked for; arithmetic stays float32.

Weights of layers are. A value is where everybody who makes or reads it can: a kernel that knows float32 alone never
needs a conversion around it, its operands and its result stay float32. Inputs and outputs of the graph keep their
types. Layers whose weights or results float16 cannot hold stay float32 altogether, and the ledger says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ingot.builder.evaluate import select_tactic
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Names, frozen, op, plural
from ingot.builder.quantization.forms import in_int8
from ingot.builder.quantization.half_weights import round_half
from ingot.builder.quantization.overflow import obstacle
from ingot.builder.quantization.request import HALVES, Request
from ingot.builder.quantization.weights import weight_axes
from ingot.kernels.common.half import narrow
from ingot.kernels.elementwise.op import cast_program
from ingot.kernels.spec import DType, TensorType, Unsupported


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes that half was ``wanted`` for and that can have it, and the values that are ``stored`` in it."""

    wanted: dict[Node, DType]
    stored: dict[Value, DType]


def plan(graph: Graph, request: Request) -> Plan:
    """What :func:`run` would change. Why layers stay in float32 is noted in ``request.refused``."""
    wanted = {node: dtype for node in graph.nodes if (dtype := _wanted(node, request)) is not None}
    return Plan(wanted, _stored(graph, wanted, request))


def run(graph: Graph, request: Request) -> None:
    """Change types in place. Why layers stay in float32 is noted in ``request.refused``."""
    found = plan(graph, request)
    wanted, stored = found.wanted, found.stored
    for value, dtype in stored.items():
        value.type = replace(value.type, dtype=dtype)
    changed = 0
    names = Names(graph)
    if request.backend == "cuda":
        stored |= _narrow_operands(graph, wanted, stored, names)
    constants: dict[tuple[Value, DType], Value] = {}
    for node, dtype in wanted.items():
        if any(value in stored for value in _data(node)) or node.op.half.weights(node):
            _change(node, dtype, stored, constants, names)
            changed += 1
    if changed:
        text = f"{plural(len(stored), 'value')} stored in half, {plural(changed, 'layer')} reading or writing it"
        graph.report.append(("half", text))


def _wanted(node: Node, request: Request) -> DType | None:
    """What a node is to be stored in; ``None`` when it stays as it is."""
    asked = request.in_float(node)
    dtype = HALVES.get(asked)
    if dtype is None:
        if node.name in request.kept_out:
            request.refused[node.name] = request.kept_out[node.name]
        return None
    rule = node.op.half
    if in_int8(node) or rule is None or request.backend not in rule.backends:
        return None
    if node.output.type.dtype is not DType.F32 or not rule.able(node):
        return None
    reason = obstacle(node, dtype, request)
    if not reason and not _has_kernel(node, dtype, request.backend):
        reason = f"no {asked} kernel takes these operands"
    if reason:
        request.refused[node.name] = reason
        return None
    return dtype


def _operands(node: Node) -> list[int]:
    """The inputs that may be stored in half."""
    indices = node.op.half.operands
    return [
        i
        for i, value in enumerate(node.inputs)
        if value is not None and not value.is_constant and value.type.dtype is DType.F32
        if indices is None or i in indices
    ]


def _data(node: Node) -> Iterable[Value]:
    yield from (value for value in node.inputs if value is not None)
    yield from node.outputs


def _has_kernel(node: Node, dtype: DType, backend: str) -> bool:
    """Whether there is a kernel for the node with everything in half that may be."""
    rule = node.op.half
    trial = Node(node.op, node.attrs, list(node.inputs), [], node.source)
    changed = {*_operands(node), *_constants(node)}
    for index in changed:
        value = node.inputs[index]
        trial.inputs[index] = Value(value.name, replace(value.type, dtype=dtype), value.data)
    trial.attrs = node.op.half.attrs(node, [dtype if i in changed else None for i in range(len(node.inputs))], dtype)
    try:
        types = [value.type if value is not None else None for value in trial.inputs]
        trial.outputs = [Value("trial", kind, None, trial) for kind in node.op.infer(trial.attrs, types)]
        select_tactic(trial, backend)
    except Unsupported:
        return False
    return not rule.results or trial.output.type.dtype is dtype


def _stored(graph: Graph, wanted: dict[Node, DType], request: Request) -> dict[Value, DType]:
    """The values that are stored in half. What only moves has one type before and behind."""
    made = [value for node in graph.nodes for value in node.outputs if value.type.dtype is DType.F32]
    group = {value: value for value in made}

    def root(value: Value) -> Value:
        while group[value] is not value:
            value = group[value]
        return value

    types: dict[Value, set[DType]] = {value: set() for value in made}  # what the neighbours of a value ask for

    def ask(value: Value, dtype: DType) -> None:
        if value in types:
            types[value].add(dtype)

    for value in graph.outputs:
        ask(value, DType.F32)
    for node in graph.nodes:
        dtype = wanted.get(node, DType.F32)
        moves = node in wanted and node.op.half.moves
        operands = _operands(node) if node in wanted else []
        for index, value in enumerate(node.inputs):
            if value is None or value.is_constant:
                continue
            if index not in operands:
                ask(value, DType.F32)
            elif not moves:
                ask(value, dtype)
            elif value not in group:  # an input of the graph
                ask(node.output, DType.F32)
            else:
                group[root(value)] = root(node.output)
        for value in node.outputs:
            if not moves:
                ask(value, dtype if node not in wanted or node.op.half.results else DType.F32)
            elif dtype is DType.F16 and not request.fits_half(value.name):
                ask(value, DType.F32)
    together: dict[Value, set[DType]] = {}
    for value in made:
        together.setdefault(root(value), set()).update(types[value])
    found = {value: together[root(value)] for value in made}
    return {value: next(iter(kinds)) for value, kinds in found.items() if len(kinds) == 1 and DType.F32 not in kinds}


#: operators whose kernels on tensor cores read half at once and float32 slowly, each with those inputs
_MULTIPLIES = {"matmul": (0, 1), "attention": (0, 1, 2)}
#: up to so many rows the kernels of few rows read float32 as fast
_FEW_ROWS = 8


def _narrow_operands(
    graph: Graph, wanted: dict[Node, DType], stored: dict[Value, DType], names: Names
) -> dict[Value, DType]:
    """Puts casts before products whose operand stays in float32, as an input of the graph does; gives their results.

    The product is the same: what it reads in float32 is rounded to half before it is multiplied.
    """
    made: dict[tuple[Value, DType], Value] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        for index in _MULTIPLIES.get(node.op.name, ()) if node in wanted else ():
            value, dtype = node.inputs[index], wanted[node]
            if value is None or value.is_constant or value.type.dtype is not DType.F32 or value in stored:
                continue
            if node.op.name == "matmul" and math.prod(value.type.shape[:-1]) <= _FEW_ROWS:
                continue
            if (value, dtype) not in made:
                cast = Node(op("elementwise"), cast_program(DType.F32, dtype), [value], [], node.source)
                kind = TensorType(dtype, value.type.shape)
                cast.outputs = [Value(names.fresh(f"{value.name}.{dtype.name.lower()}"), kind, None, cast)]
                nodes.append(cast)
                made[value, dtype] = cast.output
            node.inputs[index] = made[value, dtype]
        nodes.append(node)
    graph.nodes = nodes
    return {value: dtype for (_, dtype), value in made.items()}


def _change(
    node: Node,
    dtype: DType,
    stored: dict[Value, DType],
    constants: dict[tuple[Value, DType], Value],
    names: Names,
) -> None:
    """Give a node the attributes and the weights that its operands ask for."""
    rule = node.op.half
    halves = [stored.get(value) if value is not None else None for value in node.inputs]
    for index in _constants(node):
        value, halves[index] = node.inputs[index], dtype
        if (value, dtype) not in constants:
            name = names.fresh(f"{value.name}.{dtype.name.lower()}")
            data = narrow(value.data, dtype) if rule.moves else rounded_weights(node, index, dtype)
            constants[value, dtype] = Value(name, TensorType(dtype, value.type.shape), frozen(data))
        node.inputs[index] = constants[value, dtype]
    node.attrs = rule.attrs(node, halves, node.output.type.dtype)


def rounded_weights(node: Node, index: int, dtype: DType) -> np.ndarray:
    """What is stored for the weights that are this input of a node."""
    return round_half(node.inputs[index].data, dtype, weight_axes(node)[index])


def _constants(node: Node) -> list[int]:
    """The constants that are stored in half: weights, and what goes where the other operands go, as in a concat."""
    if not node.op.half.moves:
        return list(node.op.half.weights(node))
    return [i for i, v in enumerate(node.inputs) if v is not None and v.is_constant and v.type.dtype is DType.F32]
