"""Compiles CUDA kernels for every architecture, without a device: ``python tests/cuda/compile_instances.py``.

The instances that the models of ``../shared`` (or ``INGOT_SHARED``) take in FP16 and INT8, or without them those of the
repository's models, and of all others as many as ``--others`` says, chosen by ``--seed``. Ends with status 1 when one
does not compile or a kernel of tensor cores spills.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from ingot import targets
from ingot.builder import build
from ingot.builder.cuda.instance import Compiled, Instance, Log
from ingot.builder.cuda.link import nvrtc_for
from ingot.targets import Target

sys.path.extend(str(Path(__file__).resolve().parents[1] / folder) for folder in ("kernels", "models"))
import samples
from zoo import models

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("jetson-orin-nano-8gb", "h200", "jetson-thor")
#: the files of kernels that multiply on tensor cores
TENSOR_CORES = (
    "conv/gemm.cu",
    "conv/gemm_tma.cu",
    "conv/groups.cu",
    "conv_transpose/gemm.cu",
    "matmul/gemm.cu",
    "matmul/gemm_tma.cu",
    "attention/attention_mma.cu",
    "attention/attention_group.cu",
)


class Collector:
    """A compiler that compiles nothing and remembers what it was asked for."""

    version = "none"

    def __init__(self) -> None:
        self.seen: dict[Instance, None] = {}

    def compile(self, instances: list[Instance], target: Target, log: Log | None) -> dict[Instance, Compiled]:
        self.seen |= dict.fromkeys(instances)
        return {each: Compiled(b"nothing") for each in instances}


def of_models(target: str, limit: int) -> set[Instance]:
    """What whole models take; those with files of more than ``limit`` bytes are left out."""
    collector = Collector()
    found = [(m.path, m.sample()[0], m.quantised) for m in models() if m.path.stat().st_size <= limit]
    for path, inputs, quantised in found:
        shapes = [{name: array.shape for name, array in inputs.items()}]
        for precision in ("int8",) if quantised else ("fp16", "int8"):
            options = {"calibration": [inputs]} if precision == "int8" and not quantised else {}
            if precision == "fp16":
                options = {"max_error": 1.0}
            more = {"target": target, "profiles": shapes, "self_test": False, "compiler": collector}
            build(path, precision=precision, **more, **options)
    if not found:
        for path in sorted(ROOT.glob("examples/*/*.onnx")):
            build(path, target=target, self_test=False, compiler=collector)
    return set(collector.seen)


def of_samples(target: Target) -> Iterator[Instance]:
    """What every sample of every operator takes, by every tactic."""
    for case in samples.CASES:
        node, _ = samples.make_node(*case.values)
        for tactic in node.op.tactics:
            if tactic.is_for("cuda", target.arch) and tactic.launch and tactic.when(node):
                yield Instance.of(tactic.launch(node, target))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--others", type=int, default=60, help="instances that no model takes, for each target")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, default=3 << 20, help="bytes of the largest model file")
    args = parser.parse_args()
    wrong = 0
    for name in TARGETS:
        start, target = time.perf_counter(), targets.get(name)
        taken = of_models(name, args.limit)
        others = sorted(set(of_samples(target)) - taken, key=lambda each: each.entry)
        chosen = [*sorted(taken, key=lambda each: each.entry)]
        chosen += random.Random(args.seed).sample(others, min(args.others, len(others)))
        found = nvrtc_for(target).compile(chosen, target, None)
        spilled = [e for e in chosen if found[e].spilled and e.source in TENSOR_CORES]
        for each in spilled:
            print(f"{name}: {each.kernel} of {each.source} spills {found[each].spilled} bytes", file=sys.stderr)
        wrong += len(spilled)
        most = max(found[each].registers for each in chosen)
        taken_s = time.perf_counter() - start
        print(f"{name}: {len(taken)} instances of models and {len(chosen) - len(taken)} others, {taken_s:.0f} s, "
              f"at most {most} registers, {len(spilled)} of tensor cores spill")  # fmt: skip
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
