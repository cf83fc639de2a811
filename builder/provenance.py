"""Which tensor of the ONNX model a value holds: what ``ingot compare --per-layer`` sets against it.

The importer knows it of what it makes. A pass that puts one value in the place of another hands it on (``Sweep`` does),
and it is followed through what only moves elements or changes how they are stored. A value holds the elements of its
tensor with the axes in the order ``perm``, in this order in memory: its own shape may be another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ingot.builder.ir import ModelTensor, Node, Value

Provenance = tuple[ModelTensor, ...]
#: elementwise functions that change how numbers are stored and nothing else; between floats a cast too
_STORED_OTHERWISE = ("Quantize", "QuantizeLinear", "Dequantize")


def tensor(name: str, shape: Sequence[int]) -> Provenance:
    """The provenance of a value that is this tensor of the model."""
    return (ModelTensor(name, tuple(shape), tuple(range(len(shape)))),)


def provenance_of(value: Value) -> Provenance:
    """What the value holds: as noted, or as follows from what it was made of; nothing where it is not row-major."""
    if value.layout.block:
        return ()
    if value.provenance or value.producer is None:
        return value.provenance
    source = _source(value.producer)
    if source is None:
        return ()
    found = provenance_of(source)
    return transposed(source, found, value.producer.attrs.perm) if _is(value.producer, "transpose") else found


def give(value: Value, provenance: Provenance) -> None:
    """Note what a value holds unless that is known, and of what it was made from by moving elements."""
    if value.data is None and not value.provenance:
        value.provenance = provenance
        hand_back(value)


def hand_back(value: Value) -> None:
    """What a value holds tells what it was made from, where that is not known."""
    node = value.producer
    source = _source(node) if node is not None and value.provenance else None
    if source is None:
        return
    provenance = value.provenance
    if _is(node, "transpose"):
        perm = node.attrs.perm
        provenance = transposed(value, provenance, [perm.index(axis) for axis in range(len(perm))])
    give(source, provenance)


def transposed(value: Value, provenance: Provenance, perm: Sequence[int]) -> Provenance:
    """The provenance of the value transposed; unknown where its axes are not those of the tensor."""
    if tuple(perm) == tuple(range(value.type.rank)):
        return provenance
    if len(provenance) != 1 or not provenance[0].axes_of(value.type.shape):
        return ()
    return (replace(provenance[0], perm=tuple(provenance[0].perm[axis] for axis in perm)),)


def side_by_side(values: Sequence[Value]) -> Provenance:
    """The provenance of the values joined along their last axis."""
    found = [provenance_of(value) for value in values]
    return tuple(part for parts in found for part in parts) if all(found) else ()


def scale_channels(value: Value, powers: Sequence[int]) -> None:
    """Note that the channels (last axis) of a value are multiplied by these powers of two."""
    found = provenance_of(value)
    known = len(found) == 1 and not found[0].powers and found[0].axes_of(value.type.shape)
    value.provenance = (replace(found[0], powers=tuple(powers), axis=found[0].perm[-1]),) if known else ()


def cut(provenance: Provenance) -> Provenance:
    """The same, of a value that holds only the range that its readers look at."""
    return tuple(replace(part, cut=True) for part in provenance)


def describe(value: Value) -> list[dict[str, Any]]:
    """The provenance as metadata has it; ``axes``, ``powers`` and ``cut`` only where they say something."""
    rows = []
    for part in provenance_of(value):
        row: dict[str, Any] = {"tensor": part.name}
        if part.perm != tuple(range(len(part.perm))):
            row["axes"] = list(part.perm)
        if any(part.powers):
            row |= {"powers": list(part.powers), "axis": part.axis}
        if part.cut:
            row["cut"] = True
        rows.append(row)
    return rows


def _source(node: Node) -> Value | None:
    """The one input whose elements are those of the node's result."""
    if not _is(node, "transpose", "reshape", "quantize", "dequantize") and not _is_stored_otherwise(node):
        return None
    return node.inputs[0]


def _is_stored_otherwise(node: Node) -> bool:
    if not _is(node, "elementwise") or len(node.inputs) != 1 or node.inputs[0].type.shape != node.output.type.shape:
        return False
    floats = node.inputs[0].type.dtype.is_float and node.output.type.dtype.is_float
    return all(insn.function in _STORED_OTHERWISE or (insn.function == "Cast" and floats) for insn in node.attrs.insns)


def _is(node: Node, *names: str) -> bool:
    return node.op.name in names
