"""What the files of CUDA targets say, and the rates that follow from it, against data sheets."""

from __future__ import annotations

import re

import pytest

from ingot import targets
from ingot.builder.cuda.nvrtc import WHEELS, cuda_of
from ingot.builder.tuning.roofline import Roofline
from ingot.targets import Target

CUDA = [targets.get(name) for name in targets.names() if targets.get(name).backend == "cuda"]
#: what every file has, the ones that inherit it included
FIGURES = {
    "integrated": bool,
    "sm_count": int,
    "clock_mhz": int,
    "ops_per_clock": dict,
    "memory_gbs": float,
    "l2_bytes": int,
    "shared_bytes_per_sm": int,
    "shared_bytes_per_block": int,
    "cuda": str,
    "launch_cycles": int,
    "kernel_cycles": int,
    "graph_ns": int,
}
REQUIRED = {"jetson-agx-orin-64gb", "jetson-orin-nano-8gb", "jetson-thor", "h200"}


def test_the_devices_that_must_be_there_are() -> None:
    assert {target.name for target in CUDA} >= REQUIRED


@pytest.mark.parametrize("target", CUDA, ids=lambda target: target.name)
class TestFile:
    def test_says_all_that_is_needed(self, target: Target) -> None:
        assert {name: type(target.figures.get(name)) for name in FIGURES} == FIGURES
        assert set(target.figures["ops_per_clock"]) == {"f32", "f16", "bf16", "i8"}

    def test_architecture_and_cuda(self, target: Target) -> None:
        assert re.fullmatch(r"sm_\d+a?", target.arch)
        assert cuda_of(target)[0] in WHEELS

    def test_orders_of_magnitude(self, target: Target) -> None:
        figures, peaks = target.figures, target.peak_gops
        assert 4 <= figures["sm_count"] <= 200 and 300 <= figures["clock_mhz"] <= 3000
        assert 30 <= figures["memory_gbs"] <= 10000 and figures["l2_bytes"] >= 1 << 20
        assert figures["shared_bytes_per_block"] < figures["shared_bytes_per_sm"] <= 256 << 10
        assert peaks["f32"] < peaks["f16"] < peaks["i8"]
        assert 500 <= Roofline.of(target).step_ns <= 10000 and Roofline.of(target).step_ns < figures["graph_ns"]

    def test_the_model_tells_tactics_apart(self, target: Target) -> None:
        model = Roofline.of(target)
        figures = target.figures
        assert not model.assumed
        assert model.step_ns == 1e3 * figures["launch_cycles"] / figures["clock_mhz"]
        assert model.kernel_ns == 1e3 * figures["kernel_cycles"] / figures["clock_mhz"]


#: dense operations a second, 1e12, that the makers give: FP16 with sums in FP32 and INT8 on tensor cores, FP32
SHEETS = {
    "jetson-agx-orin-64gb": {"i8": 85.2, "f16": 42.6, "f32": 5.3},
    "jetson-orin-nano-8gb-super": {"i8": 33.4, "f16": 16.7},
    "jetson-thor": {"i8": 517, "f16": 258},
    "h200": {"i8": 1979, "f16": 989},
    "l4": {"i8": 242, "f16": 121, "f32": 30.3},
    "rtx-4090": {"i8": 660.6, "f16": 165.2, "f32": 82.6},
}


@pytest.mark.parametrize(("name", "rates"), SHEETS.items(), ids=SHEETS)
def test_rates_are_those_of_data_sheets(name: str, rates: dict[str, float]) -> None:
    peaks = targets.get(name).peak_gops
    assert {dtype: peaks[dtype] / 1000 for dtype in rates} == pytest.approx(rates, rel=0.01)


def test_figures_nobody_has_confirmed_are_marked() -> None:
    assert targets.get("drive-orin").figures["unverified"] and "unverified" in targets.get("drive-orin").description


def test_rates_of_a_processor_are_those_of_its_file() -> None:
    assert targets.get("cpu-aarch64").peak_gops == {"f32": 35.0, "i8": 140.0}
    assert targets.get("cpu").peak_gops == {}
