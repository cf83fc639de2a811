"""Runs a model with an independent implementation: onnxruntime, or ONNX's own reference."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from ingot.errors import BuildError

#: older forms of some operators are wrong in onnx.reference
FIRST_RIGHT_OPSET = 21
#: one that every onnxruntime we work with reads: the last for Python 3.10 stops at 11
OLD_IR_VERSION = 10


def run_reference(path: Path, inputs: dict[str, np.ndarray], which: str = "auto") -> tuple[str, dict[str, np.ndarray]]:
    """The name of the implementation that ran and its outputs by name; ``which`` is auto, onnxruntime or onnx."""
    runners = {"onnxruntime": _onnxruntime, "onnx": _onnx}
    if which == "auto":
        which = "onnxruntime" if importlib.util.find_spec("onnxruntime") else "onnx"
    elif importlib.util.find_spec(which) is None:
        raise BuildError(f"{which} is not installed: pip install {which}")
    if not path.is_file():
        raise BuildError(f"{path}: No such file or directory")
    try:
        return runners[which](path, inputs)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # foreign code, and each of its failures has a type of its own
        first = next(iter(str(error).strip().splitlines()), "")
        raise BuildError(f"{path}: {which} cannot run it: {type(error).__name__}: {first}") from error


def _onnxruntime(path: Path, inputs: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "IR version" not in str(error):
            raise
        # The number says which onnx wrote the file; operators are versioned by their opset.
        import onnx

        model = onnx.load(path)
        model.ir_version = OLD_IR_VERSION
        raw = model.SerializeToString()
        session = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return f"onnxruntime {onnxruntime.__version__}", dict(zip(names, session.run(names, inputs)))


def _onnx(path: Path, inputs: dict[str, np.ndarray]) -> tuple[str, dict[str, np.ndarray]]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(path)
    own = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    for version in (onnx.defs.onnx_opset_version(), FIRST_RIGHT_OPSET):
        if own >= FIRST_RIGHT_OPSET:
            break
        try:
            model = onnx.version_converter.convert_version(model, version)
            break
        except Exception:  # no adapter for some operator: the model stays as it is
            continue
    names = [output.name for output in model.graph.output]
    results = ReferenceEvaluator(model).run(names, inputs)
    return f"onnx.reference {onnx.__version__}", dict(zip(names, map(np.asarray, results)))
