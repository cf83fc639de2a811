"""Matrix products and convolutions on CUDA: every tile on a problem that is large enough, and which is chosen."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ingot import kernels, targets
from ingot._kernel import Description, make_params, refusal
from ingot.builder.ir import Node
from ingot.kernels.common.cuda_gemm import MMA_TILES, SPLITS, core_of
from ingot.kernels.conv import half as conv_half
from ingot.kernels.conv import int8 as conv_int8
from ingot.kernels.conv import op as conv
from ingot.kernels.matmul import half as matmul_half
from ingot.kernels.matmul import int8 as matmul_int8
from ingot.kernels.matmul import op as matmul
from ingot.kernels.spec import DType, Sample, Tactic, TensorType

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import harness
import samples
import test_samples

SPECS = kernels.load()
ARCHS = ("sm_87", "sm_90a")
PROBLEMS = {
    "conv f16": ("conv", conv_half._sample("tiles", (11, 13), 24, 136, (3, 3), half=DType.F16, pads=(1,) * 4)),
    "conv f32": ("conv", conv._sample("tiles", (11, 13), 12, 70, (3, 3), pads=(1,) * 4, residual=True)),
    "few channels": ("conv", conv_half._sample("tiles", (11, 13), 3, 136, (3, 3), half=DType.F16)),
    "conv int8": ("conv", conv_int8._sample("tiles", (11, 13), 40, 136, (3, 3), pads=(1,) * 4)),
    "pointwise int8": ("conv", conv_int8._sample("tiles", (11, 13), 100, 136, (1, 1))),
    "matmul bf16": ("matmul", matmul_half._sample("tiles", (150, 130), (130, 136), half=DType.BF16, bias=True)),
    "matmul f32": ("matmul", matmul._sample("tiles", (150, 50), (50, 70), constant=(1, 2), bias=True)),
    "free f32": ("matmul", matmul._sample("tiles", (2, 50, 70), (50, 66), trans_a=True, alpha=0.5)),
    "deep conv f16": ("conv", conv_half._sample("tiles", (5, 7), 130, 43, (3, 3), half=DType.F16, pads=(1,) * 4)),
    "deep conv int8": ("conv", conv_int8._sample("tiles", (5, 7), 260, 43, (3, 3), pads=(1,) * 4)),
    "deep matmul f32": ("matmul", matmul._sample("tiles", (20, 700), (700, 43), constant=(1, 2), bias=True)),
    "deep matmul int8": ("matmul", matmul_int8._sample("tiles", (33, 2100), (2100, 41))),
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
    if "deep" in name:
        assert {t.variant.partition(" split=")[2] for t in tactics} == {"", *map(str, SPLITS)}
    elif "f32" not in name:  # other cores have other tiles
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


def described(node: Node, arrays: list, tactic: Tactic) -> tuple[list, list]:
    """Operands and result of a step with packed weights, as the check of its kernel sees them."""
    operands = []
    for i, (value, array) in enumerate(zip(node.inputs, arrays, strict=True)):
        if array is None:
            operands.append(None)
            continue
        shape = tactic.pack[i](node, array).shape if i in tactic.pack else array.shape
        operands.append(Description(value.type.dtype.value, shape, constant=value.data is not None))
    return operands, [Description(value.type.dtype.value, value.type.shape) for value in node.outputs]


@pytest.mark.parametrize("name", PROBLEMS)
def test_checks_take_what_tactics_make_and_nothing_else(name: str) -> None:
    node, arrays = make(name)
    device = targets.get("h200")
    firsts = {t.kernel: t for t in reversed(test_samples.tactics_for(node, "cuda")) if "tile=" in t.variant}
    for tactic in firsts.values():
        inputs, outputs = described(node, arrays, tactic)
        launch = tactic.launch(node, device)
        numbers = (*launch.grid, launch.block, 1, 1, launch.shared, launch.counters)
        params = make_params(tactic.params_type, tactic.params(node))

        def refused(inputs: list, outputs: list = outputs) -> bool:
            return refusal(tactic.kernel, inputs, outputs, params, launch=numbers) is not None  # noqa: B023

        assert not refused(inputs), tactic.key
        x, weights = inputs[:2]
        n, depth = weights.shape
        for shape in ((n - 1, depth), (n + 1, depth), (n, depth - 1), (n, depth + 16), (n, depth, 1), (0, depth)):
            assert refused([x, replace(weights, shape=shape), *inputs[2:]]), (tactic.key, shape)
        assert refused([replace(x, dtype=DType.I32.value), *inputs[1:]])
        assert refused([replace(x, shape=(*x.shape[:-1], x.shape[-1] + 64)), *inputs[1:]])
        assert refused(inputs, [replace(outputs[0], shape=(*outputs[0].shape[:-1], n + 1))])
        assert refused([*inputs[:2], Description(DType.F32.value, (n + 1,)), *inputs[3:]])


@pytest.mark.parametrize("name", [name for name in PROBLEMS if not name.startswith("free")])
def test_launches_are_the_same_once_weights_are_packed(name: str) -> None:
    node, arrays = make(name)
    device = targets.get("jetson-orin-nano-8gb")
    weights = node.inputs[1]
    plain = weights.type
    for tactic in (t for t in test_samples.tactics_for(node, "cuda") if 1 in t.pack):
        weights.type = plain
        before = tactic.launch(node, device), tactic.params(node)
        weights.type = TensorType(plain.dtype, tactic.pack[1](node, arrays[1]).shape)
        assert (tactic.launch(node, device), tactic.params(node)) == before, tactic.key


@pytest.mark.parametrize("name", ["deep conv f16", "deep matmul int8"])
def test_parts_of_a_depth_need_a_workspace_and_counters(name: str) -> None:
    node, arrays = make(name)
    device = targets.get("jetson-orin-nano-8gb")
    tactic = next(t for t in test_samples.tactics_for(node, "cuda") if t.variant.endswith("split=4"))
    inputs, outputs = described(node, arrays, tactic)
    launch, params = tactic.launch(node, device), make_params(tactic.params_type, tactic.params(node))

    def reason(counters: int, workspace: int) -> str:
        numbers = (*launch.grid, launch.block, 1, 1, launch.shared, counters)
        return refusal(tactic.kernel, inputs, outputs, params, workspace, numbers) or ""

    size = tactic.workspace(node)
    assert launch.counters == launch.grid[0] and launch.grid[1] == 4
    assert reason(launch.counters, size) == ""
    assert "too few counters" in reason(launch.counters - 1, size)
    assert "too small a workspace" in reason(launch.counters, size - 16)


def test_parts_of_a_depth_are_a_cluster_where_there_are_some() -> None:
    node, _ = make("deep conv f16")
    for tactic in test_samples.tactics_for(node, "cuda"):
        split = int(tactic.variant.partition("split=")[2] or 1)
        for name in ("h200", "jetson-thor"):
            launch = tactic.launch(node, targets.get(name))
            assert launch.counters == 0 and launch.grid[0] % split == 0
            assert ("__cluster_dims__" in launch.prelude) == (split > 1 and "tile=" in tactic.variant)


def test_warp_groups_are_for_one_architecture() -> None:
    wide = [tile for tile in MMA_TILES if core_of("f16_core", tile, targets.get("h200"))[0] == "f16_group_core"]
    assert len(wide) == 5
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
