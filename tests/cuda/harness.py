"""One node by one CUDA tactic in the emulator: what ``tests/kernels/test_samples.py`` does for the CPU."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from ingot import targets
from ingot._kernel import make_params
from ingot.builder.ir import Node
from ingot.kernels.spec import DENSE, DType, Launch, Tactic
from ingot.targets import Target

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("emulator", "kernels"))
import compile as emulator_compile
from emulator import Memory, Module
from operands import ABSENT, POISON, Operand, pack_call
from samples import blocked, unblocked

ENTRY = "kernel"
GAP = 16  # elements between rows that have a pitch, so that rows stay aligned

#: a device of each architecture, since tactics look at it
TARGETS = {t.arch: t for t in map(targets.get, ("jetson-orin-nano-8gb", "l4", "h200", "jetson-thor"))}


def load(launch: Launch) -> Module:
    """The compiled instance."""
    return _load(launch.source, launch.kernel, launch.prelude, launch.exact)


@functools.lru_cache(maxsize=64)
def _load(source: str, kernel: str, prelude: str, exact: bool) -> Module:
    return Module(emulator_compile.compile_instance(source, kernel, ENTRY, prelude, exact))


def warm(launches: Iterable[Launch]) -> None:
    """Compiles instances, several at a time."""
    units = [(emulator_compile.unit(a.source, a.kernel, ENTRY, a.prelude), a.exact) for a in launches]
    emulator_compile.warm(units)


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
) -> list[np.ndarray]:
    """The results of a node by a CUDA tactic, on the inputs' arrays before packing.

    ``seed`` decides the order of threads and blocks. ``pitched``: operands that may be rows of wider tensors are.
    ``align``: bytes that operands are aligned to, 0: their elements. ``grid``: another than that of the launch.
    Raises ``LaunchError`` for what the emulator finds, ``AssertionError`` when bytes around an operand changed,
    ``IndexError`` when the kernel met an index out of range.
    """
    inputs = list(arrays)
    for index, pack in tactic.pack.items():
        if index < len(inputs) and inputs[index] is not None:
            inputs[index] = np.ascontiguousarray(pack(node, inputs[index]))
    for index, layout in tactic.reads.items():
        inputs[index] = blocked(inputs[index], layout)
    held: list[Operand | None] = []
    for i, array in enumerate(inputs):
        if array is None:
            held.append(None)
            continue
        value = node.inputs[i] if i < len(node.inputs) else None
        bf16 = value is not None and value.type.dtype is DType.BF16 and array.dtype == np.uint16
        dtype = DType.BF16 if bf16 else DType.of(array.dtype)
        held.append(Operand.of(array, dtype, GAP if pitched and i in tactic.pitched_inputs else 0, align))
    before = [None if h is None else h.memory.bytes.copy() for h in held]
    written = [tactic.writes, *(DENSE for _ in node.outputs[1:])]
    kinds = [layout.stored(v.type) for v, layout in zip(node.outputs, written)]
    gaps = [GAP if pitched and i in tactic.pitched_outputs else 0 for i in range(len(kinds))]
    outputs = [Operand(kind, gap, align) for kind, gap in zip(kinds, gaps)]
    status = Memory(4, 4)
    status.bytes[:] = 0
    workspace = Memory(tactic.workspace(node), 64) if tactic.workspace(node) else None
    call = pack_call(
        [ABSENT if o is None else o.packed() for o in [*held, *outputs]],
        workspace.address if workspace else 0,
        status.address,
        1,
        make_params(tactic.params_type, tactic.params(node)),
    )
    launch = tactic.launch(node, target)
    load(launch).launch(
        ENTRY,
        call,
        grid or launch.grid,
        launch.block,
        shared=launch.shared,
        shared_limit=target.figures["shared_bytes_per_block"],
        seed=seed,
    )
    for h, b in zip(held, before):
        assert h is None or (h.memory.bytes == b).all(), "an input was written"
    for operand in [*(h for h in held if h is not None), *outputs]:
        assert operand.memory.intact, "bytes around an operand were written"
    assert all((o.gaps == POISON).all() for o in outputs), "bytes between rows of an output were written"
    assert workspace is None or workspace.intact, "bytes around the workspace were written"
    code = int(status.bytes.view(np.uint32)[0])
    assert code in (0, 1) and status.intact, f"status {code}"
    if code:
        raise IndexError("an index is out of range")
    return [unblocked(o.array, layout) for o, layout in zip(outputs, written)]
