"""A context: the memory and threads in which an engine runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._native import ADDRESS, VOID_POINTER, address_of, check, ffi, lib, new, new_error, pointer_to
from .arrays import Arrays, TensorInfo, check_shape, shape_text, to_array, unknown_name
from .device import DeviceArray, device_array, stream_address
from .errors import ArgumentError, ResourceError, RunError
from .handle import Handle

if TYPE_CHECKING:
    from .engine import Engine

_WAITS = {"block": lib.INGOT_WAIT_BLOCK, "spin": lib.INGOT_WAIT_SPIN, "poll": lib.INGOT_WAIT_POLL}
_ALIGN = 4096
_LARGE_PAGE = 2 << 20
_run = lib.ingot_context_run
_OPTIONS, _MEMORY, _STATS = map(pointer_to, ("ingot_context_options", "ingot_memory", "ingot_stats"))
_MADE, _DIMS = ffi.typeof("ingot_context **"), ffi.typeof("int64_t[8]")


class StepTime(NamedTuple):
    """How long a step of the program took."""

    name: str
    kernel: str
    nanoseconds: int


@dataclass(frozen=True)
class Stats:
    """``runs`` since the context was made, its threads, and its memory in bytes; the last two are 0 on the CPU."""

    runs: int
    threads: int
    host_bytes: int
    arena_bytes: int
    device_bytes: int = 0
    pinned_bytes: int = 0


class Context:
    """Runs an engine. Made by :meth:`Engine.context`, which takes all memory; a run then allocates nothing.

    ``inputs[name]`` and ``outputs[name]`` are NumPy arrays over the memory that a run reads and writes, so the loop is
    ``ctx.inputs["x"][...] = x; ctx.run(); y = ctx.outputs["y"]``. They stay valid as long as somebody holds them, the
    context closed or not, and offer ``__dlpack__`` as NumPy does. Those of a CUDA engine lie in pinned memory, from
    which a run copies to the device and back, or which an integrated device uses in place.

    A context belongs to one thread at a time, as in C: while a run lasts the GIL is released, and a second call on the
    same context raises :class:`RunError` instead of disturbing it. Take one context a thread; they share the engine.
    """

    inputs: Arrays
    outputs: Arrays

    def __init__(
        self,
        engine: Engine,
        threads: int = 1,
        wait: str = "block",
        priority: int = 0,
        cpus: Sequence[int] | None = None,
        overlap: bool = True,
    ) -> None:
        options = new(_OPTIONS)
        if wait not in _WAITS:
            raise ArgumentError(f"wait is {wait!r}: give 'block' or 'spin', or on CUDA 'poll'")
        if threads < 1 or not 0 <= priority <= 99 or any(cpu < 0 for cpu in cpus or ()):
            raise ArgumentError("threads must be at least 1, priority 0 to 99 and cpus not negative")
        options.threads, options.wait, options.priority = min(threads, 2**31), _WAITS[wait], priority
        options.flags = 0 if overlap else lib.INGOT_CONTEXT_IN_TURN
        if cpus is not None:
            options.cpus = cpu_list = ffi.new("uint32_t[]", list(cpus))
            options.cpu_count = len(cpu_list)
        self._error = error = new_error()
        need = new(_MEMORY)
        check(lib.ingot_context_memory(engine.handle.pointer, options, need, error), error)
        # NumPy owns the memory: arrays over it stay valid as long as somebody holds them, whatever becomes of this.
        host, need.host = _block(need.host_size)
        self._blocks = [host]
        if need.pinned_size:
            pinned, need.pinned = _block(need.pinned_size)
            self._blocks.append(pinned)
        made = ffi.new(_MADE)
        check(lib.ingot_context_init(engine.handle.pointer, options, need, made, error), error)
        self._engine_handle: Handle | None = engine.handle
        self._handle: Handle | None = Handle(made[0], lib.ingot_context_destroy, engine.handle, *self._blocks)
        self._pointer = made[0]
        self._engine = engine
        self._step_count = engine._step_count
        self._busy = threading.Lock()
        self._bound: dict[str, np.ndarray | DeviceArray] = {}
        self._lent: list[str] = []  # inputs bound for one run
        self._infos = {info.name: (i, info) for i, info in reversed(list(enumerate([*engine.inputs, *engine.outputs])))}
        self.inputs, self.outputs = Arrays("input"), Arrays("output")
        self._refresh()

    # -- running -----------------------------------------------------------------------------------------------------

    def run(self, inputs: Mapping[str, Any] | None = None) -> dict[str, np.ndarray] | None:
        """Run once. Without arguments: on what stands in ``inputs``, into ``outputs``; returns nothing.

        With a dict: copies its arrays in, runs, and returns a dict of fresh arrays. Every input that is not bound must
        be there, with its element type and shape; Python lists are converted, DLPack objects in CPU memory read; a CUDA
        engine reads arrays on the device where they are, as :meth:`bind` does.
        Outputs that are bound to memory of a device are left out.
        Raises :class:`ArgumentError` for a wrong input, :class:`RunError` when an index in the data is out of range or
        the device fails.
        """
        busy = self._busy
        if not busy.acquire(False):
            raise RunError("the context is running in another thread: take one context a thread", "argument")
        try:
            if inputs is not None:
                self._take(inputs)
            status = _run(self._pointer, self._error)
            if status:
                self._open()
                check(status, self._error)
            if inputs is not None:
                return {name: array.copy() for name, array in self.outputs.items() if isinstance(array, np.ndarray)}
        finally:
            while self._lent:
                self._unbind(self._lent.pop())
            busy.release()
        return None

    def enqueue(self, stream: Any = None) -> None:
        """CUDA: start a run on a stream of the caller's and return; :meth:`wait` ends it.

        ``stream`` is the address of a CUstream, or an object with one as ``__cuda_stream__()``, ``cuda_stream`` or
        ``ptr``; ``None`` is the default stream. Inputs and outputs belong to the device until the run ends, and none
        may be bound to memory that is not pinned.
        Raises :class:`RunError` with ``status == "unsupported"`` on the CPU.
        """
        with self._exclusive():
            address = ffi.cast(VOID_POINTER, stream_address(stream))
            check(lib.ingot_context_enqueue(self._pointer, address, self._error), self._error)

    def wait(self) -> None:
        """CUDA: wait for what :meth:`enqueue` started last.

        Raises :class:`RunError` when a run since the last wait met an index out of range, or the device failed.
        """
        with self._exclusive():
            check(lib.ingot_context_wait(self._pointer, self._error), self._error)

    def _take(self, inputs: Mapping[str, Any]) -> None:
        engine = self._open()
        if not isinstance(inputs, Mapping):
            raise ArgumentError(f"run takes a dict of arrays by input name, not {type(inputs).__name__}")
        for name in inputs:
            if name not in self.inputs:
                raise unknown_name("input", name, self.inputs)
            if name in self._bound:
                raise ArgumentError(f"input {name!r} is bound to an array: leave it out, or bind({name!r}, None) first")
        missing = [i for i in engine.inputs if i.name not in inputs and i.name not in self._bound]
        if missing:
            raise ArgumentError(f"missing: input {', input '.join(map(str, missing))}")
        arrays = {}
        for index, info in enumerate(engine.inputs):
            if info.name not in inputs:
                continue
            on_device = self._on_device(info, inputs[info.name], "input")
            if on_device is not None:
                check_shape(info, on_device, self.inputs[info.name].shape)
                self._bind(index, info.name, on_device, on_device.address, False)
                self._lent.append(info.name)
                continue
            array = arrays[info.name] = to_array(info, inputs[info.name])
            if info.shape != info.min_shape and array.shape != self.inputs[info.name].shape:
                self._set_shape(index, info, array.shape)
        for name, array in arrays.items():
            check_shape(self._infos[name][1], array, self.inputs[name].shape)
            np.copyto(self.inputs[name], array)

    # -- memory ------------------------------------------------------------------------------------------------------

    def bind(self, name: str, array: Any) -> None:
        """Let a run read an input from ``array``, or write an output into it, without a copy; ``None`` unbinds.

        The array must be C-contiguous, aligned to its element, of the exact type and current shape, and writable for an
        output; DLPack objects in CPU memory will do. For a CUDA engine it may also lie on the device: an object with
        ``__cuda_array_interface__``, or with ``__dlpack__`` that says so; what was queued for it must have ended.
        The context holds on to it. Inputs are never written.
        """
        with self._exclusive():
            index, info = self._info(name)
            is_output = index >= len(self.inputs)
            kind = "output" if is_output else "input"
            if array is None:
                self._unbind(name)
                return
            if isinstance(array, (bool, int, float, list, tuple)):
                raise ArgumentError(f"{kind} {name!r}: only an array can be bound, not {type(array).__name__}")
            on_device = self._on_device(info, array, kind)
            if on_device is not None:
                check_shape(info, on_device, self._shape(index, len(info.shape)), kind)
                self._bind(index, name, on_device, on_device.address, is_output)
                return
            array = to_array(info, array, kind)
            check_shape(info, array, self._shape(index, len(info.shape)), kind)
            if not array.flags.c_contiguous or not array.flags.aligned:
                raise ArgumentError(f"{kind} {name!r}: the array is not C-contiguous and aligned; bind a copy of it")
            if is_output and not array.flags.writeable:
                raise ArgumentError(f"output {name!r}: the array is read-only")
            self._bind(index, name, array, address_of(array), is_output)

    def _on_device(self, info: TensorInfo, value: Any, kind: str) -> DeviceArray | None:
        """``value`` where it lies on a device, when the engine runs on one."""
        return device_array(info, value, kind) if len(self._blocks) > 1 else None

    def _unbind(self, name: str) -> None:
        self._bound.pop(name, None)
        check(lib.ingot_context_bind(self._pointer, self._infos[name][0], ffi.NULL, 0, self._error), self._error)
        self._refresh()

    def _bind(self, index: int, name: str, array: np.ndarray | DeviceArray, address: int, is_output: bool) -> None:
        for other, bound in self._bound.items():
            other_is_output = self._infos[other][0] >= len(self.inputs)
            if other != name and (is_output or other_is_output) and _share_memory(array, bound):
                kind = "output" if is_output else "input"
                raise ArgumentError(f"{kind} {name!r}: the array shares memory with what {other!r} is bound to")
        data = ffi.cast(VOID_POINTER, address)
        check(lib.ingot_context_bind(self._pointer, index, data, array.nbytes, self._error), self._error)
        self._bound[name] = array
        self._refresh()

    def set_shape(self, name: str, shape: Sequence[int]) -> None:
        """Set the shape of an input within its range.

        Arrays taken from ``inputs`` and ``outputs`` before are stale, and a run is refused until what was bound in
        another shape is bound anew.
        """
        with self._exclusive():
            index, info = self._info(name)
            self._set_shape(index, info, tuple(shape))

    def _set_shape(self, index: int, info: TensorInfo, shape: tuple[int, ...]) -> None:
        if len(shape) != len(info.shape):
            raise ArgumentError(f"input {info.name!r}: wanted rank {len(info.shape)}, got {shape_text(shape)}")
        dims = ffi.new(_DIMS, list(shape))
        check(lib.ingot_context_set_shape(self._pointer, index, dims, len(shape), self._error), self._error)
        self._refresh()

    def _shape(self, index: int, rank: int) -> tuple[int, ...]:
        dims = ffi.new(_DIMS)
        lib.ingot_context_shape(self._pointer, index, dims)
        return tuple(dims[0:rank])

    def _refresh(self) -> None:
        """Make the arrays over the memory that the C context now names."""
        block = self._blocks[-1]
        base = address_of(block)
        count = len(self._engine.inputs)
        for index, info in enumerate([*self._engine.inputs, *self._engine.outputs]):
            arrays = self.inputs if index < count else self.outputs
            bound = self._bound.get(info.name) if self._infos[info.name][0] == index else None
            if bound is not None:
                arrays._arrays[info.name] = bound
                continue
            shape = self._shape(index, len(info.shape))
            start = int(ffi.cast(ADDRESS, lib.ingot_context_data(self._pointer, index))) - base
            former = arrays._arrays.get(info.name)
            stale = not isinstance(former, np.ndarray) or former.shape != shape or address_of(former) != base + start
            if stale:
                arrays._arrays[info.name] = np.ndarray(shape, info.dtype, block, start)

    # -- asking ------------------------------------------------------------------------------------------------------

    def profile(self) -> list[StepTime]:
        """Run once, timing every step, and return the times in the order of the program."""
        with self._exclusive():
            times = ffi.new("uint64_t[]", max(self._step_count, 1))
            check(lib.ingot_context_profile(self._pointer, times, self._step_count, self._error), self._error)
            pointer = self._engine_handle.pointer
            names = [_text(lib.ingot_engine_step_name(pointer, i)) for i in range(self._step_count)]
            kernels = [_text(lib.ingot_engine_step_kernel(pointer, i)) for i in range(self._step_count)]
            return list(map(StepTime, names, kernels, times[0 : self._step_count]))

    @property
    def stats(self) -> Stats:
        """Runs, threads and memory of this context."""
        self._open()
        record = new(_STATS)
        check(lib.ingot_context_stats(self._pointer, record), new_error())
        return Stats(
            record.runs,
            record.threads,
            record.host_bytes,
            record.arena_bytes,
            record.device_bytes,
            record.pinned_bytes,
        )

    def reset(self) -> None:
        """Set the state that is kept from run to run to zero, as in a new context."""
        with self._exclusive():
            check(lib.ingot_context_reset(self._pointer), new_error())

    def close(self) -> None:
        """End the worker threads. Arrays taken before stay valid. Closing twice is fine."""
        if self._handle is not None:
            with self._exclusive():
                self._pointer = ffi.NULL
                self._handle = self._engine_handle = None
                self._bound.clear()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _open(self) -> Engine:
        if self._handle is None:
            raise ArgumentError("the context is closed")
        return self._engine

    def _info(self, name: str) -> tuple[int, TensorInfo]:
        if name not in self._infos:
            raise unknown_name("input or output", name, self._infos)
        return self._infos[name]

    def _exclusive(self) -> _Exclusive:
        return _Exclusive(self)

    def __enter__(self) -> Context:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"{self.stats.threads} threads, {self.stats.runs} runs" if self._handle else "closed"
        return f"<ingot.Context of {self._engine.digest[:12]}: {state}>"


class _Exclusive:
    """Keeps other threads out of a context for one call, and gives its engine."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> Engine:
        if not self._context._busy.acquire(False):
            raise RunError("the context is running in another thread: take one context a thread", "argument")
        try:
            return self._context._open()
        except ArgumentError:
            self._context._busy.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._context._busy.release()


def _block(size: int) -> tuple[np.ndarray, Any]:
    """Memory, as an array that owns it, and where its aligned part begins."""
    align = _LARGE_PAGE if size >= 2 * _LARGE_PAGE else _ALIGN  # arrays of that size are in large pages where they can
    try:
        memory = np.empty(size + align, np.uint8)
    except (MemoryError, ValueError, OverflowError) as failure:
        raise ResourceError(f"no memory for a context of {size} bytes", "memory") from failure
    address = address_of(memory)
    return memory, ffi.cast(VOID_POINTER, address + -address % align)


def _share_memory(a: np.ndarray | DeviceArray, b: np.ndarray | DeviceArray) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.may_share_memory(a, b)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return False
    return a.address < b.address + b.nbytes and b.address < a.address + a.nbytes


def _text(string: Any) -> str:
    return "" if string == ffi.NULL else ffi.string(string).decode("utf-8", "replace")
