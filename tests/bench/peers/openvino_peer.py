"""OpenVINO. It takes BF16 by itself on processors that have it, so the precision is always said. INT8 is the QDQ form
that onnxruntime's tools make, which OpenVINO turns into its own integer kernels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from peers import Call, Inputs, Peer, onnxruntime_peer

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""``INFERENCE_PRECISION_HINT``: of INT8 that of the layers between quantised ones."""


def forms(model: onnx.ModelProto, inputs: Inputs, precision: str, folder: Path) -> Mapping[str, Path]:
    made = onnxruntime_peer.forms(model, inputs, "int8" if precision == "int8" else "fp32", folder)
    # Per channel is what OpenVINO's own tools make.
    return {"per channel": made["per channel"]} if "per channel" in made else made


def load(path: Path, inputs: Inputs, precision: str, threads: int) -> Call:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(path))
    names = [port.get_any_name() for port in model.inputs]
    model.reshape({name: openvino.PartialShape(list(inputs[name].shape)) for name in names})
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        },
    )
    request = compiled.create_infer_request()
    held = [openvino.Tensor(np.ascontiguousarray(inputs[name])) for name in names]
    for name, tensor in zip(names, held):
        request.set_tensor(name, tensor)
    outputs = [request.get_output_tensor(i) for i in range(len(compiled.outputs))]

    def call() -> list[np.ndarray]:
        request.infer()
        return [tensor.data for tensor in outputs]

    return call


PEER = Peer("OpenVINO", ("openvino", "onnxruntime"), ("fp32", "bf16", "int8"), forms, load)
