"""list the devices that engines can be built for

Of GPUs the figures that times are predicted from: multiprocessors, clock, memory, and dense rates of arithmetic. To
measure (--tune) takes a device that has the target's architecture and number of multiprocessors.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ingot.cli.common import add_json, print_json, table

if TYPE_CHECKING:
    from ingot.targets import Target

EXAMPLE = "ingot targets --json"
HEADS = ["target", "backend", "arch", "SM x MHz", "GB/s", "FP32 T/s", "FP16 T/s", "INT8 T/s", "CUDA", ""]


def arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from ingot import targets  # needs tomli before Python 3.11

    found = [targets.get(name) for name in targets.names()]
    if options.json:
        rows = [
            {
                "name": t.name,
                "description": t.description,
                "backend": t.backend,
                "arch": t.arch,
                "peak_gops": t.peak_gops,
                "figures": t.figures,
            }
            for t in found
        ]
        print_json({"targets": rows})
    else:
        print(table([_row(t) for t in found], HEADS, right=(3, 4, 5, 6, 7), indent=""))
    return 0


def _row(target: Target) -> list[Any]:
    figures, peaks = target.figures, target.peak_gops
    if target.backend != "cuda":
        return [target.name, target.backend, target.arch, "", "", "", "", "", "", target.description]
    rates = [f"{peaks[name] / 1000:.1f}" for name in ("f32", "f16", "i8")]
    memory = f"{figures['memory_gbs']:.0f}"
    shape = f"{figures['sm_count']} x {figures['clock_mhz']}"
    return [target.name, target.backend, target.arch, shape, memory, *rates, figures["cuda"], target.description]
