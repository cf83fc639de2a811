"""Graph with tactics -> program: steps over flat tables, every tensor at its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ingot import kernels
from ingot._kernel import make_params
from ingot.builder import plan_memory
from ingot.builder.evaluate import select_tactic
from ingot.builder.ir import Graph, Node, Value
from ingot.kernels.spec import DType, Launch, TensorType
from ingot.kernels.transpose.op import TransposeAttrs

ARENA, CONSTANT, INPUT, OUTPUT, STATE, GENERATED = 0, 1, 2, 3, 4, 5
NO_INDEX = 0xFFFFFFFF


@dataclass(slots=True)
class Buffer:
    """A piece of memory; ``data`` for constants. ``offset`` is set by the plan (arena) or the writer (constants)."""

    storage: int
    size: int
    data: np.ndarray | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Tensor:
    """A view of a buffer: ``offset`` in bytes, ``pitch`` in elements."""

    name: str
    type: TensorType
    buffer: int
    offset: int
    pitch: int


@dataclass(frozen=True, slots=True)
class Module:
    """Machine code for one architecture (CUDA), as the driver loads it; equal ones are stored once."""

    name: str
    image: bytes
    arch: int


@dataclass(frozen=True, slots=True)
class StepLaunch:
    """How a step of a CUDA program is started: ``ingot_launch``."""

    module: Module
    function: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0
    counters: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A kernel with its operands (tensor indices, ``NO_INDEX`` when absent) and parameters.

    CUDA: ``launch`` is how it is started, a :class:`Launch` until what that names is compiled and linked.
    """

    name: str
    kernel: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    workspace: int
    params: bytes
    launch: Launch | StepLaunch | None = None


@dataclass(frozen=True, slots=True)
class ShapeInsn:
    """One instruction of the shape program: ``ingot_shape_insn``."""

    op: int
    dst: int
    a: int = 0
    b: int = 0
    imm: int = 0


@dataclass(frozen=True, slots=True)
class Patch:
    """Where a register of the shape program goes: ``ingot_patch``."""

    kind: int
    reg: int
    index: int
    field: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A tensor of a STATE or GENERATED buffer whose content the runtime makes: ``ingot_fill``."""

    tensor: int
    kind: int
    value: int = 0
    seed: int = 0


@dataclass(slots=True)
class Program:
    """What the runtime executes, in the order of the file.

    ``edges`` are pairs of steps, the first before the second; ``None`` means serial, each step before the next.
    ``smallest`` gives the smallest extents of inputs (by their position) whose shape may vary; the tensors have the
    largest. A candidate of a tuning pack belongs to a ``group``, the problem it solves; ``between_bytes`` is what the
    rest of its model touches between two runs of it.
    """

    name: str
    buffers: list[Buffer] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    io_names: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    arena_size: int = 0
    state_size: int = 0
    generated_size: int = 0
    lower_bound: int = 0
    edges: list[tuple[int, int]] | None = None
    smallest: dict[int, tuple[int, ...]] = field(default_factory=dict)
    shape_code: list[ShapeInsn] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    is_candidate: bool = False
    group: int = 0
    between_bytes: int = 0
    #: kernels may start before those end that they wait for (CUDA)
    overlaps: bool = False
    #: nanoseconds that each step should take without being started; where somebody predicts them
    work_ns: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies: rows inside the root's memory, ``offset`` and ``pitch`` in elements of its own type."""

    root: Value
    offset: int
    pitch: int


def _last(value: Value) -> int:
    return value.stored.shape[-1] if value.type.shape else 1


class Placement:
    """Follows reshapes and views to the value that owns the memory."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.places: dict[Value, Place] = {}
        for value in graph.inputs:
            self.places[value] = Place(value, 0, _last(value))
        # A base is written by its parts, so it may come after them: roots first.
        for view in graph.views.values():
            self.places.setdefault(view.base, Place(view.base, 0, _last(view.base)))

    def of(self, value: Value) -> Place:
        if value not in self.places:
            self.places[value] = self._find(value)
        return self.places[value]

    def _find(self, value: Value) -> Place:
        view = self.graph.views.get(value)
        if view is not None:
            base = self.of(view.base)
            if base.pitch != _last(view.base):
                raise AssertionError(f"{value.name} is a view of {view.base.name}, which is itself pitched")
            return Place(base.root, base.offset + view.offset, view.pitch)
        node = value.producer
        if node is not None and node.tactic is not None and node.tactic.kernel == "":
            source = self.of(node.inputs[0])
            return Place(source.root, source.offset, _last(value))
        return Place(value, 0, _last(value))


def copies_where_needed(graph: Graph) -> None:
    """Insert copies where memory cannot be shared: outputs that are inputs, constants or each other; reshapes of
    pitched views."""
    placement = Placement(graph)
    transpose = kernels.load()["transpose"]

    def copy_of(value: Value, suffix: str) -> Node:
        node = Node(transpose, TransposeAttrs(tuple(range(value.type.rank))), [value], [], ("copy",))
        node.outputs = [Value(f"{value.name}{suffix}", value.type, None, node)]
        node.tactic = select_tactic(node, graph.backend)
        return node

    nodes: list[Node] = []
    for node in graph.nodes:
        if node.tactic.kernel == "" and node.output not in graph.views and node.inputs[0] not in graph.views:
            place = placement.of(node.inputs[0])
            if place.pitch != _last(node.inputs[0]):
                dense = copy_of(node.inputs[0], ".dense")
                nodes.append(dense)
                node.inputs = [dense.output]
                placement.places.pop(node.output, None)
        nodes.append(node)
    graph.nodes = nodes
    taken: set[Value] = set()
    outputs = []
    for value in graph.outputs:
        root = placement.of(value)
        whole = root.offset == 0 and root.pitch == _last(value) and root.root.type.nbytes == value.type.nbytes
        mine = root.root.producer is not None or root.root in {v.base for v in graph.views.values()}
        if value.is_constant or not mine or root.root in taken or not whole or root.root.is_constant:
            node = copy_of(value, ".out")
            graph.nodes.append(node)
            taken.add(node.output)
            outputs.append(node.output)
        else:
            taken.add(root.root)
            outputs.append(value)
    graph.outputs = outputs


def make_program(graph: Graph, name: str, output_names: list[str], times: Mapping[Node, int] | None = None) -> Program:
    """Lay out the graph. Tactics are chosen, constants packed, copies inserted.

    ``times`` says when each step runs, never earlier than the one before; by default each has a time of its own.
    """
    maker = _Maker(graph, name, times)
    maker.inputs_and_outputs(output_names)
    for node in graph.nodes:
        if node.tactic.kernel != "":
            maker.step(node)
    maker.arena()
    return maker.program


class _Maker:
    def __init__(self, graph: Graph, name: str, times: Mapping[Node, int] | None) -> None:
        self.graph, self.times = graph, times
        self.program = Program(name)
        self.placement = Placement(graph)
        self.buffers: dict[Value, int] = {}
        self.tensors: dict[Value, int] = {}
        self.constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}
        self.life: dict[int, list[int]] = {}  # arena buffer -> [first, last]
        self.inplace: list[tuple[int, int]] = []  # (output buffer, input buffer)
        self.output_roots = {self.placement.of(v).root for v in graph.outputs}
        #: by root, on CUDA: who overwrites what another step reads would have to wait for that one
        self.readers = Counter(root for node in graph.nodes for root in self._roots(node) if graph.backend == "cuda")

    def _roots(self, node: Node) -> set[Value]:
        if node.tactic.kernel == "":
            return set()
        return {self.placement.of(v).root for v in node.inputs if v is not None and not v.is_constant}

    def inputs_and_outputs(self, output_names: list[str]) -> None:
        p = self.program
        for value in self.graph.inputs:
            p.inputs.append(self.tensor(value))
        for value in self.graph.outputs:
            p.outputs.append(self.tensor(value))
        p.io_names = [v.name for v in self.graph.inputs] + output_names

    def buffer(self, value: Value) -> int:
        """The buffer of a root value."""
        if value not in self.buffers:
            storage, data = ARENA, None
            if value.is_constant:
                storage, data = CONSTANT, value.data
                key = (value.type.dtype.name, (), np.ascontiguousarray(value.data).tobytes())
                if key in self.constants:
                    return self.buffers.setdefault(value, self.constants[key])
                self.constants[key] = len(self.program.buffers)
            elif value in self.output_roots:
                storage = OUTPUT
            elif value.producer is None and value in self.graph.inputs:
                storage = INPUT
            self.buffers[value] = len(self.program.buffers)
            self.program.buffers.append(Buffer(storage, value.type.nbytes, data))
        return self.buffers[value]

    def tensor(self, value: Value | None) -> int:
        if value is None:
            return NO_INDEX
        if value not in self.tensors:
            place = self.placement.of(value)
            buffer = self.buffer(place.root)
            self.tensors[value] = len(self.program.tensors)
            self.program.tensors.append(
                Tensor(value.name, value.stored, buffer, place.offset * value.type.dtype.size, place.pitch)
            )
        return self.tensors[value]

    def _touch(self, tensor: int, now: int) -> None:
        if tensor == NO_INDEX:
            return
        buffer = self.program.tensors[tensor].buffer
        if self.program.buffers[buffer].storage == ARENA:
            self.life.setdefault(buffer, [now, now])[1] = now

    def step(self, node: Node) -> None:
        tactic = node.tactic
        inputs = [self.tensor(v) for v in node.inputs]
        outputs = [self.tensor(v) for v in node.outputs]
        workspace, size = NO_INDEX, tactic.workspace(node)
        if size:
            self.program.buffers.append(Buffer(ARENA, size))
            workspace = len(self.program.tensors)
            scratch = TensorType(DType.U8, (size,))
            self.program.tensors.append(
                Tensor(f"{node.name}.workspace", scratch, len(self.program.buffers) - 1, 0, size)
            )
        now = len(self.program.steps) if self.times is None else self.times[node]
        for tensor in [*inputs, *outputs, workspace]:
            self._touch(tensor, now)
        for index in tactic.inplace:
            present = index < len(inputs) and inputs[index] != NO_INDEX
            alone = present and self.readers[self.placement.of(node.inputs[index]).root] <= 1
            if alone and not self._read_otherwise(inputs, index, tactic.inplace):
                self._offer_inplace(inputs[index], outputs[0])
        params = make_params(tactic.params_type, tactic.params(node))
        launch = tactic.launch and tactic.launch(node, self.graph.target)
        self.program.steps.append(
            Step(node.name, tactic.kernel, tuple(inputs), tuple(outputs), workspace, params, launch)
        )

    def _read_otherwise(self, inputs: list[int], index: int, inplace: tuple[int, ...]) -> bool:
        """Whether the step reads the same buffer through an operand that it must not overwrite."""
        buffer = self.program.tensors[inputs[index]].buffer
        others = [t for i, t in enumerate(inputs) if t != NO_INDEX and i not in inplace]
        return any(self.program.tensors[t].buffer == buffer for t in others)

    def _offer_inplace(self, source: int, target: int) -> None:
        """The output may take over the input's bytes: both dense, whole buffers with rows of the same bytes."""
        a, b = self.program.tensors[source], self.program.tensors[target]
        if a.buffer == b.buffer or a.type.shape != b.type.shape or a.type.dtype.size != b.type.dtype.size:
            return
        if all(t.offset == 0 and self.program.buffers[t.buffer].size == t.type.nbytes for t in (a, b)):
            self.inplace.append((b.buffer, a.buffer))

    def arena(self) -> None:
        p = self.program
        order = sorted(self.life)
        index = {buffer: i for i, buffer in enumerate(order)}
        intervals = [plan_memory.Buffer(str(b), p.buffers[b].size, *self.life[b]) for b in order]
        pairs = [(index[o], index[i]) for o, i in self.inplace if o in index and i in index]
        made = plan_memory.plan(intervals, pairs)
        for buffer, offset in zip(order, made.offsets):
            p.buffers[buffer].offset = offset
        p.arena_size = -(-made.size // 64) * 64
        p.lower_bound = made.bound
