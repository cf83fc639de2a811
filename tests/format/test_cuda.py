"""What the loader checks of CUDA programs, without a device: launches, modules, and what launches hand to kernels."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ingot
from ingot._native import ffi, lib
from ingot.builder import plan, writer
from ingot.errors import IngotError
from ingot.kernels.spec import DType

sys.path.insert(0, str(Path(__file__).parent))
from hand import LAUNCH, Hand, elementwise, engine
from make_cuda_engines import ENGINES

MODULE = LAUNCH.module


def program(launches: list[plan.StepLaunch | None], shape: tuple[int, ...] = (64,)) -> plan.Program:
    """x -> relu -> relu -> y, with these launches."""
    hand = Hand("cuda")
    x, t, y = hand.input("x", shape), hand.tensor("t", shape), hand.output("y", shape)
    for a, b, launch in ((x, t, launches[0]), (t, y, launches[1])):
        kernel = "elementwise_cuda" if launch else "elementwise"
        hand.step(kernel, [a], [b], elementwise(lib.INGOT_EW_RELU, 1), launch=launch)
    return hand.program


def file(*programs: plan.Program, backend: int = lib.INGOT_BACKEND_CUDA, arch: int = 87) -> bytes:
    return engine([writer.Variant("jetson", list(programs), backend, arch)])


def refusal(raw: bytes) -> IngotError:
    with pytest.raises(IngotError) as caught:
        ingot.load(raw, any_machine=True)
    return caught.value


def record(raw: bytearray, section: int, struct: str, index: int = 0) -> tuple[Any, int]:
    """A record in the bytes of an engine, and its offset."""
    header = ffi.cast("ingot_header *", ffi.from_buffer(raw))
    table = ffi.cast("ingot_section *", ffi.from_buffer(raw) + header.header_size)
    entry = next(table[i] for i in range(header.section_count) if table[i].kind == section)
    at = entry.offset + index * entry.entry_size
    return ffi.cast(f"{struct} *", ffi.from_buffer(raw) + at), at


def reseal(raw: bytearray) -> None:
    """Makes the checksums right again."""
    header = ffi.cast("ingot_header *", ffi.from_buffer(raw))
    at = header.header_size
    table = ffi.cast("ingot_section *", ffi.from_buffer(raw) + at)
    for i in range(header.section_count):
        table[i].crc32c = writer.crc32c(raw[table[i].offset : table[i].offset + table[i].size])
    header.table_crc32c = writer.crc32c(raw[at : at + header.section_count * header.section_entry_size])
    header.header_crc32c = 0
    header.header_crc32c = writer.crc32c(raw[:at])


def launch(**fields: Any) -> plan.StepLaunch:
    usual = {"module": MODULE, "function": "f", "grid": (1, 1, 1), "block": (128, 1, 1), "shared_bytes": 0}
    return plan.StepLaunch(**(usual | fields))


def test_sound_ones_are_opened_to_look_at() -> None:
    for make in ENGINES.values():
        loaded = ingot.load(make(), any_machine=True)
        assert loaded.isa == "sm_87"
        assert loaded.inspect()["format"] == "1.1"


@pytest.mark.parametrize(
    "fields",
    [
        {"grid": (0, 1, 1)},
        {"grid": (1 << 31, 1, 1)},
        {"grid": (1, 65536, 1)},
        {"grid": (1, 1, 65536)},
        {"block": (1, 0, 1)},
        {"block": (1025, 1, 1)},
        {"block": (1, 1, 65)},
        {"block": (512, 4, 1)},
        {"shared_bytes": 227 * 1024 + 1},
        {"counters": 65537},
        {"function": ""},
    ],
    ids=str,
)
def test_launches_that_no_device_takes(fields: dict[str, Any]) -> None:
    raw = bytearray(file(program([launch(), launch(**fields)])))
    error = refusal(bytes(raw))
    assert error.status == "format" and "launch 1" in str(error)
    assert error.offset == record(raw, lib.INGOT_SECTION_LAUNCHES, "ingot_launch", 1)[1]


def test_the_largest_launch_is_taken() -> None:
    most = launch(grid=((1 << 31) - 1, 65535, 65535), block=(1024, 1, 1), shared_bytes=227 * 1024, counters=65536)
    ingot.load(file(program([most, most])), any_machine=True)


def damage_module_offset(raw: bytearray) -> int:
    module, at = record(raw, lib.INGOT_SECTION_MODULE_INDEX, "ingot_module")
    module.offset = 32
    return at


def damage_module_size(raw: bytearray) -> int:
    module, at = record(raw, lib.INGOT_SECTION_MODULE_INDEX, "ingot_module")
    module.size += 1
    return at


def damage_module_name(raw: bytearray) -> int:
    module, at = record(raw, lib.INGOT_SECTION_MODULE_INDEX, "ingot_module")
    module.name = 1 << 20
    return at


def damage_launch_module(raw: bytearray) -> int:
    found, at = record(raw, lib.INGOT_SECTION_LAUNCHES, "ingot_launch")
    found.module = 1
    return at


def damage_step_launch(raw: bytearray) -> int:
    step, at = record(raw, lib.INGOT_SECTION_STEPS, "ingot_step", 1)
    step.launch = 7
    return at


@pytest.mark.parametrize(
    "damage",
    [damage_module_offset, damage_module_size, damage_module_name, damage_launch_module, damage_step_launch],
)
def test_records_that_reach_outside(damage: Callable[[bytearray], int]) -> None:
    raw = bytearray(file(program([launch(), launch()])))
    at = damage(raw)
    reseal(raw)
    error = refusal(bytes(raw))
    assert error.status == "format" and error.offset == at


def test_a_program_is_for_one_backend() -> None:
    raw = bytearray(file(program([launch(), None])))
    error = refusal(bytes(raw))
    assert error.status == "format" and error.offset == record(raw, lib.INGOT_SECTION_STEPS, "ingot_step", 1)[1]


def test_a_program_is_for_one_architecture() -> None:
    other = launch(module=plan.Module("other", b"\x7fELF", 90))
    assert "sm_90" in str(refusal(file(program([launch(), other]))))


@pytest.mark.parametrize(("backend", "arch"), [(lib.INGOT_BACKEND_CPU, 0), (lib.INGOT_BACKEND_CUDA, 90)])
def test_a_variant_is_of_its_programs_kind(backend: int, arch: int) -> None:
    raw = bytearray(file(program([launch(), launch()]), backend=backend, arch=arch))
    error = refusal(bytes(raw))
    assert error.status == "format" and error.offset == record(raw, lib.INGOT_SECTION_VARIANTS, "ingot_variant")[1]
    assert refusal(file(program([None, None]))).status == "format"


def test_kernels_that_overlap_are_of_newer_architectures() -> None:
    for arch, sound in ((87, False), (90, True), (110, True)):
        own = launch(module=plan.Module("m", b"\x7fELF", arch))
        made = program([own, own])
        made.overlaps = True
        if sound:
            assert ingot.load(file(made, arch=arch), any_machine=True).inspect()["programs"][0]["overlaps"]
        else:
            error = refusal(file(made, arch=arch))
            assert error.status == "format" and "sm_90 or newer, found sm_87" in str(error)
    made = program([None, None])
    made.overlaps = True
    assert refusal(engine([writer.Variant("cpu", [made])])).status == "format"


def test_operands_too_large_for_32_bits() -> None:
    error = refusal(file(program([launch(), launch()], shape=(1 << 16, 1 << 15))))
    assert error.status == "step" and "too large for CUDA" in str(error)


def test_kernels_of_the_other_backend_are_not_found() -> None:
    hand = Hand("cuda")
    x, y = hand.input("x", (4,)), hand.output("y", (4,))
    hand.step("elementwise", [x], [y], elementwise(lib.INGOT_EW_RELU, 1), launch=launch())
    assert refusal(file(hand.program)).status == "kernel"
    hand = Hand()
    x, y = hand.input("x", (4,)), hand.output("y", (4,))
    hand.step("elementwise_cuda", [x], [y], elementwise(lib.INGOT_EW_RELU, 1))
    assert refusal(engine([writer.Variant("cpu", [hand.program])])).status == "kernel"


def test_equal_modules_and_launches_are_stored_once() -> None:
    same = plan.Module(MODULE.name, bytes(MODULE.image), MODULE.arch)
    raw = bytearray(file(program([launch(), launch(module=same)])))
    header = ffi.cast("ingot_header *", ffi.from_buffer(raw))
    table = ffi.cast("ingot_section *", ffi.from_buffer(raw) + header.header_size)
    counts = {table[i].kind: table[i].entry_count for i in range(header.section_count)}
    assert counts[lib.INGOT_SECTION_LAUNCHES] == counts[lib.INGOT_SECTION_MODULE_INDEX] == 1


def test_engines_for_the_cpu_stay_of_the_first_format() -> None:
    hand = Hand()
    x, y = hand.input("x", (4,), dtype=DType.F32), hand.output("y", (4,))
    hand.unary("relu", x, y)
    assert ingot.load(hand.engine()).inspect()["format"] == "1.0"


def test_the_engines_of_the_c_tests_are_these() -> None:
    """``make_cuda_engines.py`` writes them."""
    for name, make in ENGINES.items():
        assert (Path(__file__).parents[1] / "runtime_c" / "cuda" / f"{name}.ingot").read_bytes() == make(), name
