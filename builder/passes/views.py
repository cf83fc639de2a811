"""Views: joining, splitting and reshaping without a copy.

A producer that can leave gaps between its rows writes its piece of a Concat straight into the result; a consumer that
can skip gaps reads its piece of a Split straight from the operand; a reshape is another way to look at the same bytes.
What became a view needs no step any more: its node gets the tactic without a kernel.

Two sweeps decide. Backwards, pieces move *into* what they are joined to; there the place of the whole is known before
that of its pieces. Forwards, slices and reshapes are looked up *in* what they are taken from. Where a view is not
possible and something must be moved after all, a copy (a slice of everything) is put in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ingot.builder.ir import Graph, Node, Value, View
from ingot.builder.lifetimes import tactic_of
from ingot.builder.passes.rewrite import Names, is_op, op, plural
from ingot.builder.provenance import provenance_of
from ingot.kernels.spec import Tactic, TensorType

#: what a node that became a view is done by
ALIAS = Tactic(kernel="", numerics="exact")
#: a step more must save at least so many bytes
STEP_BYTES = 1024


def run(graph: Graph) -> None:
    """Fill ``graph.views``. Tactics must have been chosen; the first that can counts where none is."""
    _Views(graph).run()


def row(kind: TensorType) -> int:
    """Elements of the last axis."""
    return kind.shape[-1] if kind.rank else 1


def _rows(kind: TensorType) -> int:
    return math.prod(kind.shape[:-1])


def inside(outer: View, width: int, offset: int, pitch: int) -> View | None:
    """A view of a value (rows of ``width`` elements), when that value itself lies at ``outer``.

    ``offset`` and ``pitch`` count the value's elements as if it were dense. ``None`` when the rows of the one do not
    lie at equal distances in the other.
    """
    if outer.pitch == width:
        return View(outer.base, outer.offset + offset, pitch)
    if not width or pitch % width:
        return None
    line, column = divmod(offset, width)
    return View(outer.base, outer.offset + line * outer.pitch + column, pitch // width * outer.pitch)


def slice_of(kind: TensorType, attrs) -> tuple[int, int] | None:
    """Offset and pitch of a slice in a dense tensor, or ``None`` when its rows do not lie at equal distances."""
    strides, stride = [], 1
    for extent in reversed(kind.shape):
        strides.insert(0, stride)
        stride *= extent
    if not kind.rank or 0 in attrs.shape:
        return None
    if attrs.shape[-1] > 1 and attrs.steps[-1] != 1:
        return None
    offset = sum(start * stride for start, stride in zip(attrs.starts, strides))
    pitch, span = attrs.shape[-1], 0
    for axis in reversed(range(kind.rank - 1)):
        if attrs.shape[axis] == 1:
            continue
        step = attrs.steps[axis] * strides[axis]
        if not span:
            pitch = span = step
        elif step != span:
            return None
        span *= attrs.shape[axis]
    return (offset, pitch) if pitch >= attrs.shape[-1] else None


class _Views:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.places = graph.views
        self.users = graph.users()
        self.inputs = {id(value) for value in graph.inputs}
        self.outputs = {id(value) for value in graph.outputs}
        self.names = Names(graph)
        self.copies: dict[Node, list[Node]] = {}  # to be put in before a node
        self.saved = 0

    def run(self) -> None:
        for node in reversed(self.graph.nodes):
            if is_op(node, "concat"):
                self._join(node)
            elif is_op(node, "reshape"):
                self._reshape_into(node)
        self.graph.nodes = [each for node in self.graph.nodes for each in [*self.copies.get(node, ()), node]]
        for node in self.graph.nodes:
            if is_op(node, "reshape"):
                self._reshape_of(node)
            elif is_op(node, "slice"):
                self._slice(node)
        made = sum(1 for node in self.graph.nodes if node.tactic is ALIAS)
        copies = sum(map(len, self.copies.values()))
        if made or copies:
            text = f"{plural(made, 'step')} became views ({self.saved} bytes), {plural(copies, 'copy')} put in"
            self.graph.report.append(("views", text))

    def _place(self, value: Value) -> View:
        return self.places.get(value) or View(value, 0, row(value.type))

    def _join(self, node: Node) -> None:
        """Let the pieces of a concat be written where they are wanted."""
        axis, whole = node.attrs.axis, node.output
        shape = whole.type.shape
        inner = math.prod(shape[axis + 1 :])
        if axis != len(shape) - 1 and math.prod(shape[:axis]) != 1:
            return
        pitch = shape[-1]
        places: list[View | None] = []
        begin = 0
        for index, piece in enumerate(node.inputs):
            place = inside(self._place(whole), row(whole.type), begin * inner, pitch)
            begin += piece.type.shape[axis]
            first = all(piece is not other for other in node.inputs[:index])
            places.append(place if place and first and self._may_move(piece, place, node) else None)
        saved = sum(piece.type.nbytes for piece, place in zip(node.inputs, places) if place)
        steps = sum(not place for place in places) - 1  # copies instead of the one concat
        if not any(places) or saved < steps * STEP_BYTES:
            return
        self._fill(node, places, inner, pitch)
        node.tactic = ALIAS

    def _fill(self, node: Node, places: Sequence[View | None], inner: int, pitch: int) -> None:
        begin = 0
        for index, (piece, place) in enumerate(zip(list(node.inputs), places)):
            if place is None:
                place = inside(self._place(node.output), row(node.output.type), begin * inner, pitch)
                node.inputs[index] = self._copy(node, piece)
            else:
                self.saved += piece.type.nbytes
            begin += piece.type.shape[node.attrs.axis]
            self.places[node.inputs[index]] = self._tidy(node.inputs[index], place)

    def _tidy(self, value: Value, place: View) -> View:
        """A single row has no pitch."""
        return View(place.base, place.offset, row(value.type)) if _rows(value.type) <= 1 else place

    def _reshape_into(self, node: Node) -> None:
        """Where the result of a reshape has a place, or is the caller's memory, its operand is written there."""
        x, y = node.inputs[0], node.output
        if id(y) not in self.outputs and y not in self.places:
            return
        place = self._reshaped(self._place(y), y.type, x.type)
        if place is None or not self._may_move(x, place, node):
            copy = self._copy(node, x)
            node.inputs[0] = copy
            x, place = copy, self._reshaped(self._place(y), y.type, x.type)
            if place is None:  # rows of y do not hold rows of x: bring x into y's shape first
                raise AssertionError(f"{y.name}: a view that its operand cannot take")
        self.places[x] = self._tidy(x, place)

    @staticmethod
    def _reshaped(place: View, kind: TensorType, other: TensorType) -> View | None:
        """Where ``other`` lies when it is the same bytes as ``kind`` at ``place``."""
        if place.pitch == row(kind) or _rows(kind) <= 1:
            return View(place.base, place.offset, row(other))
        return place if row(kind) == row(other) else None

    def _copy(self, before: Node, x: Value) -> Value:
        """A copy of ``x``, made right before the node."""
        shape = x.type.shape
        attrs = op("slice").attrs((0,) * len(shape), (1,) * len(shape), shape)
        y = Value(self.names.fresh(f"{x.name}.copy"), x.type, provenance=provenance_of(x))
        y.producer = Node(op("slice"), attrs, [x], [y], before.source)
        self.copies.setdefault(before, []).append(y.producer)
        self.users[x] = [user for user in self.users.get(x, ()) if user is not before] + [y.producer]
        self.users[y] = [before]
        return y

    def _may_move(self, value: Value, place: View, reader: Node) -> bool:
        """Whether ``value`` may be computed at ``place``, for ``reader`` to find it there."""
        if value.producer is None or value in self.places or id(value) in self.outputs:
            return False
        others = [user for user in self.users.get(value, ()) if user is not reader]
        if others and id(place.base) in self.outputs:
            return False  # memory of the caller: written, but not read again
        if is_op(value.producer, "reshape"):
            # the place is handed on to the reshape's operand, or a copy made; either way the shapes must agree
            x = value.producer.inputs[0]
            if self._reshaped(place, value.type, x.type) is None:
                return False
        elif not self._dense(value, place) and not self._writes_rows(value):
            return False
        return self._dense(value, place) or all(self._reads_rows(user, value) for user in others)

    @staticmethod
    def _dense(value: Value, place: View) -> bool:
        return place.pitch == row(value.type) or _rows(value.type) <= 1

    def _writes_rows(self, value: Value) -> bool:
        node = value.producer
        tactic = tactic_of(node, self.graph.backend)
        index = next(i for i, output in enumerate(node.outputs) if output is value)
        return tactic is not None and index in tactic.pitched_outputs

    def _reads_rows(self, user: Node, value: Value) -> bool:
        """Whether the node can read the value in rows that have gaps between them."""
        if is_op(user, "reshape"):
            y = user.output
            keeps = row(y.type) == row(value.type) and y not in self.places and id(y) not in self.outputs
            return keeps and all(self._reads_rows(each, y) for each in self.users.get(y, ()))
        tactic = tactic_of(user, self.graph.backend)
        return tactic is not None and all(
            i in tactic.pitched_inputs for i, operand in enumerate(user.inputs) if operand is value
        )

    def _reshape_of(self, node: Node) -> None:
        """A reshape that was not given a place lies where its operand lies."""
        x, y = node.inputs[0], node.output
        if y in self.places or id(y) in self.outputs or x.is_constant:
            return
        place = self._reshaped(self._place(x), x.type, y.type)
        if place is None:
            raise AssertionError(f"{y.name}: no view of {x.name}, which has gaps between its rows")
        self.places[y] = self._tidy(y, place)

    def _slice(self, node: Node) -> None:
        x, y = node.inputs[0], node.output
        if y in self.places or id(y) in self.outputs or x.is_constant or node.tactic is ALIAS:
            return
        relative = slice_of(x.type, node.attrs)
        place = relative and inside(self._place(x), row(x.type), *relative)
        if not place:
            return
        place = self._tidy(y, place)
        if self._dense(y, place) or all(self._reads_rows(user, y) for user in self.users.get(y, ())):
            self.places[y] = place
            node.tactic = ALIAS
            self.saved += y.type.nbytes
