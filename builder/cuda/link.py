"""Compiled kernels for the steps of a program: each instance once, in a module of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ingot._native import lib
from ingot.builder.cuda.cache import Cache, cache_folder
from ingot.builder.cuda.compiler import NvrtcCompiler
from ingot.builder.cuda.instance import Compiled, CompileError, Compiler, Instance, Log
from ingot.builder.cuda.nvrtc import cuda_of, find
from ingot.builder.plan import Module, Program, StepLaunch
from ingot.builder.writer import Variant
from ingot.errors import BuildError
from ingot.targets import Target


def arch_number(target: Target) -> int:
    """``sm_90a`` as the engine file has it: 90."""
    return int(re.fullmatch(r"sm_(\d+)[a-z]?", target.arch)[1])


#: from this architecture on kernels wait for each other themselves (await_kernels of cuda_device.h)
FIRST_OVERLAPPING = 90


def driver_number(target: Target) -> int:
    """The oldest driver for the target's code as CUDA counts: 12060."""
    major, minor = cuda_of(target)
    return 1000 * major + 10 * minor


def variant_of(target: Target, programs: Sequence[Program]) -> Variant:
    """The programs as a variant for the target, and what that asks of a device."""
    return Variant(
        target.name,
        programs,
        backend=lib.INGOT_BACKEND_CUDA,
        arch=arch_number(target),
        min_driver=driver_number(target),
        sm_count=target.figures["sm_count"],
    )


def nvrtc_for(target: Target) -> Compiler:
    """The installed NVRTC for the target, with the user's cache; :class:`BuildError` when there is none."""
    return NvrtcCompiler(find(target), Cache(cache_folder()))


def link(
    programs: Sequence[Program], target: Target, compiler: Compiler | None = None, log: Log | None = None
) -> dict[str, Any]:
    """Compile what the steps of the programs launch and set it, in place; what is to be said of it in the metadata."""
    steps = [step for program in programs for step in program.steps]
    users: dict[Instance, str] = {}
    for step in steps:
        users.setdefault(Instance.of(step.launch), step.name)
    compiler = compiler or nvrtc_for(target)
    try:
        found = compiler.compile(list(users), target, log)
    except CompileError as error:
        raise BuildError(
            f"layer {users[error.instance]}: kernel {error.instance.kernel} of {error.instance.source} for "
            f"{target.arch}: {error.what}"
        ) from None
    modules = {each: Module(each.kernel, found[each].image, arch_number(target)) for each in users}
    for program in programs:
        program.overlaps = arch_number(target) >= FIRST_OVERLAPPING and bool(program.steps)
        program.steps = [
            replace(step, launch=_started(step.launch, modules[Instance.of(step.launch)])) for step in program.steps
        ]
    return {"compiler": compiler.version, "kernels": [_described(each, found[each]) for each in users]}


def _started(launch: Any, module: Module) -> StepLaunch:
    entry, block = Instance.of(launch).entry, (launch.block, 1, 1)
    return StepLaunch(module, entry, launch.grid, block, launch.shared, launch.counters)


def _described(instance: Instance, compiled: Compiled) -> dict[str, Any]:
    return {
        "kernel": instance.kernel,
        "entry": instance.entry,
        "source": instance.source,
        "bytes": len(compiled.image),
        "registers": compiled.registers,
        "spilled": compiled.spilled,
        "stack": compiled.stack,
        "shared": compiled.shared,
    }
