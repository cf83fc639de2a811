"""Edges of CUDA programs: whatever two steps must not do at once is ordered, and nothing is ordered twice."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from ingot import kernels, targets
from ingot.builder import lower
from ingot.builder.cuda import levels, predict
from ingot.builder.cuda.edges import edges_of
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.plan import ARENA, CONSTANT, INPUT, NO_INDEX, OUTPUT, STATE, Buffer, Program, Step, Tensor
from ingot.builder.verify import verify
from ingot.kernels.elementwise.op import single
from ingot.kernels.softmax.op import SoftmaxAttrs
from ingot.kernels.spec import DType, TensorType


def tensor(buffer: int, shape: tuple[int, ...], offset: int = 0, pitch: int = 0, dtype: DType = DType.F32) -> Tensor:
    return Tensor("t", TensorType(dtype, shape), buffer, offset, pitch or (shape[-1] if shape else 1))


def step(inputs: tuple[int, ...], outputs: tuple[int, ...], workspace: int = NO_INDEX) -> Step:
    return Step("s", "k", inputs, outputs, workspace, b"")


def program(buffers: list[Buffer], tensors: list[Tensor], *steps: Step) -> Program:
    return Program("p", buffers=buffers, tensors=tensors, steps=list(steps))


def dense(offsets: list[int], size: int = 64) -> tuple[list[Buffer], list[Tensor]]:
    """A tensor for each offset, in a buffer of the arena of its own."""
    buffers = [Buffer(ARENA, size, offset=offset) for offset in offsets]
    return buffers, [tensor(i, (size // 4,)) for i in range(len(offsets))]


class TestByHand:
    def test_a_chain(self) -> None:
        buffers, tensors = dense([0, 64, 128, 192])
        chain = program(buffers, tensors, step((0,), (1,)), step((1,), (2,)), step((2,), (3,)))
        assert edges_of(chain) == [(0, 1), (1, 2)]

    def test_branches_run_side_by_side_and_what_follows_is_left_out(self) -> None:
        buffers, tensors = dense([64 * i for i in range(5)])
        steps = step((), (0,)), step((0,), (1,)), step((0,), (2,)), step((0, 1, 2), (3,)), step((3,), (4,))
        diamond = program(buffers, tensors, *steps)
        assert edges_of(diamond) == [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]

    def test_bytes_that_are_given_away_wait_for_their_last_reader(self) -> None:
        buffers, tensors = dense([0, 64, 0, 128])  # 2 takes over the bytes of 0, and depends on nothing
        shared = program(buffers, tensors, step((), (0,)), step((0,), (1,)), step((), (2,)), step((1, 2), (3,)))
        assert edges_of(shared) == [(0, 1), (1, 2), (2, 3)]

    def test_a_result_that_nobody_reads_is_still_written_before_another(self) -> None:
        buffers, tensors = dense([0, 32])
        assert edges_of(program(buffers, tensors, step((), (0,)), step((), (1,)))) == [(0, 1)]

    def test_workspaces_share_as_results_do(self) -> None:
        buffers, tensors = dense([0, 64, 128, 128])
        shared = program(buffers, tensors, step((), (0,), 2), step((), (1,), 3))
        assert edges_of(shared) == [(0, 1)]

    def test_in_place(self) -> None:
        buffers, tensors = dense([0, 0, 64])  # step 1 writes over its own operand; step 2 still reads what it wrote
        chain = program(buffers, tensors, step((), (0,)), step((0,), (1,)), step((1,), (2,)))
        assert edges_of(chain) == [(0, 1), (1, 2)]

    def test_columns_of_one_buffer_are_written_side_by_side(self) -> None:
        buffers = [Buffer(ARENA, 96), Buffer(OUTPUT, 96)]
        tensors = [tensor(0, (3, 3), 0, 8), tensor(0, (3, 5), 12, 8), tensor(0, (3, 8)), tensor(1, (3, 8))]
        joined = program(buffers, tensors, step((), (0,)), step((), (1,)), step((2,), (3,)))
        assert edges_of(joined) == [(0, 2), (1, 2)]

    def test_columns_that_run_over_the_end_of_a_line_overlap_those_at_its_beginning(self) -> None:
        buffers = [Buffer(ARENA, 128)]
        tensors = [tensor(0, (3, 3), 0, 8), tensor(0, (3, 5), 16, 8)]  # columns 4 to 8, which is 0 of the next line
        assert edges_of(program(buffers, tensors, step((), (0,)), step((), (1,)))) == [(0, 1)]

    @pytest.mark.parametrize("storage", [CONSTANT, INPUT])
    def test_what_nobody_writes_orders_nothing(self, storage: int) -> None:
        buffers = [Buffer(storage, 64), Buffer(OUTPUT, 64), Buffer(OUTPUT, 64)]
        tensors = [tensor(i, (16,)) for i in range(3)]
        assert edges_of(program(buffers, tensors, step((0,), (1,)), step((0,), (2,)))) == []

    def test_a_state_is_read_before_it_is_written_if_the_file_says_so(self) -> None:
        buffers = [Buffer(STATE, 64), Buffer(OUTPUT, 64)]
        tensors = [tensor(0, (16,)), tensor(1, (16,))]
        assert edges_of(program(buffers, tensors, step((0,), (1,)), step((), (0,)))) == [(0, 1)]

    def test_no_steps(self) -> None:
        assert edges_of(program([], [])) == []


def wide_graph(branches: int) -> Graph:
    """x -> as many chains of three softmaxes side by side -> added up one after the other."""
    nodes: list[Node] = []

    def apply(name: str, attrs: Any, *inputs: Value) -> Value:
        spec = kernels.load()[name]
        (kind,) = spec.infer(attrs, [value.type for value in inputs])
        label = f"{name}{len(nodes)}"
        node = Node(spec, attrs, list(inputs), [Value(label, kind)], (label,))
        node.output.producer = node
        nodes.append(node)
        return node.output

    x = Value("x", TensorType(DType.F32, (4, 16)))
    ends = []
    for _ in range(branches):
        value = x
        for _ in range(3):
            value = apply("softmax", SoftmaxAttrs(1), value)
        ends.append(value)
    total = ends[0]
    for end in ends[1:]:
        total = apply("elementwise", single("Add", [x.type, x.type], 0, 0), total, end)
    graph = Graph([x], [total], nodes, "wide", target=targets.get("jetson-thor"))
    verify(graph)
    return graph


def longest(program: Program) -> int:
    return predict._longest_chain(program)


class TestLevels:
    def test_sharing_memory_makes_no_chain_longer(self) -> None:
        graph = wide_graph(4)
        program = lower(graph, "p", ["y"])
        verify(graph)
        assert len(program.steps) == 15 and longest(program) == 6
        assert program.arena_size >= 4 * 256

    def test_steps_and_nodes_are_in_one_order(self) -> None:
        graph = wide_graph(3)
        program = lower(graph, "p", ["y"])
        assert [step.name for step in program.steps] == [node.name for node in graph.nodes if node.tactic.kernel]

    def test_where_memory_would_grow_too_much_steps_keep_their_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        wide = lower(wide_graph(4), "p", ["y"])
        monkeypatch.setattr(levels, "GROWTH", 1.0)
        monkeypatch.setattr(levels, "CACHED", 0.0)
        serial = lower(wide_graph(4), "p", ["y"])
        assert serial.arena_size < wide.arena_size and longest(serial) > longest(wide)

    def test_a_processor_has_no_levels(self) -> None:
        graph = wide_graph(4)
        graph.target = None
        assert lower(graph, "p", ["y"]).edges is None


def random_program(random: np.random.Generator) -> Program:
    """Steps over buffers of a small arena, each alive from its definition to its last use, as a plan in file order."""
    count = int(random.integers(1, 12))
    buffers: list[Buffer] = []
    tensors: list[Tensor] = []
    alive: list[tuple[int, list[int]]] = []  # buffer, its tensors
    steps: list[Step] = []
    for _ in range(count):
        live = [each for each in alive if random.random() < 0.8]
        readable = [t for _, own in alive for t in own]
        inputs = tuple(int(random.choice(readable)) for _ in range(int(random.integers(0, 3)))) if readable else ()
        size = 16 * int(random.integers(1, 4))
        busy = [(buffers[b].offset, buffers[b].offset + buffers[b].size) for b, _ in alive]
        free = [o for o in range(0, 224, 16) if all(o + size <= begin or end <= o for begin, end in busy)]
        buffers.append(Buffer(ARENA, size, offset=int(random.choice(free)) if free else 1000 * len(buffers)))
        first = len(tensors)
        pieces = [(0, 4)] if random.random() < 0.5 else [(0, 2), (2, 2)]  # of rows of 4 floats
        for column, width in pieces:
            tensors.append(tensor(len(buffers) - 1, (size // 16, width), 4 * column, 4))
        own = list(range(first, len(tensors)))
        steps += [step(inputs if i == 0 else (), (t,)) for i, t in enumerate(own)]
        tensors.append(tensor(len(buffers) - 1, (size // 16, 4)))
        alive = [*live, (len(buffers) - 1, [len(tensors) - 1])]
    return program(buffers, tensors, *steps)


def conflicts(p: Program) -> set[tuple[int, int]]:
    """Pairs of steps that may not run at once, byte by byte. Of different buffers, all bytes count."""

    def touched(index: int) -> set[int]:
        t = p.tensors[index]
        rows, width = t.type.shape
        return {t.offset + row * 4 * t.pitch + byte for row in range(rows) for byte in range(4 * width)}

    def arena(index: int) -> set[int]:
        b = p.buffers[p.tensors[index].buffer]
        return set(range(b.offset, b.offset + b.size))

    def meet(a: int, b: int) -> bool:
        same = p.tensors[a].buffer == p.tensors[b].buffer
        return bool(touched(a) & touched(b) if same else arena(a) & arena(b))

    found = set()
    for (i, one), (j, other) in itertools.combinations(enumerate(p.steps), 2):
        written = [(a, b) for a in one.outputs for b in (*other.inputs, *other.outputs)]
        written += [(a, b) for a in one.inputs for b in other.outputs]
        if any(meet(a, b) for a, b in written):
            found.add((i, j))
    return found


def reachable(edges: list[tuple[int, int]], count: int) -> set[tuple[int, int]]:
    after: dict[int, set[int]] = {i: set() for i in range(count)}
    for one, other in sorted(edges, reverse=True):
        after[one] |= {other} | after[other]
    return {(one, other) for one, others in after.items() for other in others}


@pytest.mark.parametrize("seed", range(300))
def test_random_programs_against_brute_force(seed: int) -> None:
    p = random_program(np.random.default_rng(seed))
    edges, wanted, count = edges_of(p), conflicts(p), len(p.steps)
    assert wanted <= reachable(edges, count), "a pair that touches the same bytes is not ordered"
    assert set(edges) <= wanted, "an edge between steps that do not touch the same bytes"
    for edge in edges:
        assert edge not in reachable([e for e in edges if e != edge], count), "an edge that follows from others"
