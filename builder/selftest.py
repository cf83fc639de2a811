"""The engine's self-test: generated inputs, and what the portable kernels make of them."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from ingot._native import check, ffi, lib, new_error
from ingot.builder.plan import Program
from ingot.builder.writer import SelfTest
from ingot.errors import RunError
from ingot.kernels.common.half import from_bfloat16
from ingot.kernels.spec import DType

SEED = 0x1A607
#: elements of an output that are kept, evenly spread
MAX_ELEMENTS = 512
#: how much results may differ between instruction sets, relative and absolute, by the coarsest type that values are in:
#: a sum that differs in its last bit may be rounded to the other neighbour in half, and what follows makes more of it
BOUNDS = {DType.F32: (1e-4, 1e-3), DType.F16: (2e-2, 1e-1), DType.BF16: (1e-1, 4e-1)}
#: where floats of another backend are rounded to int8 on the way: near ties fall the other way, and what follows makes
#: more of that. An H200 was 0.13 off on a quantised MobileNet v2 whose convolutions were computed in float32
STEPPED = (4e-1, 1.0)


def make_self_test(
    engine: bytes,
    program: Program,
    log: Callable[[str], None] | None = None,
    elsewhere: Collection[int] = (),
) -> list[SelfTest]:
    """Run the engine once with the portable kernels. Empty when the generated inputs are out of a model's domain.

    ``elsewhere`` lists the outputs that depend on floats which the engine to be tested computes on another backend. Of
    those integers are left out: the least difference may decide another way.
    """
    types = {tensor.type.dtype for tensor in program.tensors} | {DType.F32}
    tests = [SelfTest(io, seed=SEED + (io << 32)) for io in range(len(program.inputs))]
    try:
        outputs = _run_portable(engine, program)
    except RunError as error:
        if log:
            log(f"no self-test: {error}")
        return []
    for index, array in enumerate(outputs):
        flat = array.ravel()
        stride = max(-(-flat.size // MAX_ELEMENTS), 1)
        sample = np.ascontiguousarray(flat[::stride])
        dtype = program.tensors[program.outputs[index]].type.dtype
        numbers = from_bfloat16(sample) if dtype is DType.BF16 else sample
        finite = np.abs(numbers[np.isfinite(numbers)].astype(np.float64))
        is_float, largest = dtype.is_float, float(finite.max(initial=0.0))
        if index in elsewhere and not is_float:
            continue
        relative, absolute = max(BOUNDS[each] for each in types & BOUNDS.keys())
        if index in elsewhere and DType.I8 in types:
            relative, absolute = STEPPED
        tests.append(
            SelfTest(
                len(program.inputs) + index,
                data=sample,
                stride=stride,
                exact=not is_float,
                relative=relative if is_float else 0.0,
                absolute=absolute * max(largest, 1e-6) if is_float else 0.0,
            )
        )
    return tests if len(tests) > len(program.inputs) else []


def _run_portable(engine: bytes, program: Program) -> list[np.ndarray]:
    block = np.zeros(len(engine) + 64, np.uint8)
    start = -block.ctypes.data % 64
    block[start : start + len(engine)] = np.frombuffer(engine, np.uint8)
    error = new_error()
    name = ffi.new("char[]", b"portable")
    options = ffi.new("ingot_options *", {"size": ffi.sizeof("ingot_options"), "isa": name})
    opened = ffi.new("ingot_engine **")
    check(
        lib.ingot_engine_open(ffi.cast("void *", block.ctypes.data + start), len(engine), options, opened, error), error
    )
    try:
        made = ffi.new("ingot_context **")
        check(lib.ingot_context_create(opened[0], ffi.NULL, made, error), error)
        try:
            for io, tensor in enumerate(program.inputs):
                t = program.tensors[tensor].type
                if t.dtype.is_float or t.dtype is DType.BOOL:
                    data = lib.ingot_context_data(made[0], io)
                    lib.ingot_direct_fill(data, t.dtype.value, t.nbytes, SEED + (io << 32))
            check(lib.ingot_context_run(made[0], error), error)
            outputs = []
            for index, tensor in enumerate(program.outputs):
                t = program.tensors[tensor].type
                data = lib.ingot_context_data(made[0], len(program.inputs) + index)
                raw = bytes(ffi.buffer(data, t.nbytes))
                outputs.append(np.frombuffer(raw, t.dtype.numpy).reshape(t.shape))
            return outputs
        finally:
            lib.ingot_context_destroy(made[0])
    finally:
        lib.ingot_engine_close(opened[0])
