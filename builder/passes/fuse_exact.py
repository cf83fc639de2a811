"""Epilogues and programs of INT8: what has an exact integer form stays together, everything else stays apart.

A convolution or product keeps a residual add and a clamp; any other activation is a step of its own, a table of int8.
"""

from __future__ import annotations

from ingot.builder.ir import Graph, Value
from ingot.builder.passes import fuse_elementwise, fuse_epilogue
from ingot.kernels.common.quantized import EXACT_ACTIVATIONS
from ingot.kernels.elementwise.op import EXACT, Program


def run(graph: Graph) -> None:
    """Fuse what can be exact: residuals, clamps, functions of one tensor, and functions that are exact themselves."""
    fuse_epilogue.fuse(graph, EXACT_ACTIVATIONS)
    fuse_elementwise.fuse(graph, _may_be_integer)


def _may_be_integer(program: Program, inputs: list[Value]) -> bool:
    if sum(not value.is_constant for value in inputs) <= 1 and all(v.type.count == 1 for v in inputs if v.is_constant):
        return True
    return all(insn.function in EXACT for insn in program.insns)
