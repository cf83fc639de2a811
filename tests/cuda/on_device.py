"""What a real GPU has to show: ``python tests/cuda/on_device.py --target h200 samples models runs speed gemm``.

Needs a device of the target and NVRTC, PyTorch for ``runs``, ``speed``, ``gemm``, ``profile`` and ``overhead``, and the
toolkit for ``sanitizer``. Prints a table for each part and ends with status 1 when something is wrong; ``--json FILE``
keeps all figures. docs/cuda.md has those that were taken.

- ``samples``: every sample of every operator by every CUDA tactic, beside the portable kernel of the CPU
- ``models``: the models of ``../shared`` (or ``INGOT_SHARED``) in FP32, FP16 and INT8 beside the reference and the CPU
- ``runs``: many runs of one engine of each kind: the same bits, the same device memory
- ``sanitizer``: compute-sanitizer's memcheck and racecheck over an engine of each kind
- ``speed``: the networks of tests/bench/torch_models.py beside PyTorch
- ``compiled``: the same, beside PyTorch's compiler as well, which takes minutes
- ``profile``: the time of each of their kernels, beside the predicted one
- ``gemm``: large matrix products beside the vendor's library
- ``overhead``: what a run from C costs beside its graph's own time

``--jobs N`` lets those of models and networks build or do N at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from device_common import Rows, bound_call, interleaved, program_of, relative, say, wrong
from device_models import models_part
from device_overhead import overhead_part
from device_profile import profile_part
from device_runs import runs_part
from device_samples import samples_part
from device_sanitizer import sanitizer_part
from device_speed import gemm_part, speed_part

from ingot import targets

__all__ = ["bound_call", "gemm_part", "interleaved", "program_of", "relative", "samples_part", "speed_part"]

PARTS: dict[str, Callable[..., Rows]] = {
    "samples": samples_part,
    "models": models_part,
    "runs": runs_part,
    "sanitizer": sanitizer_part,
    "speed": speed_part,
    "compiled": partial(speed_part, compiled=True),
    "profile": profile_part,
    "gemm": gemm_part,
    "overhead": overhead_part,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=PARTS)
    parser.add_argument("--target", default="h200")
    parser.add_argument("--only", default="", help="a part of the name of an operator, model, network or tactic")
    parser.add_argument("--jobs", type=int, default=1, help="models that are built or run at once")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    target, found, failures = targets.get(args.target), {}, 0
    for part in args.parts:
        start = time.perf_counter()
        found[part] = PARTS[part](target, args.only, args.jobs)
        failures += wrong(found[part])
        say(f"{part}: {time.perf_counter() - start:.0f} s, {wrong(found[part])} wrong")
        if args.json:
            args.json.write_text(json.dumps(found, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
