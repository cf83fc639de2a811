"""Other runtimes that Ingot is measured beside, one file each; those that are not installed are left out.

A peer makes *forms* of a model, files in whatever format it reads, for a precision, and loads one of them as a call.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

Inputs = dict[str, np.ndarray]

#: runs once and returns the outputs in the order of the model's
Call = Callable[[], list[np.ndarray]]


class CannotError(Exception):
    """The peer cannot do this model in this precision; the reason is for people."""


@dataclass(frozen=True)
class Peer:
    """``forms(model, inputs, precision, folder)`` writes files and names them; ``load(path, inputs, precision,
    threads)`` gives a call with inputs held ready."""

    name: str
    #: what has to be importable
    modules: tuple[str, ...]
    precisions: tuple[str, ...]
    forms: Callable[[onnx.ModelProto, Inputs, str, Path], Mapping[str, Path]]
    load: Callable[[Path, Inputs, str, int], Call]

    def installed(self) -> bool:
        return all(importlib.util.find_spec(module) for module in self.modules)


def peers() -> dict[str, Peer]:
    """The installed ones by name."""
    from peers import litert_peer, ncnn_peer, onnxruntime_peer, openvino_peer

    known = (onnxruntime_peer.PEER, openvino_peer.PEER, ncnn_peer.PEER, litert_peer.PEER)
    return {peer.name: peer for peer in known if peer.installed()}
