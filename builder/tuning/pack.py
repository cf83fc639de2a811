"""Candidates -> tuning packs: engine files whose programs are single steps, run by the runtime to measure them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ingot._kernel import kernels, make_params
from ingot._native import lib
from ingot.builder.cuda.instance import Compiler, Log
from ingot.builder.cuda.link import link, variant_of
from ingot.builder.ir import Node, Value
from ingot.builder.plan import ARENA, CONSTANT, GENERATED, INPUT, NO_INDEX, OUTPUT, Buffer, Fill, Program, Step, Tensor
from ingot.builder.tuning.expected import Expected
from ingot.builder.tuning.keys import Candidate, Key, fingerprint, named
from ingot.builder.writer import CONSTANT_ALIGN, TAIL, SelfTest, Variant, write_engine
from ingot.errors import BuildError
from ingot.kernels.spec import DType, Layout, Tactic, TensorType
from ingot.targets import Target

#: bytes of a pack; a larger one is written as several
LIMIT = 64 << 20
#: programs of a file; the loader takes 2**14
MAX_PROGRAMS = 4096
#: constants up to here are stored: tables, scales and whatever else must hold what it holds
STORED = 4096
#: types of weights. Of larger constants those are generated; wider integers may be indices, and those must be in range
WEIGHTS = frozenset({DType.F32, DType.F64, DType.F16, DType.BF16, DType.I8, DType.U8, DType.I16, DType.U16})
#: unless more than a quarter of them is zero: kernels may leave out what is, such as the high part of wide integers. On
#: nothing else does the time of a kernel depend
DENSE = 0.75
#: architectures that a target may declare -> what the pack asks of the processor that measures it
LEVELS = {
    "any": lib.INGOT_CPU_ANY,
    "x86-64-v3": lib.INGOT_CPU_X86_64_V3,
    "x86-64-v4": lib.INGOT_CPU_X86_64_V4,
}


def make_packs(
    candidates: Iterable[Candidate],
    target: Target,
    *,
    between_bytes: int,
    limit: int = LIMIT,
    compiler: Compiler | None = None,
    log: Log | None = None,
) -> list[bytes]:
    """Engine files that hold the candidates, those of one problem side by side in one file.

    ``between_bytes`` is what the model touches between two runs of a step: its constants and its arena. A file is as
    large as ``limit`` bytes, more only where a single problem is. Candidates of the same key are taken once, and those
    without a kernel, which cost nothing, not at all. The same candidates in the same order give the same bytes on any
    machine. On CUDA a pack has the candidates' machine code, which ``compiler`` makes instead of NVRTC, and what they
    must compute.
    """
    on_cuda = target.backend == "cuda"
    device, level = fingerprint(target), None if on_cuda else _level(target)
    abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
    problems: dict[str, dict[str, tuple[Program, Candidate]]] = {}
    for candidate in candidates:
        tactic = candidate.tactic
        if not tactic.kernel:
            continue
        if tactic.backend != target.backend:
            raise BuildError(f"target {target.name}: {tactic.key} is no kernel for backend {target.backend}")
        key = Key(device, candidate.problem, named(tactic, candidate.node, target), abi[tactic.kernel][0], threads=1)
        programs = problems.setdefault(candidate.problem, {})
        if key.program not in programs:
            programs[key.program] = _program(candidate, key.program, between_bytes, target), candidate
    given = {id(program): candidate for programs in problems.values() for program, candidate in programs.values()}
    grouped = [[program for program, _ in programs.values()] for programs in problems.values()]
    if on_cuda:
        link(list(itertools.chain(*grouped)), target, compiler, log)
    packs, known = [], Expected()
    for part in _split(grouped, limit):
        for group, programs in enumerate(part):
            for program in programs:
                program.group = group
        every = list(itertools.chain(*part))
        tests = _expected(every, given, known) if on_cuda else []
        variant = variant_of(target, every) if on_cuda else Variant(target.name, every, arch=level)
        packs.append(write_engine([variant], {"pack": {"target": device, "problems": len(part)}}, abi, tests))
    return packs


def _expected(programs: Sequence[Program], candidates: Mapping[int, Candidate], known: Expected) -> list[SelfTest]:
    """What each candidate of a file must compute. Equal results are stored once."""
    tests, first_io = [], 0
    for program in programs:
        tests += known.records(candidates[id(program)], first_io)
        first_io += len(program.io_names)
    return tests


def _level(target: Target) -> int:
    level = lib.INGOT_CPU_AARCH64 if target.arch.startswith("armv8") else LEVELS.get(target.arch)
    if level is None:
        known = ", ".join([*LEVELS, "armv8..."])
        raise BuildError(f"target {target.name}: no tuning pack can ask for arch {target.arch!r}; known: {known}")
    return level


def _split(problems: Sequence[list[Program]], limit: int) -> list[list[list[Program]]]:
    """Problems for each file."""
    parts: list[list[list[Program]]] = []
    room = count = 0
    for programs in problems:
        size = sum(_stored_bytes(program) for program in programs)
        if not parts or size > room or count + len(programs) > MAX_PROGRAMS:
            parts.append([])
            room, count = limit, 0
        parts[-1].append(programs)
        room -= size
        count += len(programs)
    return parts


def _stored_bytes(program: Program) -> int:
    """About what a program takes in a file: its constants and some hundred bytes a record."""
    constants = sum(b.size + CONSTANT_ALIGN for b in program.buffers if b.data is not None)
    constants += sum(len(step.launch.module.image) for step in program.steps if step.launch)
    return constants + 256 * (len(program.tensors) + 2) + len(program.name)


def _program(candidate: Candidate, name: str, between_bytes: int, target: Target | None = None) -> Program:
    """One step: activations are inputs and outputs, constants are stored or generated."""
    node, tactic = candidate.node, candidate.tactic
    launch = tactic.launch and tactic.launch(node, target)
    maker = _Maker(Program(name, is_candidate=True, between_bytes=between_bytes), node, stores=launch is not None)
    inputs = [maker.operand(index, value, tactic) for index, value in enumerate(node.inputs)]
    outputs = []
    for index, value in enumerate(node.outputs):
        layout = tactic.writes if index == 0 else Layout()
        outputs.append(maker.tensor(f"y{index}", layout.stored(value.type), OUTPUT))
    size = tactic.workspace(node)
    workspace = maker.tensor("workspace", TensorType(DType.U8, (size,)), ARENA) if size else NO_INDEX
    params = make_params(tactic.params_type, tactic.params(node))
    program = maker.program
    program.steps.append(Step(tactic.key, tactic.kernel, tuple(inputs), tuple(outputs), workspace, params, launch))
    program.inputs = list(maker.activations.values())
    program.outputs = outputs
    program.io_names = [program.tensors[t].name for t in [*program.inputs, *outputs]]
    program.arena_size = -(-size // 64) * 64 + TAIL if size else 0
    return program


class _Maker:
    """A program in the making."""

    def __init__(self, program: Program, node: Node, stores: bool) -> None:
        self.program = program
        self.node = node
        #: all constants are stored: results are compared
        self.stores = stores
        #: by id of the value and layout: one that is read twice is one input
        self.activations: dict[tuple[int, TensorType], int] = {}

    def tensor(self, name: str, kind: TensorType, storage: int, data: np.ndarray | None = None, offset: int = 0) -> int:
        """A tensor that is the whole of a buffer of its own."""
        p = self.program
        p.buffers.append(Buffer(storage, kind.nbytes, data, offset))
        pitch = kind.shape[-1] if kind.shape else 1
        p.tensors.append(Tensor(name, kind, len(p.buffers) - 1, 0, pitch))
        return len(p.tensors) - 1

    def operand(self, index: int, value: Value | None, tactic: Tactic) -> int:
        if value is None:
            return NO_INDEX
        if value.is_constant:
            return self._constant(index, value, tactic.pack)
        stored = tactic.reads.get(index, Layout()).stored(value.type)
        if (id(value), stored) not in self.activations:
            self.activations[id(value), stored] = self.tensor(f"x{index}", stored, INPUT)
        return self.activations[id(value), stored]

    def _constant(self, index: int, value: Value, pack: Mapping) -> int:
        array = np.ascontiguousarray(pack[index](self.node, value.data) if index in pack else value.data)
        # as in select.pack: bfloat16 is stored as uint16, and an array cannot tell
        dtype = value.type.dtype if array.dtype == value.type.dtype.numpy else DType.of(array.dtype)
        kind = TensorType(dtype, array.shape)
        name, p = f"x{index}", self.program
        small = kind.nbytes <= STORED or dtype not in WEIGHTS
        if self.stores or small or np.count_nonzero(array) < DENSE * array.size:
            return self.tensor(name, kind, CONSTANT, array)
        tensor = self.tensor(name, kind, GENERATED, offset=p.generated_size)
        p.generated_size += -(-(kind.nbytes + TAIL) // CONSTANT_ALIGN) * CONSTANT_ALIGN
        p.fills.append(Fill(tensor, lib.INGOT_FILL_MODERATE, seed=index << 32))
        return tensor
