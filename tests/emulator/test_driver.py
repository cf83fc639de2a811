"""The stand-in for the driver: it does what the driver does, is as unkind as it says, and fails when told to."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))
import driver as stand_in
from compile import compile_instance
from driver_api import ffi
from operands import pack_call

from ingot.kernels.spec import DType

NOT_READY, INVALID_VALUE, OUT_OF_MEMORY, INVALID_CONTEXT, INVALID_HANDLE = 600, 1, 2, 201, 400
LAUNCH_FAILED, ILLEGAL_ADDRESS, NOT_SUPPORTED, LAST = 719, 700, 801, 999
HOST, DEVICE = 1, 2

# Under another name, so that what else runs in this process finds no driver.
control = stand_in.load("libingot_test_driver.so")
lib = ffi.dlopen(str(stand_in.emulator_compile.driver("libingot_test_driver.so")))


def ok(result: int) -> None:
    assert result == 0, f"error {result}: {control.reason}"


def make(function: str, *arguments: object, kind: str = "void **") -> object:
    """What a call gives through its first argument."""
    place = ffi.new(kind)
    ok(getattr(lib, function)(place, *arguments))
    return place[0]


@pytest.fixture(autouse=True)
def context() -> Iterator[None]:
    """A current context, and at the end nothing that was not given back."""
    ok(lib.cuInit(0))
    ok(lib.cuCtxPushCurrent_v2(make("cuDevicePrimaryCtxRetain", 0)))
    yield
    control.forgive()
    ok(lib.cuCtxPopCurrent_v2(ffi.NULL))
    ok(lib.cuDevicePrimaryCtxRelease_v2(0))
    assert control.live == {} and control.count("damaged") == 0


@pytest.fixture
def stream() -> Iterator[object]:
    made = make("cuStreamCreate", 1)
    yield made
    lib.cuStreamDestroy_v2(made)


class Buffers:
    """Device and pinned memory of a test."""

    def __init__(self) -> None:
        self.device_blocks: list[int] = []
        self.pinned_blocks: list[object] = []

    def device(self, nbytes: int) -> int:
        self.device_blocks.append(make("cuMemAlloc_v2", nbytes, kind="uint64_t *"))
        return self.device_blocks[-1]

    def pinned(self, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        self.pinned_blocks.append(make("cuMemHostAlloc", nbytes, 3))
        return np.frombuffer(ffi.buffer(self.pinned_blocks[-1], nbytes), dtype).reshape(shape)

    def read(self, address: int, shape: tuple[int, ...], dtype: type = np.float32) -> np.ndarray:
        made = np.empty(shape, dtype)
        ok(lib.cuMemcpyDtoH_v2(ffi.from_buffer(made), address, made.nbytes))
        return made

    def free(self) -> None:
        for address in self.device_blocks:
            lib.cuMemFree_v2(address)
        for address in self.pinned_blocks:
            lib.cuMemFreeHost(address)


@pytest.fixture
def memory() -> Iterator[Buffers]:
    buffers = Buffers()
    yield buffers
    buffers.free()


def operand(address: int, *shape: int) -> bytes:
    dims = (*shape, *[1] * (8 - len(shape)))
    return struct.pack("<Qq8iII", address, shape[-1], *dims, len(shape), DType.F32.value)


class Kernel:
    """A kernel of ``cases.cu`` in a module of its own."""

    def __init__(self, kernel: str) -> None:
        self.image = compile_instance("cases.cu", kernel)
        self.module = make("cuModuleLoadData", ffi.from_buffer(self.image))
        self.function = make("cuModuleGetFunction", self.module, b"kernel")

    def call(self, *operands: bytes) -> object:
        """``kernelParams``, and what they point to."""
        block = ffi.new("char[]", pack_call(operands, 0, 0, 1, b""))
        params = ffi.new("void *[1]", [block])
        return params, block

    def launch(self, stream: object, grid: int, block: int, shared: int, *operands: bytes) -> int:
        params, _block = self.call(*operands)
        return lib.cuLaunchKernel(self.function, grid, 1, 1, block, 1, 1, shared, stream, params, ffi.NULL)

    def node(self, grid: int, block: int, *operands: bytes) -> object:
        """``CUDA_KERNEL_NODE_PARAMS``, and what it points to."""
        params, held = self.call(*operands)
        node = ffi.new("kernel_node *", {"func": self.function, "grid": [grid, 1, 1], "block": [block, 1, 1]})
        node.params = params
        return node, params, held


@pytest.fixture
def turn() -> Iterator[Kernel]:
    """Turns rows of 128 floats around."""
    kernel = Kernel("turn_around<ingot::NONE>")
    yield kernel
    lib.cuModuleUnload(kernel.module)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 128)).astype(np.float32)


class TestDevice:
    def test_is_what_was_set(self) -> None:
        control.set(arch=110, multiprocessors=20, integrated=1, version=13000, memory=1 << 30, devices=2)
        values = {75: 11, 76: 0, 16: 20, 18: 1, 97: 227 << 10, 10: 32}
        for attribute, value in values.items():
            assert make("cuDeviceGetAttribute", attribute, 1, kind="int *") == value
        assert make("cuDriverGetVersion", kind="int *") == 13000
        assert make("cuDeviceGetCount", kind="int *") == 2
        assert make("cuDeviceTotalMem_v2", 0, kind="size_t *") == 1 << 30
        assert lib.cuDeviceGet(ffi.new("int *"), 2) == 101
        control.set(arch=87, multiprocessors=8, integrated=0, memory=4 << 30, devices=1)
        name = ffi.new("char[32]")
        ok(lib.cuDeviceGetName(name, 32, 0))
        assert ffi.string(name) == b"Emulated device"
        with pytest.raises(KeyError):
            control.set(colour=3)

    def test_errors_have_names(self) -> None:
        name, text = ffi.new("const char **"), ffi.new("const char **")
        ok(lib.cuGetErrorName(OUT_OF_MEMORY, name))
        ok(lib.cuGetErrorString(ILLEGAL_ADDRESS, text))
        assert ffi.string(name[0]) == b"CUDA_ERROR_OUT_OF_MEMORY"
        assert ffi.string(text[0]) == b"an illegal memory access was encountered"
        assert lib.cuGetErrorName(12345, name) == INVALID_VALUE

    def test_what_needs_a_context_says_so(self) -> None:
        held = make("cuCtxGetCurrent")
        ok(lib.cuCtxSetCurrent(ffi.NULL))
        assert lib.cuMemAlloc_v2(ffi.new("uint64_t *"), 16) == INVALID_CONTEXT
        assert lib.cuCtxSynchronize() == INVALID_CONTEXT
        ok(lib.cuCtxPushCurrent_v2(held))
        ok(lib.cuCtxSynchronize())

    def test_memory_has_an_end(self, memory: Buffers) -> None:
        control.set(memory=1 << 20)
        memory.device(1 << 19)
        assert make("cuMemGetInfo_v2", ffi.new("size_t *"), kind="size_t *") == 1 << 19
        assert lib.cuMemAlloc_v2(ffi.new("uint64_t *"), (1 << 19) + 1) == OUT_OF_MEMORY
        control.set(memory=4 << 30)


class TestMemory:
    def test_is_poisoned(self, memory: Buffers) -> None:
        assert (memory.read(memory.device(64), (64,), np.uint8) == 0xFF).all()

    def test_copies_look_at_sides_and_ends(self, memory: Buffers, stream: object) -> None:
        device, host = memory.device(64), memory.pinned((16,))
        there = ffi.cast("void *", device)
        assert lib.cuMemcpyHtoDAsync_v2(host.ctypes.data, ffi.from_buffer(host), 64, stream) == INVALID_VALUE
        assert lib.cuMemcpyDtoHAsync_v2(there, device, 64, stream) == INVALID_VALUE
        assert lib.cuMemcpyHtoD_v2(device + 4, ffi.from_buffer(host), 64) == INVALID_VALUE
        assert lib.cuMemcpyDtoDAsync_v2(device, host.ctypes.data, 64, stream) == INVALID_VALUE
        assert lib.cuMemsetD8Async(device, 1, 65, stream) == INVALID_VALUE
        ok(lib.cuMemsetD8_v2(device + 32, 7, 32))
        assert (memory.read(device, (64,), np.uint8) == [0xFF] * 32 + [7] * 32).all()

    def test_pinned_memory_is_read_when_the_copy_runs_and_other_at_once(self, memory: Buffers, stream: object) -> None:
        device, pinned, plain = memory.device(128), memory.pinned((16,)), np.ones(16, np.float32)
        pinned[:] = 1
        ok(lib.cuMemcpyHtoDAsync_v2(device, ffi.from_buffer(pinned), 64, stream))
        ok(lib.cuMemcpyHtoDAsync_v2(device + 64, ffi.from_buffer(plain), 64, stream))
        pinned[:] = plain[:] = 2
        ok(lib.cuStreamSynchronize(stream))
        assert (memory.read(device, (32,)) == [2] * 16 + [1] * 16).all()

    def test_knows_what_is_pinned(self, memory: Buffers) -> None:
        device, pinned = memory.device(64), memory.pinned((16,)).ctypes.data
        plain = np.zeros(4096, np.uint8)
        where = plain.ctypes.data
        for address, kind in ((device + 8, DEVICE), (pinned + 8, HOST)):
            assert make("cuPointerGetAttribute", 2, address, kind="unsigned *") == kind
            assert make("cuPointerGetAttribute", 3, address, kind="uint64_t *") == address
        assert lib.cuPointerGetAttribute(ffi.new("int *"), 2, where) == INVALID_VALUE
        ok(lib.cuMemHostRegister_v2(ffi.from_buffer(plain), 4096, 3))
        assert lib.cuMemHostRegister_v2(ffi.from_buffer(plain), 4096, 3) == 712
        assert make("cuMemHostGetDevicePointer_v2", ffi.from_buffer(plain), 0, kind="uint64_t *") == where
        ok(lib.cuMemHostUnregister(ffi.from_buffer(plain)))
        assert lib.cuMemHostUnregister(ffi.from_buffer(plain)) == 713
        assert lib.cuMemHostGetDevicePointer_v2(ffi.new("uint64_t *"), ffi.from_buffer(plain), 0) == INVALID_VALUE

    def test_says_zeros_of_what_it_does_not_know(self, memory: Buffers) -> None:
        device, plain = memory.device(64), np.zeros(4096, np.uint8)
        kind, view, ordinal = ffi.new("unsigned *", 7), ffi.new("uint64_t *", 7), ffi.new("int *", 7)
        asked, answers = ffi.new("int[]", [2, 3, 9]), ffi.new("void *[]", [kind, view, ordinal])
        for address, said in ((device + 8, (DEVICE, device + 8, 0)), (plain.ctypes.data, (0, 0, -2))):
            ok(lib.cuPointerGetAttributes(3, asked, answers, address))
            assert (kind[0], view[0], ordinal[0]) == said
        assert lib.cuPointerGetAttributes(1, [999], answers, device) == INVALID_VALUE

    def test_tensor_maps_that_no_driver_makes(self) -> None:
        held = ffi.new("unsigned char[192]")
        at = ffi.cast("uintptr_t", held)
        place = ffi.cast("void *", int(at) + -int(at) % 64)
        #: of halves: type, address, extents, bytes from row to row, box
        good = {"kind": 1, "address": 4096, "extents": [72, 40], "pitch": 160, "box": [64, 64]}

        def made(arch: int = 90, **changed: object) -> int:
            control.set(arch=arch)
            a = good | changed
            return lib.cuTensorMapEncodeTiled(
                place,
                a["kind"],
                2,
                a["address"],
                ffi.new("uint64_t[]", a["extents"]),
                ffi.new("uint64_t[]", [a["pitch"]]),
                ffi.new("uint32_t[]", a["box"]),
                ffi.new("uint32_t[]", [1, 1]),
                0,
                3,
                3,
                0,
            )

        assert made() == 0 and made(arch=87) == NOT_SUPPORTED
        for wrong in (
            {"address": 4104},
            {"pitch": 152},
            {"pitch": 128},
            {"extents": [72, 0]},
            {"box": [32, 64]},
            {"kind": 2},
            {"kind": 3},
        ):
            assert made(**wrong) == INVALID_VALUE, wrong
        control.set(arch=87)

    def test_bytes_around_it_are_looked_at(self, memory: Buffers) -> None:
        device = memory.device(100)
        behind = ffi.cast("char *", device) + 100
        behind[0] = b"\0"
        assert control.count("damaged") == 1
        behind[0] = b"\xa5"


class TestModules:
    def test_what_is_none(self) -> None:
        for head, error in ((b"\x7fELF\x01", 200), (b"nothing", 200), (b"\x7fELF\x02\x01", 209)):
            assert lib.cuModuleLoadData(ffi.new("void **"), ffi.from_buffer(head + bytes(200))) == error

    def test_functions(self, turn: Kernel) -> None:
        assert lib.cuModuleGetFunction(ffi.new("void **"), turn.module, b"another") == 500
        assert make("cuModuleGetFunction", turn.module, b"kernel") == turn.function
        assert make("cuFuncGetAttribute", 0, turn.function, kind="int *") == 128

    def test_more_shared_memory_is_asked_for_first(self, turn: Kernel, memory: Buffers, stream: object) -> None:
        x = operand(memory.device(512), 1, 128)
        assert turn.launch(stream, 1, 128, (48 << 10) + 4, x, x) == INVALID_VALUE
        assert lib.cuFuncSetAttribute(turn.function, 8, (163 << 10) + 1) == INVALID_VALUE
        ok(lib.cuFuncSetAttribute(turn.function, 8, 64 << 10))
        ok(turn.launch(stream, 1, 128, (48 << 10) + 4, x, x))

    def test_launches_that_no_driver_takes(self, turn: Kernel, memory: Buffers, stream: object) -> None:
        x = operand(memory.device(512), 1, 128)
        assert turn.launch(stream, 0, 128, 0, x, x) == INVALID_VALUE
        assert turn.launch(stream, 1, 256, 0, x, x) == INVALID_VALUE
        assert turn.launch(ffi.cast("void *", 64), 1, 128, 0, x, x) == INVALID_HANDLE

    def test_counts_what_runs(self, turn: Kernel, memory: Buffers, stream: object) -> None:
        before = {what: control.count(what) for what in ("kernels", "blocks", "threads")}
        x, y = operand(memory.device(5 * 512), 5, 128), operand(memory.device(5 * 512), 5, 128)
        ok(turn.launch(stream, 5, 128, 0, x, y))
        ok(lib.cuStreamSynchronize(stream))
        after = {what: control.count(what) - n for what, n in before.items()}
        assert after == {"kernels": 1, "blocks": 5, "threads": 640}


class TestStreams:
    def test_nothing_happens_before_somebody_asks(self, turn: Kernel, memory: Buffers, stream: object) -> None:
        x, y, z = memory.device(512), memory.device(512), memory.pinned((1, 128))
        given = rows(1)
        ok(lib.cuMemcpyHtoDAsync_v2(x, ffi.from_buffer(given), 512, stream))
        ok(turn.launch(stream, 1, 128, 0, operand(x, 1, 128), operand(y, 1, 128)))
        ok(lib.cuMemcpyDtoHAsync_v2(ffi.from_buffer(z), y, 512, stream))
        assert np.isnan(z).all()
        polls = 0
        while (result := lib.cuStreamQuery(stream)) == NOT_READY:
            polls += 1
        ok(result)
        assert polls >= 1 and np.array_equal(z, given[:, ::-1])

    def test_a_copy_to_memory_that_is_not_pinned_waits(self, turn: Kernel, memory: Buffers, stream: object) -> None:
        x, y, z, given = memory.device(512), memory.device(512), np.empty((1, 128), np.float32), rows(1)
        ok(lib.cuMemcpyHtoDAsync_v2(x, ffi.from_buffer(given), 512, stream))
        ok(turn.launch(stream, 1, 128, 0, operand(x, 1, 128), operand(y, 1, 128)))
        ok(lib.cuMemcpyDtoHAsync_v2(ffi.from_buffer(z), y, 512, stream))
        assert np.array_equal(z, given[:, ::-1])

    def test_streams_take_turns(self, memory: Buffers) -> None:
        streams = [make("cuStreamCreateWithPriority", 1, 0), make("cuStreamCreate", 1)]
        last = set()
        for seed in range(24):
            control.set(seed=seed)
            x = memory.device(1)
            for value, each in enumerate(streams):
                for _ in range(4):
                    ok(lib.cuMemsetD8Async(x, value, 1, each))
            ok(lib.cuStreamSynchronize(streams[0]))
            ok(lib.cuStreamSynchronize(streams[1]))
            last.add(int(memory.read(x, (1,), np.uint8)[0]))
        assert last == {0, 1}
        for each in streams:
            ok(lib.cuStreamDestroy_v2(each))

    def test_the_default_stream_and_blocking_ones_are_in_order(self, memory: Buffers) -> None:
        blocking, x = make("cuStreamCreate", 0), memory.device(1)
        for seed in range(8):
            control.set(seed=seed)
            ok(lib.cuMemsetD8Async(x, 1, 1, blocking))
            ok(lib.cuMemsetD8Async(x, 2, 1, ffi.NULL))
            ok(lib.cuMemsetD8Async(x, 3, 1, blocking))
            assert memory.read(x, (1,), np.uint8)[0] == 3
        ok(lib.cuStreamDestroy_v2(blocking))

    def test_writes_of_a_value(self, memory: Buffers, stream: object) -> None:
        words = memory.pinned((4,), np.uint32)
        words[:] = 0
        where = words.ctypes.data
        ok(lib.cuStreamWriteValue32_v2(stream, where + 4, 9, 0))
        assert words[1] == 0
        ok(lib.cuStreamSynchronize(stream))
        assert list(words) == [0, 9, 0, 0]
        assert lib.cuStreamWriteValue32_v2(stream, where + 2, 9, 0) == INVALID_VALUE
        assert lib.cuStreamWriteValue32_v2(stream, np.zeros(4).ctypes.data, 9, 0) == INVALID_VALUE

    def test_events(self, memory: Buffers, stream: object) -> None:
        x, first, second, plain = memory.device(1), *(make("cuEventCreate", flags) for flags in (0, 0, 2))
        ok(lib.cuEventQuery(first))
        ok(lib.cuEventRecord(first, stream))
        ok(lib.cuMemsetD8Async(x, 1, 1, stream))
        ok(lib.cuEventRecord(second, stream))
        ok(lib.cuEventRecord(plain, stream))
        elapsed = ffi.new("float *")
        assert lib.cuEventElapsedTime(elapsed, first, second) == NOT_READY
        while (result := lib.cuEventQuery(first)) == NOT_READY:
            pass
        ok(result)
        ok(lib.cuEventSynchronize(plain))
        ok(lib.cuEventElapsedTime(elapsed, first, second))
        assert elapsed[0] >= 0
        assert lib.cuEventElapsedTime(elapsed, first, plain) == INVALID_HANDLE
        for event in (first, second, plain):
            ok(lib.cuEventDestroy_v2(event))
        assert lib.cuEventRecord(first, stream) == INVALID_HANDLE


def copy_node(source: tuple[int, int], target: tuple[int, int], nbytes: int) -> object:
    """``CUDA_MEMCPY3D``; the ends are (memory type, address)."""
    node = ffi.new("copy_node *", {"width": nbytes, "height": 1, "depth": 1})
    for end, (kind, address) in ((getattr(node, "from"), source), (node.to, target)):
        end.type, end.pitch, end.height = kind, nbytes, 1
        if kind == HOST:
            end.host = ffi.cast("void *", address)
        else:
            end.device = address
    return node


class TestGraphs:
    """Copy in, turn around twice, copy out."""

    @pytest.fixture
    def parts(self, turn: Kernel, memory: Buffers) -> Iterator[TestGraphs]:
        self.memory, self.turn = memory, turn
        self.x, self.y = memory.pinned((3, 128)), memory.pinned((3, 128))
        self.a, self.b, self.c = (memory.device(3 * 512) for _ in range(3))
        self.graph = make("cuGraphCreate", 0)
        self.executable = ffi.NULL
        yield self
        if self.executable:
            ok(lib.cuGraphExecDestroy(self.executable))
        ok(lib.cuGraphDestroy(self.graph))

    def copy(self, copy: object, *after: object) -> object:
        return make("cuGraphAddMemcpyNode", self.graph, list(after), len(after), copy, ffi.NULL)

    def kernel(self, source: int, target: int, *after: object) -> object:
        params, *self.held = self.turn.node(3, 128, operand(source, 3, 128), operand(target, 3, 128))
        return make("cuGraphAddKernelNode", self.graph, list(after), len(after), params)

    def build(self, edges: bool = True) -> list[object]:
        first = self.copy(copy_node((HOST, self.x.ctypes.data), (DEVICE, self.a), self.x.nbytes))
        second = self.kernel(self.a, self.b, first)
        third = self.kernel(self.b, self.c, *([second] if edges else []))
        last = self.copy(copy_node((DEVICE, self.c), (HOST, self.y.ctypes.data), self.y.nbytes), second, third)
        self.executable = make("cuGraphInstantiateWithFlags", self.graph, 0)
        return [first, second, third, last]

    def run(self, stream: object, seed: int) -> bool:
        control.set(seed=seed)
        self.x[:] = rows(3) + np.float32(seed)
        self.y[:] = 0
        for address in (self.a, self.b, self.c):
            ok(lib.cuMemsetD8_v2(address, 0xFF, 3 * 512))
        ok(lib.cuGraphUpload(self.executable, stream))
        ok(lib.cuGraphLaunch(self.executable, stream))
        ok(lib.cuStreamSynchronize(stream))
        return np.array_equal(self.x, self.y)

    def test_nodes_wait_for_those_in_front(self, parts: TestGraphs, stream: object) -> None:
        parts.build()
        assert all(parts.run(stream, seed) for seed in range(12))

    def test_a_missing_edge_shows(self, parts: TestGraphs, stream: object) -> None:
        parts.build(edges=False)
        assert {parts.run(stream, seed) for seed in range(12)} == {True, False}

    def test_what_a_node_does_may_change(self, parts: TestGraphs, stream: object) -> None:
        first, second, third, last = parts.build()
        node, *_held = parts.turn.node(3, 128, operand(parts.a, 3, 128), operand(parts.c, 3, 128))
        ok(lib.cuGraphExecKernelNodeSetParams(parts.executable, third, node))
        other = parts.memory.pinned((3, 128))
        there = copy_node((DEVICE, parts.c), (HOST, other.ctypes.data), other.nbytes)
        ok(lib.cuGraphExecMemcpyNodeSetParams(parts.executable, last, there, ffi.NULL))
        parts.run(stream, 1)
        assert np.array_equal(other, parts.x[:, ::-1]) and (parts.y == 0).all()
        back = copy_node((HOST, other.ctypes.data), (DEVICE, parts.c), other.nbytes)
        assert lib.cuGraphExecMemcpyNodeSetParams(parts.executable, last, back, ffi.NULL) == INVALID_VALUE
        assert lib.cuGraphExecKernelNodeSetParams(parts.executable, first, node) == INVALID_VALUE
        ok(lib.cuGraphNodeSetEnabled(parts.executable, second, 0))
        before = control.count("kernels")
        parts.run(stream, 1)
        assert control.count("kernels") == before + 1

    def test_edges_that_no_driver_takes(self, parts: TestGraphs) -> None:
        copy = copy_node((HOST, parts.x.ctypes.data), (DEVICE, parts.a), 4)
        first = parts.copy(copy)
        other = make("cuGraphCreate", 0)
        strange = make("cuGraphAddEmptyNode", other, ffi.NULL, 0)
        for after in ([first, first], [strange]):
            result = lib.cuGraphAddMemcpyNode(ffi.new("void **"), parts.graph, after, len(after), copy, ffi.NULL)
            assert result == INVALID_VALUE
        ok(lib.cuGraphDestroy(other))

    def edge(self, first: object, second: object, **data: int) -> int:
        edge = ffi.new("edge_data *", data)
        return lib.cuGraphAddDependencies_v2(self.graph, [first], [second], edge, 1)

    def test_edges_of_kernels_that_wait_themselves(self, parts: TestGraphs, stream: object) -> None:
        """They order nodes as others do, for devices that can, between kernels alone."""
        early = {"from_port": 1, "type": 1}
        control.set(arch=90)
        first, second, third, last = parts.build(edges=False)
        ok(lib.cuGraphExecDestroy(parts.executable))
        for data in ({"from_port": 1}, {"type": 1}, {"to_port": 1}, {"from_port": 1, "type": 1, "to_port": 1}):
            assert parts.edge(second, third, **data) == INVALID_VALUE
        for one, other in ((first, third), (third, last), (third, third)):
            assert parts.edge(one, other, **early) == INVALID_VALUE
        control.set(arch=87)
        assert parts.edge(second, third, **early) == NOT_SUPPORTED
        control.set(arch=90)
        before = control.count("early")
        ok(parts.edge(second, third, **early))
        assert parts.edge(second, third, **early) == INVALID_VALUE
        assert control.count("early") == before + 1
        control.set(arch=87)
        parts.executable = make("cuGraphInstantiateWithFlags", parts.graph, 0)
        assert all(parts.run(stream, seed) for seed in range(12))

    def test_copies_look_at_sides_and_ends(self, parts: TestGraphs) -> None:
        for source, target, size in (
            ((HOST, parts.a), (DEVICE, parts.b), 4),
            ((DEVICE, parts.a), (DEVICE, parts.b), 3 * 512 + 1),
        ):
            node = copy_node(source, target, size)
            assert lib.cuGraphAddMemcpyNode(ffi.new("void **"), parts.graph, ffi.NULL, 0, node, ffi.NULL) == 1

    def test_sets(self, parts: TestGraphs, stream: object) -> None:
        node = ffi.new("set_node *", {"to": parts.a, "value": 0x3F800000, "element": 4, "width": 128, "height": 1})
        make("cuGraphAddMemsetNode", parts.graph, ffi.NULL, 0, node, ffi.NULL)
        parts.executable = make("cuGraphInstantiateWithFlags", parts.graph, 0)
        ok(lib.cuGraphLaunch(parts.executable, stream))
        ok(lib.cuStreamSynchronize(stream))
        assert (parts.memory.read(parts.a, (128,)) == 1).all()


class TestFailures:
    def test_by_name_and_number(self, memory: Buffers) -> None:
        control.forgive()
        control.fail("cuMemAlloc_v2", skip=1, result=OUT_OF_MEMORY)
        memory.device(16)
        assert lib.cuMemAlloc_v2(ffi.new("uint64_t *"), 16) == OUT_OF_MEMORY
        memory.device(16)
        control.fail(skip=2, result=LAST)
        ok(lib.cuCtxSynchronize())
        memory.device(16)
        assert lib.cuCtxSynchronize() == LAST
        ok(lib.cuCtxSynchronize())
        assert control.calls("cuMemAlloc_v2") == 4 and control.calls() == 7

    def test_a_kernel_that_does_harm_loses_the_device(self, memory: Buffers, stream: object) -> None:
        kernel = Kernel("harmful<ingot::STORE_BEHIND>")
        x = operand(memory.device(64 * 4), 64, 1)
        ok(kernel.launch(stream, 1, 64, 0, x, x))
        assert lib.cuStreamSynchronize(stream) == ILLEGAL_ADDRESS
        assert "behind an allocation of 256" in control.reason
        assert lib.cuMemAlloc_v2(ffi.new("uint64_t *"), 16) == ILLEGAL_ADDRESS
        assert lib.cuStreamQuery(stream) == ILLEGAL_ADDRESS
        control.forgive()
        ok(lib.cuModuleUnload(kernel.module))

    def test_a_kernel_that_never_ends_loses_the_device(self, memory: Buffers, stream: object) -> None:
        kernel = Kernel("harmful<ingot::DIVERGENT_BLOCK>")
        x = operand(memory.device(64 * 4), 64, 1)
        ok(kernel.launch(stream, 1, 64, 0, x, x))
        assert lib.cuStreamSynchronize(stream) == LAUNCH_FAILED
        control.forgive()
        ok(lib.cuModuleUnload(kernel.module))

    def test_a_lost_device_still_takes_back(self, memory: Buffers) -> None:
        made = make("cuStreamCreate", 1), make("cuGraphCreate", 0), make("cuEventCreate", 0)
        control.lose()
        assert lib.cuStreamCreate(ffi.new("void **"), 1) == ILLEGAL_ADDRESS
        ends = (lib.cuStreamDestroy_v2, lib.cuGraphDestroy, lib.cuEventDestroy_v2)
        assert [end(each) for end, each in zip(ends, made)] == [ILLEGAL_ADDRESS] * 3
        assert control.live == {"contexts": 1}


def test_whoever_opens_the_driver_by_name_gets_it() -> None:
    said = stand_in.in_process("import ctypes; print(ctypes.CDLL('libcuda.so.1').cuInit(0), driver.calls('cuInit'))")
    assert said.split() == ["0", "1"]
