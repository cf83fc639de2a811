"""What is in an engine file, as plain dicts and lists. The structs are those of ``ingot_format.h``, parsed by cffi."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ._native import ffi, lib


def _enumerators(enum: str, prefix: str) -> dict[int, str]:
    """The names of a C enumeration, in lower case and without their prefix."""
    return {value: name.removeprefix(prefix).lower() for value, name in ffi.typeof(enum).elements.items()}


_DTYPES = _enumerators("ingot_dtype", "INGOT_")
_STORAGES = _enumerators("ingot_storage", "INGOT_STORAGE_")
_BACKENDS = _enumerators("ingot_backend", "INGOT_BACKEND_")
_ROLES = _enumerators("ingot_program_role", "INGOT_ROLE_")
_SECTIONS = _enumerators("ingot_section_kind", "INGOT_SECTION_")


class _File:
    """The sections of an engine that the runtime has accepted."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.header = _record("ingot_header", data, 0)
        h = self.header
        places = [h.header_size + i * h.section_entry_size for i in range(h.section_count)]
        table = [_record("ingot_section", data, at) for at in places]
        self.sections = {_SECTIONS.get(s.kind, f"kind {s.kind}"): s for s in table}
        self.strings = self.raw("strings")

    def raw(self, section: str) -> bytes:
        """The bytes of a section; empty when the file has none."""
        s = self.sections.get(section)
        return self.data[s.offset : s.offset + s.size] if s else b""

    def records(self, section: str, struct: str) -> list[Any]:
        """The records of a section as cffi structs."""
        s = self.sections.get(section)
        return [_record(struct, self.data, s.offset + i * s.entry_size) for i in range(s.entry_count)] if s else []

    def text(self, offset: int) -> str:
        return self.strings[offset : self.strings.index(b"\0", offset)].decode("utf-8", "replace")


def _record(struct: str, data: bytes, offset: int) -> Any:
    record = ffi.new(f"{struct} *")
    size = ffi.sizeof(struct)
    ffi.memmove(record, data[offset : offset + size], size)
    return record


def inspect_engine(data: bytes) -> dict[str, Any]:
    """Everything the bytes of an engine hold, ready for JSON. :func:`ingot.load` must have accepted them."""
    f = _File(data)
    h = f.header
    raw = f.raw("metadata")
    metadata = json.loads(raw) if raw else {}
    return {
        "format": f"{h.format_major}.{h.format_minor}",
        "size": h.file_size,
        "required_features": h.required_features,
        "optional_features": h.optional_features,
        "signatures": [bytes(s.public_key).hex() for s in f.records("signature", "ingot_signature")],
        "sections": [
            {"kind": kind, "offset": s.offset, "size": s.size, "entries": s.entry_count}
            for kind, s in f.sections.items()
        ],
        "variants": [
            {
                "name": f.text(v.name),
                "backend": _BACKENDS.get(v.backend, str(v.backend)),
                "arch": v.arch,
                "preference": v.preference,
                "programs": list(range(v.programs.first, v.programs.first + v.programs.count)),
            }
            for v in f.records("variants", "ingot_variant")
        ],
        "kernels": [
            {"name": f.text(k.name), "abi": k.abi, "params_size": k.params_size}
            for k in f.records("kernels", "ingot_kernel_ref")
        ],
        "programs": _with_predictions(_programs(f), metadata),
        "self_test": _self_test(f),
        "metadata": metadata,
    }


def _with_predictions(programs: list[dict[str, Any]], metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Each step of the program that the metadata predict with its ``predicted_ns``."""
    predicted = metadata.get("predicted", {}).get("steps", [])
    for program in programs:
        if predicted and [step["name"] for step in program["steps"]] == [step["layer"] for step in predicted]:
            for step, row in zip(program["steps"], predicted):
                step["predicted_ns"] = row["ns"]
    return programs


def _programs(f: _File) -> list[dict[str, Any]]:
    buffers = f.records("buffers", "ingot_buffer")
    tensors = f.records("tensors", "ingot_tensor")
    ios = f.records("io", "ingot_io")
    steps = f.records("steps", "ingot_step")
    edges = f.records("edges", "ingot_edge")
    kernels = [f.text(k.name) for k in f.records("kernels", "ingot_kernel_ref")]
    operands = np.frombuffer(f.raw("operands"), "<u4")
    params = f.raw("params")
    launches = _launches(f)

    def part(rows: list[Any], span: Any) -> list[Any]:
        return rows[span.first : span.first + span.count]

    programs = []
    for p in f.records("programs", "ingot_program"):
        own_buffers = part(buffers, p.buffers)
        own = [_tensor(f, t, own_buffers) for t in part(tensors, p.tensors)]
        own_io = part(ios, p.io)
        programs.append(
            {
                "name": f.text(p.name),
                "role": _ROLES.get(p.role, str(p.role)),
                "serial": bool(p.flags & lib.INGOT_PROGRAM_SERIAL),
                "overlaps": bool(p.flags & lib.INGOT_PROGRAM_OVERLAPS),
                "inputs": [_io(f, io, own[io.tensor]) for io in own_io if not io.is_output],
                "outputs": [_io(f, io, own[io.tensor]) for io in own_io if io.is_output],
                "memory": {
                    "arena": p.arena_size,
                    "lower_bound": p.lower_bound,
                    "state": p.state_size,
                    "constants": _constant_bytes(own_buffers),
                },
                "steps": [_step(f, s, kernels, own, operands, params, launches) for s in part(steps, p.steps)],
                "edges": [[getattr(e, "from"), e.to] for e in part(edges, p.edges)],
                "tensors": own,
                "registers": p.register_count,
                "shape_code": p.shape_code.count,
                "patches": p.patches.count,
            }
        )
    return programs


def _constant_bytes(buffers: list[Any]) -> int:
    """Constants that several buffers share count once."""
    return sum({(b.offset, b.size): b.size for b in buffers if b.storage == lib.INGOT_STORAGE_CONSTANT}.values())


def _tensor(f: _File, t: Any, buffers: list[Any]) -> dict[str, Any]:
    buffer = buffers[t.buffer]
    return {
        "name": f.text(t.name),
        "dtype": _DTYPES.get(t.dtype, str(t.dtype)),
        "shape": list(t.dims[0 : t.rank]),
        "storage": _STORAGES.get(buffer.storage, str(buffer.storage)),
        "buffer": t.buffer,
        "offset": buffer.offset + t.offset,
        "pitch": t.pitch,
    }


def _io(f: _File, io: Any, tensor: dict[str, Any]) -> dict[str, Any]:
    rank = len(tensor["shape"])
    return {
        "name": f.text(io.name),
        "dtype": tensor["dtype"],
        "shape": list(io.dims_max[0:rank]),
        "min_shape": list(io.dims_min[0:rank]),
    }


def _launches(f: _File) -> list[dict[str, Any]]:
    """How steps of CUDA programs are started; ``instance`` is the template with its arguments."""
    instances = [f.text(m.name) for m in f.records("module_index", "ingot_module")]
    return [
        {
            "entry": f.text(launch.function),
            "instance": instances[launch.module],
            "grid": list(launch.grid),
            "block": list(launch.block),
            "shared_bytes": launch.shared_bytes,
            "counters": launch.counters,
        }
        for launch in f.records("launches", "ingot_launch")
    ]


def _step(
    f: _File,
    s: Any,
    kernels: list[str],
    tensors: list[dict[str, Any]],
    operands: np.ndarray,
    params: bytes,
    launches: list[dict[str, Any]],
) -> dict[str, Any]:
    def operand(index: int) -> dict[str, Any] | None:
        if index == lib.INGOT_NO_INDEX:
            return None
        t = tensors[index]
        return {"tensor": int(index), **{key: t[key] for key in ("name", "dtype", "shape", "storage")}}

    own = [operand(i) for i in operands[s.operands : s.operands + s.in_count + s.out_count]]
    return {
        "name": f.text(s.name),
        "kernel": kernels[s.kernel],
        "inputs": own[: s.in_count],
        "outputs": own[s.in_count :],
        "workspace": operand(s.workspace),
        "params": params[s.params : s.params + s.params_size].hex(),
        **({} if s.launch == lib.INGOT_NO_INDEX else {"launch": launches[s.launch]}),
    }


def _self_test(f: _File) -> list[dict[str, Any]]:
    return [
        {
            "io": t.io,
            "mode": None if t.stride == 0 else "exact" if t.mode == lib.INGOT_SELFTEST_EXACT else "tolerance",
            "bytes": t.size,
            "seed": t.seed,
            "stride": t.stride,
            "relative": t.relative,
            "absolute": t.absolute,
        }
        for t in f.records("selftest", "ingot_selftest")
    ]
