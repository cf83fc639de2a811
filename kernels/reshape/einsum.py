"""Einsum: the operands are multiplied in pairs from the left, each pair as one batched matrix product.

Of a pair, the labels fall into four groups: batch (in both and still needed), contracted (in both, needed no more),
left and right (in one). ``left[batch, left, contracted] @ right[batch, contracted, right]`` is the product, transposes
and reshapes do the rest. A label that only one operand has and nobody needs is summed there first.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ingot.kernels.expand.op import expand
from ingot.kernels.matmul.op import MatMulAttrs
from ingot.kernels.reduce.op import ReduceAttrs, ReduceKind
from ingot.kernels.slice.op import slice_ranges
from ingot.kernels.spec import Builder, DType, Unsupported, onnx_op


@dataclass(slots=True)
class _Term:
    """A value and the label of each of its axes."""

    value: Any
    labels: list[str]


class _Einsum:
    def __init__(self, b: Builder, extents: dict[str, int]) -> None:
        self.b = b
        self.extents = extents

    def shape(self, labels: Iterable[str]) -> tuple[int, ...]:
        return tuple(self.extents[label] for label in labels)

    def diagonal(self, term: _Term) -> _Term:
        """The term with each label once: a repeated label takes the diagonal of its axes."""
        while len(set(term.labels)) < len(term.labels):
            label = next(c for c in term.labels if term.labels.count(c) > 1)
            first = term.labels.index(label)
            second = term.labels.index(label, first + 1)
            rest = [a for a in range(len(term.labels)) if a not in (first, second)]
            labels = [term.labels[a] for a in rest]
            n, shape = self.extents[label], self.shape(labels)
            x = self.b.transpose(term.value, [*rest, first, second])
            x = self.b.reshape(x, (*shape, n * n))
            x = slice_ranges(self.b, x, {len(shape): range(0, n * n, n + 1)})
            term = _Term(x, [*labels, label])
        return term

    def arrange(self, term: _Term, labels: list[str]) -> Any:
        """The term's value with its axes in the order ``labels``."""
        return self.b.transpose(term.value, [term.labels.index(label) for label in labels])

    def sum_out(self, term: _Term, gone: list[str]) -> _Term:
        """The term summed over the labels ``gone``."""
        if not gone:
            return term
        kept = [label for label in term.labels if label not in gone]
        x = self.b.reshape(self.arrange(term, kept + gone), (math.prod(self.shape(kept)), math.prod(self.shape(gone))))
        x = self.b.emit("reduce", ReduceAttrs(ReduceKind.SUM, (1,)), [x])[0]
        return _Term(self.b.reshape(x, self.shape(kept)), kept)

    def product(self, left: _Term, right: _Term, needed: set[str]) -> _Term:
        """One term for two; labels that are not ``needed`` are summed over."""
        left = self.sum_out(left, [c for c in left.labels if c not in needed and c not in right.labels])
        right = self.sum_out(right, [c for c in right.labels if c not in needed and c not in left.labels])
        batch = [c for c in left.labels if c in right.labels and c in needed]
        inner = [c for c in left.labels if c in right.labels and c not in needed]
        rows = [c for c in left.labels if c not in right.labels]
        cols = [c for c in right.labels if c not in left.labels]
        if not inner:
            return self.outer(left, right)
        count = [math.prod(self.shape(batch))] if batch else []
        depth, m, n = (math.prod(self.shape(labels)) for labels in (inner, rows, cols))
        # an operand that lies there transposed stays so: the product can read it
        trans_a = bool(rows) and left.labels == batch + inner + rows
        trans_b = bool(cols) and right.labels == batch + cols + inner
        x = self.arrange(left, batch + (inner + rows if trans_a else rows + inner))
        y = self.arrange(right, batch + (cols + inner if trans_b else inner + cols))
        x = self.b.reshape(x, (*count, depth, m) if trans_a else (*count, m, depth))
        y = self.b.reshape(y, (*count, n, depth) if trans_b else (*count, depth, n))
        z = self.b.emit("matmul", MatMulAttrs(trans_a=trans_a, trans_b=trans_b), [x, y, None, None])[0]
        labels = batch + rows + cols
        return _Term(self.b.reshape(z, self.shape(labels)), labels)

    def outer(self, left: _Term, right: _Term) -> _Term:
        """Nothing to sum: a broadcasting multiplication."""
        labels = left.labels + [c for c in right.labels if c not in left.labels]
        operands = []
        for term in (left, right):
            own = [c for c in labels if c in term.labels]
            shape = [self.extents[c] if c in term.labels else 1 for c in labels]
            operands.append(self.b.reshape(self.arrange(term, own), shape))
        return _Term(self.b.elementwise("Mul", *operands), labels)


def _split_labels(text: str, rank: int, dots: int) -> list[str]:
    """The label of each axis; the axes of an ellipsis are called by number, from the last."""
    head, ellipsis, tail = text.partition("...")
    count = rank - len(head) - len(tail) if rank >= 0 else dots
    if count < 0 or (not ellipsis and count) or not set(head + tail) <= set(string.ascii_letters):
        raise Unsupported(f"Einsum term {text!r} for rank {rank}", "a letter for each axis")
    return [*head, *(str(i) for i in reversed(range(count))), *tail]


@onnx_op("Einsum")
def _einsum(b: Builder) -> Any:
    equation = b.attr("equation").replace(" ", "")
    left, arrow, result = equation.partition("->")
    texts = left.split(",")
    values = [b.input(i) for i in range(b.input_count)]
    if len(texts) != len(values):
        raise Unsupported(f"Einsum {equation!r} of {len(values)} operands", "a term for each operand")
    terms = [_Term(v, _split_labels(t, v.type.rank, 0)) for v, t in zip(values, texts)]
    dots = max((sum(c.isdigit() for c in term.labels) for term in terms), default=0)
    if arrow:
        wanted = _split_labels(result, -1, dots if "..." in result else 0)
    else:
        letters = [c for term in terms for c in term.labels if not c.isdigit()]
        wanted = [str(i) for i in reversed(range(dots))] + sorted(c for c in set(letters) if letters.count(c) == 1)
    extents: dict[str, int] = {}
    for term in terms:
        for label, n in zip(term.labels, term.value.type.shape):
            if extents.get(label, 1) not in (1, n) and n != 1:
                raise Unsupported(f"Einsum {equation!r}: label {label!r} has extents {extents[label]} and {n}")
            extents[label] = max(n, extents.get(label, 0)) if n else 0
    if len(set(wanted)) < len(wanted) or not set(wanted) <= set(extents):
        raise Unsupported(f"Einsum {equation!r}", "each label of the result once and in some term")
    return _contract(b, terms, wanted, extents)


def _contract(b: Builder, terms: list[_Term], wanted: list[str], extents: dict[str, int]) -> Any:
    work = _Einsum(b, extents)
    terms = [_Term(expand(b, t.value, work.shape(t.labels)), t.labels) for t in terms]
    dtype = terms[0].value.type.dtype
    if not dtype.is_float:
        terms = [_Term(b.cast(t.value, DType.I64), t.labels) for t in terms]  # wraps as the narrower type would
    terms = [work.diagonal(t) for t in terms]
    result = terms[0]
    for i, term in enumerate(terms[1:], 2):
        needed = set(wanted).union(*(t.labels for t in terms[i:]))
        result = work.product(result, term, needed)
    result = work.sum_out(result, [c for c in result.labels if c not in wanted])
    return b.cast(work.arrange(result, wanted), dtype)
