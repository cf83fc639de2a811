"""Runs a model with an independent implementation: onnxruntime, or ONNX's own reference."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ingot.errors import BuildError

#: older forms of some operators are wrong in onnx.reference
FIRST_RIGHT_OPSET = 21
#: one that every onnxruntime we work with reads: the last for Python 3.10 stops at 11
OLD_IR_VERSION = 10

Arrays = dict[str, np.ndarray]
#: (model, inputs, names of tensors or None for the outputs) -> tensors by name
Runner = Callable[[Any, Mapping[str, np.ndarray], "Sequence[str] | None"], Arrays]


@dataclass(frozen=True)
class Recompute:
    """A tensor to compute from others: what leads to it reads ``given`` (name -> array) in their place."""

    tensor: str
    given: Mapping[str, np.ndarray]


class Reference:
    """A model and the implementation that runs it: ``which`` is auto, onnxruntime or onnx; ``name`` says which it is.

    Whatever goes wrong is a BuildError of one line with the path.
    """

    def __init__(self, path: Path, which: str = "auto") -> None:
        if which == "auto":
            which = "onnxruntime" if importlib.util.find_spec("onnxruntime") else "onnx"
        elif importlib.util.find_spec(which) is None:
            raise BuildError(f"{which} is not installed: pip install {which}")
        if not path.is_file():
            raise BuildError(f"{path}: No such file or directory")
        self._path, self._which = path, which
        self._runner: Runner = {"onnxruntime": _onnxruntime, "onnx": _onnx}[which]
        self._loaded: Any = None

    @property
    def name(self) -> str:
        """The implementation and its version."""
        module = importlib.import_module(self._which)
        return f"{'onnx.reference' if self._which == 'onnx' else self._which} {module.__version__}"

    def outputs(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """The model's outputs by name."""
        # onnxruntime reads the file itself, however large it is.
        model = str(self._path) if self._which == "onnxruntime" else self._model
        return self._run(model, inputs, None)

    def tensors(self, inputs: Mapping[str, np.ndarray], names: Iterable[str]) -> Arrays:
        """Those of the named tensors that the model has, its inputs among them, each operator computed by itself."""
        model = self._model()
        known = {name for node in model.graph.node for name in node.output}
        wanted = [name for name in dict.fromkeys(names) if name in known]
        found = self._run(_with_outputs(model, wanted), inputs, wanted) if wanted else {}
        return found | {name: inputs[name] for name in names if name in inputs}

    def recomputed(self, inputs: Mapping[str, np.ndarray], requests: Sequence[Recompute]) -> Arrays:
        """Each tensor computed from what its request gives. A node that leads to several does so for the first."""
        model, arrays = _cut(self._model(), requests)
        wanted = [request.tensor for request in requests]
        return self._run(_with_outputs(model, wanted), {**inputs, **arrays}, wanted) if wanted else {}

    def _model(self) -> Any:
        if self._loaded is None:
            import onnx

            self._loaded = self._guard(onnx.load, self._path)
            if self._which == "onnx":
                self._loaded = _newer(self._loaded)
        return self._loaded

    def _run(self, model: Any, inputs: Mapping[str, np.ndarray], names: Sequence[str] | None) -> Arrays:
        return self._guard(self._runner, model() if callable(model) else model, inputs, names)

    def _guard(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except ModuleNotFoundError:
            raise
        except _NoInput as error:
            raise BuildError(f"{self._path}: the engine has no input {error}: is it another model's?") from None
        except Exception as error:  # foreign code, and each of its failures has a type of its own
            first = next(iter(str(error).strip().splitlines()), "")
            what = f"{self._which} cannot run it: {type(error).__name__}: {first}"
            raise BuildError(f"{self._path}: {what}") from error


class _NoInput(Exception):
    """The model reads an input that nobody gives."""


def _given(inputs: Mapping[str, np.ndarray], names: Iterable[str]) -> Arrays:
    for name in names:
        if name not in inputs:
            raise _NoInput(repr(name))
    return {name: inputs[name] for name in names}


def _onnxruntime(model: Any, inputs: Mapping[str, np.ndarray], names: Sequence[str] | None) -> Arrays:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if names is not None:  # what is fused computes no tensor inside, and rounds otherwise
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, str) else model.SerializeToString()
    try:
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "IR version" not in str(error):
            raise
        # The number says which onnx wrote the file; operators are versioned by their opset.
        import onnx

        if isinstance(model, str):
            model = onnx.load(model)
        model.ir_version = OLD_IR_VERSION
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    read = _given(inputs, [info.name for info in session.get_inputs()])
    wanted = list(names) if names is not None else [output.name for output in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, read)))


def _onnx(model: Any, inputs: Mapping[str, np.ndarray], names: Sequence[str] | None) -> Arrays:
    from onnx.reference import ReferenceEvaluator

    wanted = list(names) if names is not None else [output.name for output in model.graph.output]
    own = {tensor.name for tensor in model.graph.initializer}
    _given(inputs, [info.name for info in model.graph.input if info.name not in own])
    results = ReferenceEvaluator(model).run(wanted, dict(inputs))
    return dict(zip(wanted, map(np.asarray, results)))


def _newer(model: Any) -> Any:
    """The model for an opset whose operators onnx.reference computes right, where there is a way to get there."""
    import onnx

    own = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    for version in (onnx.defs.onnx_opset_version(), FIRST_RIGHT_OPSET):
        if own >= FIRST_RIGHT_OPSET:
            break
        try:
            return onnx.version_converter.convert_version(model, version)
        except Exception:  # no adapter for some operator: the model stays as it is
            continue
    return model


def _with_outputs(model: Any, names: Sequence[str]) -> Any:
    """A copy of the model that also gives these tensors."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    present = {output.name for output in copy.graph.output}
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    return copy


def _cut(model: Any, requests: Sequence[Recompute]) -> tuple[Any, Arrays]:
    """A copy of the model in which each tensor is computed from inputs of its own, and these inputs' arrays."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    makers = {name: index for index, node in enumerate(copy.graph.node) for name in node.output if name}
    taken = {*makers, *(info.name for info in copy.graph.input), *(tensor.name for tensor in copy.graph.initializer)}
    arrays: Arrays = {}
    names: dict[tuple[str, int], str] = {}
    visited: set[int] = set()

    def instead(tensor: str, array: np.ndarray) -> str:
        key = (tensor, id(array))
        if key not in names:
            name = next(n for i in range(len(taken) + 1) if (n := f"{tensor}@{len(names) + i}") not in taken)
            names[key], arrays[name] = name, array
            taken.add(name)
            kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            copy.graph.input.append(onnx.helper.make_tensor_value_info(name, kind, array.shape))
        return names[key]

    for request in requests:
        pending = [request.tensor]
        while pending:
            index = makers.get(pending.pop())
            if index is None or index in visited:
                continue
            visited.add(index)
            node = copy.graph.node[index]
            own = {name: array for name, array in request.given.items() if name not in node.output}
            pending += [name for name in _reads(node) if name not in own]
            _rename(node, {name: instead(name, own[name]) for name in _reads(node) if name in own})
    return copy, arrays


def _graphs(node: Any) -> list[Any]:
    return [graph for attribute in node.attribute for graph in ([attribute.g] if attribute.HasField("g") else [])]


def _reads(node: Any) -> list[str]:
    """The tensors that a node reads, also in its sub-graphs, whose own names are never those of tensors outside."""
    inside = [name for graph in _graphs(node) for each in graph.node for name in _reads(each)]
    return [name for name in dict.fromkeys([*node.input, *inside]) if name]


def _rename(node: Any, names: Mapping[str, str]) -> None:
    for i, name in enumerate(node.input):
        node.input[i] = names.get(name, name)
    for graph in _graphs(node):
        for each in graph.node:
            _rename(each, names)
