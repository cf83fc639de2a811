"""Kernels that start before those before them end: which edges say so, that results stay the same, and who may not.

Programs run in processes of their own, since a driver stays where it was loaded."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import ingot
from ingot import builder

sys.path.append(str(Path(__file__).parents[1] / "emulator"))
from driver import in_process
from host_compiler import HostCompiler

ARCHS = {"h200": 90, "jetson-thor": 110}

HEAD = """
import sys
import numpy as np
import ingot

driver.set(arch=int(sys.argv[1]), multiprocessors=20)
path, given = sys.argv[2:4]
x, y = (np.load(given)[name] for name in ("x", "y"))
engine = ingot.load(path)

def run(**options):
    "The result of a run, and how many edges let a kernel start early."
    before = driver.count("early")
    context = engine.context(**options)
    return context.run({"x": x})["y"], driver.count("early") - before
"""


def model() -> onnx.ModelProto:
    """A chain of two, then two side by side whose results are added."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["a"], axis=-1),
        helper.make_node("Softmax", ["a"], ["b"], axis=1),
        helper.make_node("Softmax", ["b"], ["c"], axis=-1),
        helper.make_node("Softmax", ["b"], ["d"], axis=1),
        helper.make_node("Add", ["c", "d"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8]) for name in ("x", "y")]
    return helper.make_model(
        helper.make_graph(nodes, "m", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 21)]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("engines")
    for target in (*ARCHS, "jetson-orin-nano-8gb"):
        (made / f"{target}.ingot").write_bytes(builder.build(model(), target=target, compiler=HostCompiler()))
    x = np.random.default_rng(0).normal(size=(1, 4, 8)).astype(np.float32)
    np.savez(made / "given.npz", x=x, y=ingot.build(model()).context().run({"x": x})["y"])
    return made


def run(folder: Path, program: str, target: str = "h200", arch: int | None = None) -> str:
    arch = arch or ARCHS.get(target, 87)
    return in_process(HEAD + program, str(arch), str(folder / f"{target}.ingot"), str(folder / "given.npz"))


@pytest.mark.parametrize("target", ARCHS)
def test_steps_that_wait_for_one_kernel_start_early(folder: Path, target: str) -> None:
    """Of five steps the first waits for a copy, the last for two kernels. The same bits as without, in any order."""
    program = """
assert engine.inspect()["programs"][0]["overlaps"]
first, early = run()
np.testing.assert_allclose(first, y, rtol=1e-5)
assert early == 3
for seed in range(8):
    driver.set(seed=seed)
    for wait in ("block", "spin", "poll"):
        got, early = run(wait=wait)
        assert early == 3 and got.tobytes() == first.tobytes()
        got, early = run(wait=wait, overlap=False)
        assert early == 0 and got.tobytes() == first.tobytes()
engine.self_test()
"""
    run(folder, program, target)


def test_older_devices_know_nothing_of_it(folder: Path) -> None:
    program = """
assert not engine.inspect()["programs"][0]["overlaps"]
for overlap in (True, False):
    assert run(overlap=overlap)[1] == 0
assert driver.calls("cuGraphAddDependencies_v2") == 0
"""
    run(folder, program, "jetson-orin-nano-8gb")


def test_the_edge_that_fails_is_named(folder: Path) -> None:
    program = """
for skip in range(3):
    before = driver.live
    driver.fail("cuGraphAddDependencies_v2", skip)
    try:
        engine.context()
    except ingot.IngotError as error:
        assert error.status == "device" and "cuGraphAddDependencies" in str(error), error
        assert f"step (Softmax_{skip + 1})" in str(error), error
    else:
        raise AssertionError("made")
    assert driver.live == before
run()
"""
    run(folder, program)


def test_a_device_that_cannot_write_a_word_gets_a_node(folder: Path) -> None:
    """What INGOT_WAIT_POLL looks at is written by the stream, else by a copy; other failures are failures."""
    program = """
for result in (801, 999):
    driver.fail("cuStreamWriteValue32_v2", result=result)
    before = driver.calls("cuGraphAddMemcpyNode")
    try:
        context = engine.context(wait="poll")
    except ingot.IngotError as error:
        assert result == 999 and "cuStreamWriteValue32" in str(error), error
        continue
    assert result == 801 and driver.calls("cuGraphAddMemcpyNode") == before + 3
    written = driver.calls("cuStreamWriteValue32_v2")
    np.testing.assert_allclose(context.run({"x": x})["y"], y, rtol=1e-5)
    assert driver.calls("cuStreamWriteValue32_v2") == written
    context.close()
"""
    run(folder, program)
