"""What the layout pass may choose for a node, and how choices spread over a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingot.builder.ir import Node, Value
from ingot.builder.passes.layout_matmul import matrix_swap
from ingot.builder.passes.permutation import (
    Perm,
    after,
    identity,
    inverse,
    memory_order,
    permuted,
    through_reshape,
)
from ingot.builder.passes.rewrite import alike, is_op, op
from ingot.kernels.spec import TensorType, Unsupported


@dataclass(frozen=True, slots=True)
class Choice:
    """What a node may become: its results in layout ``perm``, reading each input in the layout ``inputs`` says.

    ``swapped``: a transposed product is the product of the transposed operands in the other order.
    """

    perm: Perm
    attrs: Any
    inputs: tuple[Perm, ...]
    swapped: bool = False

    def position(self, index: int) -> int:
        """Where input ``index`` of the old node stands in the new one."""
        return 1 - index if self.swapped and index < 2 else index

    def order(self, inputs: list) -> list:
        """The operands in the order in which the new node takes them."""
        return [inputs[1], inputs[0], *inputs[2:]] if self.swapped else inputs


def default_inputs(node: Node) -> tuple[Perm, ...]:
    if is_op(node, "transpose"):
        return (node.attrs.perm,)
    return tuple(identity(value.type.rank) if value is not None else () for value in node.inputs)


def alternative(node: Node, perm: Perm) -> Choice | None:
    """How the node gives its results in layout ``perm``, if it can."""
    if any(value.type.rank != len(perm) for value in node.outputs):
        return None
    if is_op(node, "transpose"):
        return Choice(perm, node.attrs, (after(node.attrs.perm, perm),))
    if is_op(node, "reshape"):
        x = node.inputs[0].type.shape
        wanted = through_reshape(node.output.type.shape, x, perm)
        attrs = op("reshape").attrs(permuted(node.output.type.shape, perm))
        return None if wanted is None else Choice(perm, attrs, (wanted,))
    if is_op(node, "matmul"):
        return _transposed_product(node, perm)
    if node.op.permute is None:
        return None
    attrs = node.op.permute(node.attrs, perm, node)
    if attrs is None:
        return None
    inputs = tuple(
        () if value is None else perm if value.type.rank == len(perm) else identity(value.type.rank)
        for value in node.inputs
    )
    return Choice(perm, attrs, inputs) if _agrees(node, perm, attrs, inputs) else None


def _transposed_product(node: Node, perm: Perm) -> Choice | None:
    """(a b)^T = b^T a^T; flags are spelled out. Constant operands stay, as they are packed for the place they have."""
    a, b, bias, residual = [*node.inputs, None, None][:4]
    shape, swap = node.output.type.shape, matrix_swap(len(perm))
    if a.is_constant or b.is_constant or bias is not None or memory_order(shape, perm) != memory_order(shape, swap):
        return None
    wanted = [matrix_swap(value.type.rank) for value in (a, b)]
    rest = [() if value is None else swap for value in (bias, residual)]
    return Choice(swap, node.attrs, (*wanted, *rest)[: len(node.inputs)], swapped=True)


def _agrees(node: Node, perm: Perm, attrs: Any, inputs: Sequence[Perm]) -> bool:
    """Whether the permuted operator gives the permuted types, as it must."""
    operands = [
        None if value is None else TensorType(value.type.dtype, permuted(value.type.shape, order))
        for value, order in zip(node.inputs, inputs)
    ]
    try:
        types = node.op.infer(attrs, operands)
    except Unsupported:
        return False
    wanted = [TensorType(v.type.dtype, permuted(v.type.shape, perm)) for v in node.outputs]
    return len(types) == len(wanted) and all(map(alike, types, wanted))


def from_input(node: Node, index: int, perm: Perm) -> Perm | None:
    """The layout of the node's results that goes with input ``index`` in layout ``perm``."""
    shape = node.inputs[index].type.shape
    if is_op(node, "transpose"):
        return after(inverse(node.attrs.perm), perm)
    if is_op(node, "reshape"):
        return through_reshape(shape, node.output.type.shape, perm)
    return perm if len(shape) == node.output.type.rank else None


def origin_of(value: Value, wanted: Perm) -> tuple[Value, Perm]:
    """The value that transposes were applied to, and the layout of it that is ``value`` in layout ``wanted``."""
    while is_op(value.producer, "transpose"):
        wanted = after(value.producer.attrs.perm, wanted)
        value = value.producer.inputs[0]
    return value, wanted
