"""Activations that other operators apply to what they have just computed; the twin of ``activation.h``."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any


class ActivationKind(enum.IntEnum):
    """Values of the C enum ``ingot_activation_kind``, where the formulas stand."""

    NONE = 0
    RELU = 1
    CLIP = 2
    LEAKY_RELU = 3
    SIGMOID = 4
    TANH = 5
    SILU = 6
    ELU = 7
    HARD_SIGMOID = 8
    HARD_SWISH = 9
    GELU = 10
    GELU_TANH = 11
    SOFTPLUS = 12
    MISH = 13
    SOFTSIGN = 14
    SELU = 15
    CELU = 16
    THRESHOLDED_RELU = 17
    SWISH = 18


@dataclass(frozen=True, slots=True)
class Activation:
    """A function of one float32 and up to two constants, applied elementwise."""

    kind: ActivationKind = ActivationKind.NONE
    alpha: float = 0.0
    beta: float = 0.0

    def params(self) -> dict[str, Any]:
        """The fields of the C struct ``ingot_activation``."""
        return {"kind": int(self.kind), "alpha": self.alpha, "beta": self.beta, "reserved": 0}

    def __str__(self) -> str:
        constants = f"({self.alpha:g}, {self.beta:g})" if self.alpha or self.beta else ""
        return self.kind.name.lower() + constants


NO_ACTIVATION = Activation()
