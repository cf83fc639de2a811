"""The models of ``../shared/models``, which are not part of the repository: where they are, what is in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx


def folder() -> Path | None:
    """``$INGOT_SHARED``, or ``shared`` beside the checkout; None where there is none."""
    here = Path(os.environ.get("INGOT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    return here if (here / "models").is_dir() else None


@dataclass(frozen=True)
class ZooModel:
    """A model with its sample: inputs and outputs in the order of its graph."""

    name: str
    path: Path

    def sample(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """(inputs by name, outputs by name) as onnxruntime computed them."""
        model = onnx.load(self.path, load_external_data=False)
        held = {t.name for t in model.graph.initializer}
        arrays = np.load(self.path.parent / "sample.npz")
        inputs = [i.name for i in model.graph.input if i.name not in held]
        return (
            {name: arrays[f"in_{i}"] for i, name in enumerate(inputs)},
            {info.name: arrays[f"out_{i}"] for i, info in enumerate(model.graph.output)},
        )

    @property
    def quantised(self) -> bool:
        """Whether the model arrives quantised: it has a QuantizeLinear."""
        model = onnx.load(self.path, load_external_data=False)
        return any(n.op_type == "QuantizeLinear" for n in model.graph.node)


def models() -> list[ZooModel]:
    """All models, in the order of their names; empty where the folder is missing."""
    root = folder()
    return [ZooModel(p.parent.name, p) for p in sorted(root.glob("models/*/model.onnx"))] if root else []


def float_models() -> list[ZooModel]:
    """Those without a QuantizeLinear."""
    return [m for m in models() if not m.quantised]
