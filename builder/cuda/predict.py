"""How long a CUDA program should take, by the figures of the target's file: never measured, and said so.

    time = starting the graph + sum of the work of all steps + (launch + least time of a kernel) x steps of the longest
           chain

The work of a step is the roofline's (builder/tuning/roofline.py): what it computes and moves, at the share of the
device's peak that its tactic is expected to reach. Steps that may run side by side share the device, so their work adds
up; what lies between a kernel and the one that waits for it, and the time that a kernel waits for memory and for its
own threads, does not where another one runs meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ingot.builder.ir import Graph, Node
from ingot.builder.plan import Program
from ingot.builder.tuning.roofline import Roofline
from ingot.kernels.spec import SCALAR
from ingot.targets import Target

NOTE = "predicted from the target's figures, not measured"


def works(graph: Graph, known: Collection[Node] = ()) -> dict[Node, float]:
    """Nanoseconds of the work of each step that is not ``known``; empty where nothing is predicted."""
    if graph.backend != "cuda":
        return {}
    model = Roofline.of(graph.target)
    return {node: model.work_ns(node, SCALAR) for node in graph.nodes if node.tactic.kernel and node not in known}


def describe(program: Program, target: Target) -> dict[str, Any]:
    """Nanoseconds in all, and of each step of the program; whole numbers.

    ``ns`` of a step is its work, a launch, and what a kernel takes that does next to nothing. ``chain`` counts the
    steps of the longest chain.
    """
    model, works = Roofline.of(target), program.work_ns
    chain, least = _longest_chain(program), model.step_ns + model.kernel_ns
    total = float(target.figures["graph_ns"]) + sum(works) + chain * least
    steps = [{"layer": step.name, "ns": round(work + least)} for step, work in zip(program.steps, works)]
    return {"note": NOTE, "ns": round(total), "chain": chain, "steps": steps}


def _longest_chain(program: Program) -> int:
    """Steps that must run one after the other."""
    depth = [1] * len(program.steps)
    for before, after in sorted(program.edges or (), key=lambda edge: edge[1]):
        depth[after] = max(depth[after], depth[before] + 1)
    return max(depth, default=0)
