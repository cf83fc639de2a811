"""onnxruntime: a model as it is, and quantised by its own tools."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import version_converter

from peers import Call, CannotError, Inputs, Peer

INT8_FORMS = {"per channel": True, "per tensor": False}
"""Its static QDQ forms, u8 activations and s8 weights, by ``per_channel``. ``reduce_range`` is for processors without
VNNI: there it saves sums from saturating, and makes nothing faster."""

QDQ_OPSET = 13
"""The first whose DequantizeLinear has an axis, which weights per channel need."""


def constants_fixed(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with no initialiser among its inputs: onnxruntime would not take them for constants."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    held = {t.name for t in model.graph.initializer}
    del fixed.graph.input[:]
    fixed.graph.input.extend(i for i in model.graph.input if i.name not in held)
    fixed.ir_version = max(model.ir_version, 4)
    return fixed


def quantised(model: onnx.ModelProto, inputs: Inputs) -> dict[str, onnx.ModelProto]:
    """The model in each form of ``INT8_FORMS`` that the tools can make, prepared and calibrated on ``inputs`` as
    onnxruntime's documentation advises."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Once(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Inputs] = iter([inputs])

        def get_next(self) -> Inputs | None:
            return next(self.rest, None)

    opset = next(o.version for o in model.opset_import if o.domain == "")
    if opset < QDQ_OPSET:
        model = version_converter.convert_version(model, QDQ_OPSET)
    forms, reasons = {}, []
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, out = (Path(folder, f"{name}.onnx") for name in ("source", "prepared", "int8"))
        onnx.save(model, source)
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        for name, per_channel in INT8_FORMS.items():
            try:
                quantize_static(
                    str(prepared), str(out), Once(), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                )  # fmt: skip
            except Exception as error:  # whatever the peer's tools raise
                reasons.append(f"{name}: {error}")
                continue
            forms[name] = onnx.load(out)
    logging.disable(logging.NOTSET)
    if not forms:
        raise CannotError("; ".join(reasons))
    return forms


def forms(model: onnx.ModelProto, inputs: Inputs, precision: str, folder: Path) -> dict[str, Path]:
    made = {"": constants_fixed(model)} if precision == "fp32" else quantised(constants_fixed(model), inputs)
    paths = {name: folder / f"onnxruntime {precision} {name}.onnx" for name in made}
    for name, path in paths.items():
        onnx.save(made[name], path)
    return paths


def load(path: Path, inputs: Inputs, precision: str, threads: int) -> Call:
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # its remarks about models are not ours
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Workers that spin between runs would take the other runtimes' cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0" if threads > 1 else "1")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)


PEER = Peer("onnxruntime", ("onnxruntime",), ("fp32", "int8"), forms, load)
