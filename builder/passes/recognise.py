"""Recognition: what exporters spell out in primitives becomes the operator that it is.

Normalisations are found by pattern (``match``). Activations are products: ``x * sigmoid(x)``,
``0.5 * x * (1 + erf(x / sqrt(2)))``, written with any association and order of the factors; so the product is taken
apart first and its factors are looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.attention_operands import attention_operands
from ingot.builder.passes.match import (
    Pattern,
    about,
    anything,
    call,
    either,
    first_match,
    function_of,
    number,
    operator,
    uniform,
)
from ingot.builder.passes.recognise_attention import attention
from ingot.builder.passes.recognise_phases import phases
from ingot.builder.passes.rewrite import Sweep, is_op, to_fixpoint
from ingot.kernels.elementwise.op import single
from ingot.kernels.normalize.op import NormalizeAttrs, NormalizeKind


def run(graph: Graph) -> None:
    """Replace what is recognised; the report counts it by name."""
    found: dict[str, int] = {}

    def rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
        for recognise in _RECOGNISERS:
            result = recognise(sweep, node)
            if result is not None:
                name, value = result
                found[name] = found.get(name, 0) + 1
                return [value]
        return None

    to_fixpoint(graph, rule)
    if found:
        text = ", ".join(f"{count} {name}" for name, count in sorted(found.items()))
        graph.report.append(("recognise", f"recognised {text}"))


_Found = tuple[str, Value] | None


def _function(sweep: Sweep, node: Node, name: str, x: Value, alpha: float = 0.0, beta: float = 0.0) -> _Found:
    program = single(name, [x.type], alpha, beta)
    return name, sweep.emit("elementwise", program, [x], outputs=node.outputs)


# --- activations -------------------------------------------------------------------------------------------------


def _bound(sweep: Sweep, node: Node) -> _Found:
    """max(x, 0), min(max(x, a), b), max(x, a * x), PRelu with one slope."""
    insn = function_of(node, "Max", "Min", "PRelu")
    if insn is None or not insn.dtype.is_float:
        return None
    a, b = (node.inputs[arg] for arg in insn.args)
    if insn.function != "PRelu" and a.is_constant:
        a, b = b, a
    if a.type != node.output.type:
        return None
    limit = uniform(b)
    if insn.function == "PRelu":
        return None if limit is None else _function(sweep, node, "LeakyRelu", a, limit)
    if insn.function == "Max":
        if limit == 0:
            return _function(sweep, node, "Relu", a)
        return _leaky(sweep, node, a, b) or _leaky(sweep, node, b, a)
    inner = function_of(a.producer, "Max")
    if limit is None or inner is None or not sweep.single_use(a):
        return None
    x, low = (a.producer.inputs[arg] for arg in inner.args)
    x, low = (low, x) if x.is_constant else (x, low)
    floor = uniform(low)
    if floor is None or x.type != node.output.type or floor > limit:
        return None
    return _function(sweep, node, "Clip", x, floor, limit)


def _leaky(sweep: Sweep, node: Node, x: Value, scaled: Value) -> _Found:
    factor, factors = _product(scaled, x)
    if factors != [x] or not 0 < factor < 1 or not sweep.single_use(scaled):
        return None
    return _function(sweep, node, "LeakyRelu", x, factor)


def _product(value: Value, stop: Value | None = None) -> tuple[float, list[Value]]:
    """The value as a number times factors. ``stop`` is not taken apart, nor is what is not a product."""
    insn = function_of(value.producer, "Mul", "Div") if value is not stop else None
    if insn is None or not insn.dtype.is_float:
        return 1.0, [value]
    a, b = (value.producer.inputs[arg] for arg in insn.args)
    if insn.function == "Div":
        divisor = uniform(b)
        if not divisor or a.type != value.type:
            return 1.0, [value]
        factor, factors = _product(a, stop)
        return factor / divisor, factors
    total, found = 1.0, []
    for operand in (a, b):
        constant = uniform(operand)
        if constant is not None:
            total *= constant
            continue
        if operand.type != value.type:
            return 1.0, [value]
        factor, factors = _product(operand, stop)
        total *= factor
        found += factors
    return total, found


def _scaled(value: Value) -> tuple[float, Value]:
    """The value as a number times another value."""
    total = 1.0
    while (insn := function_of(value.producer, "Mul", "Div")) is not None:
        a, b = (value.producer.inputs[arg] for arg in insn.args)
        if insn.function == "Mul" and a.is_constant:
            a, b = b, a
        factor = uniform(b)
        if not factor or a.type != value.type:
            break
        total = total * factor if insn.function == "Mul" else total / factor
        value = a
    return total, value


def _gate(value: Value) -> Iterator[tuple[str, Value, float, float]]:
    """What the factor beside ``x`` may be: (activation, x, the number that the product then has, alpha)."""
    node = value.producer
    insn = function_of(node)
    if insn is None:
        return
    operands = [node.inputs[arg] for arg in insn.args]
    x = operands[0]
    if insn.function == "Sigmoid":
        yield "Silu", x, 1.0, 0.0
        factor, inner = _scaled(x)
        if inner is not x:
            yield "Swish", inner, 1.0, factor
    elif insn.function == "HardSigmoid" and about(insn.alpha, 1 / 6) and about(insn.beta, 0.5):
        yield "HardSwish", x, 1.0, 0.0
    elif insn.function == "Clip" and insn.alpha == 0 and insn.beta == 6:
        shifted = first_match(call("Add", anything("x"), number(3.0)), x)
        if shifted is not None:
            yield "HardSwish", shifted.values["x"], 1 / 6, 0.0
    elif insn.function == "Tanh":
        soft = function_of(x.producer, "Softplus")
        if soft is not None:
            yield "Mish", x.producer.inputs[0], 1.0, 0.0
    elif insn.function == "Add":
        yield from _gelu_gate(operands)


def _gelu_gate(operands: Sequence[Value]) -> Iterator[tuple[str, Value, float, float]]:
    """1 + erf(x / sqrt(2)), 1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))"""
    for one, bent in (operands, operands[::-1]):
        insn = function_of(bent.producer, "Erf", "Tanh")
        if not about(uniform(one), 1.0) or insn is None:
            continue
        factor, inner = _scaled(bent.producer.inputs[0])
        if insn.function == "Erf" and about(factor, math.sqrt(0.5)):
            yield "Gelu", inner, 0.5, 0.0
        elif insn.function == "Tanh" and about(factor, math.sqrt(2 / math.pi)):
            cubic = function_of(inner.producer, "Add")
            sums = [inner.producer.inputs[arg] for arg in cubic.args] if cubic is not None else []
            for x, cube in (sums, sums[::-1]) if sums else ():
                if _is_cube(cube, x):
                    yield "GeluTanh", x, 0.5, 0.0


def _is_cube(value: Value, x: Value) -> bool:
    """0.044715 x^3"""
    factor, factors = _product(value, x)
    if len(factors) == 1 and function_of(factors[0].producer, "Pow") is not None:
        base, exponent = (factors[0].producer.inputs[arg] for arg in function_of(factors[0].producer).args)
        return base is x and uniform(exponent) == 3 and about(factor, 0.044715)
    return factors == [x, x, x] and about(factor, 0.044715)


def _gated(sweep: Sweep, node: Node) -> _Found:
    """x times a gate of x, and the gates that are activations themselves."""
    if function_of(node, "Mul", "Div") is None:
        return None
    value = node.output
    number_of_all, factors = _product(value)
    if factors == [value]:
        return None
    clipped = function_of(factors[0].producer, "Clip") if len(factors) == 1 else None
    if clipped is not None and about(number_of_all, 1 / 6) and sweep.single_use(factors[0]):
        for _, x, expected, _ in _gate(factors[0]):
            if about(expected, 1 / 6) and x.type == value.type:
                return _function(sweep, node, "HardSigmoid", x, 1 / 6, 0.5)
    for gate in factors:
        for name, x, expected, alpha in _gate(gate):
            total, rest = _product(value, x)
            matches = about(total, expected) and len(rest) == 2 and {id(v) for v in rest} == {id(x), id(gate)}
            if matches and x.type == value.type and x is not gate and sweep.single_use(gate):
                return _function(sweep, node, name, x, alpha)
    return None


def _softplus(sweep: Sweep, node: Node) -> _Found:
    match = first_match(call("Log", call("Add", call("Exp", anything("x")), number(1.0))), node.output)
    return None if match is None else _function(sweep, node, "Softplus", match.values["x"])


# --- normalisations ----------------------------------------------------------------------------------------------


def _mean(of: Pattern, name: str) -> Pattern:
    return operator("reduce", of, bind=name, when=lambda node: node.attrs.kind.name == "MEAN")


def _square(of: Pattern) -> Pattern:
    return either(call("Mul", of, of), call("Pow", of, number(2.0)))


def _over_root(numerator: Pattern, of: Pattern) -> Pattern:
    """numerator / sqrt(of + epsilon)"""
    total = call("Add", of, number(name="epsilon"))
    root = either(call("Sqrt", total), call("Pow", total, number(0.5)))
    inverse = either(call("Reciprocal", root), call("Div", number(1.0), root), call("Pow", total, number(-0.5)))
    return either(call("Div", numerator, root), call("Mul", numerator, inverse))


_X = anything("x")
_CENTRED = call("Sub", _X, _mean(_X, "mean"))
_LAYER = _over_root(_CENTRED, _mean(_square(_CENTRED), "variance"))
_RMS = _over_root(_X, _mean(_square(_X), "variance"))


def _normalisation(sweep: Sweep, node: Node) -> _Found:
    if function_of(node, "Div", "Mul") is None:
        return None
    for name, kind, pattern in (
        ("LayerNormalization", NormalizeKind.LAYER, _LAYER),
        ("RMSNormalization", NormalizeKind.RMS, _RMS),
    ):
        match = first_match(pattern, node.output)
        if match is None:
            continue
        x, shape = match.values["x"], match.values["x"].type.shape
        axes = match.values["variance"].attrs.axes
        over = [axis for axis in range(len(shape)) if axis in axes and shape[axis] != 1]
        if match.values.get("mean", match.values["variance"]).attrs.axes != axes or not over:
            continue
        if any(shape[axis] != 1 and axis not in axes for axis in range(over[0], len(shape))):
            continue  # the kernel normalises trailing axes
        attrs = NormalizeAttrs(kind, float(match.values["epsilon"]), over[0])
        return name, sweep.emit("normalize", attrs, [x, None, None], source=match.nodes, outputs=node.outputs)
    return None


def _factor(sweep: Sweep, node: Node) -> _Found:
    """A constant product or sum behind a normalisation is its scale or bias."""
    insn = function_of(node, "Mul", "Add")
    if insn is None:
        return None
    value, constant = (node.inputs[arg] for arg in insn.args)
    if value.is_constant:
        value, constant = constant, value
    inner = value.producer
    if not constant.is_constant or not is_op(inner, "normalize") or not sweep.single_use(value):
        return None
    place = 1 if insn.function == "Mul" else 2
    allowed = (NormalizeKind.LAYER, NormalizeKind.RMS) if place == 1 else (NormalizeKind.LAYER,)
    inputs = [*inner.inputs, None, None][:3]
    if inner.attrs.kind not in allowed or inputs[2] is not None or inputs[place] is not None:
        return None
    if len(inner.outputs) != 1 or value.type != node.output.type:
        return None
    wanted = value.type.shape[inner.attrs.axis :]
    leading = constant.type.rank - len(wanted)
    if any(extent != 1 for extent in constant.type.shape[: max(leading, 0)]):
        return None
    data = constant.data.reshape(constant.type.shape[max(leading, 0) :])
    inputs[place] = sweep.constant(np.array(np.broadcast_to(data, wanted)), f"{constant.name}.all", constant.type.dtype)
    attrs = replace(inner.attrs)
    return "factor of a normalisation", sweep.emit("normalize", attrs, inputs, source=[inner], outputs=node.outputs)


_RECOGNISERS: tuple[Callable[[Sweep, Node], _Found], ...] = (
    _normalisation,
    _factor,
    attention,
    attention_operands,
    phases,
    _softplus,
    _bound,
    _gated,
)
