"""ONNX graph -> internal graph. Each operator's importer lives in its folder under ``kernels``.

Here are names, scopes, opset versions, sub-graphs, functions and the list of everything that cannot be built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnx.defs
import onnx.helper

from ingot import kernels
from ingot.builder import provenance
from ingot.builder.errors import ModelError, Problem, UnsupportedModel
from ingot.builder.evaluate import evaluate
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.onnx_model import Model, dtype_of, tensor_array
from ingot.builder.passes.fold import may_fold
from ingot.kernels.elementwise.op import cast_program, single
from ingot.kernels.spec import ONNX, DType, TensorType, Unsupported

MAX_NODES = 200_000
MAX_FUNCTION_DEPTH = 32
MAX_VALUE_BYTES = 1 << 34

Shapes = Mapping[str, Sequence[int]]


@dataclass(slots=True)
class Scope:
    """Values by ONNX name; a sub-graph or function body looks further out only when it may."""

    outer: Scope | None = None
    values: dict[str, Value | None] = field(default_factory=dict)
    #: attributes of the call, for references inside a function body
    attributes: dict[str, onnx.AttributeProto] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    path: str = ""

    def find(self, name: str) -> Value | None:
        """The value of a name; ``KeyError`` when nobody defines it, ``None`` when its producer failed."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise KeyError(name)


class Importer:
    """Builds a :class:`Graph` from a model whose shapes are fixed by ``shapes``."""

    def __init__(self, model: Model, shapes: Shapes, constants: Mapping[str, np.ndarray] | None = None) -> None:
        self.model = model
        self.specs = kernels.load()
        self.shapes = shapes
        self.given = dict(constants or {})  #: inputs taken as constants
        self.problems: list[Problem] = []
        self.graph = Graph([], [], [], model.proto.graph.name)
        self.names: dict[str, int] = {}
        self.functions = {(f.domain, f.name): f for f in model.proto.functions}
        self.node_count = 0
        self.calling: list[str] = []  #: functions whose bodies are being imported

    # -- the whole graph -------------------------------------------------------------------------------------------

    def run(self) -> Graph:
        proto = self.model.proto.graph
        opsets = {_domain(entry.domain): entry.version for entry in self.model.proto.opset_import}
        scope = Scope(opsets=opsets)
        newest = onnx.defs.onnx_opset_version()
        if opsets.get("", newest) > newest:
            raise ModelError(
                f"{self.model.name}: operator set {opsets['']} is newer than {newest}, the newest the installed onnx "
                "package knows: update onnx, or export for an older opset"
            )
        if opsets.get("", 7) < 7:
            raise ModelError(f"{self.model.name}: operator set {opsets['']} is older than 7: export it again")
        if proto.sparse_initializer:
            raise ModelError(f"{self.model.name}: sparse initialisers are not supported")
        for tensor in proto.initializer:
            scope.values[tensor.name] = self.tensor(tensor)
        self._inputs(proto, scope)
        self.nodes(proto.node, scope)
        if self.problems:
            raise UnsupportedModel(self.model.name, self.problems)
        self._outputs(proto, scope)
        return self.graph

    def _inputs(self, proto: onnx.GraphProto, scope: Scope) -> None:
        free = [v for v in proto.input if v.name not in scope.values]
        unknown = {*self.shapes, *self.given} - {v.name for v in free}
        if unknown:
            known = ", ".join(v.name for v in free)
            raise ModelError(f"{self.model.name}: no input is called {sorted(unknown)[0]!r}; inputs: {known}")
        open_dims = []
        for info in free:
            what = f"{self.model.name}: input {info.name}"
            if info.name in self.given:
                dtype = dtype_of(info.type.tensor_type.elem_type, what)
                scope.values[info.name] = self.constant(self.given[info.name], info.name, dtype)
                continue
            if not info.type.HasField("tensor_type"):
                raise ModelError(f"{what} is no tensor: sequences, optionals and maps are not supported")
            tensor = info.type.tensor_type
            shape = self._input_shape(info, what)
            if shape is None:
                open_dims.append(info)
                continue
            dtype = dtype_of(tensor.elem_type, what)
            value = Value(self.name(info.name), TensorType(dtype, shape))
            if value.type.nbytes > MAX_VALUE_BYTES:
                raise ModelError(f"{what}: {value.type} is too large")
            value.provenance = provenance.tensor(info.name, shape)
            scope.values[info.name] = value
            self.graph.inputs.append(value)
        if open_dims:
            what = "; ".join(f"{info.name} [{', '.join(_dims(info, '?'))}]" for info in open_dims)
            example = {i.name: _dims(i, "1", named=False) or ["1", "3", "224", "224"] for i in open_dims}
            options = " ".join(f'--profile "{name}={"x".join(dims)}"' for name, dims in example.items())
            python = ", ".join(f'"{name}": [{", ".join(dims)}]' for name, dims in example.items())
            raise ModelError(
                f"{self.model.name}: the shape of {what} is not fixed; fix it with, e.g., {options} "
                f"(Python: profiles=[{{{python}}}])"
            )

    def _input_shape(self, info: onnx.ValueInfoProto, what: str) -> tuple[int, ...] | None:
        tensor = info.type.tensor_type
        dims = list(tensor.shape.dim) if tensor.HasField("shape") else None
        fixed = self.shapes.get(info.name)
        if fixed is not None:
            if dims is not None and (
                len(dims) != len(fixed)
                or any(d.HasField("dim_value") and d.dim_value > 0 and d.dim_value != n for d, n in zip(dims, fixed))
            ):
                own = "x".join(str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in dims)
                raise ModelError(f"{what} has shape {own}, the profile says {'x'.join(map(str, fixed))}")
            return tuple(int(n) for n in fixed)
        if dims is None or any(not d.HasField("dim_value") or d.dim_value < 0 for d in dims):
            return None
        return tuple(d.dim_value for d in dims)

    def _outputs(self, proto: onnx.GraphProto, scope: Scope) -> None:
        for info in proto.output:
            try:
                value = scope.find(info.name)
            except KeyError:
                raise ModelError(f"{self.model.name}: nobody computes output {info.name}") from None
            self.graph.outputs.append(value)

    # -- nodes -----------------------------------------------------------------------------------------------------

    def nodes(self, nodes: Sequence[onnx.NodeProto], scope: Scope, depth: int = 0) -> None:
        """Import nodes in their order, which ONNX promises to be one in which they can run."""
        for index, node in enumerate(nodes):
            self.node_count += 1
            if self.node_count > MAX_NODES:
                raise ModelError(f"{self.model.name}: more than {MAX_NODES} nodes once its functions are expanded")
            name = scope.path + (node.name or f"{node.op_type}_{index}")
            try:
                inputs = [scope.find(i) if i else None for i in node.input]
            except KeyError as error:
                what = f"node {name} ({node.op_type}) reads {error.args[0]!r}"
                raise ModelError(f"{self.model.name}: {what}, which nobody computes before it") from None
            failed = any(i and value is None for i, value in zip(node.input, inputs))
            outputs: Sequence[Value | None] = [None] * len(node.output)
            if not failed:
                try:
                    outputs = self._node(node, name, inputs, scope, depth)
                except Unsupported as problem:
                    self.problems.append(Problem(name, node.op_type, problem.what, problem.nearest))
                except MemoryError:
                    self.problems.append(Problem(name, node.op_type, "it needs more memory than there is"))
                except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
                    detail = f"{type(error).__name__}: {error}"
                    self.problems.append(
                        Problem(name, node.op_type, f"its attributes or inputs are malformed ({detail})")
                    )
            for output, value in zip(node.output, list(outputs) + [None] * len(node.output)):
                if output:
                    if output in scope.values:
                        what = f"node {name} ({node.op_type}) computes {output!r}"
                        raise ModelError(f"{self.model.name}: {what}, which is there already")
                    scope.values[output] = value
                    if value is not None:
                        self._rename(value, output)
                        if not scope.path:
                            provenance.give(value, provenance.tensor(output, value.type.shape))

    def _node(
        self, node: onnx.NodeProto, name: str, inputs: list[Value | None], scope: Scope, depth: int
    ) -> Sequence[Value | None]:
        domain = _domain(node.domain)
        if depth > MAX_FUNCTION_DEPTH:
            raise Unsupported("functions or sub-graphs are nested too deeply")
        b = NodeBuilder(self, node, name, inputs, scope)
        if domain == "" and node.op_type == "Constant":
            return [self._constant_node(b)]
        if domain == "" and node.op_type == "Identity":
            return [inputs[0]]
        if domain == "" and node.op_type == "If":
            return self._if(b, scope, depth)
        if (node.domain, node.op_type) in self.functions:
            return self._call(self.functions[node.domain, node.op_type], b, scope, depth)
        importer = ONNX.get((domain, node.op_type))
        if importer is not None:
            result = importer(b)
            return list(result) if isinstance(result, (list, tuple)) else [result]
        body = _schema_function(b)
        if body is not None:
            return self._call(body, b, scope, depth, _schema_defaults(b))
        where = f" of domain {domain}" if domain else ""
        raise Unsupported(f"operator {node.op_type}{where} is not supported", "see the operator table in the README")

    def _constant_node(self, b: NodeBuilder) -> Value:
        attribute = b.node.attribute[0]
        if attribute.name == "value":
            return self.tensor(attribute.t, b.node.output[0])
        if attribute.name in ("value_float", "value_floats"):
            return self.constant(np.asarray(b.attr(attribute.name), np.float32), b.node.output[0])
        if attribute.name in ("value_int", "value_ints"):
            return self.constant(np.asarray(b.attr(attribute.name), np.int64), b.node.output[0])
        raise Unsupported(f"Constant with {attribute.name}", "a tensor, float(s) or int(s)")

    def _if(self, b: NodeBuilder, scope: Scope, depth: int) -> Sequence[Value | None]:
        """The branch that a constant condition takes; else both, and a selection of each output.

        Branches have no side effects, so computing both is right wherever both can be built and agree in shape.
        """
        condition = b.inputs[0]
        if condition.is_constant:
            return self._branch(b, "then_branch" if condition.data.ravel()[0] else "else_branch", scope, depth)
        before = len(self.problems)
        then, other = (self._branch(b, name, scope, depth) for name in ("then_branch", "else_branch"))
        if len(self.problems) > before:
            return [None] * len(b.node.output)
        for x, y in zip(then, other):
            if x.type != y.type:
                raise Unsupported(
                    f"If with a condition known only at run time, whose branches give {x.type} and {y.type}",
                    "a constant condition, or branches that give the same shapes",
                )
        return [b.elementwise("Where", b.reshape(condition, ()), x, y) for x, y in zip(then, other)]

    def _branch(self, b: NodeBuilder, name: str, scope: Scope, depth: int) -> list[Value | None]:
        graph = b.attr(name)
        inner = Scope(scope, attributes=scope.attributes, opsets=scope.opsets, path=f"{b.name}/")
        for tensor in graph.initializer:
            inner.values[tensor.name] = self.tensor(tensor)
        self.nodes(graph.node, inner, depth + 1)
        return [inner.find(info.name) for info in graph.output]

    def _call(
        self,
        body: onnx.FunctionProto,
        b: NodeBuilder,
        scope: Scope,
        depth: int,
        defaults: Mapping[str, onnx.AttributeProto] | None = None,
    ) -> Sequence[Value | None]:
        """Import the body of a function; ``defaults`` are the attributes that the call may leave out."""
        function = f"{body.domain}.{body.name}" if body.domain else body.name
        if function in self.calling:
            raise Unsupported(f"function {function} calls itself")
        opsets = {_domain(entry.domain): entry.version for entry in body.opset_import} or scope.opsets
        attributes = dict(defaults or {}) | {a.name: a for a in body.attribute_proto}
        attributes |= {a.name: b.resolve(a) for a in b.node.attribute}
        inner = Scope(attributes=attributes, opsets=opsets, path=f"{b.name}/")
        for formal, value in zip(body.input, list(b.inputs) + [None] * len(body.input)):
            if value is not None:
                inner.values[formal] = value
            else:
                inner.values.setdefault(formal, _ABSENT)  # type: ignore[arg-type]
        # An absent optional input is an empty name inside the body.
        absent = {name for name, value in inner.values.items() if value is _ABSENT}
        for name in absent:
            del inner.values[name]
        nodes = []
        for node in body.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            for i, name in enumerate(copy.input):
                if name in absent:
                    copy.input[i] = ""
            nodes.append(copy)
        self.calling.append(function)
        self.nodes(nodes, inner, depth + 1)
        self.calling.pop()
        wanted = list(body.output)[: len(b.node.output)]
        return [inner.find(name) if outer else None for name, outer in zip(wanted, b.node.output)]

    # -- values ----------------------------------------------------------------------------------------------------

    def name(self, wanted: str) -> str:
        """A name nobody has yet."""
        wanted = wanted or "value"
        count = self.names.get(wanted, 0)
        self.names[wanted] = count + 1
        return wanted if count == 0 else self.name(f"{wanted}.{count}")

    def _rename(self, value: Value, name: str) -> None:
        """Give a result the name the model knows it by, unless it has one already."""
        if value.producer is not None and value.name.startswith("%"):
            value.name = self.name(name)

    def constant(self, data: np.ndarray, name: str = "", dtype: DType | None = None) -> Value:
        data = np.asarray(data)
        if not data.flags.c_contiguous:
            data = np.ascontiguousarray(data)
        data.flags.writeable = False
        return Value(self.name(name or "%const"), TensorType(dtype or DType.of(data.dtype), data.shape), data)

    def tensor(self, tensor: onnx.TensorProto, name: str = "") -> Value:
        array, dtype = tensor_array(tensor, self.model)
        value = self.constant(array, tensor.name or name, dtype)
        if dtype.is_float and dtype is not DType.BF16 and not np.isfinite(array).all():
            self.graph.report.append(("import", f"warning: constant {value.name} holds NaN or infinity"))
        return value

    def emit(self, op: str, attrs: Any, inputs: Sequence[Value | None], source: str) -> list[Value]:
        spec = self.specs.get(op)
        if spec is None:
            raise Unsupported(f"internal operator {op} does not exist")
        types = spec.infer(attrs, [None if v is None else v.type for v in inputs])
        for t in types:
            if t.nbytes > MAX_VALUE_BYTES or t.rank > 8:
                raise Unsupported(f"a tensor {t}", "at most 8 axes and 16 GiB")
        node = Node(spec, attrs, list(inputs), [], (source,))
        node.outputs = [Value(self.name("%" + op), t, None, node) for t in types]
        if may_fold(node):
            return [self.constant(a, v.name, v.type.dtype) for v, a in zip(node.outputs, evaluate(node))]
        self.graph.nodes.append(node)
        return node.outputs


_ABSENT = object()


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _dims(info: onnx.ValueInfoProto, unknown: str, named: bool = True) -> list[str]:
    """The extents of an input as text; what the model leaves open by its name, or as ``unknown``."""
    dims = info.type.tensor_type.shape.dim
    return [(named and d.dim_param) or (str(d.dim_value) if d.dim_value > 0 else unknown) for d in dims]


def _schema_function(b: NodeBuilder) -> onnx.FunctionProto | None:
    """The body by which ONNX itself defines an operator, if it does."""
    try:
        schema = onnx.defs.get_schema(b.op_type, b.opset, b.node.domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_function:
        return schema.function_body
    if not schema.has_context_dependent_function:
        return None
    types = []
    for value in b.inputs:
        t = onnx.TypeProto()
        if value is not None:
            t = onnx.helper.make_tensor_type_proto(_ONNX_TYPES[value.type.dtype], list(value.type.shape))
        types.append(t.SerializeToString())
    body = schema.get_context_dependent_function(b.resolved_node().SerializeToString(), types)
    function = onnx.FunctionProto()
    function.ParseFromString(body)
    return function if function.node else None


def _schema_defaults(b: NodeBuilder) -> dict[str, onnx.AttributeProto]:
    schema = onnx.defs.get_schema(b.op_type, b.opset, b.node.domain)
    return {name: a.default_value for name, a in schema.attributes.items() if a.default_value.name}


_ONNX_TYPES = {d: getattr(onnx.TensorProto, n) for d, n in {
    DType.F32: "FLOAT", DType.F64: "DOUBLE", DType.F16: "FLOAT16", DType.BF16: "BFLOAT16", DType.I8: "INT8",
    DType.I16: "INT16", DType.I32: "INT32", DType.I64: "INT64", DType.U8: "UINT8", DType.U16: "UINT16",
    DType.U32: "UINT32", DType.U64: "UINT64", DType.BOOL: "BOOL",
}.items()}  # fmt: skip


class NodeBuilder:
    """The :class:`ingot.kernels.spec.Builder` of one ONNX node."""

    def __init__(
        self, importer: Importer, node: onnx.NodeProto, name: str, inputs: list[Value | None], scope: Scope
    ) -> None:
        self.importer = importer
        self.node = node
        self.name = name
        self.inputs = inputs
        self.scope = scope
        self.op_type = node.op_type
        domain = _domain(node.domain)
        self.opset = scope.opsets.get(domain, onnx.defs.onnx_opset_version() if domain == "" else 1)
        self.input_count = len(inputs)
        self.output_count = len(node.output)
        self._attributes = {a.name: self.resolve(a) for a in node.attribute}

    def resolve(self, attribute: onnx.AttributeProto) -> onnx.AttributeProto:
        """An attribute, or what a reference inside a function body refers to."""
        if not attribute.ref_attr_name:
            return attribute
        found = self.scope.attributes.get(attribute.ref_attr_name)
        if found is None:
            return onnx.AttributeProto(name="")
        copy = onnx.AttributeProto()
        copy.CopyFrom(found)
        copy.name = attribute.name
        return copy

    def resolved_node(self) -> onnx.NodeProto:
        """The node with every reference to a function's attribute replaced by what it refers to."""
        copy = onnx.NodeProto()
        copy.CopyFrom(self.node)
        del copy.attribute[:]
        copy.attribute.extend(a for a in self._attributes.values() if a.name)
        return copy

    def has_output(self, index: int) -> bool:
        """Whether the model uses output ``index``."""
        return index < len(self.node.output) and bool(self.node.output[index])

    def input(self, index: int) -> Value | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def const(self, index: int, default: Any = None) -> np.ndarray:
        value = self.input(index)
        if value is None:
            return default
        if not value.is_constant:
            raise Unsupported(
                f"input {index} ({self.node.input[index]}) is known only at run time", "a constant, e.g. an initialiser"
            )
        if value.type.dtype is DType.BF16:  # its array holds bits, not numbers
            raise Unsupported(f"input {index} ({self.node.input[index]}) as a bfloat16 constant", "float32")
        return value.data

    def attr(self, name: str, default: Any = None) -> Any:
        attribute = self._attributes.get(name)
        if attribute is None or not attribute.name:
            return default
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            return value.decode("utf-8")
        if isinstance(value, onnx.TensorProto):
            return tensor_array(value, self.importer.model)[0]
        if isinstance(value, onnx.GraphProto):
            return value
        if isinstance(value, (int, float)):
            return value
        return [v.decode("utf-8") if isinstance(v, bytes) else v for v in value]

    def emit(self, op: str, attrs: Any, inputs: Sequence[Value | None]) -> list[Value]:
        return self.importer.emit(op, attrs, inputs, self.name)

    def constant(self, data: np.ndarray, name: str = "") -> Value:
        return self.importer.constant(data, name or f"{self.name}.const")

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        shape = tuple(int(n) for n in shape)
        if shape == x.type.shape:
            return x
        return self.emit("reshape", self.importer.specs["reshape"].attrs(shape), [x])[0]

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        perm = tuple(int(p) for p in perm)
        if perm == tuple(range(x.type.rank)):
            return x
        return self.emit("transpose", self.importer.specs["transpose"].attrs(perm), [x])[0]

    def cast(self, x: Value, dtype: DType) -> Value:
        if x.type.dtype is dtype:
            return x
        return self.emit("elementwise", cast_program(x.type.dtype, dtype), [x])[0]

    def elementwise(self, function: str, *operands: Value, alpha: float = 0.0, beta: float = 0.0) -> Value:
        program = single(function, [v.type for v in operands], alpha, beta)
        return self.emit("elementwise", program, list(operands))[0]


def import_model(model: Model, shapes: Shapes, constants: Mapping[str, np.ndarray] | None = None) -> Graph:
    """The internal graph of a model. ``shapes`` fixes inputs; ``constants`` takes inputs as constants."""
    return Importer(model, shapes, constants).run()
