"""OpenVINO. It takes BF16 by itself on processors that have it, so the precision is always said. INT8 is the QDQ form
that onnxruntime's tools make, which OpenVINO turns into its own integer kernels, and where NNCF is installed the form
that this makes, OpenVINO's own tool."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from peers import Call, Inputs, Peer, onnxruntime_peer

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""``INFERENCE_PRECISION_HINT``: of INT8 that of the layers between quantised ones."""


def forms(model: onnx.ModelProto, inputs: Inputs, precision: str, folder: Path) -> Mapping[str, Path]:
    made = onnxruntime_peer.forms(model, inputs, "int8" if precision == "int8" else "fp32", folder)
    if precision != "int8":
        return made
    # Per channel is what OpenVINO's own tools make.
    found = {"per channel": made["per channel"]} if "per channel" in made else dict(made)
    if importlib.util.find_spec("nncf"):
        found["NNCF"] = quantised(model, inputs, folder)
    return found


def quantised(model: onnx.ModelProto, inputs: Inputs, folder: Path) -> Path:
    """By NNCF, calibrated on ``inputs``, with its settings for transformers where there is attention."""
    import nncf
    import openvino

    nncf.set_log_level(logging.ERROR)
    (source,) = onnxruntime_peer.forms(model, inputs, "fp32", folder).values()
    network = openvino.Core().read_model(str(source))
    network.reshape({p: openvino.PartialShape(list(inputs[p.get_any_name()].shape)) for p in network.inputs})
    attends = sum(node.op_type == "Softmax" for node in model.graph.node) > 1
    made = nncf.quantize(
        network, nncf.Dataset([inputs]), subset_size=1, model_type=nncf.ModelType.TRANSFORMER if attends else None
    )
    openvino.save_model(made, folder / "nncf.xml", compress_to_fp16=False)
    return folder / "nncf.xml"


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
