"""The first oracle: ``onnx.reference``, with what it gets wrong replaced. Nobody writes a third truth.

Models are converted to opset 21 or newer before they are run: older operators of the evaluator (BatchNormalization
among them) are wrong. Overrides go into ``NEW_OPS``, each with a node test of ONNX that
shows the need; none has been needed for what the tests here build.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx.version_converter
from onnx.reference import ReferenceEvaluator

OLDEST = 21
NEW_OPS: list[type] = []


def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs of the model by name, computed by the reference evaluator."""
    version = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
    if version < OLDEST:
        model = onnx.version_converter.convert_version(model, OLDEST)
    results = ReferenceEvaluator(model, new_ops=NEW_OPS).run(None, inputs)
    return {info.name: array for info, array in zip(model.graph.output, results)}
