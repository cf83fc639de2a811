"""Writes the tuning packs of the C tests: ``python make_packs.py FOLDER``.

``warm`` and ``cold`` run anywhere, of two problems each; ``aarch64`` and ``x86-64`` are each foreign to the other.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ingot import kernels
from ingot.builder.tuning.keys import Candidate
from ingot.builder.tuning.pack import make_packs
from ingot.kernels.matmul.op import MatMulAttrs
from ingot.kernels.pool.op import PoolAttrs, PoolKind
from ingot.kernels.spec import DType, Sample, TensorType
from ingot.targets import Target

sys.path.insert(0, str(Path(__file__).parent))
from nodes import node_of

KERNELS = {"pool": ("pool_f32", "pool"), "matmul": ("matmul_f32_n16", "matmul_f32")}
#: file -> architecture it asks for, bytes between two runs. Targets of their own: those of Ingot gain figures
PACKS = {"warm": ("any", 0), "cold": ("any", 1 << 30), "aarch64": ("armv8.2-a", 0), "x86-64": ("x86-64-v3", 0)}


def candidates() -> list[Candidate]:
    """A pooling and a product whose weights are too large to be stored, each by several kernels."""
    pooled = TensorType(DType.F32, (1, 12, 12, 16))
    product = (TensorType(DType.F32, (1, 64)), TensorType(DType.F32, (64, 48)), None, None)
    samples = {
        "pool": Sample(PoolAttrs(PoolKind.MAX, (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)), (pooled,)),
        "matmul": Sample(MatMulAttrs(), product, constant=(1,)),
    }
    found = []
    for name, sample in samples.items():
        spec = kernels.load()[name]
        node = node_of(spec, sample)
        types = " ".join(str(value.type) for value in node.inputs if value)
        tactics = [t for t in spec.tactics if t.key in KERNELS[name]]
        found += [Candidate(f"{name} {types}", tactic, node) for tactic in tactics]
    return found


def packs() -> dict[str, bytes]:
    """The files by name."""
    made = {}
    for name, (arch, between) in PACKS.items():
        target = Target(f"test-{name}", "", "cpu", arch)
        (made[f"{name}.ingot"],) = make_packs(candidates(), target, between_bytes=between)
    return made


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, raw in packs().items():
        (folder / name).write_bytes(raw)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
