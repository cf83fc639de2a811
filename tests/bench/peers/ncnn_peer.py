"""ncnn, from ONNX by pnnx. Its tools for INT8 are not in the Python packages: it is measured in FP32 and BF16 only."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from peers import Call, CannotError, Inputs, Peer
from peers.onnxruntime_peer import constants_fixed


def forms(model: onnx.ModelProto, inputs: Inputs, precision: str, folder: Path) -> Mapping[str, Path]:
    path = folder / "ncnn.onnx"
    onnx.save(constants_fixed(model), path)
    shapes = ",".join("[" + ",".join(map(str, a.shape)) + "]" for a in inputs.values())
    # The program itself: its Python package would want PyTorch.
    program = Path(importlib.util.find_spec("pnnx").origin).with_name("pnnx")
    command = [str(program), path.name, f"inputshape={shapes}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    param = folder / "ncnn.ncnn.param"
    if done.returncode or not param.exists():
        raise CannotError(f"pnnx: {done.stderr.strip().splitlines()[-1:]}")
    return {"": param}


def load(path: Path, inputs: Inputs, precision: str, threads: int) -> Call:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = precision == "bf16"
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise CannotError("ncnn cannot load what pnnx made")
    # pnnx drops the batch; a run takes the inputs in the order of the model's.
    held = {n: ncnn.Mat(_without_batch(a)) for n, a in zip(net.input_names(), inputs.values())}
    names = net.output_names()

    def call() -> list[np.ndarray]:
        with net.create_extractor() as extractor:
            for name, array in held.items():
                extractor.input(name, array)
            return [np.array(extractor.extract(name)[1]) for name in names]

    return call


def _without_batch(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32:
        raise CannotError(f"its Python binding takes no input of {array.dtype}")
    return np.ascontiguousarray(array[0] if array.ndim > 1 and array.shape[0] == 1 else array.squeeze())


PEER = Peer("ncnn", ("ncnn", "pnnx"), ("fp32", "bf16"), forms, load)
