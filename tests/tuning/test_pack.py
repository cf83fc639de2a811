"""Tuning packs: what a candidate computes, what a pack holds, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ingot
from ingot import kernels
from ingot._kernel import empty, run_kernel
from ingot._native import ffi, lib
from ingot.builder.plan import CONSTANT, GENERATED, INPUT, NO_INDEX, Program, Tensor
from ingot.builder.tuning import pack as packing
from ingot.builder.tuning.keys import Candidate, Key, fingerprint
from ingot.builder.tuning.measure import Pack, measure
from ingot.builder.tuning.pack import make_packs
from ingot.errors import ArgumentError, BuildError, IngotError
from ingot.kernels.conv.op import ConvAttrs
from ingot.kernels.spec import DType, Sample, TensorType
from ingot.targets import Target, get

sys.path.insert(0, str(Path(__file__).parent))
from make_packs import candidates, packs
from nodes import candidates_of, node_of

CPU = get("cpu")
CONSTANTS = (CONSTANT, GENERATED)


def moderate(kind: Any, seed: int) -> np.ndarray:
    """What the runtime generates, written down a second time: SplitMix64 under the exponent of [0.5, 1)."""
    mask = np.uint64
    x = np.arange(kind.count, dtype=np.uint64) + mask(seed) + mask(0x9E3779B97F4A7C15)
    x = (x ^ x >> mask(30)) * mask(0xBF58476D1CE4E5B9)
    x = (x ^ x >> mask(27)) * mask(0x94D049BB133111EB)
    x ^= x >> mask(31)
    width = kind.dtype.size
    exponents = {
        DType.F32: (0x7F800000, 0x3F000000),
        DType.F64: (0x7FF0000000000000, 0x3FE0000000000000),
        DType.F16: (0x7C00, 0x3800),
        DType.BF16: (0x7F80, 0x3F00),
    }
    if kind.dtype in exponents:
        exponent, half = exponents[kind.dtype]
        x = x & ~mask(exponent) | mask(half)
    elif kind.dtype is DType.BOOL:
        x &= mask(1)
    raw = x.view(np.uint8).reshape(-1, 8)[:, :width]
    return np.ascontiguousarray(raw).view(kind.dtype.numpy).reshape(kind.shape)


def operand(program: Program, tensor: Tensor, inputs: dict[str, bytes]) -> np.ndarray:
    """The array that a candidate's operand holds."""
    buffer = program.buffers[tensor.buffer]
    kind = tensor.type
    if buffer.storage == CONSTANT:
        return np.asarray(buffer.data).reshape(kind.shape)
    if buffer.storage == INPUT:
        return np.frombuffer(inputs[tensor.name], kind.dtype.numpy).reshape(kind.shape)
    (fill,) = [f for f in program.fills if program.tensors[f.tensor] is tensor]
    assert buffer.storage == GENERATED and fill.kind == lib.INGOT_FILL_MODERATE
    return moderate(kind, fill.seed)


def directly(program: Program, inputs: dict[str, bytes]) -> list[np.ndarray]:
    """The results of the candidate's kernel, called without an engine."""
    (step,) = program.steps
    tensors = [None if t == NO_INDEX else program.tensors[t] for t in [*step.inputs, *step.outputs]]
    arrays = [None if t is None else operand(program, t, inputs) for t in tensors[: len(step.inputs)]]
    outputs = [empty(t.type.shape, t.type.dtype.numpy) for t in tensors[len(step.inputs) :]]
    bfloat16 = [i for i, t in enumerate(tensors) if t is not None and t.type.dtype is DType.BF16]
    workspace = 0 if step.workspace == NO_INDEX else program.tensors[step.workspace].type.count
    constant = [i for i, t in enumerate(tensors) if t is not None and program.buffers[t.buffer].storage in CONSTANTS]
    run_kernel(step.kernel, arrays, outputs, step.params, constant=constant, workspace=workspace, bfloat16=bfloat16)
    return outputs


@pytest.mark.parametrize("name", sorted(kernels.load()))
def test_a_candidate_computes_what_its_kernel_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every constant generated, the smallest too, but for those that the tactic pads: kernels multiply the zeros
    there by whatever lies behind a row."""
    monkeypatch.setattr(packing, "STORED", 64)
    monkeypatch.setattr(packing, "DENSE", 1.0)
    given = list(candidates_of(kernels.load()[name]))
    if not given:
        mine = [tactic for tactic in kernels.load()[name].tactics if tactic.kernel and tactic.is_for("cpu")]
        assert not mine, "an operator that nobody measures"
        return
    (raw,) = make_packs(given, CPU, between_bytes=0)
    programs = {Key(fingerprint(CPU), c.problem, c.tactic.key, 0, 1): packing._program(c, "", 0) for c in given}
    compared = 0
    with Pack(raw) as pack:
        for problem in pack.problems():
            times = pack.measure(problem, 0)
            for index in problem:
                if pack.keys[index] not in times:
                    continue
                program = programs[replace(pack.keys[index], abi=0)]
                context = lib.ingot_tuner_context(pack.tuner, index)
                sizes = [program.tensors[t].type.nbytes for t in [*program.inputs, *program.outputs]]
                io = [bytes(ffi.buffer(lib.ingot_context_data(context, i), n)) for i, n in enumerate(sizes)]
                expected = directly(program, dict(zip(program.io_names, io)))
                got = io[len(program.inputs) :]
                assert got == [array.tobytes() for array in expected], pack.keys[index]
                compared += 1
        assert compared == pack.count > 0


def convolution(seed: int = 0) -> list[Candidate]:
    """A convolution large enough that nobody mistakes the packed kernel for the plain one."""
    spec = kernels.load()["conv"]
    image, weights = TensorType(DType.F32, (1, 16, 16, 32)), TensorType(DType.F32, (64, 32, 3, 3))
    attrs = ConvAttrs(kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), groups=1)
    node = node_of(spec, Sample(attrs, (image, weights, None, None), constant=(1,)), seed)
    return [Candidate("conv", t, node) for t in spec.tactics if t.key in ("conv_f32_n16", "conv_plain")]


class TestMeasuring:
    def test_times_of_every_candidate(self) -> None:
        (raw,) = make_packs(candidates(), CPU, between_bytes=0)
        told: list[tuple[int, int]] = []
        found = list(measure(raw, progress=lambda done, of: told.append((done, of))))
        assert told == [(1, 2), (2, 2)]
        assert [len({key.problem for key in times}) for times in found] == [1, 1]
        keys = [key for times in found for key in times]
        assert len(set(keys)) == len(keys) == len(candidates())
        for times in found:
            for key, timing in times.items():
                assert key.target == fingerprint(CPU) and key.threads == 1
                assert timing.samples >= lib.INGOT_TUNER_SAMPLES and timing.median_ns > 0 and timing.spread_ns >= 0

    @pytest.mark.parametrize("between", [0, 1 << 40], ids=["warm", "cold"])
    def test_a_kernel_that_is_far_slower_comes_out_slower(self, between: int) -> None:
        (raw,) = make_packs(convolution(), CPU, between_bytes=between)
        (times,) = measure(raw)
        median = {key.tactic: timing.median_ns for key, timing in times.items()}
        samples = {key.tactic: timing.samples for key, timing in times.items()}
        assert median["conv_f32_n16"] < median["conv_plain"]
        assert samples["conv_plain"] <= samples["conv_f32_n16"], "who cannot win is measured no more often"

    def test_more_time_gives_no_fewer_samples(self) -> None:
        (raw,) = make_packs(convolution(), CPU, between_bytes=1 << 40)
        with Pack(raw) as pack:
            (problem,) = pack.problems()
            short, long = pack.measure(problem, 0.0), pack.measure(problem, 0.5)
        assert {t.samples for t in short.values()} == {lib.INGOT_TUNER_SAMPLES}
        assert all(long[key].samples >= timing.samples for key, timing in short.items())

    def test_what_is_known_is_not_measured_again(self) -> None:
        (raw,) = make_packs(candidates(), CPU, between_bytes=0)
        first, second = measure(raw, seconds=0)
        assert list(measure(raw, known={*first, *second})) == []
        (again,) = measure(raw, seconds=0, known=first)
        assert again.keys() == second.keys()
        (whole,) = measure(raw, seconds=0, known={*first, *list(second)[1:]})
        assert whole.keys() == second.keys(), "candidates of one problem compare only when measured together"

    def test_who_stops_keeps_what_was_measured(self) -> None:
        (raw,) = make_packs(candidates(), CPU, between_bytes=0)
        kept: dict[Key, object] = {}

        def interrupt(done: int, of: int) -> None:
            if done == 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            for times in measure(raw, seconds=0, progress=interrupt):
                kept |= times
        (rest,) = measure(raw, seconds=0, known=kept)
        assert kept and not kept.keys() & rest.keys() and len(kept) + len(rest) == len(candidates())

    def test_threads_are_part_of_the_key(self) -> None:
        (raw,) = make_packs(candidates(), CPU, between_bytes=0)
        one, two = ({key for t in measure(raw, threads=n, seconds=0) for key in t} for n in (1, 2))
        assert {replace(key, threads=2) for key in one} == two

    def test_the_machine_is_one_line(self) -> None:
        with Pack(make_packs(candidates(), CPU, between_bytes=0)[0]) as pack:
            assert pack.machine.split() and "\n" not in pack.machine and pack.machine.isascii()


class TestPacks:
    def test_the_packs_of_the_C_tests_are_these(self) -> None:
        folder = Path(__file__).parent.parent / "runtime_c/packs"
        current = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert packs() == current, "python tests/tuning/make_packs.py tests/runtime_c/packs"

    def test_weights_are_generated(self) -> None:
        given = convolution()
        (raw,) = make_packs(given, CPU, between_bytes=0)
        assert len(raw) < len(given) * 64 * 32 * 9 * 4 / 20

    def test_the_bytes_depend_on_no_large_weight(self) -> None:
        assert make_packs(convolution(), CPU, between_bytes=7) == make_packs(convolution(1), CPU, between_bytes=7)
        assert make_packs(convolution(), CPU, between_bytes=7) != make_packs(convolution(), CPU, between_bytes=8)

    def test_indices_and_tables_are_stored(self) -> None:
        given = [c for c in candidates_of(kernels.load()["lookup"])]
        for program in (packing._program(c, "", 0) for c in given):
            assert not program.fills and any(b.storage == CONSTANT for b in program.buffers)

    def test_a_candidate_is_taken_once(self) -> None:
        once, twice = (make_packs(candidates() * n, CPU, between_bytes=0) for n in (1, 2))
        assert once == twice

    def test_large_ones_are_split_between_problems(self) -> None:
        given = [c for name in ("pool", "softmax", "lookup") for c in candidates_of(kernels.load()[name])]
        (whole,) = make_packs(given, CPU, between_bytes=0)
        parts = make_packs(given, CPU, between_bytes=0, limit=len(whole) // 3)
        assert len(parts) > 1 and max(map(len, parts)) < len(whole)
        opened = [Pack(raw) for raw in (whole, *parts)]
        try:
            assert opened[0].keys == [key for part in opened[1:] for key in part.keys]
            problems = [{key.problem for key in part.keys} for part in opened[1:]]
            assert sum(map(len, problems)) == len(set().union(*problems)), "a problem stands in two files"
        finally:
            for pack in opened:
                pack.__exit__()
        least = make_packs(given, CPU, between_bytes=0, limit=1)
        assert len(least) == len({c.problem for c in given}), "a problem is never cut"

    def test_a_fingerprint_changes_with_what_the_target_declares(self) -> None:
        other = replace(CPU, figures={**CPU.figures, "l2_bytes": 1})
        assert fingerprint(CPU).startswith("cpu/") and fingerprint(CPU) != fingerprint(other)
        assert fingerprint(CPU) == fingerprint(replace(CPU, description="words"))


class TestRefused:
    RAW = make_packs(candidates(), CPU, between_bytes=0)[0]

    @pytest.mark.parametrize("at", [0, 100, 130, 1000, -1])
    def test_damage(self, at: int) -> None:
        raw = bytearray(self.RAW)
        raw[at] ^= 1
        with pytest.raises(IngotError):
            list(measure(bytes(raw)))

    def test_a_file_cut_short(self) -> None:
        with pytest.raises(IngotError, match="bytes, its header says"):
            list(measure(self.RAW[:-1]))

    def test_an_engine_is_no_pack(self) -> None:
        engine = (Path(__file__).parent.parent / "runtime_c/corpus/counter.ingot").read_bytes()
        with pytest.raises(IngotError, match="not a tuning pack"):
            list(measure(engine))

    def test_a_pack_is_no_engine(self) -> None:
        with pytest.raises(IngotError, match="this is a tuning pack"):
            ingot.load(self.RAW).context()

    def test_a_pack_for_another_processor(self) -> None:
        refused = []
        for target in ("cpu-aarch64", "cpu-x86-64-v3"):
            (raw,) = make_packs(candidates(), get(target), between_bytes=0)
            try:
                list(measure(raw, seconds=0))
            except IngotError as error:
                refused.append(str(error))
        assert any("wanted" in line and "found" in line for line in refused)

    def test_threads_out_of_range(self) -> None:
        with pytest.raises(ArgumentError, match="threads"):
            list(measure(self.RAW, threads=0))

    def test_a_target_that_no_pack_can_ask_for(self) -> None:
        with pytest.raises(BuildError, match="arch 'riscv64'"):
            make_packs(candidates(), Target("board", "", "cpu", "riscv64"), between_bytes=0)
        with pytest.raises(BuildError, match="backend cuda"):
            make_packs(candidates(), Target("board", "", "cuda", "sm_87"), between_bytes=0)
