"""Programs that are one activation, so that other operators can apply them to what they compute."""

from __future__ import annotations

from ingot.kernels.common.activation import Activation, ActivationKind
from ingot.kernels.spec import DType

from .program import Program

_KINDS = {
    "Relu": ActivationKind.RELU,
    "Clip": ActivationKind.CLIP,
    "LeakyRelu": ActivationKind.LEAKY_RELU,
    "Sigmoid": ActivationKind.SIGMOID,
    "Tanh": ActivationKind.TANH,
    "Silu": ActivationKind.SILU,
    "Elu": ActivationKind.ELU,
    "HardSigmoid": ActivationKind.HARD_SIGMOID,
    "HardSwish": ActivationKind.HARD_SWISH,
    "Gelu": ActivationKind.GELU,
    "GeluTanh": ActivationKind.GELU_TANH,
    "Softplus": ActivationKind.SOFTPLUS,
    "Mish": ActivationKind.MISH,
    "Softsign": ActivationKind.SOFTSIGN,
    "Selu": ActivationKind.SELU,
    "Celu": ActivationKind.CELU,
    "ThresholdedRelu": ActivationKind.THRESHOLDED_RELU,
    "Swish": ActivationKind.SWISH,
}

#: spelled out in two instructions on one input, value 0: (functions, operands of the second) -> kind
_PAIRS = {
    ("Sigmoid", "Mul"): ActivationKind.SILU,
    ("HardSigmoid", "Mul"): ActivationKind.HARD_SWISH,
}


def as_activation(program: Program) -> Activation | None:
    """The activation of its only input that a program computes in float32 (or less), or ``None``."""
    insns = program.insns
    first = insns[0]
    if first.args != (0,) or not first.dtype.is_float or first.dtype is DType.F64:
        return None
    if len(insns) == 1 and first.function in _KINDS:
        return Activation(_KINDS[first.function], first.alpha, first.beta)
    if len(insns) == 2 and sorted(insns[1].args) == [0, 1]:
        kind = _PAIRS.get((first.function, insns[1].function))
        if kind is ActivationKind.SILU or (kind and abs(first.alpha - 1 / 6) < 1e-6 and first.beta == 0.5):
            return Activation(kind)
    return None
