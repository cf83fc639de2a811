"""Where every buffer lies in the arena: offsets such that no two buffers alive together share a byte.

The problem (dynamic storage allocation) is NP-hard; the heuristics are those that do well on networks: place one
buffer after the other, each in the lowest or the tightest gap between the already placed ones that live at the same
time, in several orders (large first, long-lived first, busiest moment first, ...), then improve the best order by
moving the buffers that reach the top of the arena to the front. All of it is deterministic, and bounded by counted
work rather than by a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

ALIGNMENT = 64
#: readable bytes behind the last buffer: a kernel may load a whole vector where only its first element counts
TAIL = 64
#: work the improvement may do, in visited pairs of buffers; about two seconds of Python
SEARCH_WORK = 4_000_000


class PlanError(AssertionError):
    """A plan in which two buffers collide."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """``size`` bytes, needed from step ``first``, which writes it, to step ``last``, the last to read it."""

    name: str
    size: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """An offset for each buffer, in bytes; ``size`` of the arena; ``bound``, below which no arena can be.

    ``bound`` is the largest sum of aligned sizes alive at one step. Both contain the arena's tail. ``shared`` are the
    in-place pairs (output, input) of buffer indices that the plan makes use of.
    """

    offsets: tuple[int, ...]
    size: int
    bound: int
    shared: tuple[tuple[int, int], ...] = ()

    @property
    def ratio(self) -> float:
        return self.size / self.bound


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


@dataclass(slots=True)
class _Block:
    """Buffers that share their bytes, placed as one. ``clashes`` are the blocks alive at the same time."""

    size: int
    first: int
    last: int
    members: list[int]
    clashes: list[int]


def plan(buffers: Sequence[Buffer], may_share: Iterable[tuple[int, int]] = ()) -> Plan:
    """Place the buffers.

    ``may_share`` are pairs ``(output, input)`` of indices: a step that reads ``input`` for the last time may write
    ``output`` over it. A pair is used when the sizes agree and the input ends in the step where the output begins.
    """
    blocks, shared = _merge(buffers, may_share)
    bound = peak([(block.size, block.first, block.last) for block in blocks])
    _find_clashes(blocks)
    placed, top = _pack(blocks, bound)
    offsets = [0] * len(buffers)
    for block, offset in zip(blocks, placed):
        for member in block.members:
            offsets[member] = offset
    result = Plan(tuple(offsets), top + TAIL, bound + TAIL, tuple(shared))
    check(buffers, result)
    return result


def peak(intervals: Iterable[tuple[int, int, int]]) -> int:
    """The largest sum of sizes alive at one step; an interval is (size, first, last)."""
    change: dict[int, int] = {}
    for size, first, last in intervals:
        change[first] = change.get(first, 0) + size
        change[last + 1] = change.get(last + 1, 0) - size
    best = now = 0
    for step in sorted(change):
        now += change[step]
        best = max(best, now)
    return best


def check(buffers: Sequence[Buffer], made: Plan) -> None:
    """Raise :class:`PlanError` unless the plan is sound, in the plain quadratic way that needs no trust."""
    if len(made.offsets) != len(buffers):
        raise PlanError(f"{len(made.offsets)} offsets for {len(buffers)} buffers")
    shared = set(made.shared)
    for index, (buffer, offset) in enumerate(zip(buffers, made.offsets)):
        if offset < 0 or offset % ALIGNMENT or offset + buffer.size + TAIL > made.size:
            raise PlanError(f"{buffer.name}: offset {offset}, size {buffer.size} in an arena of {made.size}")
        for other in range(index):
            _check_pair(buffers, made, other, index, shared)


def _check_pair(buffers: Sequence[Buffer], made: Plan, one: int, two: int, shared: set[tuple[int, int]]) -> None:
    a, b = buffers[one], buffers[two]
    at_a, at_b = made.offsets[one], made.offsets[two]
    if not a.size or not b.size or at_a >= at_b + b.size or at_b >= at_a + a.size:
        return
    if a.last < b.first or b.last < a.first:
        return
    for output, source in ((one, two), (two, one)):
        same_bytes = (output, source) in shared and at_a == at_b and a.size == b.size
        if same_bytes and buffers[source].last == buffers[output].first:
            return
    raise PlanError(f"{a.name} and {b.name} are alive together and overlap at {max(at_a, at_b)}")


def _merge(
    buffers: Sequence[Buffer], may_share: Iterable[tuple[int, int]]
) -> tuple[list[_Block], list[tuple[int, int]]]:
    """Join buffers that are computed in place. In-place never raises the sum alive, so every possible pair is used."""
    blocks = [_Block(aligned(b.size), b.first, b.last, [i], []) for i, b in enumerate(buffers)]
    home = list(range(len(buffers)))
    shared: list[tuple[int, int]] = []
    paired: set[int] = set()
    for output, source in sorted(may_share, key=lambda pair: buffers[pair[0]].first):
        into, over = blocks[home[source]], buffers[output]
        fits = buffers[source].size == over.size and buffers[source].last == into.last == over.first
        if not fits or output in paired or source + len(buffers) in paired or over.first == buffers[source].first:
            continue
        paired.update((output, source + len(buffers)))  # an output takes one place over, a place is taken over once
        shared.append((output, source))
        into.members.append(output)
        into.last = over.last
        home[output] = home[source]
    kept = [block for index, block in enumerate(blocks) if home[index] == index]
    return kept, shared


def _find_clashes(blocks: list[_Block]) -> None:
    by_start = sorted((i for i, b in enumerate(blocks) if b.size), key=lambda i: (blocks[i].first, i))
    alive: list[int] = []
    for index in by_start:
        block = blocks[index]
        alive = [other for other in alive if blocks[other].last >= block.first]
        for other in alive:
            block.clashes.append(other)
            blocks[other].clashes.append(index)
        alive.append(index)


def _place(blocks: list[_Block], order: Sequence[int], tightest: bool, stop: int) -> tuple[list[int], int]:
    """Offsets and the arena's top when the blocks are placed in this order; gives up where the top reaches ``stop``."""
    offsets = [-1] * len(blocks)
    top = 0
    for index in order:
        block = blocks[index]
        taken = sorted((offsets[c], offsets[c] + blocks[c].size) for c in block.clashes if offsets[c] >= 0)
        best, best_gap, end = -1, 0, 0
        for low, high in taken:
            gap = low - end
            if gap >= block.size and (best < 0 or gap < best_gap):
                best, best_gap = end, gap
                if not tightest:
                    break
            end = max(end, high)
        offsets[index] = best if best >= 0 else end
        top = max(top, offsets[index] + block.size)
        if top >= stop:
            return offsets, top
    return offsets, top


def _orders(blocks: list[_Block]) -> list[list[int]]:
    """Orders worth trying. The index breaks every tie."""

    def area(block: _Block) -> int:
        return block.size * (block.last - block.first + 1)

    def pressure(block: _Block) -> int:
        return sum(blocks[c].size for c in block.clashes) + block.size

    keys: list[Callable[[_Block], tuple[int, ...]]] = [
        lambda b: (-b.size, b.first),
        lambda b: (-b.size, b.first - b.last),
        lambda b: (-area(b), b.first),
        lambda b: (b.first - b.last, -b.size),
        lambda b: (-pressure(b), -b.size, b.first),
        lambda b: (b.first, -b.size),
        lambda b: (-b.last, -b.size),
    ]
    indices = [i for i, block in enumerate(blocks) if block.size]
    orders = [sorted(indices, key=lambda i, key=key: (*key(blocks[i]), i)) for key in keys]
    orders.append(_outward_from_peak(blocks, indices))
    return orders


def _outward_from_peak(blocks: list[_Block], indices: list[int]) -> list[int]:
    """First what is alive at the busiest step, then step by step away from it."""
    steps = sorted({blocks[i].first for i in indices})
    alive = {s: sum(blocks[i].size for i in indices if blocks[i].first <= s <= blocks[i].last) for s in steps}
    busiest = max(steps, key=lambda s: (alive[s], -s), default=0)

    def distance(block: _Block) -> int:
        return max(block.first - busiest, busiest - block.last, 0)

    return sorted(indices, key=lambda i: (distance(blocks[i]), -blocks[i].size, i))


def _pack(blocks: list[_Block], bound: int) -> tuple[list[int], int]:
    best: list[int] = [0] * len(blocks)
    best_top = 1 << 62
    candidates: list[tuple[int, list[int], bool]] = []
    for order in _orders(blocks):
        for tightest in (False, True):
            offsets, top = _place(blocks, order, tightest, 1 << 62)
            candidates.append((top, order, tightest))
            if top < best_top:
                best, best_top = offsets, top
            if best_top <= bound:
                return _settle(best), best_top
    candidates.sort(key=lambda c: c[0])
    cost = sum(len(block.clashes) + 1 for block in blocks)
    tries = max(SEARCH_WORK // max(cost, 1) // 3, 8)
    for _, order, tightest in candidates[:3]:
        offsets, top = _improve(blocks, order, tightest, bound, min(tries, 2000))
        if top < best_top:
            best, best_top = offsets, top
        if best_top <= bound:
            break
    return _settle(best), best_top


def _settle(offsets: list[int]) -> list[int]:
    """Blocks of no bytes were not placed."""
    return [max(offset, 0) for offset in offsets]


def _improve(blocks: list[_Block], order: list[int], tightest: bool, bound: int, tries: int) -> tuple[list[int], int]:
    """Move blocks that reach the top to an earlier place of the order; a step that is no worse is kept."""
    order = list(order)
    offsets, top = _place(blocks, order, tightest, 1 << 62)
    best, best_top = offsets, top
    random = 0x9E3779B97F4A7C15
    for _ in range(tries):
        if best_top <= bound:
            break
        random = (random * 6364136223846793005 + 1442695040888963407) & ((1 << 64) - 1)
        highest = [i for i in order if offsets[i] + blocks[i].size == top]
        # either the block at the top itself, or one that pushed it there
        victim = highest[(random >> 33) % len(highest)]
        if random >> 63 and blocks[victim].clashes:
            victim = blocks[victim].clashes[(random >> 20) % len(blocks[victim].clashes)]
        at = order.index(victim)
        trial = order[:at] + order[at + 1 :]
        trial.insert((random >> 7) % (at + 1), victim)
        trial_offsets, trial_top = _place(blocks, trial, tightest, top + 1)
        if trial_top <= top:
            order, offsets, top = trial, trial_offsets, trial_top
            if top < best_top:
                best, best_top = offsets, top
    return best, best_top
