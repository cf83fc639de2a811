"""Schedule: an order of the nodes in which the largest sum of buffers alive at once is as small as can be found.

Finding the best order is NP-hard. Several list schedules are made, forwards and backwards, each by always taking the
ready node that is best for the memory; the best of them and the given order is then improved by moving single nodes.
The result is never worse than the given order, which also wins every tie. Work is bounded by counting, not by a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ingot.builder.ir import Graph
from ingot.builder.lifetimes import Lifetimes, root_of, tactic_of
from ingot.builder.plan_memory import aligned, plan

#: how many steps of candidate orders may be looked at while improving
SEARCH_WORK = 1_500_000
#: the packing is tried on this many orders of equal peak
PACKINGS = 3


def run(graph: Graph) -> None:
    """Reorder ``graph.nodes``. Wants ``graph.views`` and the tactics' workspaces to be known."""
    problem = _Problem(graph)
    given = list(range(len(graph.nodes)))
    before = problem.peak(given)
    orders = [given, *(_list_schedule(problem, key) for key in _KEYS), _backwards(problem), _depth_first(problem)]
    best = min(orders, key=problem.peak)
    best = _improve(problem, best)
    if problem.peak(best) >= before:
        best = given
    best = _best_packed(graph, problem, [best, *orders])
    after = problem.peak(best)
    if best != given:
        graph.nodes = [graph.nodes[i] for i in best]
        graph.report.append(("schedule", f"largest sum of buffers alive: {before} bytes became {after}"))


def _best_packed(graph: Graph, problem: _Problem, orders: Sequence[list[int]]) -> list[int]:
    """Of the orders whose peak is as small as the first one's, the one whose arena is; usually the first fits."""
    low = problem.peak(orders[0])
    alike = [order for i, order in enumerate(orders) if problem.peak(order) == low and order not in orders[:i]]
    best, best_size = orders[0], -1
    for order in alike[:PACKINGS]:
        lives = Lifetimes(graph, [graph.nodes[i] for i in order])
        made = plan(lives.buffers, lives.may_share)
        if best_size < 0 or made.size < best_size:
            best, best_size = order, made.size
        if made.size == made.bound:
            break
    return best


class _Problem:
    """The graph in numbers: nodes and buffers by index, sizes in bytes."""

    def __init__(self, graph: Graph) -> None:
        nodes = graph.nodes
        number = {node: i for i, node in enumerate(nodes)}
        self.needs: list[list[int]] = [[] for _ in nodes]  # nodes that must run before
        self.feeds: list[list[int]] = [[] for _ in nodes]
        buffers: dict = {}
        self.size: list[int] = []
        self.touches: list[list[int]] = []  # buffers that a node reads or writes
        self.workspace = [0] * len(nodes)
        self.over: list[tuple[int, list[int]] | None] = [None] * len(nodes)  # (result, inputs it may overwrite)
        bound = {root_of(graph, value) for value in [*graph.inputs, *graph.outputs]}
        for i, node in enumerate(nodes):
            touched: list[int] = []
            for value in [*node.inputs, *node.outputs]:
                if value is None or value.is_constant:
                    continue
                root = root_of(graph, value)
                if root not in buffers:
                    buffers[root] = len(self.size)
                    self.size.append(0 if root in bound else aligned(root.type.nbytes))
                if buffers[root] not in touched:
                    touched.append(buffers[root])
            self.touches.append(touched)
            for value in node.inputs:
                if value is not None and value.producer is not None:
                    before = number[value.producer]
                    if before not in self.needs[i]:
                        self.needs[i].append(before)
                        self.feeds[before].append(i)
            tactic = tactic_of(node, graph.backend)
            self.workspace[i] = aligned(tactic.workspace(node)) if tactic is not None else 0
        self.users: list[list[int]] = [[] for _ in self.size]
        for i, touched in enumerate(self.touches):
            for buffer in touched:
                self.users[buffer].append(i)
        lives = Lifetimes(graph)
        for output, source in lives.may_share:
            result, operand = lives.owners[output], lives.owners[source]
            at = number[result.producer]
            previous = self.over[at]
            self.over[at] = (buffers[result], [*(previous[1] if previous else []), buffers[operand]])

    def peak(self, order: Sequence[int]) -> int:
        """The largest sum of buffers alive at a step of the order."""
        left = [len(users) for users in self.users]
        alive = best = 0
        born = [False] * len(self.size)
        for i in order:
            reused, dying = 0, 0
            pair = self.over[i]
            for b in self.touches[i]:
                if not born[b]:
                    born[b] = True
                    alive += self.size[b]
                left[b] -= 1
                if not left[b]:
                    dying += self.size[b]
            if pair is not None:
                result, operands = pair
                if any(left[b] == 0 and self.size[b] == self.size[result] for b in operands):
                    reused = self.size[result]
            best = max(best, alive + self.workspace[i] - reused)
            alive -= dying
        return best


#: a list schedule's wish, smaller is better: (growth of what is alive after the node, bytes it needs at once, number)
_Key = Callable[[int, int, int], tuple[int, ...]]
_KEYS: tuple[_Key, ...] = (
    lambda growth, need, i: (growth, need, i),
    lambda growth, need, i: (max(growth, 0), i),
    lambda growth, need, i: (need, growth, i),
)


def _list_schedule(problem: _Problem, key: _Key) -> list[int]:
    waiting = [len(needs) for needs in problem.needs]
    ready = [i for i, count in enumerate(waiting) if not count]
    left = [len(users) for users in problem.users]
    born = [False] * len(problem.size)
    order: list[int] = []

    def wish(i: int) -> tuple[int, ...]:
        new = sum(problem.size[b] for b in problem.touches[i] if not born[b])
        freed = sum(problem.size[b] for b in problem.touches[i] if left[b] == 1)
        return key(new - freed, new + problem.workspace[i], i)

    while ready:
        chosen = min(ready, key=wish)
        ready.remove(chosen)
        order.append(chosen)
        for b in problem.touches[chosen]:
            born[b] = True
            left[b] -= 1
        for i in problem.feeds[chosen]:
            waiting[i] -= 1
            if not waiting[i]:
                ready.append(i)
    return order


def _backwards(problem: _Problem) -> list[int]:
    """The same from the end: of the nodes whose readers are all placed, the one that keeps least alive before it."""
    waiting = [len(feeds) for feeds in problem.feeds]
    ready = [i for i, count in enumerate(waiting) if not count]
    left = [len(users) for users in problem.users]
    alive = [False] * len(problem.size)
    order: list[int] = []

    def wish(i: int) -> tuple[int, ...]:
        new = sum(problem.size[b] for b in problem.touches[i] if not alive[b])
        freed = sum(problem.size[b] for b in problem.touches[i] if left[b] == 1)
        return (new - freed, -i)

    while ready:
        chosen = min(ready, key=wish)
        ready.remove(chosen)
        order.append(chosen)
        for b in problem.touches[chosen]:
            alive[b] = True
            left[b] -= 1
        for i in problem.needs[chosen]:
            waiting[i] -= 1
            if not waiting[i]:
                ready.append(i)
    return order[::-1]


def _depth_first(problem: _Problem) -> list[int]:
    """Each result is computed right before its first reader: chains are followed to their end."""
    order: list[int] = []
    done = [False] * len(problem.needs)
    for last in range(len(problem.needs)):
        if problem.feeds[last]:
            continue
        stack = [(last, iter(problem.needs[last]))]
        while stack:
            node, needs = stack[-1]
            following = next((n for n in needs if not done[n]), None)
            if following is not None:
                stack.append((following, iter(problem.needs[following])))
                continue
            stack.pop()
            if not done[node]:
                done[node] = True
                order.append(node)
    return order


def _improve(problem: _Problem, order: list[int]) -> list[int]:
    """Move single nodes as early or as late as their neighbours allow, while that lowers the peak."""
    best, low = order, problem.peak(order)
    work = SEARCH_WORK
    improved = True
    while improved:
        improved = False
        for node in list(best):
            for trial in _moves(problem, best, node):
                work -= len(trial)
                if work < 0:
                    return best
                peak = problem.peak(trial)
                if peak < low:
                    best, low, improved = trial, peak, True
                    break
    return best


def _moves(problem: _Problem, order: list[int], node: int) -> list[list[int]]:
    """The order with the node moved to the earliest and to the latest place it may have."""
    at = order.index(node)
    place = {n: i for i, n in enumerate(order)}
    first = max((place[n] + 1 for n in problem.needs[node]), default=0)
    last = min((place[n] - 1 for n in problem.feeds[node]), default=len(order) - 1)
    rest = order[:at] + order[at + 1 :]
    return [[*rest[:to], node, *rest[to:]] for to in dict.fromkeys((first, last)) if to != at]
