"""ONNX importers: activations with attributes."""

from __future__ import annotations

from typing import Any

from ingot.kernels.spec import Builder, Unsupported, onnx_op

#: ONNX operator -> its attributes that become alpha and beta, with their defaults
_CONSTANTS: dict[str, tuple[tuple[str, float], ...]] = {
    "LeakyRelu": (("alpha", 0.01),),
    "Elu": (("alpha", 1.0),),
    "Selu": (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": (("alpha", 1.0),),
    "HardSigmoid": (("alpha", 0.2), ("beta", 0.5)),
    "ThresholdedRelu": (("alpha", 1.0),),
    "Shrink": (("bias", 0.0), ("lambd", 0.5)),
}


@onnx_op(*_CONSTANTS)
def _with_constants(b: Builder) -> Any:
    values = [float(b.attr(name, default)) for name, default in _CONSTANTS[b.op_type]]
    return b.elementwise(b.op_type, b.input(0), **dict(zip(("alpha", "beta"), values)))


@onnx_op("Swish")
def _swish(b: Builder) -> Any:
    alpha = float(b.attr("alpha", 1.0))
    return b.elementwise("Silu", b.input(0)) if alpha == 1.0 else b.elementwise("Swish", b.input(0), alpha=alpha)


@onnx_op("Gelu")
def _gelu(b: Builder) -> Any:
    functions = {"none": "Gelu", "tanh": "GeluTanh"}
    approximate = b.attr("approximate", "none")
    if approximate not in functions:
        raise Unsupported(f"Gelu with approximate={approximate!r}", "none or tanh")
    return b.elementwise(functions[approximate], b.input(0))
