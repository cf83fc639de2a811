"""Engines and contexts: a file that is loaded once, and the memory and threads it runs in."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._native import check, ffi, lib, new, new_error, pointer_to
from .arrays import NUMPY, TensorInfo
from .context import Context
from .errors import ArgumentError, IngotError, ResourceError
from .handle import Handle
from .inspect import inspect_engine

_OPTIONS, _INFO, _IO_INFO = map(pointer_to, ("ingot_options", "ingot_engine_info", "ingot_io_info"))
_OPENED = ffi.typeof("ingot_engine **")


def load(
    source: str | os.PathLike[str] | bytes | bytearray | memoryview | np.ndarray,
    lock: bool = False,
    check_sha256: bool = False,
    public_keys: Sequence[bytes] = (),
    isa: str | None = None,
    same_bits: bool = False,
    device: int | None = None,
    any_machine: bool = False,
) -> Engine:
    """Open an engine file, or the bytes of one, after checking all of it.

    A file is mapped, so install a new version by rename (as :meth:`Engine.save` does); with ``lock`` it is copied into
    locked memory instead, which a control loop should do. Bytes are copied. ``check_sha256`` also verifies the
    identity; ``public_keys`` (Ed25519, 32 bytes each) demands a signature by one of them. ``isa`` is the best
    instruction set to use, by default what ``INGOT_ISA`` in the environment says, else the best of the processor.
    With ``same_bits`` the engine gives the same bits on any machine: floating-point steps are computed by portable
    kernels, which are slower; INT8 steps are exact in any case; programs for CUDA are not taken.
    ``device`` is the index of the CUDA device to use, by default the first that fits. With ``any_machine`` all variants
    of the file are checked, and it is opened even if this machine can run none, to look at: then :meth:`Engine.context`
    raises what this call would have raised.

    Raises :class:`EngineError` when the file is damaged or not an engine, :class:`ResourceError` when it cannot be read
    or does not fit the machine, :class:`ArgumentError` for a wrong option.
    """
    options = new(_OPTIONS)
    options.flags = (
        (lib.INGOT_OPEN_LOCK if lock else 0)
        | (lib.INGOT_OPEN_CHECK_SHA256 if check_sha256 else 0)
        | (lib.INGOT_OPEN_SAME_BITS if same_bits else 0)
        | (lib.INGOT_OPEN_ANY_MACHINE if any_machine else 0)
    )
    if device is not None:
        if not 0 <= device < 2**16:
            raise ArgumentError(f"device is {device}: give an index from 0 on")
        options.device = device + 1
    held: list[Any] = []
    if public_keys:
        keys = [bytes(key) for key in public_keys]
        if any(len(key) != 32 for key in keys):
            raise ArgumentError("a public key has 32 bytes (Ed25519)")
        held.append(ffi.new("uint8_t[]", b"".join(keys)))
        options.flags |= lib.INGOT_OPEN_REQUIRE_SIGNATURE
        options.public_keys, options.key_count = held[-1], len(keys)
    if isa is not None:
        held.append(ffi.new("char[]", isa.encode()))
        options.isa = held[-1]
    opened, error = ffi.new(_OPENED), new_error()
    if isinstance(source, str) or hasattr(source, "__fspath__"):
        path = os.fsencode(source)
        if b"\0" in path:
            raise ArgumentError(f"{os.fsdecode(path)!r} is no path")
        try:
            check(lib.ingot_engine_open_file(path, options, opened, error), error)
        except IngotError as refusal:
            if refusal.status == "file":  # such a message begins with the path
                raise
            raise type(refusal)(f"{os.fsdecode(path)}: {refusal}", refusal.status, refusal.offset) from None
        return Engine(Handle(opened[0], lib.ingot_engine_close))
    if lock:
        raise ArgumentError("lock applies to a file: give its path")
    block, address, size = _aligned_copy(source)
    check(lib.ingot_engine_open(ffi.cast("void *", address), size, options, opened, error), error)
    return Engine(Handle(opened[0], lib.ingot_engine_close, block))


def _aligned_copy(source: Any, alignment: int = 256) -> tuple[np.ndarray, int, int]:
    """The bytes in memory of their own: what owns it, where they begin in it, and how many they are."""
    try:
        data = np.frombuffer(source, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise ArgumentError(f"an engine is a path or bytes, not {type(source).__name__}: {error}") from None
    block = np.empty(data.size + alignment, np.uint8)
    start = -block.ctypes.data % alignment
    block[start : start + data.size] = data
    return block, block.ctypes.data + start, data.size


class Engine:
    """A loaded engine: immutable, so any number of threads may use it. Made by :func:`load` and :func:`ingot.build`.

    ``digest`` is the SHA-256 identity (hex), ``inputs`` and ``outputs`` say what goes in and out, in the model's order,
    ``variant`` is the target whose program was taken, ``isa`` the best instruction set in use (of a CUDA program its
    architecture, such as "sm_87"). ``unfit`` says why this machine cannot run it, and is ``None`` unless it was opened
    for any machine.
    """

    digest: str
    variant: str
    isa: str
    unfit: str | None
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    def __init__(self, handle: Handle) -> None:
        self._handle: Handle | None = handle
        info = new(_INFO)
        lib.ingot_engine_get_info(handle.pointer, info)
        self.digest = ffi.buffer(info.digest)[:].hex()
        self.variant = ffi.string(info.variant).decode()
        self.isa = ffi.string(info.isa).decode()
        self.unfit = None if info.unfit == ffi.NULL else ffi.string(info.unfit).decode()
        self._step_count: int = info.step_count
        inputs, outputs = [], []
        record = new(_IO_INFO)
        for index in range(lib.ingot_engine_io_count(handle.pointer)):
            lib.ingot_engine_io_info(handle.pointer, index, record)
            shape = tuple(record.dims[0 : record.rank])
            least = shape if record.is_output else tuple(record.dims_min[0 : record.rank])
            name = ffi.string(record.name).decode()
            (outputs if record.is_output else inputs).append(TensorInfo(name, NUMPY[record.dtype], shape, least))
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)

    @property
    def handle(self) -> Handle:
        """The C engine; for contexts."""
        if self._handle is None:
            raise ArgumentError("the engine is closed")
        return self._handle

    def _view(self) -> Any:
        size = ffi.new("uint64_t *")
        data = lib.ingot_direct_engine_bytes(self.handle.pointer, size)
        return ffi.buffer(data, size[0])

    @property
    def bytes(self) -> bytes:
        """A copy of the file's bytes."""
        return bytes(self._view())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the engine to a file: under a temporary name, then renamed, so that nobody ever sees half of it."""
        path = os.path.abspath(os.fspath(path))
        try:
            temporary = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{secrets.token_hex(4)}")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(self._view())
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise ResourceError(f"{path}: {error.strerror or error}", "file") from error

    def context(
        self,
        threads: int = 1,
        wait: str = "block",
        priority: int = 0,
        cpus: Sequence[int] | None = None,
        overlap: bool = True,
    ) -> Context:
        """All the memory and threads for running the engine; see :class:`Context`.

        On CUDA a context has one thread, the caller's, which waits for the device as ``wait`` says: "block" asks a
        while, then sleeps, "spin" keeps asking, "poll" looks at a word in memory that the end of a run writes. On the
        CPU ``threads`` counts the caller's own. ``wait="block"`` lets workers sleep after a bounded spin, ``"spin"``
        keeps them spinning, one core each. ``priority`` (1 to 99) is the workers' SCHED_FIFO priority, 0 leaves it.
        ``cpus`` names the cpu of each worker thread (``threads - 1`` of them). ``overlap=False`` lets no kernel of CUDA
        start before those have ended that it waits for, for comparisons; results are the same.
        """
        return Context(self, threads, wait, priority, cpus, overlap)

    def self_test(self) -> None:
        """Run the file's self-test; :class:`EngineError` names the output that differed first.

        Raises :class:`RunError` with ``status == "unsupported"`` when the file has none.
        """
        error = new_error()
        check(lib.ingot_self_test(self.handle.pointer, error), error)

    def inspect(self) -> dict[str, Any]:
        """Everything the file holds, as plain values: header, sections, variants, programs with their inputs, outputs,
        tensors, steps and memory, self-test, and the builder's metadata with the precision ledger."""
        return {
            "digest": self.digest,
            "variant": self.variant,
            "isa": self.isa,
            **inspect_engine(self.bytes),
        }

    def close(self) -> None:
        """Let go of the file, which is released once its contexts are closed too. Closing twice is fine."""
        self._handle = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        ends = ", ".join(map(str, self.inputs)), ", ".join(map(str, self.outputs))
        state = "" if self._handle else " (closed)"
        return f"<ingot.Engine {self.digest[:12]} for {self.variant}{state}: {ends[0]} -> {ends[1]}>"
