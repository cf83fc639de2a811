"""Where the error of an engine enters: the result of each of its steps against the model's tensor.

A step of the engine computes one tensor of the ONNX model, or several side by side; the engine's ledger says which, and
in which order of axes. With e what the step gave (int8 as the numbers it stands for), r the tensor in the reference
and l the tensor computed by the reference from what the engine's step read, in place of what the model has there::

    relative = |e - r| / |r|        all of the error that is there
    added    = |e - l| / |r|        the error that this step puts in

Of a step that only stores a tensor otherwise (quantises it, or moves it) l is what it was before. Where the model has
no tensor for what a step reads, l is computed from what is known further up: the steps between count as one. So do
a step whose result only functions of it read, stored in the range in which these vary (docs/numerics.md), and those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingot.cli.figures import decibels, gaps, norm, relative
from ingot.cli.reference import Recompute, Reference
from ingot.engine import Engine
from ingot.errors import EngineError
from ingot.trace import trace

#: steps that are marked: at most so many, and none that adds less than this share of the most
WORST, WORST_SHARE = 5, 0.1


@dataclass(slots=True)
class Layer:
    """A step: the nodes it does the work of, the tensors of the model that it gives, and its errors where known."""

    step: int
    layer: str
    kernel: str
    precision: str
    tensors: list[str]
    relative: float | None = None
    sqnr: float | None = None
    added: float | None = None
    worst: bool = False


@dataclass(frozen=True, slots=True)
class _Held:
    """A tensor of the model as a step of the engine gave it: in the model's order of axes, int8 as it is stored."""

    name: str
    data: np.ndarray
    scale: float | None
    zero_point: int

    def real(self) -> np.ndarray:
        """The numbers it stands for."""
        return self.data if self.scale is None else _real(self.data, self.scale, self.zero_point)

    def expected(self, tensor: np.ndarray) -> np.ndarray | None:
        """The reference's tensor as real numbers; ``None`` where the two cannot be compared."""
        if tensor.dtype.kind in "iu" and self.scale is not None:
            return _real(tensor, self.scale, self.zero_point + self._shift(tensor))
        comparable = tensor.dtype.kind in "fiub" and (tensor.dtype.kind == "f") == (self.real().dtype.kind == "f")
        return tensor if comparable else None

    def given(self, tensor: np.ndarray) -> np.ndarray:
        """The engine's numbers in the element type of the model's tensor."""
        if tensor.dtype.kind in "iu" and self.scale is not None:
            return (self.data.astype(np.int64) + self._shift(tensor)).astype(tensor.dtype)
        return self.real().astype(tensor.dtype)

    @staticmethod
    def _shift(tensor: np.ndarray) -> int:
        return 128 if tensor.dtype == np.uint8 else 0  # the engine stores uint8 as int8


def _real(data: np.ndarray, scale: float, zero_point: int) -> np.ndarray:
    return (data.astype(np.int64) - zero_point).astype(np.float32) * np.float32(scale)


class _Program:
    """The steps of the engine as the file and the ledger describe them, and which step wrote what another reads."""

    def __init__(self, engine: Engine, name: Path) -> None:
        content = engine.inspect()
        variant = next(v for v in content["variants"] if v["name"] == content["variant"])
        program = content["programs"][variant["programs"][0]]
        self.steps = program["steps"]
        self.ledger = content["metadata"].get("ledger", [])
        if len(self.ledger) != len(self.steps) or not all("results" in entry for entry in self.ledger):
            raise EngineError(f"{name}: the engine does not say which tensors its steps compute: build it again")
        self._buffers = [tensor["buffer"] for tensor in program["tensors"]]

    def layers(self) -> list[Layer]:
        """A row for each step, without its errors."""
        return [
            Layer(index, step["name"], step["kernel"], entry["got"], [part["tensor"] for part in _parts(entry)])
            for index, (step, entry) in enumerate(zip(self.steps, self.ledger))
        ]

    def sources(self, held: Sequence[Sequence[_Held]]) -> list[set[int]]:
        """For each step the steps before whose tensors it reads, those between that hold none left out."""
        writers: dict[int, set[int]] = {}
        reads: list[set[int]] = []
        for index, step in enumerate(self.steps):
            found: set[int] = set()
            for operand in filter(None, step["inputs"]):
                for writer in writers.get(self._buffers[operand["tensor"]], ()):
                    found |= {writer} if held[writer] else reads[writer]
            reads.append(found)
            for operand in filter(None, step["outputs"]):
                writers.setdefault(self._buffers[operand["tensor"]], set()).add(index)
        return reads


def _parts(entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [part for parts in entry["results"] for part in parts]


def measure(engine: Engine, name: Path, reference: Reference, inputs: Mapping[str, np.ndarray]) -> list[Layer]:
    """The errors of all steps of an engine for these inputs; ``name`` is the engine's, for messages."""
    program = _Program(engine, name)
    layers = program.layers()
    exact = reference.tensors(inputs, dict.fromkeys(tensor for layer in layers for tensor in layer.tensors))
    missing = [tensor for layer in layers for tensor in layer.tensors if tensor not in exact]
    if missing:
        raise EngineError(f"{name}: the model has no tensor {missing[0]!r}: is it another model's?")
    held = [
        list(_held(entry, results, exact)) for entry, results in zip(program.ledger, trace(engine, inputs), strict=True)
    ]
    before, requests = _before(program, held, exact, inputs)
    computed = reference.recomputed(inputs, requests)
    for layer, mine, earlier in zip(layers, held, before):
        _fill(layer, mine, exact, [e if e is not None else computed.get(h.name) for h, e in zip(mine, earlier)])
    _mark(layers)
    return layers


def _held(
    entry: Mapping[str, Any], results: Sequence[np.ndarray | None], exact: Mapping[str, np.ndarray]
) -> Iterator[_Held]:
    """The tensors in the results of a step that can be set against the model's."""
    for index, (parts, array) in enumerate(zip(entry["results"], results)):
        begin = 0
        for part in parts if array is not None else ():
            tensor = exact[part["tensor"]]
            rows = int(np.prod(array.shape[:-1], dtype=np.int64))
            width = tensor.size // rows if rows and len(parts) > 1 else None
            piece = array if width is None else array[..., begin : begin + width]
            begin += width or 0
            axes = part.get("axes", range(tensor.ndim))
            if piece.size != tensor.size:
                raise EngineError(f"tensor {part['tensor']!r} has another size in the model: is it another model's?")
            data = np.array(piece).reshape([tensor.shape[axis] for axis in axes]).transpose(np.argsort(axes))
            scale = entry.get("scale") if index == 0 and array.dtype == np.int8 else None
            held = _Held(part["tensor"], data, scale, entry.get("zero_point", 0))
            held = _unscaled(held, part) if "powers" in part else held
            if held.expected(tensor) is not None and "cut" not in part:
                yield held


def _unscaled(held: _Held, part: Mapping[str, Any]) -> _Held:
    """Without the powers of two that channels were equalised with."""
    shape = [1] * held.data.ndim
    shape[part["axis"]] = -1
    factors = np.exp2(-np.array(part["powers"], np.float32)).reshape(shape)
    return _Held(held.name, held.real() * factors, None, 0)


def _before(
    program: _Program,
    held: Sequence[Sequence[_Held]],
    exact: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
) -> tuple[list[list[np.ndarray | None]], list[Recompute]]:
    """For each tensor of each step what an earlier step had of it, else a request to compute it."""
    latest: dict[str, _Held] = {}
    before: list[list[np.ndarray | None]] = []
    requests = []
    given: dict[tuple[int, str], np.ndarray] = {}  # (step, tensor) -> what the model's nodes read in its place
    for index, (mine, sources) in enumerate(zip(held, program.sources(held))):
        row: list[np.ndarray | None] = []
        for each in mine:
            tensor = exact[each.name]
            if each.name in latest:
                row.append(latest[each.name].real())
            elif each.name in inputs:
                row.append(each.expected(tensor))
            else:
                row.append(None)
                read = {h.name: given[source, h.name] for source in sorted(sources) for h in held[source]}
                requests.append(Recompute(each.name, read))
        for each in mine:
            latest[each.name] = each
            given[index, each.name] = each.given(exact[each.name])
        before.append(row)
    return before, requests


def _fill(
    layer: Layer, held: Sequence[_Held], exact: Mapping[str, np.ndarray], local: Sequence[np.ndarray | None]
) -> None:
    rows = []
    for each, own in zip(held, local):
        expected = each.expected(exact[each.name])
        if own is None:
            return
        own = own if own.dtype.kind == "f" or each.scale is None else each.expected(own)
        rows.append((each.real(), expected, own))
    if not rows:
        return
    got, expected, own = (np.concatenate([row[i].astype(np.float64).ravel() for row in rows]) for i in range(3))
    size = norm(expected)
    layer.relative = relative(gaps(got, expected), size)
    layer.sqnr = decibels(layer.relative)
    layer.added = relative(gaps(got, own), size)


def _mark(layers: Sequence[Layer]) -> None:
    """Mark the steps that add most."""
    order = sorted((layer for layer in layers if layer.added), key=lambda layer: -layer.added)
    for layer in order[:WORST]:
        layer.worst = layer.added >= WORST_SHARE * order[0].added
