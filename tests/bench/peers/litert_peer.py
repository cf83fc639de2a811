"""LiteRT with XNNPACK, from ONNX by onnx2tf, which needs TensorFlow and takes minutes for a transformer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from peers import Call, CannotError, Inputs, Peer
from peers.onnxruntime_peer import constants_fixed

SUFFIXES = {"fp32": "float32", "int8": "full_integer_quant"}

_PICTURES = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""onnx2tf downloads these where they are not, whether it needs them or not."""


def forms(model: onnx.ModelProto, inputs: Inputs, precision: str, folder: Path) -> Mapping[str, Path]:
    onnx.save(constants_fixed(model), folder / "litert.onnx")
    np.save(folder / _PICTURES, np.random.default_rng(0).uniform(size=(20, 128, 128, 3)).astype(np.float32))
    command = [str(Path(sys.executable).with_name("onnx2tf")), "-i", "litert.onnx", "-o", "litert", "-n"]
    command += ["-rtpo", "Erf"]  # LiteRT has no error function: it becomes a polynomial
    kept = [name for name, array in inputs.items() if array.ndim != 4]
    command += ["-kat", *kept] if kept else []
    if precision == "int8":
        command.append("-oiqt")
        for i, (name, array) in enumerate(inputs.items()):
            np.save(folder / f"{i}.npy", _as_tf(array))
            command += ["-cind", name, f"{i}.npy", "0", "1"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        raise CannotError("onnx2tf takes more than 15 minutes") from None
    path = folder / "litert" / f"litert_{SUFFIXES[precision]}.tflite"
    if not path.exists():
        raise CannotError(f"onnx2tf: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    return {"": path}


def load(path: Path, inputs: Inputs, precision: str, threads: int) -> Call:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    wanted, found = interpreter.get_input_details(), interpreter.get_output_details()
    arrays = list(inputs.values())
    if len(wanted) != len(arrays):
        raise CannotError(f"onnx2tf made {len(wanted)} inputs of {len(arrays)}")
    for detail in wanted:
        array = next((_as_tf(a) for a in arrays if _as_tf(a).shape == tuple(detail["shape"])), None)
        if array is None:
            raise CannotError(f"onnx2tf made an input of {tuple(detail['shape'])}")
        if detail["dtype"] == np.int8:
            scale, zero = detail["quantization"]
            array = np.clip(np.rint(array / scale) + zero, -128, 127)
        interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]))

    def call() -> list[np.ndarray]:
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in found]

    return call


def _as_tf(array: np.ndarray) -> np.ndarray:
    """Channels last where there are four axes, as onnx2tf has it."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if array.ndim == 4 else array


PEER = Peer("LiteRT", ("ai_edge_litert", "onnx2tf"), ("fp32", "int8"), forms, load)
