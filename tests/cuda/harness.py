"""One node by one CUDA tactic in the emulator: what ``tests/kernels/test_samples.py`` does for the CPU."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ingot import targets
from ingot._kernel import Description, kernels, make_params, refusal
from ingot.builder.cuda.instance import Instance
from ingot.builder.ir import Node
from ingot.kernels.spec import DENSE, DType, Launch, Tactic, TensorType
from ingot.targets import Target

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("emulator", "kernels"))
import compile as emulator_compile
from emulator import Memory, Module
from operands import ABSENT, POISON, Operand, pack_call
from samples import blocked, unblocked

GAP = 16  # elements between rows that have a pitch, so that rows stay aligned

#: a device of each architecture, since tactics look at it
TARGETS = {t.arch: t for t in map(targets.get, ("jetson-orin-nano-8gb", "l4", "h200", "jetson-thor"))}


@functools.lru_cache(maxsize=64)
def load(instance: Instance) -> Module:
    """The compiled instance."""
    return Module(emulator_compile.compile_text(instance.text, instance.exact))


def warm(launches: Iterable[Launch]) -> None:
    """Compiles instances, several at a time."""
    instances = map(Instance.of, launches)
    emulator_compile.warm((each.text, each.exact) for each in instances)


def run_node(
    node: Node,
    tactic: Tactic,
    target: Target,
    arrays: Sequence[np.ndarray | None],
    *,
    seed: int = 1,
    pitched: bool = False,
    align: int = 64,
    grid: tuple[int, int, int] | None = None,
    inplace: int | None = None,
) -> list[np.ndarray]:
    """The results of a node by a CUDA tactic, on the inputs' arrays before packing.

    ``seed`` decides the order of threads and blocks. ``pitched``: operands that may be rows of wider tensors are.
    ``align``: bytes that operands are aligned to, 0: their elements. ``grid``: another than that of the launch.
    ``inplace``: the input in whose bytes result 0 is stored.
    Raises ``LaunchError`` for what the emulator finds, ``AssertionError`` when the kernel's check refuses the step or
    bytes around an operand changed, ``IndexError`` when the kernel met an index out of range.
    """
    inputs = _stored_inputs(node, tactic, arrays)
    kinds = [None if a is None else TensorType(_dtype(node, i, a), a.shape) for i, a in enumerate(inputs)]
    written = [tactic.writes, *(DENSE for _ in node.outputs[1:])]
    results = [layout.stored(v.type) for v, layout in zip(node.outputs, written)]
    launch = tactic.launch(node, target)
    params = make_params(tactic.params_type, tactic.params(node))
    reason = _refusal(node, tactic, launch, inputs, kinds, results, params)
    assert reason is None, f"the kernel's check refuses what the tactic takes: {reason}"

    def gap(index: int, which: Sequence[int]) -> int:
        return GAP if pitched and index in which else 0

    held = [
        None if a is None else Operand.of(a, kind.dtype, gap(i, tactic.pitched_inputs), align, writable=i == inplace)
        for i, (a, kind) in enumerate(zip(inputs, kinds))
    ]
    before = [None if h is None else h.memory.bytes.copy() for h in held]
    outputs = [Operand(kind, gap(i, tactic.pitched_outputs), align) for i, kind in enumerate(results)]
    if inplace is not None:
        outputs[0] = Operand(results[0], memory=held[inplace].memory)
    status = Memory(4, 4)
    status.bytes[:] = 0
    size = tactic.workspace(node)
    workspace = Memory(size, 64) if size else None
    counters = Memory(4 * launch.counters, 4) if launch.counters else None
    if counters:
        counters.bytes[:] = 0
    packed = [ABSENT if o is None else o.packed() for o in [*held, *outputs]]
    constant = {i for i, v in enumerate(node.inputs) if v is not None and v.is_constant} | set(tactic.pack)
    mutable = [h for i, h in enumerate(held) if h is not None and i not in constant]
    others = list({id(o.memory): o.memory for o in [*mutable, *outputs]}.values())
    others += [memory for memory in (status, workspace, counters) if memory]
    instance = Instance.of(launch)
    load(instance).launch(
        instance.entry,
        pack_call(
            packed,
            workspace.address if workspace else 0,
            status.address,
            1,
            params,
            counters.address if counters else 0,
            launch.counters,
            [h.mapped() for h in held[: kernels()[tactic.kernel].maps]],
        ),
        grid or launch.grid,
        launch.block,
        shared=launch.shared,
        shared_limit=target.figures["shared_bytes_per_block"],
        seed=seed,
        others=others,
    )
    for i, (h, b) in enumerate(zip(held, before)):
        assert h is None or i == inplace or (h.memory.bytes == b).all(), "an input was written"
    for operand in [*(h for h in held if h is not None), *outputs]:
        assert operand.memory.intact, "bytes around an operand were written"
    assert all((o.gaps == POISON).all() for o in outputs), "bytes between rows of an output were written"
    assert workspace is None or workspace.intact, "bytes around the workspace were written"
    assert counters is None or (counters.intact and not counters.bytes.any()), "counters were not left zero"
    code = int(status.bytes.view(np.uint32)[0])
    assert code in (0, 1) and status.intact, f"status {code}"
    if code:
        raise IndexError("an index is out of range")
    return [unblocked(o.array, layout) for o, layout in zip(outputs, written)]


def inplace_inputs(node: Node, tactic: Tactic) -> list[int]:
    """The inputs in whose bytes the builder may store result 0."""
    output = tactic.writes.stored(node.outputs[0].type)
    found = []
    for index in tactic.inplace:
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None or value.is_constant or tactic.reads.get(index, DENSE).block or tactic.writes.block:
            continue
        if value.type.shape == output.shape and value.type.dtype.size == output.dtype.size:
            found.append(index)
    return found


def _stored_inputs(node: Node, tactic: Tactic, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """The inputs as the kernel wants them in memory: packed, or in a layout."""
    inputs = list(arrays)
    for index, pack in tactic.pack.items():
        if index < len(inputs) and inputs[index] is not None:
            inputs[index] = np.ascontiguousarray(pack(node, inputs[index]))
    for index, layout in tactic.reads.items():
        inputs[index] = blocked(inputs[index], layout)
    return inputs


def _dtype(node: Node, index: int, array: np.ndarray) -> DType:
    """The element type of an input; bfloat16 has no NumPy type."""
    value = node.inputs[index] if index < len(node.inputs) else None
    bf16 = value is not None and value.type.dtype is DType.BF16 and array.dtype == np.uint16
    return DType.BF16 if bf16 else DType.of(array.dtype)


def _refusal(
    node: Node,
    tactic: Tactic,
    launch: Launch,
    inputs: Sequence[np.ndarray | None],
    kinds: Sequence[TensorType | None],
    results: Sequence[TensorType],
    params: bytes,
) -> str | None:
    """Why the runtime would refuse such a step; ``None`` when it would not."""
    given: list[Description | None] = []
    for i, (array, kind) in enumerate(zip(inputs, kinds)):
        if array is None:
            given.append(None)
            continue
        value = node.inputs[i] if i < len(node.inputs) else None
        constant = i in tactic.pack or (value is not None and value.is_constant)
        given.append(Description(kind.dtype.value, kind.shape, constant, array if constant else None))
    made = [Description(kind.dtype.value, kind.shape) for kind in results]
    started = (*launch.grid, launch.block, 1, 1, launch.shared, launch.counters)
    return refusal(tactic.kernel, given, made, params, tactic.workspace(node), started)
