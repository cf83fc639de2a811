"""What a matrix product can do about the transposes in front of it: read its operands either way round, or have the
rows of its constant weights in the order in which a flattened operand lies in memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from ingot.builder.ir import Node, Value
from ingot.builder.passes.permutation import Perm, after, identity, memory_order, permuted
from ingot.builder.passes.rewrite import Sweep, is_op, op


def matrix_swap(rank: int) -> Perm:
    """The exchange of the last two axes."""
    return (*range(rank - 2), rank - 1, rank - 2)


def swaps_matrix(shape: Sequence[int], perm: Perm) -> bool:
    """Whether the transpose is, for the bytes, an exchange of the last two axes of its result."""
    rank = len(perm)
    return rank >= 2 and memory_order(shape, after(perm, matrix_swap(rank))) == memory_order(shape, identity(rank))


def spell_out(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """A rule: transposes of operands that are not constants as nodes, not as flags, while layouts are chosen."""
    inputs, attrs = list(node.inputs), node.attrs
    for index, flag in enumerate(("trans_a", "trans_b")):
        x = inputs[index]
        if getattr(attrs, flag) and not x.is_constant:
            inputs[index] = sweep.emit("transpose", op("transpose").attrs(matrix_swap(x.type.rank)), [x])
            attrs = dataclasses.replace(attrs, **{flag: False})
    return None if attrs is node.attrs else [sweep.emit("matmul", attrs, inputs, outputs=node.outputs)]


def absorb(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """A rule: the matrix product without the transposes that it can do without."""
    return (_turn(sweep, node) or _flattened(sweep, node)) if is_op(node, "matmul") else None


def _turn(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    inputs, attrs = list(node.inputs), node.attrs
    for index, flag in enumerate(("trans_a", "trans_b")):
        source = inputs[index].producer
        if is_op(source, "transpose") and swaps_matrix(source.inputs[0].type.shape, source.attrs.perm):
            # only axes of extent 1 may lie elsewhere: a reshape brings them in place without moving a byte
            shape = inputs[index].type.shape
            inputs[index] = sweep.reshape(source.inputs[0], permuted(shape, matrix_swap(len(shape))))
            attrs = dataclasses.replace(attrs, **{flag: not getattr(attrs, flag)})
    if inputs == node.inputs:
        return None
    return [sweep.emit("matmul", attrs, inputs, outputs=node.outputs)]


def _flattened(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    """flatten(transpose(x)) @ w: where the transpose stays within what is flattened, w is reordered instead."""
    a, w = node.inputs[:2]
    flatten, attrs = a.producer, node.attrs
    turn = flatten.inputs[0].producer if is_op(flatten, "reshape") else None
    if not is_op(turn, "transpose") or not w.is_constant or w.type.rank != 2 or attrs.trans_a:
        return None
    x, perm = turn.inputs[0], turn.attrs.perm
    shape = permuted(x.type.shape, perm)
    inner = next((j for j in range(len(shape)) if math.prod(shape[j:]) == a.type.shape[-1]), None)
    if inner is None or 0 in shape:
        return None
    ordered = tuple(sorted(perm[inner:]))
    if memory_order(x.type.shape, perm[:inner] + ordered) != memory_order(x.type.shape, identity(len(perm))):
        return None
    rows = w.data.T if attrs.trans_b else w.data
    split = rows.reshape(*shape[inner:], rows.shape[-1])
    moved = split.transpose(*(perm[inner:].index(axis) for axis in ordered), split.ndim - 1).reshape(rows.shape)
    weights = sweep.constant(moved.T if attrs.trans_b else moved, f"{w.name}.reordered", w.type.dtype)
    inputs = [sweep.reshape(x, a.type.shape), weights, *node.inputs[2:]]
    return [sweep.emit("matmul", attrs, inputs, outputs=node.outputs)]
