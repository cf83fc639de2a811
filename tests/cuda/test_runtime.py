"""CUDA engines through the Python API, on the stand-in for the driver: results, what is refused, failures, streams,
memory of the device. The C tests (``tests/runtime_c/test_cuda.c``) look closer at the calls of the driver.

Each test is a program for a process of its own, since a driver stays where it was loaded."""

from __future__ import annotations

import subprocess
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

TARGET = "jetson-orin-nano-8gb"

#: what programs begin with: the engine, an input, its result, and memory of the device
HEAD = """
import ctypes, sys
import numpy as np
import ingot

path, given = sys.argv[1:3]
x, y = (np.load(given)[name] for name in ("x", "y"))
cuda = ctypes.CDLL("libcuda.so.1")

class OnDevice:
    "Memory of the device as other libraries hand it over."
    def __init__(self, array):
        self.like, self.address = array, ctypes.c_uint64()
        assert cuda.cuMemAlloc_v2(ctypes.byref(self.address), ctypes.c_size_t(array.nbytes)) == 0
        copied = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
        assert cuda.cuMemcpyHtoD_v2(self.address, *copied) == 0
    @property
    def __cuda_array_interface__(self):
        return {"shape": self.like.shape, "typestr": self.like.dtype.str, "data": (self.address.value, False),
                "strides": None, "version": 3}
    def numpy(self):
        array = np.empty_like(self.like)
        to = ctypes.c_void_p(array.ctypes.data)
        assert cuda.cuMemcpyDtoH_v2(to, self.address, ctypes.c_size_t(array.nbytes)) == 0
        return array

class ByDlpack:
    "The same, by DLPack alone."
    def __init__(self, other):
        self.other = other
    def __dlpack_device__(self):
        return 2, 0
    def __dlpack__(self, **options):
        like = self.other.like
        memory = (ctypes.c_char * like.nbytes).from_address(self.other.address.value)
        return np.frombuffer(memory, like.dtype).reshape(like.shape).__dlpack__()

def current():
    "What a library that uses the driver has done."
    context = ctypes.c_void_p()
    assert cuda.cuInit(0) == 0 and cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxSetCurrent(context) == 0
"""


def model(nodes: list[onnx.NodeProto], inputs: dict[str, tuple[int, list[int]]], out: list[int]) -> onnx.ModelProto:
    given = [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, out)
    return helper.make_model(helper.make_graph(nodes, "m", given, [y]), opset_imports=[helper.make_opsetid("", 21)])


BRANCHES = model(
    [
        helper.make_node("Softmax", ["x"], ["a"], axis=-1),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Softmax", ["a"], ["c"], axis=1),
        helper.make_node("Add", ["b", "c"], ["y"]),
    ],
    {"x": (TensorProto.FLOAT, [1, 4, 8])},
    [1, 4, 8],
)
GATHER = model(
    [helper.make_node("Gather", ["table", "index"], ["y"])],
    {"table": (TensorProto.FLOAT, [5, 4]), "index": (TensorProto.INT64, [3])},
    [3, 4],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine of each model, and an input of the first with what the CPU makes of it."""
    made = tmp_path_factory.mktemp("engines")
    for name, proto in {"branches": BRANCHES, "gather": GATHER}.items():
        (made / f"{name}.ingot").write_bytes(builder.build(proto, target=TARGET, compiler=HostCompiler()))
    x = np.random.default_rng(0).normal(size=(1, 4, 8)).astype(np.float32)
    np.savez(made / "given.npz", x=x, y=ingot.build(BRANCHES).context().run({"x": x})["y"])
    return made


def run(folder: Path, program: str, name: str = "branches") -> str:
    return in_process(HEAD + program, str(folder / f"{name}.ingot"), str(folder / "given.npz"))


@pytest.mark.parametrize("integrated", [0, 1])
@pytest.mark.parametrize("wait", ["block", "spin", "poll"])
def test_runs(folder: Path, wait: str, integrated: int) -> None:
    """The right result, the same bits in every run, and of calls a launch and what waits for it."""
    program = f"""
driver.set(integrated={integrated})
engine = ingot.load(path)
assert engine.isa == "sm_87" and engine.unfit is None
engine.self_test()
context = engine.context(wait={wait!r})
context.inputs["x"][...] = x
context.run()
first = context.outputs["y"].copy()
np.testing.assert_allclose(first, y, rtol=1e-5)
names = ["cuCtxPushCurrent_v2", "cuGraphLaunch", "cuCtxPopCurrent_v2", "cuEventRecord", "cuEventQuery",
         "cuEventSynchronize", "cuStreamQuery", "cuStreamWriteValue32_v2"]
calls = lambda: np.array([driver.calls(name) for name in names] + [driver.calls()])
made, before = driver.live, calls()
for _ in range(1000):
    context.outputs["y"][...] = 0
    context.run()
    assert context.outputs["y"].tobytes() == first.tobytes()
assert driver.live == made and driver.count("damaged") == 0
*each, of_all = calls() - before
assert each[:3] == [1000] * 3 and sum(each) == of_all
assert each[7] == (1000 if {wait!r} == "poll" else 0)
assert (each[3] == 1000 and each[6] == 0) if {wait!r} == "block" else each[3:6] == [0, 0, 0]
stats = context.stats
assert stats.runs == 1001 and stats.device_bytes and stats.pinned_bytes and stats.threads == 1
assert [t.nanoseconds > 0 for t in context.profile()] == [True] * engine._step_count
array = context.outputs["y"]
context.close()
assert not driver.live and array.tobytes() == first.tobytes()
"""
    run(folder, program)


def test_machines(folder: Path) -> None:
    """What was wanted and what was found."""
    program = """
def refused(*words, **settings):
    driver.set(**settings)
    try:
        ingot.load(path).context()
    except ingot.ResourceError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(words)
    assert not driver.live

refused("sm_87", "sm_90", arch=90)
refused("0 devices", arch=87, devices=0)
refused("device", "free", devices=1, memory=1000)
driver.set(memory=1 << 30)
ingot.load(path, device=0).context().run()
try:
    ingot.load(path, device=1)
except ingot.ResourceError as error:
    assert error.status == "no variant"
engine = ingot.load(path, any_machine=True, device=1)
assert "sm_87" in engine.unfit and engine.inspect()["programs"][0]["steps"]
"""
    run(folder, program)
    old = """
driver.set(version=11040)
try:
    ingot.load(path)
except ingot.ResourceError as error:
    print(error)
"""
    said = run(folder, old)
    assert "12.6" in said and "11.4" in said


def test_without_a_driver(folder: Path) -> None:
    """Looking at it and checking it work; running says why not. Nothing of that needs a library of CUDA."""
    engine = folder / "branches.ingot"
    with pytest.raises(ingot.ResourceError, match=r"sm_87.*libcuda\.so\.1") as refusal:
        ingot.load(engine)
    assert refusal.value.status == "no variant" and refusal.value.offset is not None
    looked_at = ingot.load(engine, any_machine=True, check_sha256=True)
    assert looked_at.inputs[0].shape == (1, 4, 8)
    with pytest.raises(ingot.ResourceError, match="CUDA driver"):
        looked_at.context()
    for command in ("verify", "inspect"):
        subprocess.run([sys.executable, "-m", "ingot", command, str(engine)], check=True, capture_output=True)


def test_a_file_for_both(folder: Path) -> None:
    """CUDA is taken where there is a device for it and it is preferred, else the CPU."""
    both = Path(__file__).parents[1] / "runtime_c" / "corpus" / "two_variants.ingot"
    assert ingot.load(both).variant == "cpu"
    program = f"""
assert ingot.load({str(both)!r}).variant == "jetson"
assert ingot.load({str(both)!r}, same_bits=True).variant == "cpu"
driver.set(arch=90)
assert ingot.load({str(both)!r}).variant == "cpu"
"""
    run(folder, program)


def test_memory_of_the_device(folder: Path) -> None:
    """Read and written where it is, bound or handed to one run, by both protocols."""
    program = """
current()
engine = ingot.load(path)
context = engine.context()
given, result = OnDevice(x), OnDevice(np.zeros_like(y))
for one, other in ((given, result), (ByDlpack(given), ByDlpack(result))):
    context.bind("x", one)
    context.bind("y", other)
    before = driver.count("copies")
    context.run()
    assert driver.count("copies") == before
    np.testing.assert_allclose(result.numpy(), y, rtol=1e-5)
    assert context.outputs["y"].address == result.address.value
    context.bind("x", None)
    context.bind("y", None)
    np.testing.assert_allclose(context.run({"x": one})["y"], y, rtol=1e-5)
    assert driver.count("copies") == before + 1
    context.run({"x": x})
    assert driver.count("copies") == before + 3
    assert isinstance(context.inputs["x"], np.ndarray)
for wrong in (OnDevice(x.astype(np.float64)), OnDevice(x[:, :2].copy())):
    try:
        context.bind("x", wrong)
    except ingot.ArgumentError as error:
        assert "wanted float32 1x4x8" in str(error)
    else:
        raise AssertionError("bound")
plain = np.zeros_like(y)
context.bind("x", x)
context.bind("y", plain)
context.run()
np.testing.assert_allclose(plain, y, rtol=1e-5)
"""
    run(folder, program)


def test_a_copy_that_cannot_be_switched_off(folder: Path) -> None:
    program = """
current()
for name in ("cuGraphNodeSetEnabled", "cuGraphExecMemcpyNodeSetParams", "cuPointerGetAttributes"):
    context = ingot.load(path).context()
    driver.fail(name)
    try:
        context.bind("x", OnDevice(x))
    except ingot.IngotError as error:
        assert error.status == "device" and name in str(error), error
    else:
        raise AssertionError("bound")
    context.close()
"""
    run(folder, program)


def test_streams(folder: Path) -> None:
    program = """
current()
stream = ctypes.c_void_p()
assert cuda.cuStreamCreate(ctypes.byref(stream), 1) == 0

class Stream:
    cuda_stream = stream.value

context = ingot.load(path).context(wait="spin")
context.wait()
for where in (None, stream.value, Stream()):
    context.outputs["y"][...] = 0
    context.inputs["x"][...] = x
    context.enqueue(where)
    context.wait()
    np.testing.assert_allclose(context.outputs["y"], y, rtol=1e-5)
context.bind("x", x)
try:
    context.enqueue()
except ingot.RunError as error:
    assert error.status == "unsupported" and "pinned" in str(error)
else:
    raise AssertionError("queued")
"""
    run(folder, program)
    with pytest.raises(ingot.RunError) as refusal:
        ingot.build(BRANCHES).context().enqueue()
    assert refusal.value.status == "unsupported"


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("wait", ["block", "spin", "poll"])
def test_wait_ends_the_last_run(folder: Path, wait: str, written: bool) -> None:
    """Not one before it, whose end is told in the same way."""
    program = f"""
current()
stream = ctypes.c_void_p()
assert cuda.cuStreamCreate(ctypes.byref(stream), 1) == 0
if not {written}:
    driver.fail("cuStreamWriteValue32_v2", result=801)
context = ingot.load(path).context(wait={wait!r})
context.inputs["x"][...] = x
for seed in range(20):
    driver.set(seed=seed)
    for runs in (1, 2, 3):
        before = driver.count("kernels")
        for _ in range(runs):
            context.enqueue(stream.value)
        context.wait()
        assert driver.count("kernels") == before + runs * context._step_count
        context.run()
        np.testing.assert_allclose(context.outputs["y"], y, rtol=1e-5)
"""
    run(folder, program)


def test_an_index_out_of_range(folder: Path) -> None:
    program = """
context = ingot.load(path).context()
table = np.arange(20, dtype=np.float32).reshape(5, 4)
good = np.array([4, 0, 2])
for _ in range(2):
    try:
        context.run({"table": table, "index": np.array([0, 5, 1])})
    except ingot.RunError as error:
        assert error.status == "index" and "out of range" in str(error)
    else:
        raise AssertionError("ran")
    np.testing.assert_array_equal(context.run({"table": table, "index": good})["y"], table[good])
"""
    run(folder, program, "gather")


@pytest.mark.parametrize("result", [2, 719])
def test_every_call_fails_in_turn(folder: Path, result: int) -> None:
    """A clear exception and nothing left behind, whichever it is."""
    program = f"""
engine = ingot.load(path)
kinds = set()
for skip in range(1000):
    driver.forgive()
    driver.fail(None, skip, {result})
    context, before, failed = None, driver.live, False
    try:
        with engine.context() as context:
            context.inputs["x"][...] = x
            context.run()
            context.profile()
            context.reset()
        if driver.calls() <= skip:
            break
    except ingot.IngotError as error:
        assert error.status in ("device", "memory"), error
        assert any(word in str(error) for word in ("cu", "wanted", error.status)), error  # reset has but the status
        kinds.add(str(error).partition(":")[0])
        failed = True
    context = None
    # Who gives back and is told that it failed can do no more.
    assert driver.live == before or not failed, (skip, driver.live)
assert len(kinds) > 15, kinds
"""
    run(folder, program)


def test_a_lost_device(folder: Path) -> None:
    """Said once by the call that met it, then by every other; the context still ends."""
    program = """
context = ingot.load(path).context()
context.run()
driver.lose(700)
for words in ("CUDA_ERROR_ILLEGAL_ADDRESS", "lost"):
    try:
        context.run()
    except ingot.RunError as error:
        assert words in str(error), error
    except ingot.ResourceError as error:
        assert error.status == "device" and words in str(error), error
    else:
        raise AssertionError("ran")
context.close()
"""
    run(folder, program)
