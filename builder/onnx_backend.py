"""Ingot as a backend of ``onnx.backend``: what ONNX's own test runner drives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx.helper
from onnx.backend.base import Backend, BackendRep

import ingot
from ingot.builder import build
from ingot.errors import BuildError


def _bits(array: np.ndarray) -> np.ndarray:
    """bfloat16 as the uint16 that Ingot's arrays hold it in."""
    return array.view(np.uint16) if array.dtype.name == "bfloat16" else array


def _typed(array: np.ndarray, info: onnx.ValueInfoProto) -> np.ndarray:
    """The array in the NumPy type that ONNX uses for the output."""
    if info.type.tensor_type.elem_type != onnx.TensorProto.BFLOAT16:
        return array
    return array.view(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16))


class IngotRep(BackendRep):
    """A model that is built when its first inputs come, as their shapes may be open until then."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        #: inputs that had to be taken as constants in the last run
        self.constants: list[str] = []
        initialised = {t.name for t in model.graph.initializer}
        self.names = [info.name for info in model.graph.input if info.name not in initialised]

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        """Outputs in the order of the graph. ``inputs`` is a sequence in the order of the graph, or a mapping."""
        arrays = [inputs[n] for n in self.names] if isinstance(inputs, dict) else list(inputs)
        given = {n: _bits(np.asarray(a)) for n, a in zip(self.names, arrays) if a is not None}
        engine = self._build(given)
        feed = {n: a for n, a in given.items() if n not in self.constants}
        with engine.context() as context:
            outputs = context.run(feed)
        return tuple(_typed(outputs[info.name], info) for info in self.model.graph.output)

    def _build(self, given: dict[str, np.ndarray]) -> ingot.Engine:
        """All inputs at run time; where that cannot be, small integer inputs (shapes, axes, ...) as constants."""
        self.constants = []
        try:
            return self._try(given, {})
        except BuildError:
            small = {n: a for n, a in given.items() if a.dtype.kind in "iub" and a.ndim <= 1 and a.size <= 64}
            small |= {n: a for n, a in given.items() if a.ndim == 0}
            if not small:
                raise
            self.constants = sorted(small)
            return self._try(given, small)

    def _try(self, given: dict[str, np.ndarray], constants: dict[str, np.ndarray]) -> ingot.Engine:
        profile = {n: a.shape for n, a in given.items() if n not in constants}
        return ingot.load(build(self.model, profiles=[profile], constants=constants, self_test=False))


class IngotBackend(Backend):
    """``prepare``, ``run_model``, ``run_node`` and ``supports_device`` on the CPU."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> IngotRep:
        return IngotRep(model)

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        return cls.prepare(model, device).run(inputs)

    @classmethod
    def run_node(
        cls, node: onnx.NodeProto, inputs: Sequence[Any], device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Any, ...]:
        arrays = [np.asarray(a) for a in inputs]
        names = [n for n in node.input if n]
        values = [
            onnx.helper.make_tensor_value_info(n, onnx.helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in zip(names, arrays)
        ]
        results = [onnx.ValueInfoProto(name=n) for n in node.output if n]
        graph = onnx.helper.make_graph([node], node.op_type, values, results)
        opset = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid(node.domain, opset)])
        return cls.run_model(model, arrays, device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device == "CPU"


prepare = IngotBackend.prepare
run_model = IngotBackend.run_model
run_node = IngotBackend.run_node
supports_device = IngotBackend.supports_device
