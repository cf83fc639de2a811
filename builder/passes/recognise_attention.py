"""Attention, spelled out as two matrix products with a softmax between them."""

from __future__ import annotations

from ingot.builder.ir import Node, Value
from ingot.builder.passes.rewrite import Sweep


def attention(sweep: Sweep, node: Node) -> tuple[str, Value] | None:
    """softmax(scale * q @ k^T + mask) @ v"""
    return None
