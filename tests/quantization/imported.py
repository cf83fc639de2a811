"""Small models that arrive quantised, and how the engine's results differ from onnxruntime's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import ingot

_CPU = Path("/proc/cpuinfo")
#: without these instructions onnxruntime's sums of uint8 by int8 saturate at 16 bits; 7 bits of weights are safe
VNNI = _CPU.exists() and any(flag in _CPU.read_text() for flag in ("avx512_vnni", "avx_vnni", "asimddp"))
LARGEST = 127 if VNNI else 63


class Model:
    """A model of one operator with quantised operands, float at both ends."""

    def __init__(self, dtype: type, seed: int = 0) -> None:
        self.dtype = dtype
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def op(self, op_type: str, *inputs: str, domain: str = "", **attributes: object) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def microsoft(self, op_type: str, *inputs: str, **attributes: object) -> str:
        return self.op(op_type, *inputs, domain="com.microsoft", **attributes)

    def quant(self, scale: float, zero: int) -> tuple[str, str]:
        return self.constant(np.float32(scale)), self.constant(np.array(zero, self.dtype))

    def stored(self, x: str, scale: float, zero: int) -> str:
        return self.op("QuantizeLinear", x, *self.quant(scale, zero))

    def real(self, q: str, scale: float, zero: int) -> str:
        return self.op("DequantizeLinear", q, *self.quant(scale, zero))

    def integers(self, shape: tuple[int, ...], dtype: type, scales: int, zero: int = 0) -> tuple[str, str, str]:
        """Weights with so many scales, and their zero point."""
        if dtype is np.int8:
            q = self.random.integers(-LARGEST - 1, LARGEST + 1, shape).astype(np.int8)
        else:
            q = self.random.integers(0, 256, shape).astype(np.uint8)
        scale = self.random.uniform(0.001, 0.01, scales).astype(np.float32)
        zeros = np.full(scales, zero, dtype)
        one = scales == 1
        return (
            self.constant(q),
            self.constant(scale.reshape(() if one else -1)),
            self.constant(zeros.reshape(() if one else -1)),
        )

    def weights(self, shape: tuple[int, ...], dtype: type, axis: int | None, zero: int = 0) -> tuple[str, np.ndarray]:
        """The same behind DequantizeLinear, and their scales."""
        q, scale, zeros = self.integers(shape, dtype, 1 if axis is None else shape[axis], zero)
        attributes = {} if axis is None else {"axis": axis}
        return self.op("DequantizeLinear", q, scale, zeros, **attributes), self.array(scale)

    def array(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(next(c for c in self.constants if c.name == name))

    def bias(self, count: int, scales: np.ndarray) -> str:
        """int32 numbers that count in ``scales``."""
        q = self.constant(self.random.integers(-9000, 9000, count).astype(np.int32))
        scale, zero = self.constant(scales), self.constant(np.zeros(scales.shape, np.int32))
        return self.op("DequantizeLinear", q, scale, zero, **({"axis": 0} if scales.ndim else {}))

    def finish(self, y: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "one",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def samples(shape: tuple[int, ...], scale: float) -> Iterator[np.ndarray]:
    """All numbers, saturated ones, few near zero, and an image of one number."""
    random = np.random.default_rng(7)
    for size in (3.0, 30.0, 0.3, 300.0, 60.0):
        yield (random.standard_normal(shape) * size * scale).astype(np.float32)
    yield (random.integers(-256, 256, shape) * np.float32(scale)).astype(np.float32)
    yield np.full(shape, 40 * scale, np.float32)


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    """onnxruntime as it comes, on one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    given = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def steps(model: onnx.ModelProto, shape: tuple[int, ...], x_scale: float, y_scale: float) -> np.ndarray:
    """By how many quanta each element of all samples differs; every step of the engine is in int8."""
    engine = ingot.build(model, precision="int8")
    ledger = engine.inspect()["metadata"]["ledger"]
    assert all(row["exact_across_targets"] for row in ledger)
    assert all(row["got"] == "int8" or row["kernel"] == "elementwise" for row in ledger), ledger
    reference = session(model)
    found = []
    with engine.context() as context:
        for sample in samples(shape, x_scale):
            (wanted,) = reference.run(None, {"x": sample})
            (got,) = context.run({"x": sample}).values()
            found.append(np.rint((got.astype(np.float64) - wanted) / y_scale).ravel())
    return np.concatenate(found)


def assert_alike(found: np.ndarray) -> None:
    """Within one quantum everywhere, equal on 99.9%."""
    assert np.abs(found).max() <= 1
    assert (found != 0).sum() <= 0.001 * found.size, f"{np.mean(found != 0):.3%} of {found.size} differ"
