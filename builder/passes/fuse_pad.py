"""Padding that a convolution or a pooling can do itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.rewrite import Sweep, alike, is_op, plural, to_fixpoint
from ingot.kernels.conv.attrs import QConvAttrs


def run(graph: Graph) -> None:
    """Fold constant pads of the spatial axes into the conv or pool that reads them, where that changes no number."""
    fused = to_fixpoint(graph, _rule)
    if fused:
        graph.report.append(("fuse_pad", f"folded {plural(fused, 'pad')} into what reads it"))


def _rule(sweep: Sweep, node: Node) -> Sequence[Value] | None:
    absorb = _ABSORB.get(node.op.name)
    pad = node.inputs[0].producer if absorb is not None else None
    if not is_op(pad, "pad") or not _pads_space(pad.attrs):
        return None
    rank = len(pad.attrs.before)
    pads = (*pad.attrs.before[1 : rank - 1], *pad.attrs.after[1 : rank - 1])
    attrs = absorb(node, pad, tuple(a + b for a, b in zip(node.attrs.pads, pads)))
    if attrs is None:
        return None
    inputs = [pad.inputs[0], *node.inputs[1:]]
    types = node.op.infer(attrs, [None if value is None else value.type for value in inputs])
    if len(types) != len(node.outputs) or not all(alike(v.type, t) for v, t in zip(node.outputs, types)):
        return None
    return sweep.emit_all(node.op.name, attrs, inputs, source=[pad], outputs=node.outputs)


def _pads_space(attrs: Any) -> bool:
    """Constants added (none cropped) around spatial axes alone: [N, *spatial, C]."""
    amounts = (*attrs.before, *attrs.after)
    outer = (attrs.before[0], attrs.before[-1], attrs.after[0], attrs.after[-1])
    return attrs.mode == "constant" and len(attrs.before) > 2 and min(amounts) >= 0 and not any(outer)


def _conv(node: Node, pad: Node, pads: tuple[int, ...]) -> Any | None:
    zero = node.attrs.x.zero_point if isinstance(node.attrs, QConvAttrs) else 0
    return dataclasses.replace(node.attrs, pads=pads) if pad.attrs.value == zero else None


def _pool(node: Node, pad: Node, pads: tuple[int, ...]) -> Any | None:
    attrs = node.attrs
    if attrs.indices:
        return None
    kind = attrs.kind.name
    if kind == "MAX":
        return dataclasses.replace(attrs, pads=pads) if _never_wins(node, pad, pads) else None
    if pad.attrs.value != 0 or attrs.ceil_mode:
        return None
    if kind == "AVERAGE" and not any(attrs.pads):  # the zeros counted, so they must count as padding too
        return dataclasses.replace(attrs, pads=pads, kind=type(attrs.kind)["AVERAGE_PADDED"])
    return dataclasses.replace(attrs, pads=pads) if kind in ("AVERAGE_PADDED", "LP") else None


def _never_wins(node: Node, pad: Node, pads: tuple[int, ...]) -> bool:
    """Whether what is padded is no larger than any element, and every window holds an element."""
    windows = [(k - 1) * d + 1 for k, d in zip(node.attrs.kernel, node.attrs.dilations)] * 2
    if any(amount >= window for amount, window in zip(pads, windows)):
        return False
    dtype, value = node.inputs[0].type.dtype, pad.attrs.value
    if dtype.name == "F32":
        return value == -math.inf or value <= float(np.finfo(np.float32).min)
    return value == -math.inf if dtype.is_float else value <= np.iinfo(dtype.numpy).min


_ABSORB: dict[str, Callable[[Node, Node, tuple[int, ...]], Any | None]] = {"conv": _conv, "pool": _pool}
