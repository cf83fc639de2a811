"""What could do each node: the tactics that can, as the registry lists them, and what they are called when measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.tuning.apply import conversion
from ingot.builder.tuning.checks import Checks
from ingot.builder.tuning.fused import fused
from ingot.builder.tuning.keys import Candidate
from ingot.builder.tuning.problem import problem_of
from ingot.errors import BuildError
from ingot.kernels.spec import DENSE, Layout, Tactic, TensorType


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can happen to a node: a tactic does it, or, without one, its readers compute it themselves.

    ``candidate`` is what is measured: None where nothing runs.
    """

    tactic: Tactic | None
    candidate: Candidate | None = None

    @property
    def absorbs(self) -> tuple[int, ...]:
        return self.tactic.absorbs if self.tactic else ()

    @property
    def writes(self) -> Layout:
        return self.tactic.writes if self.tactic else DENSE


ABSORBED = Option(None)


def options_of(graph: Graph, *, fast_math: bool = True) -> dict[Node, list[Option]]:
    """The options of every node that has no tactic yet; the default comes first, the others in the registry's order.

    A node that no tactic can do has none. ``fast_math`` False leaves out tactics that trade accuracy for speed. What
    the kernel's own check refuses is no option; :class:`BuildError` when that is the default.
    """
    users = graph.users()
    outputs = set(graph.outputs)
    found: dict[Node, list[Option]] = {}
    absorbed: set[Node] = set()
    checks = Checks(graph.target)
    arch = graph.target.arch if graph.target else ""
    for node in graph.nodes:
        if node.tactic is not None:
            continue
        mine = [t for t in node.op.tactics if t.is_for(graph.backend, arch) and (fast_math or t.numerics != "fast")]
        able = [t for t in mine if _can(node, t, users, outputs)]
        able.sort(key=lambda tactic: not tactic.is_plain)  # stable: the default is the first that fits anywhere
        if not able or not able[0].is_plain:
            continue
        found[node] = _accepted(node, [Option(tactic, _candidate(node, tactic)) for tactic in able], checks)
        absorbed.update(node.inputs[index].producer for option in found[node] for index in option.absorbs)
    for node in absorbed & found.keys():
        readers = {reader for value in node.outputs for reader in users.get(value, ())}
        if all(any(_absorbs(option, reader, node) for option in found.get(reader, ())) for reader in readers):
            found[node].append(ABSORBED)
    return found


def _accepted(node: Node, options: list[Option], checks: Checks) -> list[Option]:
    """Those that their kernels take."""
    reasons = [checks.refusal(option.candidate) for option in options]
    if reasons[0] is not None:
        raise BuildError(f"layer {node.name}: {options[0].tactic.key} cannot do it: {reasons[0]}")
    return [option for option, reason in zip(options, reasons) if reason is None]


def _absorbs(option: Option, reader: Node, producer: Node) -> bool:
    indices = [i for i, value in enumerate(reader.inputs) if value is not None and value.producer is producer]
    return set(indices) <= set(option.absorbs)


def _can(node: Node, tactic: Tactic, users: dict[Value, list[Node]], outputs: set[Value]) -> bool:
    """Whether the tactic can do the node here: by what it absorbs, by itself, by the layouts it wants."""
    for index in tactic.absorbs:
        value = node.inputs[index] if index < len(node.inputs) else None
        producer = value.producer if value is not None else None
        if producer is None or producer.tactic is not None or len(producer.outputs) != 1 or value in outputs:
            return False
        # the quantised graph's roundings are fixed: only a tactic that promises the same bits may hide one
        if not value.type.dtype.is_float and tactic.numerics != "exact":
            return False
    if not tactic.when(node) or not tactic.writes.takes(node.output.type):
        return False
    if not tactic.reads:
        return True
    read = fused(node, tactic).inputs if tactic.absorbs else node.inputs
    return all(
        index < len(read) and read[index] is not None and not read[index].is_constant and layout.takes(read[index].type)
        for index, layout in tactic.reads.items()
    )


def _candidate(node: Node, tactic: Tactic) -> Candidate:
    """The node alone: fresh operands in the layouts of the tactic, constants as they are."""
    whole = fused(node, tactic) if tactic.absorbs else node
    inputs: dict[Value, Value] = {}
    for index, value in enumerate(whole.inputs):
        if value is not None:
            layout = DENSE if value.is_constant else tactic.reads.get(index, DENSE)
            inputs.setdefault(value, Value(f"in{index}", value.type, value.data, layout=layout))
    twin = replace(whole, inputs=[v and inputs[v] for v in whole.inputs], outputs=[], tactic=whole.tactic or tactic)
    twin.outputs = [Value(f"out{i}", value.type, None, twin) for i, value in enumerate(whole.outputs)]
    twin.outputs[0].layout = tactic.writes
    return Candidate(problem_of(whole), twin.tactic, twin)


def conversion_candidate(kind: TensorType, source: Layout, target: Layout, backend: str) -> Candidate:
    """Bringing a tensor of that type from one layout into another; one of both is row-major."""
    node = conversion(Value("in0", kind, layout=source), target, "out0", "out0", backend)[0]
    return Candidate(problem_of(node), node.tactic, node)


def unique(candidates: Sequence[Candidate]) -> dict[str, list[Candidate]]:
    """By problem, each tactic once: equal problems are measured once."""
    found: dict[str, dict[str, Candidate]] = {}
    for candidate in candidates:
        found.setdefault(candidate.problem, {}).setdefault(candidate.tactic.key, candidate)
    return {problem: list(tactics.values()) for problem, tactics in found.items()}
