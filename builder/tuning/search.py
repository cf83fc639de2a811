"""Least cost of choices that depend on each other in pairs: exact where tables stay small, else with a bound.

Each variable has a cost for each of its values, and pairs of variables a table of costs. Eliminating a variable
replaces all tables it is in by one over its neighbours that holds, for each of their values, the least that it adds;
the last one is the least cost, and going back gives the values (U. Bertele, F. Brioschi: "Nonserial dynamic
programming", 1972). The order is min-fill. On a chain this is ordinary dynamic programming. Where a table would get too
large the tables of the variable are eliminated in groups, each on its own (R. Dechter, I. Rish: "Mini-buckets", JACM 50
(2), 2003): that can only lower the result, so it gives a bound from below, and values that are then improved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: entries of a table
LIMIT = 1 << 18
#: sweeps of improving one variable at a time
SWEEPS = 50


@dataclass(frozen=True, slots=True)
class Solution:
    """The value of each variable, what they cost together, and a cost that no choice can be below."""

    values: tuple[int, ...]
    cost: float
    bound: float

    @property
    def is_exact(self) -> bool:
        return self.bound >= self.cost


@dataclass(frozen=True, slots=True)
class _Table:
    """Costs over variables, an axis each, in the order of ``scope``, which ascends."""

    scope: tuple[int, ...]
    costs: np.ndarray

    def over(self, scope: Sequence[int]) -> np.ndarray:
        """The costs with axes of one for what it does not depend on."""
        extents = dict(zip(self.scope, self.costs.shape))
        return self.costs.reshape([extents.get(variable, 1) for variable in scope])

    def at(self, values: Sequence[int]) -> float:
        return float(self.costs[tuple(values[variable] for variable in self.scope)])


def minimise(
    unary: Sequence[Sequence[float]], pairs: Mapping[tuple[int, int], Sequence[Sequence[float]]], limit: int = LIMIT
) -> Solution:
    """The cheapest values: the sum of ``unary[i][v_i]`` and of ``pairs[i, j][v_i][v_j]`` over all pairs, i < j.

    Infinite costs forbid. Of equal costs the smaller value is taken, so the result is the same everywhere. ``limit`` is
    the number of entries that a table may have. Some choice must have a finite cost.
    """
    tables = [_Table((i,), np.asarray(costs, np.float64)) for i, costs in enumerate(unary)]
    tables += [_Table(pair, np.asarray(costs, np.float64)) for pair, costs in sorted(pairs.items())]
    sizes = [len(costs) for costs in unary]
    bound, buckets, cut = _eliminate(tables, sizes, limit)
    values = [0] * len(sizes)
    known: set[int] = set()
    for variable, bucket in reversed(buckets):
        known.add(variable)
        values[variable] = _best(variable, bucket, values, known)
    if cut:
        trials = [values, [0] * len(sizes)]
        for trial in trials:
            _improve(trial, tables, sizes)
        values = min(trials, key=lambda trial: sum(table.at(trial) for table in tables))
    cost = sum(table.at(values) for table in tables)
    return Solution(tuple(values), cost, min(bound, cost) if cut else cost)


def _eliminate(
    tables: Sequence[_Table], sizes: Sequence[int], limit: int
) -> tuple[float, list[tuple[int, list[_Table]]], bool]:
    """The bound, each variable with the tables it was eliminated from, in that order, and whether groups were cut."""
    live, left, bound, cut = list(tables), set(range(len(sizes))), 0.0, False
    buckets = []
    while left:
        variable = _next(live, left)
        left.remove(variable)
        bucket = [table for table in live if variable in table.scope]
        live = [table for table in live if variable not in table.scope]
        groups = _groups(bucket, sizes, limit)
        cut = cut or len(groups) > 1
        for scope, members in groups:
            total = sum((table.over(scope) for table in members), np.zeros((1,) * len(scope)))
            least = _Table(tuple(v for v in scope if v != variable), total.min(axis=scope.index(variable)))
            if least.scope:
                live.append(least)
            else:
                bound += float(least.costs)
        buckets.append((variable, bucket))
    return bound, buckets, cut


def _next(live: Sequence[_Table], left: set[int]) -> int:
    """The variable whose elimination joins the fewest neighbours that are not joined; then the one of fewest."""
    neighbours: dict[int, set[int]] = {variable: set() for variable in left}
    for table in live:
        for variable in table.scope:
            neighbours[variable].update(table.scope)

    def fill(variable: int) -> tuple[int, int, int]:
        around = sorted(neighbours[variable] - {variable})
        missing = sum(b not in neighbours[a] for i, a in enumerate(around) for b in around[i + 1 :])
        return missing, len(around), variable

    return min(left, key=fill)


def _groups(bucket: Sequence[_Table], sizes: Sequence[int], limit: int) -> list[tuple[tuple[int, ...], list[_Table]]]:
    """The tables in groups, each over few enough variables that their product stays within the limit."""
    groups: list[tuple[tuple[int, ...], list[_Table]]] = []
    for table in sorted(bucket, key=lambda table: -len(table.scope)):
        for i, (scope, members) in enumerate(groups):
            joined = tuple(sorted({*scope, *table.scope}))
            if int(np.prod([sizes[v] for v in joined], dtype=np.int64)) <= limit:
                groups[i] = (joined, [*members, table])
                break
        else:
            groups.append((table.scope, [table]))
    return groups


def _best(variable: int, bucket: Sequence[_Table], values: Sequence[int], known: set[int]) -> int:
    """The cheapest value, those of the variables eliminated later being known."""
    total: np.ndarray | float = 0.0
    for table in bucket:
        assert known.issuperset(table.scope)
        total = total + table.costs[tuple(slice(None) if v == variable else values[v] for v in table.scope)]
    return int(np.argmin(total))


def _improve(values: list[int], tables: Sequence[_Table], sizes: Sequence[int]) -> None:
    """Change single values, and pairs that share a table, while that lowers the cost (iterated conditional modes)."""
    around: list[list[_Table]] = [[t for t in tables if v in t.scope] for v in range(len(sizes))]
    moves = [t.scope for t in tables]
    for _ in range(SWEEPS):
        changed = False
        for scope in moves:
            near = [t for i, v in enumerate(scope) for t in around[v] if not any(u in t.scope for u in scope[:i])]
            before = tuple(values[v] for v in scope)
            best, least = before, sum(t.at(values) for t in near)
            for trial in np.ndindex(*(sizes[v] for v in scope)):
                for v, value in zip(scope, trial):
                    values[v] = value
                cost = sum(t.at(values) for t in near)
                if cost < least:
                    best, least = trial, cost
            for v, value in zip(scope, best):
                values[v] = int(value)
            changed = changed or best != before
        if not changed:
            return
