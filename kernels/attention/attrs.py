"""The attributes of attention, and what they say of its operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AttentionAttrs:
    """``rows_first`` says for q, k, v and the result whether they are [B, L, H, D] rather than [B, H, L, D].

    An operand with rows first may also have its heads side by side, as a product leaves them: [B, L, H * D]. Of q
    ``heads`` then says how many.

    With ``causal``, row i sees columns up to i + ``diagonal`` only. Scores become ``softcap`` * tanh(score /
    ``softcap``) before the mask is added, unless it is 0.
    """

    scale: float = 1.0
    rows_first: tuple[bool, bool, bool, bool] = (False, False, False, False)
    causal: bool = False
    diagonal: int = 0
    softcap: float = 0.0
    heads: int = 0


def dims(attrs: AttentionAttrs, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, int, int, int]]:
    """Batch, heads, rows and width of q, k and v; a width or a number of heads that cannot be is 0."""
    (q, k, v), found = shapes, []
    for shape, first in zip(shapes, attrs.rows_first):
        batch, rows, heads, width = (*shape[:2], 0, shape[2]) if len(shape) == 3 else shape
        found.append([batch, heads, rows, width] if first else [batch, rows, heads, width])

    def share(whole: int, part: int) -> int:
        return whole // part if part > 0 and whole % part == 0 else 0

    if len(q) == 3:
        found[0][1], found[0][3] = attrs.heads, share(q[2], attrs.heads)
    if len(k) == 3:
        found[1][1], found[1][3] = share(k[2], found[0][3]), found[0][3]
    if len(v) == 3:
        found[2][1], found[2][3] = found[1][1], share(v[2], found[1][1])
    return [tuple(each) for each in found]
