"""Engines built by hand, step by step, and opened through the C API: no importer, no pass, no planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ingot import _kernel
from ingot._native import check, ffi, lib, new_error
from ingot.builder import plan, writer
from ingot.errors import IngotError
from ingot.kernels.spec import DType, TensorType

BINARY = {"add": lib.INGOT_EW_ADD, "mul": lib.INGOT_EW_MUL, "sub": lib.INGOT_EW_SUB}
UNARY = {"relu": lib.INGOT_EW_RELU, "neg": lib.INGOT_EW_NEG, "sigmoid": lib.INGOT_EW_SIGMOID, "exp": lib.INGOT_EW_EXP}


#: how a step of a CUDA program would be started, were there code
LAUNCH = plan.StepLaunch(plan.Module("nothing", b"\x7fELF", 87), "nothing", (1, 1, 1), (128, 1, 1))


def abi() -> dict[str, tuple[int, int]]:
    """(abi, size of the parameters) of every kernel of this runtime, as the writer wants it."""
    return {name: (info.abi, info.params_size) for name, info in _kernel.kernels().items()}


class Hand:
    """A program in the making. Tensors are named by their index."""

    def __init__(self, name: str = "program") -> None:
        self.program = plan.Program(name)

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        storage: int = plan.ARENA,
        *,
        offset: int = 0,
        data: np.ndarray | None = None,
        dtype: DType = DType.F32,
    ) -> int:
        """A tensor that is the whole of a buffer of its own, at ``offset`` of its storage."""
        kind = TensorType(dtype, tuple(shape))
        self.program.buffers.append(plan.Buffer(storage, kind.nbytes, data, offset))
        if storage == plan.ARENA:
            end = -(-(offset + kind.nbytes) // 64) * 64 + 64
            self.program.arena_size = max(self.program.arena_size, end)
        if storage == plan.STATE:
            self.program.state_size = max(self.program.state_size, -(-(offset + kind.nbytes) // 64) * 64 + 64)
        if storage == plan.GENERATED:
            self.program.generated_size = max(self.program.generated_size, -(-(offset + kind.nbytes) // 64) * 64 + 64)
        return self.view(name, shape, len(self.program.buffers) - 1, dtype=dtype)

    def view(
        self,
        name: str,
        shape: Sequence[int],
        buffer: int,
        *,
        offset: int = 0,
        pitch: int | None = None,
        dtype: DType = DType.F32,
    ) -> int:
        """Another tensor in the memory of a buffer: ``offset`` in bytes, ``pitch`` in elements."""
        kind = TensorType(dtype, tuple(shape))
        row = kind.shape[-1] if kind.shape else 1
        self.program.tensors.append(plan.Tensor(name, kind, buffer, offset, row if pitch is None else pitch))
        return len(self.program.tensors) - 1

    def input(self, name: str, shape: Sequence[int], smallest: Sequence[int] | None = None, **kind: Any) -> int:
        tensor = self.tensor(name, shape, plan.INPUT, **kind)
        if smallest is not None:
            self.program.smallest[len(self.program.inputs)] = tuple(smallest)
        self.program.inputs.append(tensor)
        self.program.io_names.append(name)
        return tensor

    def output(self, name: str, shape: Sequence[int], **kind: Any) -> int:
        """Outputs come after all inputs."""
        tensor = self.tensor(name, shape, plan.OUTPUT, **kind)
        self.program.outputs.append(tensor)
        self.program.io_names.append(name)
        return tensor

    def constant(self, name: str, data: np.ndarray, dtype: DType | None = None) -> int:
        return self.tensor(name, data.shape, plan.CONSTANT, data=data, dtype=dtype or DType.of(data.dtype))

    def step(
        self,
        kernel: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        params: bytes = b"",
        workspace: int = plan.NO_INDEX,
        name: str | None = None,
        launch: plan.StepLaunch | None = None,
    ) -> int:
        steps = self.program.steps
        own = name or f"{kernel}_{len(steps)}"
        steps.append(plan.Step(own, kernel, tuple(inputs), tuple(outputs), workspace, params, launch))
        return len(steps) - 1

    def unary(self, function: str, x: int, y: int) -> int:
        return self.step("elementwise", [x], [y], elementwise(UNARY[function], 1), name=function)

    def binary(self, function: str, a: int, b: int, y: int) -> int:
        return self.step("elementwise", [a, b], [y], elementwise(BINARY[function], 2), name=function)

    def engine(self, **options: Any) -> bytes:
        """The bytes of an engine of this program alone, for any CPU."""
        return engine([writer.Variant("cpu", [self.program])], **options)


def elementwise(function: int, arity: int, dtype: DType = DType.F32) -> bytes:
    """Parameters of the elementwise kernel for one function of its inputs."""
    insn = {"function": function, "dtype": dtype.value, "args": list(range(arity))}
    return _kernel.make_params("ingot_elementwise_params", {"insn_count": 1, "register_count": 0, "insns": [insn]})


def engine(variants: Sequence[writer.Variant], metadata: Mapping[str, Any] | None = None, **options: Any) -> bytes:
    kernels = {**abi(), **options.pop("kernels", {})}
    return writer.write_engine(variants, metadata or {}, kernels, **options)


class Opened:
    """An open engine with one context. The bytes stay where they are: constants are used in place."""

    def __init__(
        self,
        raw: bytes,
        *,
        flags: int = 0,
        keys: Sequence[bytes] = (),
        isa: str | None = None,
        threads: int = 1,
    ) -> None:
        self.block = _kernel.empty((len(raw),), np.uint8)
        self.block[:] = np.frombuffer(raw, np.uint8)
        self._keep = [ffi.new("char[]", isa.encode()) if isa else ffi.NULL, ffi.from_buffer(b"".join(keys) or b"\0")]
        options = ffi.new("ingot_options *")
        options.size, options.flags, options.isa = ffi.sizeof("ingot_options"), flags, self._keep[0]
        if keys:
            options.public_keys, options.key_count = ffi.cast("uint8_t *", self._keep[1]), len(keys)
        error, engine_out = new_error(), ffi.new("ingot_engine **")
        address = ffi.cast("void *", self.block.ctypes.data)
        opened = lib.ingot_engine_open(address, len(raw), options, engine_out, error)
        checked = lib.ingot_engine_check(address, len(raw), options, new_error())
        assert (opened == 0) == (checked == 0), (opened, checked)
        check(opened, error)
        self.engine = engine_out[0]
        self.info = ffi.new("ingot_engine_info *", {"size": ffi.sizeof("ingot_engine_info")})
        lib.ingot_engine_get_info(self.engine, self.info)
        self.variant = ffi.string(self.info.variant).decode()
        context_options = ffi.new("ingot_context_options *")
        context_options.size, context_options.threads = ffi.sizeof("ingot_context_options"), threads
        context_out = ffi.new("ingot_context **")
        try:
            check(lib.ingot_context_create(self.engine, context_options, context_out, error), error)
        except IngotError:
            lib.ingot_engine_close(self.engine)
            raise
        self.context = context_out[0]

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        lib.ingot_context_destroy(self.context)
        lib.ingot_engine_close(self.engine)

    def shape(self, index: int) -> tuple[int, ...]:
        info = ffi.new("ingot_io_info *", {"size": ffi.sizeof("ingot_io_info")})
        assert lib.ingot_engine_io_info(self.engine, index, info) == 0
        dims = ffi.new("int64_t[8]")
        assert lib.ingot_context_shape(self.context, index, dims) == 0
        return tuple(dims[0 : info.rank])

    def set_shape(self, index: int, shape: Sequence[int]) -> None:
        error = new_error()
        check(lib.ingot_context_set_shape(self.context, index, list(shape), len(shape), error), error)

    def array(self, index: int, dtype: Any = np.float32) -> np.ndarray:
        """The memory of an input or output, in its current shape."""
        shape = self.shape(index)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        buffer = ffi.buffer(lib.ingot_context_data(self.context, index), size)
        return np.frombuffer(buffer, dtype).reshape(shape)

    def bind(self, index: int, array: np.ndarray) -> None:
        error = new_error()
        data = ffi.cast("void *", array.ctypes.data)
        check(lib.ingot_context_bind(self.context, index, data, array.nbytes, error), error)

    def run(self) -> None:
        error = new_error()
        check(lib.ingot_context_run(self.context, error), error)


def refusal(raw: bytes, **options: Any) -> IngotError:
    """The error with which an engine is refused; fails when it is not."""
    try:
        with Opened(raw, **options):
            pass
    except IngotError as error:
        return error
    raise AssertionError("the engine was accepted")
