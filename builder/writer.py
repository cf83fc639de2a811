"""Programs -> the bytes of an engine file, packed with the structs of ``ingot_format.h`` that cffi parsed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ingot._native import ffi, lib
from ingot.builder.plan import CONSTANT, INPUT, NO_INDEX, OUTPUT, Module, Program, StepLaunch
from ingot.kernels.spec import DType

#: from the 32 bytes of an engine's digest to (public key, signature): Ed25519, 32 and 64 bytes
Signer = Callable[[bytes], tuple[bytes, bytes]]

MAGIC = b"\x89INGOT\r\n"
HEADER, SECTION = ffi.sizeof("ingot_header"), ffi.sizeof("ingot_section")
#: an engine that uses the file in place must be aligned like this
CONSTANT_ALIGN = 256
TAIL = 64


@dataclass(frozen=True, slots=True)
class Variant:
    """One target's programs, one for each profile."""

    target: str
    programs: Sequence[Program]
    backend: int = 0
    arch: int = 0
    preference: int = 0
    min_driver: int = 0
    sm_count: int = 0


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A generated or given input (``seed`` or ``data``), or what an output should be at every ``stride``-th element."""

    io: int
    data: np.ndarray | None = None
    seed: int = 0
    stride: int = 0
    exact: bool = True
    relative: float = 0.0
    absolute: float = 0.0


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """CRC-32C (Castagnoli) as the runtime computes it."""
    return lib.ingot_direct_crc32c(0, ffi.from_buffer(data), len(data))


def _align(data: bytearray, alignment: int) -> int:
    data.extend(bytes(-len(data) % alignment))
    return len(data)


@dataclass(slots=True)
class _Tables:
    """Sections as they grow: records by struct name, and the plain bytes."""

    strings: bytearray = field(default_factory=lambda: bytearray(b"\0"))
    string_offsets: dict[str, int] = field(default_factory=dict)
    records: dict[str, list[Any]] = field(default_factory=dict)
    constants: bytearray = field(default_factory=bytearray)
    constant_offsets: dict[bytes, int] = field(default_factory=dict)
    params: bytearray = field(default_factory=bytearray)
    kernels: dict[str, int] = field(default_factory=dict)
    images: bytearray = field(default_factory=bytearray)
    modules: dict[Module, int] = field(default_factory=dict)
    launches: dict[StepLaunch, int] = field(default_factory=dict)

    def string(self, text: str) -> int:
        if text not in self.string_offsets:
            self.string_offsets[text] = len(self.strings)
            self.strings += text.encode("utf-8").replace(b"\0", b"?") + b"\0"
        return self.string_offsets[text]

    def add(self, struct: str, /, **fields: Any) -> int:
        """Append a record and give its index."""
        rows = self.records.setdefault(struct, [])
        rows.append(fields)
        return len(rows) - 1

    def count(self, kind: str) -> int:
        return len(self.records.get(kind, ()))

    def constant(self, array: np.ndarray, alignment: int = CONSTANT_ALIGN) -> int:
        """Offset of the array's bytes, stored once."""
        raw = np.ascontiguousarray(array).tobytes()
        if raw not in self.constant_offsets:
            self.constant_offsets[raw] = _align(self.constants, alignment)
            self.constants += raw
        return self.constant_offsets[raw]

    def module(self, module: Module) -> int:
        """Index of a module, stored once."""
        if module not in self.modules:
            offset = _align(self.images, lib.INGOT_SECTION_ALIGN)
            self.images += module.image
            self.modules[module] = self.add(
                "ingot_module", offset=offset, size=len(module.image), name=self.string(module.name), arch=module.arch
            )
        return self.modules[module]

    def launch(self, launch: StepLaunch | None) -> int:
        """Index of a launch record; steps that start alike share one."""
        if launch is None:
            return NO_INDEX
        if launch not in self.launches:
            self.launches[launch] = self.add(
                "ingot_launch",
                module=self.module(launch.module),
                function=self.string(launch.function),
                grid=tuple(launch.grid),
                block=tuple(launch.block),
                shared_bytes=launch.shared_bytes,
                counters=launch.counters,
            )
        return self.launches[launch]

    def pack(self, kind: str) -> bytes:
        rows = self.records.get(kind, [])
        if kind == "uint32_t":
            return np.asarray(rows, "<u4").tobytes()
        array = ffi.new(f"{kind}[]", len(rows))
        for record, fields in zip(array, rows):
            for name, value in fields.items():
                target = getattr(record, name, None)
                if isinstance(value, tuple) and not isinstance(target, int):
                    if ffi.typeof(target).kind == "struct":
                        target.first, target.count = value
                    else:
                        for i, item in enumerate(value):
                            target[i] = item
                else:
                    setattr(record, name, value)
        return bytes(ffi.buffer(array))


def _dims(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape) + (1,) * (lib.INGOT_MAX_RANK - len(shape))


def _add_program(t: _Tables, p: Program, kernel_abi: Mapping[str, tuple[int, int]]) -> int:
    buffers, tensors, io, steps = (t.count(f"ingot_{k}") for k in ("buffer", "tensor", "io", "step"))
    for b in p.buffers:
        offset = t.constant(b.data) if b.storage == CONSTANT else b.offset
        t.add("ingot_buffer", storage=b.storage, offset=offset, size=b.size)
    for x in p.tensors:
        t.add(
            "ingot_tensor",
            name=t.string(x.name),
            buffer=x.buffer,
            dtype=x.type.dtype.value,
            rank=x.type.rank,
            quant=NO_INDEX,
            offset=x.offset,
            pitch=x.pitch,
            dims=_dims(x.type.shape),
        )
    for index, tensor in enumerate([*p.inputs, *p.outputs]):
        dims = _dims(p.tensors[tensor].type.shape)
        t.add(
            "ingot_io",
            name=t.string(p.io_names[index]),
            tensor=tensor,
            is_output=int(index >= len(p.inputs)),
            dims_min=_dims(p.smallest[index]) if index in p.smallest else dims,
            dims_max=dims,
        )
    for s in p.steps:
        if s.kernel not in t.kernels:
            abi, size = kernel_abi[s.kernel]
            t.kernels[s.kernel] = t.add("ingot_kernel_ref", name=t.string(s.kernel), abi=abi, params_size=size)
        params = _align(t.params, 16)
        t.params += s.params
        operands = t.count("uint32_t")
        t.records.setdefault("uint32_t", []).extend([*s.inputs, *s.outputs])
        t.add(
            "ingot_step",
            name=t.string(s.name),
            kernel=t.kernels[s.kernel],
            operands=operands,
            in_count=len(s.inputs),
            out_count=len(s.outputs),
            workspace=s.workspace,
            params_size=len(s.params),
            params=params,
            launch=t.launch(s.launch),
        )
    edges, shape_code, patches = (t.count(f"ingot_{k}") for k in ("edge", "shape_insn", "patch"))
    for before, after in p.edges or ():
        # `from` is a keyword
        t.add("ingot_edge", **{"from": before, "to": after})
    for insn in p.shape_code:
        t.add("ingot_shape_insn", **asdict(insn))
    for patch in p.patches:
        t.add("ingot_patch", **asdict(patch))
    program = t.count("ingot_program")
    for fill in p.fills:
        t.add("ingot_fill", program=program, **asdict(fill))
    registers = max((insn.dst + 1 for insn in p.shape_code), default=0)
    return t.add(
        "ingot_program",
        name=t.string(p.name),
        role=lib.INGOT_ROLE_CANDIDATE if p.is_candidate else lib.INGOT_ROLE_RUN,
        flags=(lib.INGOT_PROGRAM_SERIAL if p.edges is None else 0) | (lib.INGOT_PROGRAM_OVERLAPS if p.overlaps else 0),
        register_count=registers,
        buffers=(buffers, len(p.buffers)),
        tensors=(tensors, len(p.tensors)),
        io=(io, len(p.io_names)),
        steps=(steps, len(p.steps)),
        edges=(edges, len(p.edges or ())),
        shape_code=(shape_code, len(p.shape_code)),
        patches=(patches, len(p.patches)),
        group=p.group,
        arena_size=p.arena_size,
        state_size=p.state_size,
        lower_bound=p.lower_bound,
        between_bytes=p.between_bytes,
        generated_size=p.generated_size,
    )


def write_engine(
    variants: Sequence[Variant],
    metadata: Mapping[str, Any],
    kernel_abi: Mapping[str, tuple[int, int]],
    self_test: Sequence[SelfTest] = (),
    sign: Signer | None = None,
) -> bytes:
    """The bytes of an engine. ``kernel_abi`` gives (abi, size of the parameters) of every kernel used."""
    t = _Tables()
    for v in variants:
        programs, group = t.count("ingot_program"), 0
        for program in v.programs:
            if v.backend and program.group != group:
                t.constant_offsets.clear()  # a device takes all bytes from a program's first constant to its last
            group = program.group
            _add_program(t, program, kernel_abi)
        t.add(
            "ingot_variant",
            name=t.string(v.target),
            backend=v.backend,
            arch=v.arch,
            preference=v.preference,
            min_driver=v.min_driver,
            sm_count=v.sm_count,
            programs=(programs, len(v.programs)),
        )
    for test in self_test:
        t.add(
            "ingot_selftest",
            io=test.io,
            mode=lib.INGOT_SELFTEST_EXACT if test.exact else lib.INGOT_SELFTEST_TOLERANCE,
            data=t.constant(test.data, 64) if test.data is not None else 0,
            size=test.data.nbytes if test.data is not None else 0,
            seed=test.seed,
            stride=test.stride,
            relative=test.relative,
            absolute=test.absolute,
        )
    t.constants += bytes(TAIL)
    meta = json.dumps(metadata, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    records = {
        lib.INGOT_SECTION_VARIANTS: "ingot_variant",
        lib.INGOT_SECTION_PROGRAMS: "ingot_program",
        lib.INGOT_SECTION_BUFFERS: "ingot_buffer",
        lib.INGOT_SECTION_TENSORS: "ingot_tensor",
        lib.INGOT_SECTION_IO: "ingot_io",
        lib.INGOT_SECTION_KERNELS: "ingot_kernel_ref",
        lib.INGOT_SECTION_STEPS: "ingot_step",
        lib.INGOT_SECTION_OPERANDS: "uint32_t",
        lib.INGOT_SECTION_EDGES: "ingot_edge",
        lib.INGOT_SECTION_SHAPE_CODE: "ingot_shape_insn",
        lib.INGOT_SECTION_PATCHES: "ingot_patch",
        lib.INGOT_SECTION_FILLS: "ingot_fill",
        lib.INGOT_SECTION_LAUNCHES: "ingot_launch",
        lib.INGOT_SECTION_MODULE_INDEX: "ingot_module",
        lib.INGOT_SECTION_SELFTEST: "ingot_selftest",
    }
    sections = [(lib.INGOT_SECTION_STRINGS, bytes(t.strings), "")]
    sections += [(kind, t.pack(struct), struct) for kind, struct in records.items() if t.count(struct)]
    sections += [(lib.INGOT_SECTION_PARAMS, bytes(t.params), ""), (lib.INGOT_SECTION_CONSTANTS, bytes(t.constants), "")]
    sections += [(lib.INGOT_SECTION_METADATA, meta, ""), (lib.INGOT_SECTION_MODULES, bytes(t.images), "")]
    return seal(sorted(sections), sign)


def seal(sections: Sequence[tuple[int, bytes, str]], sign: Signer | None = None) -> bytes:
    """Header, table and sections (kind, bytes, struct of its records or "") with their checksums and the identity."""
    sections = [s for s in sections if s[1]]
    if sign:
        sections.append((lib.INGOT_SECTION_SIGNATURE, bytes(ffi.sizeof("ingot_signature")), "ingot_signature"))
    table = ffi.new("ingot_section[]", len(sections))
    body = bytearray(HEADER + SECTION * len(sections))
    for entry, (kind, data, struct) in zip(table, sections):
        alignment = CONSTANT_ALIGN if kind == lib.INGOT_SECTION_CONSTANTS else lib.INGOT_SECTION_ALIGN
        entry.kind = kind
        entry.offset = _align(body, alignment)
        entry.size = len(data)
        if struct:
            entry.entry_size = ffi.sizeof(struct)
            entry.entry_count = len(data) // ffi.sizeof(struct)
        if kind != lib.INGOT_SECTION_SIGNATURE:
            entry.crc32c = crc32c(data)
            entry.sha256 = hashlib.sha256(data).digest()
        body += data
    header = ffi.new("ingot_header *")
    header.magic = MAGIC
    header.format_major = 1
    header.format_minor = int(any(kind == lib.INGOT_SECTION_MODULE_INDEX for kind, _, _ in sections))
    header.header_size, header.section_entry_size = HEADER, SECTION
    header.section_count = len(sections)
    header.file_size = len(body)
    digest = hashlib.sha256(bytes(ffi.buffer(header)) + bytes(ffi.buffer(table))).digest()
    header.digest = digest
    if sign:  # the last section; what depends on it is not part of what is signed
        record = b"".join(sign(digest))
        table[len(sections) - 1].crc32c = crc32c(record)
        body[-len(record) :] = record
    raw_table = bytes(ffi.buffer(table))
    header.table_crc32c = crc32c(raw_table)
    header.header_crc32c = crc32c(bytes(ffi.buffer(header)))
    body[:HEADER] = bytes(ffi.buffer(header))
    body[HEADER : HEADER + SECTION * len(sections)] = raw_table
    return bytes(body)


__all__ = ["INPUT", "OUTPUT", "DType", "SelfTest", "Signer", "Variant", "crc32c", "seal", "write_engine"]
