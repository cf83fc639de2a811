"""Products whose operands tensor maps bring: every tile beside the portable kernel of the CPU, and the runtime."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import kernels, targets
from ingot._kernel import Description, make_params, refusal
from ingot._kernel import kernels as all_kernels
from ingot.builder import _variant
from ingot.builder.cuda.link import link
from ingot.builder.ir import Node
from ingot.builder.writer import write_engine
from ingot.kernels.common.cuda_gemm_tma import TMA_TILES, TmaTile
from ingot.kernels.conv import cuda_tma as conv_tma
from ingot.kernels.conv import half as conv_half
from ingot.kernels.conv import int8 as conv_int8
from ingot.kernels.matmul import cuda_tma as matmul_tma
from ingot.kernels.matmul import half as matmul_half
from ingot.kernels.matmul import int8 as matmul_int8
from ingot.kernels.spec import DType, Quant, Sample, Tactic

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "kernels")])
import device_common
import harness
import samples
import test_samples
from driver import in_process
from emulator import LaunchError, visited, without
from host_compiler import HostCompiler

SPECS = kernels.load()
DEVICE = targets.get("h200")
#: rows for two of the tallest tile, ends within a box in each direction
PROBLEMS = {
    "matmul f16": matmul_half._sample("tma", (300, 904), (904, 264), half=DType.F16, bias=True),
    "matmul bf16": matmul_half._sample("tma", (300, 72), (72, 136), half=DType.BF16, bias=True),
    "matmul s8": matmul_int8._sample("tma", (300, 272), (272, 264)),
    "conv f16": conv_half._sample("tma", (13, 23), 72, 264, (1, 1), half=DType.F16, residual=DType.F16),
    "conv s8": conv_int8._sample("tma", (13, 23), 144, 264, (1, 1), residual=Quant(0.11, 7)),
}
MAKERS = {
    f"{op} {kind}": make
    for op, module in (("matmul", matmul_tma), ("conv", conv_tma))
    for kind, make in (
        ("f16", partial(module.half_tactic, DType.F16)),
        ("bf16", partial(module.half_tactic, DType.BF16)),
        ("s8", module.s8_tactic),
    )
}
CASES = [pytest.param(name, tile, id=f"{name} {tile.variant}") for name in PROBLEMS for tile in TMA_TILES]


def make(name: str) -> tuple[Node, list[np.ndarray | None]]:
    return samples.make_node(SPECS[name.split()[0]], PROBLEMS[name])


@pytest.mark.parametrize(("name", "tile"), CASES)
def test_every_tile_gives_the_numbers_of_the_cpu(name: str, tile: TmaTile) -> None:
    node, arrays = make(name)
    tactic = MAKERS[name](tile)
    assert tactic.when(node)
    (wanted,) = test_samples.portable_results(node, arrays)
    grid = tactic.launch(node, DEVICE).grid[0]
    for seed, blocks in ((1, grid), (2, 2)):  # the latter: one tile after the other
        (got,) = harness.run_node(node, tactic, DEVICE, arrays, seed=seed, grid=(blocks, 1, 1))
        test_samples.assert_close(got, wanted, node.output.type.dtype, test_samples.least_exact(node))


#: runs, binds an aligned address, which gives new maps, another one, which is refused, and the own buffer again
PROGRAM = """
import ctypes
import numpy as np
import ingot

driver.set(arch=90, version=13000)
path, given = sys.argv[1:3]
x, y = (np.load(given)[name] for name in ("x", "y"))
cuda = ctypes.CDLL("libcuda.so.1")
context = ingot.load(path).context()

class OnDevice:
    def __init__(self, array, skip):
        self.like, self.address = array, ctypes.c_uint64()
        assert cuda.cuMemAlloc_v2(ctypes.byref(self.address), ctypes.c_size_t(array.nbytes + skip)) == 0
        self.address.value += skip
        copied = ctypes.c_void_p(array.ctypes.data), ctypes.c_size_t(array.nbytes)
        assert cuda.cuMemcpyHtoD_v2(self.address, *copied) == 0
    @property
    def __cuda_array_interface__(self):
        return {"shape": self.like.shape, "typestr": self.like.dtype.str, "data": (self.address.value, False),
                "strides": None, "version": 3}

def result():
    context.outputs["out0"][...] = 0
    context.run()
    return context.outputs["out0"]

(name,) = context.inputs
context.inputs[name][...] = x
assert (result() == y).all()
held = ctypes.c_void_p()
assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(held), 0) == 0 and cuda.cuCtxSetCurrent(held) == 0
context.bind(name, OnDevice(np.roll(x, 1, axis=0), 32))
assert (result() == np.roll(y, 1, axis=0)).all()
try:
    context.bind(name, OnDevice(x, 8))
except ingot.IngotError as error:
    print(error)
assert (result() == np.roll(y, 1, axis=0)).all()
context.bind(name, None)
context.inputs[name][...] = x
assert (result() == y).all()
assert len(context.profile()) == 1
"""


def engine_of(sample: Sample) -> tuple[bytes, np.ndarray, np.ndarray]:
    """An engine of one product of int8, its input and its result."""
    node, arrays = samples.make_node(SPECS["matmul"], sample)
    tactic = matmul_tma.s8_tactic(TMA_TILES[0])
    (wanted,) = test_samples.portable_results(node, arrays)
    program = device_common.program_of(node, tactic, DEVICE)
    link([program], DEVICE, HostCompiler(), None)
    abi = {info.name: (info.abi, info.params_size) for info in all_kernels().values()}
    return write_engine([_variant(DEVICE, program)], {}, abi), arrays[0], wanted


def test_the_runtime_makes_maps_and_moves_them(tmp_path: Path) -> None:
    raw, x, y = engine_of(PROBLEMS["matmul s8"])
    (tmp_path / "engine").write_bytes(raw)
    np.savez(tmp_path / "given.npz", x=x, y=y)
    said = in_process(PROGRAM, str(tmp_path / "engine"), str(tmp_path / "given.npz"))
    assert "must be aligned to 16 bytes" in said


def test_rows_that_cannot_be_mapped_are_refused() -> None:
    """Whatever the builder thinks: 264 bytes are no multiple of 16."""
    with pytest.raises(ingot.IngotError, match="multiples of 16 bytes apart"):
        ingot.load(engine_of(matmul_int8._sample("tma", (300, 264), (264, 136)))[0], any_machine=True)


@pytest.mark.parametrize("name", PROBLEMS)
def test_checks_take_what_can_be_mapped_and_nothing_else(name: str) -> None:
    node, arrays = make(name)
    tactic = MAKERS[name](TMA_TILES[0])
    launch, fields = tactic.launch(node, DEVICE), tactic.params(node)
    inputs = []
    for i, (value, array) in enumerate(zip(node.inputs, arrays, strict=True)):
        shape = None if array is None else tactic.pack[i](node, array).shape if i in tactic.pack else array.shape
        inputs.append(None if array is None else Description(value.type.dtype.value, shape, value.data is not None))
    output = Description(node.output.type.dtype.value, node.output.type.shape)
    numbers = (*launch.grid, launch.block, 1, 1, launch.shared, 0)

    def refused(x: Description, weights: Description, **changed: object) -> str | None:
        params = make_params(tactic.params_type, fields | changed)
        return refusal(tactic.kernel, [x, weights, *inputs[2:]], [output], params, launch=numbers)

    x, weights = inputs[:2]
    depth, step = x.shape[-1], 16 // node.inputs[1].type.dtype.size
    assert refused(x, weights) is None
    assert refused(x, replace(weights, shape=(weights.shape[0], depth + step)))
    assert refused(replace(x, dtype=DType.F32.value), weights)
    if name == "conv f16":
        assert "single pixels" in refused(x, weights, strides=[1, 1, 2], pads_end=[0, 0, x.shape[2] - 1])


def outcome(tactic: Tactic, node: Node, arrays: list[np.ndarray | None], seed: int) -> bytes | str:
    """The bits of the result of all tiles by two blocks, or what went wrong."""
    try:
        return harness.run_node(node, tactic, DEVICE, arrays, seed=seed, grid=(2, 1, 1))[0].tobytes()
    except (LaunchError, AssertionError) as error:
        return str(error)


def test_whoever_waits_has_a_reason() -> None:
    """Without any of the places in the frame where threads wait some result is wrong. Two may be missed by nobody:
    where the lanes of a warp meet, of which the emulator knows few orders that make a difference."""
    node, arrays = samples.make_node(SPECS["matmul"], matmul_int8._sample("tma", (520, 1040), (1040, 128)))
    tactic = matmul_tma.s8_tactic(TmaTile(128, 128, 3))
    wanted = outcome(tactic, node, arrays, 1)
    assert isinstance(wanted, bytes)
    visited()
    outcome(tactic, node, arrays, 1)
    sites = {site for site in visited() if Path(site.file).name == "cuda_gemm_tma.h"}
    idle = set()
    for site in sites:
        with without(site):
            if all(outcome(tactic, node, arrays, seed) == wanted for seed in range(1, 17)):
                idle.add(site)
    assert len(sites) >= 6 and len(idle) <= 2, sorted(site.line for site in idle)
