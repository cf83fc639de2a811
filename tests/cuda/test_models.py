"""Whole models, built for a device and run on the stand-in for the driver, beside the engine of the CPU.

Their INT8 is exact, all else within a tolerance. Whatever the order of nodes, blocks and threads: the same bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import builder, targets

sys.path.append(str(Path(__file__).parents[1] / "emulator"))
from driver import in_process
from host_compiler import HostCompiler

ROOT = Path(__file__).parents[2]
MODELS = {"digits": "examples/digits/digits_cnn.onnx", "policy": "examples/control/policy.onnx"}
#: norm of the difference over norm of the result, against the CPU
TOLERANCES = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 5e-2, "int8": 0.0}
TARGETS = ("jetson-orin-nano-8gb", "jetson-thor", "h200")

#: runs an engine three times in two contexts, on a device of its kind, and saves what came out
PROGRAM = """
import sys
import numpy as np
import ingot

path, given, results, arch, integrated = sys.argv[1:6]
driver.set(arch=int(arch), integrated=int(integrated))
engine = ingot.load(path)
inputs = dict(np.load(given))
outputs = []
for seed in (1, 2, 3):
    driver.set(seed=seed)
    context = engine.context()
    outputs.append(context.run(inputs))
    again = context.run(inputs)
    assert all(np.array_equal(again[name], array) for name, array in outputs[-1].items()), "another run, other bits"
    del context
first = outputs[0]
for other in outputs:
    for name, array in other.items():
        assert array.tobytes() == first[name].tobytes(), "another order, other bits"
assert driver.live == {} and driver.count("damaged") == 0
np.savez(results, **first)
print(driver.count("kernels"))
"""


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("name", MODELS)
def test_as_on_the_cpu(name: str, precision: str, tmp_path: Path) -> None:
    quantised = {"calibration_synthetic": True} if precision == "int8" else {}
    model = str(ROOT / MODELS[name])
    cpu = ingot.load(builder.build(model, precision=precision, **quantised))
    rng = np.random.default_rng(5)
    inputs = {i.name: rng.standard_normal(i.shape).astype(i.dtype) for i in cpu.inputs}
    np.savez(tmp_path / "given.npz", **inputs)
    wanted = cpu.context().run(inputs)
    for target in TARGETS:
        engine = tmp_path / f"{target}.ingot"
        raw = builder.build(model, target=target, precision=precision, compiler=HostCompiler(), **quantised)
        engine.write_bytes(raw)
        device = targets.get(target)
        arguments = [engine, tmp_path / "given.npz", tmp_path / "results.npz"]
        machine = [device.arch[3:].rstrip("a"), int(device.figures["integrated"])]
        ran = int(in_process(PROGRAM, *map(str, [*arguments, *machine])))
        assert ran >= 3 * 2
        results = np.load(tmp_path / "results.npz")
        for output, array in wanted.items():
            error = np.linalg.norm(results[output] - array)
            assert error <= TOLERANCES[precision] * np.linalg.norm(array), f"{target}: {output}"
