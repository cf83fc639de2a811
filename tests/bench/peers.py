"""onnxruntime as a peer: a model as it is, and quantised by its own tools."""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

onnxruntime.set_default_logger_severity(3)  # its remarks about models are not ours

Inputs = dict[str, np.ndarray]

INT8_FORMS = {"per channel": True, "per tensor": False}
"""Its static QDQ forms, u8 activations and s8 weights, by ``per_channel``. ``reduce_range`` is for processors without
VNNI: there it saves sums from saturating, and makes nothing faster."""

QDQ_OPSET = 13
"""The first whose DequantizeLinear has an axis, which weights per channel need."""


class _Once(CalibrationDataReader):
    """One set of inputs to calibrate with."""

    def __init__(self, inputs: Inputs) -> None:
        self.rest: Iterator[Inputs] = iter([inputs])

    def get_next(self) -> Inputs | None:
        return next(self.rest, None)


def constants_fixed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with no initialiser among its inputs: onnxruntime would not take them for constants."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    held = {t.name for t in model.graph.initializer}
    del fixed.graph.input[:]
    fixed.graph.input.extend(i for i in model.graph.input if i.name not in held)
    fixed.ir_version = max(model.ir_version, 4)
    return fixed


def session_call(model: onnx.ModelProto, inputs: Inputs, threads: int) -> Callable[[], object]:
    """A run of the model on the inputs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


def quantised(model: onnx.ModelProto, inputs: Inputs) -> dict[str, onnx.ModelProto]:
    """The model in each form of ``INT8_FORMS``, prepared and calibrated as onnxruntime's documentation advises.

    A form that its tools cannot make of this model is left out, with a line on stderr.
    """
    opset = next(o.version for o in model.opset_import if o.domain == "")
    if opset < QDQ_OPSET:
        model = version_converter.convert_version(model, QDQ_OPSET)
    forms = {}
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, out = (Path(folder, f"{name}.onnx") for name in ("source", "prepared", "int8"))
        onnx.save(model, source)
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        for name, per_channel in INT8_FORMS.items():
            try:
                quantize_static(
                    str(prepared), str(out), _Once(inputs), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                )  # fmt: skip
            except Exception as error:  # whatever the peer's tools raise
                print(f"{model.graph.name}: onnxruntime cannot quantise it {name}: {error}", file=sys.stderr)
                continue
            forms[name] = onnx.load(out)
    logging.disable(logging.NOTSET)
    return forms
