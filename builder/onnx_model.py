"""Reads an ONNX file as what it is: foreign input. Nothing outside the model's folder is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from ingot.builder.errors import ModelError
from ingot.kernels.spec import DType

_DTYPES = {
    onnx.TensorProto.FLOAT: DType.F32,
    onnx.TensorProto.DOUBLE: DType.F64,
    onnx.TensorProto.FLOAT16: DType.F16,
    onnx.TensorProto.BFLOAT16: DType.BF16,
    onnx.TensorProto.INT8: DType.I8,
    onnx.TensorProto.INT16: DType.I16,
    onnx.TensorProto.INT32: DType.I32,
    onnx.TensorProto.INT64: DType.I64,
    onnx.TensorProto.UINT8: DType.U8,
    onnx.TensorProto.UINT16: DType.U16,
    onnx.TensorProto.UINT32: DType.U32,
    onnx.TensorProto.UINT64: DType.U64,
    onnx.TensorProto.BOOL: DType.BOOL,
}
MAX_TENSOR_BYTES = 1 << 31


def dtype_of(elem_type: int, what: str) -> DType:
    """The element type of an ONNX enumerator; :class:`ModelError` when Ingot has none."""
    if elem_type not in _DTYPES:
        known = onnx.TensorProto.DataType.values()
        name = onnx.TensorProto.DataType.Name(elem_type).lower() if elem_type in known else f"type {elem_type}"
        raise ModelError(f"{what} has element type {name}, which is not supported")
    return _DTYPES[elem_type]


@dataclass(frozen=True, slots=True)
class Model:
    """A decoded model: the protobuf, a name for messages, and the folder its external data must lie in."""

    proto: onnx.ModelProto
    name: str
    folder: Path | None


def read(model: str | os.PathLike[str] | bytes | onnx.ModelProto) -> Model:
    """Decode a file, bytes or a ModelProto; :class:`ModelError` says what is wrong with it."""
    if isinstance(model, onnx.ModelProto):
        return Model(model, model.graph.name or "model", None)
    if isinstance(model, bytes):
        return Model(_decode(model, "the model's bytes"), "model", None)
    if not isinstance(model, (str, os.PathLike)):
        raise ModelError(f"a model is a path, bytes or a ModelProto, not {type(model).__name__}")
    path = Path(model)
    try:
        if path.is_char_device() or path.is_block_device():
            raise ModelError(f"{path}: a device, which has no end: give a file")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from None
    return Model(_decode(data, str(path)), path.name, path.resolve().parent)


def _decode(data: bytes, what: str) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise ModelError(f"{what}: not an ONNX model, or a truncated one (the protobuf does not decode)") from None
    if not proto.HasField("graph"):
        raise ModelError(f"{what}: not an ONNX model (it has no graph)")
    if not proto.graph.output:
        raise ModelError(f"{what}: not an ONNX model to run (its graph has no outputs)")
    if not proto.opset_import:
        raise ModelError(f"{what}: the model names no operator set (opset_import)")
    return proto


def tensor_array(tensor: onnx.TensorProto, model: Model) -> tuple[np.ndarray, DType]:
    """The data of an initialiser or attribute; bfloat16 as uint16 bits. Checks size, place and length first."""
    what = f"{model.name}: tensor {tensor.name or '(unnamed)'}"
    dtype = dtype_of(tensor.data_type, what)
    count = 1
    for extent in tensor.dims:
        if extent < 0:
            raise ModelError(f"{what} has a negative extent")
        count *= extent
    if count * dtype.size > MAX_TENSOR_BYTES:
        raise ModelError(f"{what} has {count * dtype.size} bytes, more than {MAX_TENSOR_BYTES}")
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raw = _external(tensor, model, what, count * dtype.size)
        array = np.frombuffer(raw, dtype.numpy.newbyteorder("<")).astype(dtype.numpy)
        return array.reshape(tuple(tensor.dims)), dtype
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except (ValueError, TypeError) as error:
        raise ModelError(f"{what}: its data do not fit its shape ({error})") from None
    if dtype is DType.BF16:
        array = array.view(np.uint16)
    if array.size != count:
        raise ModelError(f"{what}: {array.size} elements for shape {tuple(tensor.dims)}")
    return np.ascontiguousarray(array.astype(dtype.numpy, copy=False)).reshape(tuple(tensor.dims)), dtype


def _external(tensor: onnx.TensorProto, model: Model, what: str, size: int) -> bytes:
    """Bytes of external data. The file must lie below the model's folder, symbolic links resolved."""
    fields = {entry.key: entry.value for entry in tensor.external_data}
    location = fields.get("location", "")
    if model.folder is None:
        raise ModelError(f"{what}: external data {location!r} need a model that is a file")
    relative = Path(location)
    path = (model.folder / relative).resolve()
    if not location or relative.is_absolute() or ".." in relative.parts or not path.is_relative_to(model.folder):
        raise ModelError(
            f"{what}: external data {location!r} lie outside the model's folder; move them beside the model"
        )
    try:
        offset = int(fields.get("offset", "0"))
        length = int(fields.get("length", str(size)))
    except ValueError:
        raise ModelError(f"{what}: offset or length of its external data is no number") from None
    if length != size or offset < 0:
        raise ModelError(f"{what}: external data of {length} bytes at {offset} for a tensor of {size} bytes")
    try:
        with path.open("rb") as file:
            file.seek(offset)
            raw = file.read(size)
    except OSError as error:
        raise ModelError(f"{what}: external data {path}: {error.strerror or error}") from None
    if len(raw) != size:
        raise ModelError(f"{what}: external data {path} end {size - len(raw)} bytes early")
    return raw
