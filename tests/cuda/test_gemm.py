"""Matrix products and convolutions on CUDA: every tile on a problem that is large enough, and which is chosen."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ingot import kernels, targets
from ingot.builder.ir import Node
from ingot.kernels.common.cuda_gemm import MMA_TILES, core_of
from ingot.kernels.conv import half as conv_half
from ingot.kernels.conv import int8 as conv_int8
from ingot.kernels.conv import op as conv
from ingot.kernels.matmul import half as matmul_half
from ingot.kernels.matmul import int8 as matmul_int8
from ingot.kernels.matmul import op as matmul
from ingot.kernels.spec import DType, Sample

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples
import test_samples

SPECS = kernels.load()
ARCHS = ("sm_87", "sm_90a")
PROBLEMS = {
    "conv f16": ("conv", conv_half._sample("tiles", (11, 13), 24, 136, (3, 3), half=DType.F16, pads=(1,) * 4)),
    "conv f32": ("conv", conv._sample("tiles", (11, 13), 12, 70, (3, 3), pads=(1,) * 4, residual=True)),
    "conv int8": ("conv", conv_int8._sample("tiles", (11, 13), 40, 136, (3, 3), pads=(1,) * 4)),
    "pointwise int8": ("conv", conv_int8._sample("tiles", (11, 13), 100, 136, (1, 1))),
    "matmul bf16": ("matmul", matmul_half._sample("tiles", (150, 130), (130, 136), half=DType.BF16, bias=True)),
    "matmul f32": ("matmul", matmul._sample("tiles", (150, 50), (50, 70), bias=True)),
    "matmul int8": ("matmul", matmul_int8._sample("tiles", (150, 200), (200, 136))),
}


def make(name: str) -> tuple[Node, list[np.ndarray | None]]:
    op, sample = PROBLEMS[name]
    assert isinstance(sample, Sample)
    return samples.make_node(SPECS[op], sample)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_tile_gives_the_numbers_of_the_cpu(name: str) -> None:
    node, arrays = make(name)
    tactics = [t for t in test_samples.tactics_for(node, "cuda") if "tile=" in t.variant]
    pairs = {tactic.launch(node, harness.TARGETS[arch]): (tactic, arch) for tactic in tactics for arch in ARCHS}
    if "f32" not in name:
        assert {t.variant for t in tactics} >= {tile.variant for tile in MMA_TILES}
    harness.warm(pairs)
    (portable, *_) = test_samples.tactics_for(node, "cpu")
    wanted = samples.run(node, portable, arrays, "portable", 1)
    for launch, (tactic, arch) in pairs.items():
        got = harness.run_node(node, tactic, harness.TARGETS[arch], arrays)
        for value, a, w in zip(node.outputs, got, wanted, strict=True):
            if tactic.numerics == "exact":
                assert a.tobytes() == w.tobytes(), launch.kernel
            else:
                test_samples.assert_close(a, w, value.type.dtype, test_samples.least_exact(node))


@pytest.mark.parametrize("target", ["jetson-orin-nano-8gb", "jetson-thor", "h200"])
def test_launches_keep_within_the_device(target: str) -> None:
    device = targets.get(target)
    for name in PROBLEMS:
        node, _ = make(name)
        for tactic in test_samples.tactics_for(node, "cuda"):
            launch = tactic.launch(node, device)
            assert launch.shared <= device.figures["shared_bytes_per_block"], tactic.key
            assert 32 <= launch.block <= 1024 and launch.block % 32 == 0


def test_warp_groups_are_for_one_architecture() -> None:
    wide = [tile for tile in MMA_TILES if core_of("f16_core", tile, targets.get("h200"))[0] == "f16_group_core"]
    assert len(wide) == 4
    for name in ("jetson-orin-nano-8gb", "jetson-thor"):
        assert all(core_of("f16_core", tile, targets.get(name)) == ("f16_core", tile) for tile in MMA_TILES)


def expected(name: str, target: str) -> str:
    """The variant that should be the fastest."""
    node, _ = make(name)
    device = targets.get(target)
    tactics = [t for t in test_samples.tactics_for(node, "cuda") if t.efficiency and "tile=" in t.variant]
    return max(tactics, key=lambda t: t.efficiency(node, device)).variant


def test_small_problems_are_cut_smaller_for_more_multiprocessors() -> None:
    def area(variant: str) -> int:
        rows, columns = variant.split()[0].removeprefix("tile=").split("x")[:2]
        return int(rows) * int(columns)

    for name in ("conv f16", "conv int8"):
        assert area(expected(name, "h200")) <= area(expected(name, "jetson-orin-nano-8gb"))
