"""Toy operators with the tactics that no kernel of ours has: blocked layouts and absorbed producers that really run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ingot import kernels
from ingot._kernel import kernels as kernel_table
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.tuning.keys import Candidate, Key, Timing, fingerprint
from ingot.builder.verify import verify
from ingot.kernels.elementwise.op import single
from ingot.kernels.spec import DType, Layout, NodeView, OpSpec, TensorType
from ingot.kernels.strided_copy.views import strided_copy, view
from ingot.kernels.transpose.op import TransposeAttrs
from ingot.targets import Target

BLOCKS = Layout(16)
ELEMENTWISE = kernels.load()["elementwise"]


_PLAIN = ELEMENTWISE.tactics[0]
#: elementwise of one input, which knows no order, so that its kernel can do blocks as well
TOY = replace(
    ELEMENTWISE,
    name="toy",
    tactics=(_PLAIN, replace(_PLAIN, reads={0: BLOCKS}, writes=BLOCKS, variant="blocked", inplace=())),
)


def _absorbs(node: NodeView) -> bool:
    return node.inputs[0].producer.op.name in ("transpose", "turn")


def _composed(node: NodeView) -> Any:
    """The transpose of a transpose: axis i of the result is axis inner[outer[i]] of what is read."""
    inner = node.inputs[0].producer.attrs.perm
    return view([inner[axis] for axis in node.attrs.perm])


TRANSPOSE = kernels.load()["transpose"]
#: a transpose that can do the transpose before it too
TURN = replace(
    TRANSPOSE,
    name="turn",
    tactics=(*TRANSPOSE.tactics, replace(strided_copy(_composed), when=_absorbs, absorbs=(0,), variant="twice")),
)


class Net:
    """Builds a graph of toy operators."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []

    def input(self, *shape: int, dtype: DType = DType.F32) -> Value:
        self.inputs.append(Value(f"x{len(self.inputs)}", TensorType(dtype, shape)))
        return self.inputs[-1]

    def node(self, spec: OpSpec, attrs: Any, *inputs: Value | None) -> Value:
        kinds = spec.infer(attrs, [v and v.type for v in inputs])
        name = f"n{len(self.nodes)}"
        node = Node(spec, attrs, list(inputs), [], (name,))
        node.outputs = [Value(f"{name}.{i}" if i else name, kind, None, node) for i, kind in enumerate(kinds)]
        self.nodes.append(node)
        return node.output

    def toy(self, x: Value, function: str = "Abs", spec: OpSpec = TOY) -> Value:
        return self.node(spec, single(function, [x.type]), x)

    def add(self, a: Value, b: Value) -> Value:
        return self.node(ELEMENTWISE, single("Add", [a.type, b.type]), a, b)

    def turn(self, x: Value, *perm: int) -> Value:
        return self.node(TURN, TransposeAttrs(perm), x)

    def graph(self, *outputs: Value) -> Graph:
        graph = Graph(self.inputs, list(outputs), self.nodes, "net")
        verify(graph)
        return graph


@dataclass
class Fake:
    """A measurer that answers from a table: nanoseconds by tactic key, or by (operator, tactic key)."""

    times: Mapping[Any, float]
    spread: float = 1.0
    whole: Sequence[float] = (100.0, 50.0)
    stop_after: int = 1 << 30
    seen: list[Candidate] = field(default_factory=list)
    compared: int = 0

    def remark(self) -> str:
        return "# machine of tests"

    def steps(
        self, candidates: Sequence[Candidate], target: Target, threads: int, between_bytes: int, log: Any
    ) -> Iterator[Mapping[Key, Timing]]:
        for candidate in candidates:
            if len(self.seen) == self.stop_after:
                raise KeyboardInterrupt
            self.seen.append(candidate)
            key, tactic = candidate.tactic.key, candidate.tactic
            ns = self.times.get((candidate.node.op.name, key), self.times.get(key, 1000.0))
            name = Key(fingerprint(target), candidate.problem, key, kernel_table()[tactic.kernel].abi, threads)
            yield {name: Timing(ns, self.spread, 10)}

    def programs(self, engines: Sequence[bytes], threads: int) -> list[Timing]:
        self.compared += 1
        return [Timing(ns, self.spread, 10) for ns in self.whole]


def array(kind: TensorType, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(kind.shape).astype(kind.dtype.numpy)
