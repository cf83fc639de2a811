"""The minimum cut of a flow network, for passes that choose between two states a node (Dinic's algorithm)."""

from __future__ import annotations

from collections import deque

INFINITE = 1 << 60


class MinCut:
    """Binary choices with costs. Every variable is 0 or 1; :meth:`solve` finds a cheapest assignment.

    Of several cheapest ones it is the one with the fewest ones. Costs are non-negative integers.
    """

    def __init__(self) -> None:
        self._to: list[int] = []
        self._capacity: list[int] = []
        self._edges: list[list[int]] = [[], []]  # of the source (always 0) and the sink (always 1)

    ZERO, ONE = 0, 1

    def variable(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def if_zero_one(self, a: int, b: int, cost: int) -> None:
        """``cost`` is due when ``a`` is 0 and ``b`` is 1. Either may be the constant ``ZERO`` or ``ONE``."""
        if cost <= 0 or a == self.ONE or b == self.ZERO:
            return
        for origin, to, capacity in ((a, b, cost), (b, a, 0)):
            self._edges[origin].append(len(self._to))
            self._to.append(to)
            self._capacity.append(capacity)

    def if_zero(self, a: int, cost: int) -> None:
        self.if_zero_one(a, self.ONE, cost)

    def if_one(self, a: int, cost: int) -> None:
        self.if_zero_one(self.ZERO, a, cost)

    def pair(self, a: int, b: int, costs: tuple[int, int, int, int]) -> None:
        """Costs of (a, b) being (0,0), (0,1), (1,0), (1,1). Where no cut can express them, (0,1) counts for more."""
        zero_zero, zero_one, one_zero, one_one = costs
        self._linear(a, one_zero - zero_zero)
        self._linear(b, one_one - one_zero)
        self.if_zero_one(a, b, zero_one + one_zero - zero_zero - one_one)

    def _linear(self, a: int, cost: int) -> None:
        if cost > 0:
            self.if_one(a, cost)
        else:
            self.if_zero(a, -cost)

    def solve(self) -> list[int]:
        """The value of each variable, by its number."""
        while (levels := self._levels())[self.ONE] >= 0:
            self._augment(levels)
        return self._reaching_sink()

    def _levels(self) -> list[int]:
        levels = [-1] * len(self._edges)
        levels[self.ZERO] = 0
        queue = deque([self.ZERO])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:
                to = self._to[edge]
                if self._capacity[edge] and levels[to] < 0:
                    levels[to] = levels[node] + 1
                    queue.append(to)
        return levels

    def _augment(self, levels: list[int]) -> None:
        """Push flow along shortest paths until there is none left (a depth-first search without recursion)."""
        current = [0] * len(self._edges)
        path: list[int] = []
        node = self.ZERO
        while True:
            if node == self.ONE:
                flow = min(self._capacity[edge] for edge in path)
                for edge in path:
                    self._capacity[edge] -= flow
                    self._capacity[edge ^ 1] += flow
                path, node = [], self.ZERO
            edges = self._edges[node]
            while current[node] < len(edges):
                edge = edges[current[node]]
                if self._capacity[edge] and levels[self._to[edge]] == levels[node] + 1:
                    path.append(edge)
                    node = self._to[edge]
                    break
                current[node] += 1
            else:
                if not path:
                    return
                node = self._to[path.pop() ^ 1]
                current[node] += 1

    def _reaching_sink(self) -> list[int]:
        values = [0] * len(self._edges)
        values[self.ONE] = 1
        queue = deque([self.ONE])
        while queue:
            node = queue.popleft()
            for edge in self._edges[node]:  # edge ^ 1 leads from the neighbour to here
                to = self._to[edge]
                if self._capacity[edge ^ 1] and not values[to]:
                    values[to] = 1
                    queue.append(to)
        return values
