"""show what this machine can build for and run"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import resource
import shutil
from pathlib import Path
from typing import Any

import ingot
from ingot._kernel import isa_names, kernels
from ingot._native import lib
from ingot.cli.common import add_json, print_json, size_text, table
from ingot.device import devices

EXAMPLE = "ingot doctor"
PACKAGES = ("numpy", "cffi", "onnx", "onnxruntime", "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc")


def arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    found = examine()
    if options.json:
        print_json(found)
    else:
        print(table([[key.replace("_", " "), _text(key, value)] for key, value in found.items()], indent=""))
        for advice in advise(found):
            print(f"note: {advice}")
    return 0


def examine() -> dict[str, Any]:
    """Facts about the machine and the installation."""
    return {
        "ingot": ingot.__version__,
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "instruction_sets": list(isa_names(lib.ingot_direct_isas())),
        "INGOT_ISA": os.environ.get("INGOT_ISA"),
        "kernels": len(kernels()),
        "system": f"{platform.system()} {platform.release()}",
        "real_time_kernel": _read("/sys/kernel/realtime") == "1",
        "frequency_governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "locked_memory_limit": _limit(resource.RLIMIT_MEMLOCK),
        "real_time_priority_limit": _limit(resource.RLIMIT_RTPRIO),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "c_compiler": shutil.which((os.environ.get("CC") or "cc").split()[0]),
        **_cuda(),
    }


def advise(found: dict[str, Any]) -> list[str]:
    """What one may want to change, or should know."""
    notes = []
    if found["packages"]["onnx"] is None:
        notes.append("onnx is not installed, so engines run but cannot be built: pip install onnx")
    elif not any(version for name, version in found["packages"].items() if "nvrtc" in name):
        notes.append(
            'without NVRTC engines are built for the CPU alone: pip install "nvidia-cuda-nvrtc-cu12==12.6.*" for Orin '
            'and Ada, "nvidia-cuda-nvrtc==13.0.*" for Thor and Hopper'
        )
    limit = found["locked_memory_limit"]
    if limit is not None and limit < 64 << 20 and os.geteuid() != 0:
        notes.append("the limit of locked memory is low for load(lock=True): raise it with ulimit -l or limits.conf")
    if found["real_time_priority_limit"] == 0 and os.geteuid() != 0:
        notes.append("this user may not use priority=...: SCHED_FIFO needs rtprio in limits.conf")
    if found["frequency_governor"] not in (None, "performance"):
        notes.append(f"the clock may vary (governor {found['frequency_governor']}): use performance for control loops")
    if found["c_compiler"] is None:
        notes.append("there is no C compiler, which ingot demo needs")
    return notes


def _text(key: str, value: Any) -> str:
    if key == "locked_memory_limit":
        return "unlimited" if value is None else size_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {item or '(not installed)'}" for key, item in value.items())
    if isinstance(value, list):
        return ("; " if key == "cuda_devices" else " ").join(map(str, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _processor() -> str:
    for line in (_read("/proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _limit(kind: int) -> int | None:
    """The soft limit; None where there is none."""
    soft = resource.getrlimit(kind)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cuda() -> dict[str, Any]:
    """The driver by the newest CUDA it knows, or why there is none, and the devices."""
    found, reason = devices()
    texts = [
        f"{d['name']}, {d['arch']}, {d['multiprocessors']} multiprocessors, {size_text(d['bytes'])}"
        + (" shared with the processor" if d["integrated"] else "")
        for d in found
    ]
    return {"cuda_driver": f"CUDA {found[0]['driver']}" if found else reason, "cuda_devices": texts}
