"""A step as text: what a measured time may depend on and nothing else.

Operator, attributes, types of the operands and which are constants. Names are left out, and so are the numbers that no
kernel's time depends on (scales, bounds of activations): two layers that do the same work have one problem.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import numpy as np

from ingot.builder.ir import Node, Value
from ingot.kernels.spec import Layout, OpSpec, Quant, TensorType


def problem_of(node: Node) -> str:
    """The problem that the node is, on one line without tabs."""
    inputs = ", ".join(map(_operand, node.inputs))
    outputs = ", ".join(map(_operand, node.outputs))
    return f"{node.op.name}({inputs}) -> {outputs} {_text(node.attrs)}"


def _operand(value: Value | None) -> str:
    return "-" if value is None else f"{value.type}{'*' if value.is_constant else ''}"


def _text(value: Any) -> str:
    """Attributes, whatever they are made of, in an order that never changes."""
    if isinstance(value, Quant):
        return "quant" if value.zero_point == 0 else "quant+zero"
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, float):
        return "~"
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}".replace(" ", "")
    if isinstance(value, Layout):
        return f"blocks[{value.block}]" if value.block else "dense"
    if isinstance(value, (TensorType, str, bool, int)) or value is None:
        return str(value)
    if isinstance(value, OpSpec):
        return value.name
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_text(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, (tuple, list)):
        return f"({', '.join(map(_text, value))})"
    if dataclasses.is_dataclass(value):
        fields = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value) if f.repr)
        return f"{type(value).__name__}({', '.join(f'{name}={_text(each)}' for name, each in fields)})"
    raise TypeError(f"attribute of type {type(value).__name__} has no text")
