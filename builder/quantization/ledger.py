"""The precision ledger: for each step of an engine what was asked, what it got, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ingot._kernel import kernels
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import is_op
from ingot.builder.provenance import describe
from ingot.builder.quantization.forms import LAYERS, in_int8, quant_of
from ingot.builder.quantization.request import HALVES, Request
from ingot.errors import BuildError
from ingot.kernels.elementwise.op import is_exact
from ingot.kernels.spec import DType

#: layers that an error names
MOST_NAMED = 4
_EXACT = 4  # INGOT_KERNEL_EXACT


def check(graph: Graph, request: Request) -> None:
    """Raise BuildError naming every layer that was asked for int8 and computes in float, unless that is allowed.

    Operators and kinds of them that have no integer form at all are float by nature: the ledger says so.
    """
    if request.allow_fallback:
        return
    problems = []
    for node in graph.nodes:
        able = node.op.name in LAYERS and node.op.quantize is not None and not node.op.float_only(node)
        if not able or node.output.type.dtype is not DType.F32 or in_int8(node) or _left_in_float(node, request):
            continue
        if request.asked(node) == "int8":
            problems.append(f"{node.name} ({node.op.name}): {why(node, request)}")
    if problems:
        lines = "; ".join(problems[:MOST_NAMED])
        if len(problems) > MOST_NAMED:
            lines += f"; and {len(problems) - MOST_NAMED} more"
        raise BuildError(
            f"asked for int8, these layers can only have fp32: {lines}. Allow it (allow_fallback, --allow-fallback) or "
            'ask for fp32 there (layer_precision={"NAME": "fp32"})'
        )


def half_of(node: Node, request: Request | None) -> str:
    """The half that was wanted of a node when it reads or writes it; else empty."""
    wanted = "fp32" if request is None else request.in_float(node)
    dtype = HALVES.get(wanted)
    values = [v for v in [*node.inputs, *node.outputs] if v is not None]
    return wanted if dtype is not None and any(v.type.dtype is dtype for v in values) else ""


def _left_in_float(node: Node, request: Request) -> bool:
    """Whether a model that brings its own scales has none for what the node reads."""
    maker = node.inputs[0].producer
    dequantised = is_op(maker, "elementwise") and maker.attrs.insns[-1].function == "Dequantize"
    return request.ranges is None and not dequantised


def why(node: Node, request: Request) -> str:
    """Why a node is not in int8."""
    for name in (node.name, *node.source):
        if name in request.refused:
            return request.refused[name]
    if node.op.quantize is not None and node.op.float_only(node):
        return node.op.float_only(node)
    if node.op.name in LAYERS and _left_in_float(node, request):
        return "the model arrives quantised and leaves it in float"
    if request.asked(node) in HALVES:
        able = node.op.half is not None and node.op.half.able(node)
        return "its neighbours are fp32" if able else f"{node.op.name} has no {request.asked(node)} kernel for it"
    if node.op.quantize is None:
        return f"{node.op.name} has no int8 form"
    return "nothing that computes in int8 reads its result" if node.op.name not in LAYERS else "no int8 kernel"


def note_weights(graph: Graph, request: Request) -> None:
    """Remember the scales of weights, which are constants of dequantize nodes before they are folded."""
    for node in graph.nodes:
        maker = node.inputs[1].producer if node.op.name in LAYERS and node.inputs[1] is not None else None
        if is_op(maker, "dequantize") and maker.inputs[0].is_constant:
            request.weight_scales[node.source] = (min(maker.attrs.scales), max(maker.attrs.scales))


def entries(graph: Graph, request: Request | None) -> list[dict[str, Any]]:
    """One entry a step, in their order. ``exact_across_targets``: every step it depends on is exact, and so is it.

    What computes in int8 says its scales: ``input_scales`` and ``scale`` with ``zero_point`` of activations,
    ``weight_scales`` the least and the largest of its channels; and its measured error, ``sqnr_db``. ``results`` lists
    for each result the tensors of the model that it holds (:mod:`ingot.builder.provenance`).
    """
    exact = _exact(graph)
    return [
        _entry(node, request, all(exact[value] for value in node.outputs))
        for node in graph.nodes
        if node.tactic.kernel != ""
    ]


def inexact_outputs(graph: Graph) -> set[int]:
    """The positions of outputs whose bits may differ from target to target."""
    exact = _exact(graph)
    return {index for index, value in enumerate(graph.outputs) if not exact.get(value, True)}


def outputs(graph: Graph, names: Sequence[str], request: Request) -> list[dict[str, Any]]:
    """One entry an output of the engine: whether its bits are the same on all targets, and its measured error."""
    exact, errors = _exact(graph), request.measured.get("errors", {})
    return [
        {"output": name, "exact_across_targets": exact.get(value, True)}
        | ({"error": errors[name]} if name in errors else {})
        for name, value in zip(names, graph.outputs)
    ]


def _exact(graph: Graph) -> dict[Value, bool]:
    """Whether a value has the same bits on all targets: all steps that it depends on are exact."""
    flags = {k.name: k.flags for k in kernels().values()}
    exact: dict[Value, bool] = {value: True for value in graph.inputs}
    for node in graph.nodes:
        sound = _is_exact(node, flags) and all(exact.get(v, True) for v in node.inputs if v is not None)
        exact.update((value, sound) for value in node.outputs)
    return exact


def _is_exact(node: Node, flags: dict[str, int]) -> bool:
    if node.op.name == "elementwise":
        return is_exact(node.attrs)
    return node.tactic.numerics == "exact" or bool(flags.get(node.tactic.kernel, _EXACT) & _EXACT)


def _entry(node: Node, request: Request | None, exact: bool) -> dict[str, Any]:
    asked = "fp32" if request is None else request.asked(node)
    stored = in_int8(node) or node.output.type.dtype is DType.I8
    got = "int8" if stored and request is not None else half_of(node, request) or "fp32"
    entry = {"layer": node.name, "kernel": node.tactic.kernel, "asked": asked, "got": got}
    entry["results"] = [describe(value) for value in node.outputs]
    if request is None:
        return entry | {"exact_across_targets": False}
    entry["exact_across_targets"] = exact
    if got != ("int8" if asked == "best" else asked):
        entry["why"] = why(node, request)
    if got == "int8":
        quants = [quant_of(value) for value in node.inputs if value is not None]
        entry["input_scales"] = [quant.scale for quant in quants if quant is not None]
        parts = [source for source in request.weight_scales if set(source) <= set(node.source)]
        if parts:
            entry["weight_scales"] = list(request.weight_scales[parts[-1]])
    quant = quant_of(node.output)
    if quant is not None:
        entry |= {"scale": quant.scale, "zero_point": quant.zero_point}
    measured = [ratio for source, ratio in request.sqnr.items() if set(source) <= set(node.source)]
    if measured:
        entry["sqnr_db"] = round(min(measured), 1)
    return entry
