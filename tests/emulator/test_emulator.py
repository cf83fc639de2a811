"""The emulator itself: it computes what the device computes, and finds the mistakes it is for."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parent))
from compile import compile_instance
from emulator import LaunchError, Module, visited, without
from operands import Operand, pack_call

from ingot.kernels.common.half import from_bfloat16, to_bfloat16
from ingot.kernels.spec import DType, TensorType

SEEDS = range(12)


@functools.cache
def module(kernel: str, cluster: int = 1) -> Module:
    prelude = f"#undef INGOT_ENTRY_CLUSTER\n#define INGOT_ENTRY_CLUSTER __cluster_dims__({cluster}, 1, 1)\n"
    return Module(compile_instance("cases.cu", kernel, prelude=prelude if cluster > 1 else ""))


def launch(
    kernel: str,
    inputs: list[np.ndarray],
    outputs: list[tuple[type, tuple[int, ...]]],
    *,
    block: int,
    grid: int = 1,
    shared: int = 0,
    seed: int = 0,
    constant: tuple[int, ...] | None = None,
    cluster: int = 1,
) -> list[np.ndarray]:
    """The outputs of a kernel of ``cases.cu``, each given by NumPy type and shape. ``constant``: the inputs that no
    other kernel writes; None: all memory is the launch's own."""
    held = [Operand.of(x, DType.of(x.dtype)) for x in inputs]
    made = [Operand(TensorType(DType.of(dtype), shape)) for dtype, shape in outputs]
    call = pack_call([o.packed() for o in [*held, *made]], 0, 0, 1, b"")
    others = [] if constant is None else [o.memory for i, o in enumerate([*held, *made]) if i not in constant]
    module(kernel, cluster).launch("kernel", call, (grid, 1, 1), block, shared=shared, seed=seed, others=others)
    for operand in [*held, *made]:
        assert operand.memory.intact
    return [o.array for o in made]


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


class TestOrder:
    def turned(self, mistake: str, seed: int) -> bool:
        x = numbers(5, 128)
        (y,) = launch(f"turn_around<ingot::{mistake}>", [x], [(np.float32, x.shape)], block=128, grid=5, seed=seed)
        return np.array_equal(y, x[:, ::-1])

    def test_a_barrier_orders_threads(self) -> None:
        assert all(self.turned("NONE", seed) for seed in SEEDS)

    def test_a_missing_barrier_shows_under_every_seed(self) -> None:
        assert not any(self.turned("NO_BARRIER", seed) for seed in SEEDS)

    def summed(self, mistake: str, seed: int) -> bool:
        x = numbers(9, 64)
        got = launch(f"sum_of_tiles<ingot::{mistake}>", [x], [(np.float32, (64,))], block=64, shared=512, seed=seed)
        wanted = np.zeros(64, np.float32)
        for k in range(9):
            wanted += np.roll(x[k], -k)
        return np.array_equal(got[0], wanted)

    def test_copies_in_stages(self) -> None:
        assert all(self.summed("NONE", seed) for seed in SEEDS)

    @pytest.mark.parametrize("mistake", ["NO_BARRIER", "NO_SECOND_BARRIER", "NO_WAIT", "NO_COMMIT"])
    def test_copies_that_nobody_waits_for_show(self, mistake: str) -> None:
        assert not any(self.summed(mistake, seed) for seed in SEEDS)

    def test_warps_with_barriers_of_their_own(self) -> None:
        x = numbers(64)
        for seed in SEEDS:
            (y,) = launch("named_barriers", [x], [(np.float32, (64,))], block=64, seed=seed)
            assert np.array_equal(y, x[::-1])

    @pytest.mark.parametrize("cluster", [2, 8])
    def test_blocks_of_a_cluster_give_numbers_to_each_other(self, cluster: int) -> None:
        x = numbers(2 * cluster, 32)
        wanted = np.roll(x.reshape(2, cluster, 32), 1, axis=1).reshape(x.shape)

        def passed(mistake: str, seed: int) -> bool:
            options = {"block": 32, "grid": 2 * cluster, "cluster": cluster, "seed": seed}
            (y,) = launch(f"pass_on<ingot::{mistake}, {cluster}>", [x], [(np.float32, x.shape)], **options)
            return np.array_equal(y, wanted)

        assert all(passed("NONE", seed) for seed in SEEDS)
        assert not any(passed("NO_BARRIER", seed) for seed in SEEDS)
        with pytest.raises(LaunchError, match=f"block {cluster} of a cluster of {cluster}"):
            passed("OUTSIDE", 0)
        with pytest.raises(LaunchError, match="is not in shared memory"):
            passed("NOT_SHARED", 0)

    def test_a_box_comes_by_itself_and_is_waited_for(self) -> None:
        x = numbers(40, 32)[:, :24]
        wanted = np.zeros((64, 32), np.float32)
        wanted[:38, :20] = x[2:, 4:]

        def copied(mistake: str, seed: int) -> bool:
            held, made = Operand.of(x, DType.F32), Operand(TensorType(DType.F32, (64, 32)))
            call = pack_call([held.packed(), made.packed()], 0, 0, 1, b"", maps=[held.mapped()])
            kernel = module(f"box_of_rows<ingot::{mistake}>")
            kernel.launch("kernel", call, (1, 1, 1), 64, shared=2 * 8192 + 128, seed=seed)
            return np.array_equal(made.array, wanted)

        assert all(copied("NONE", seed) for seed in SEEDS)
        assert not all(copied("NO_WAIT", seed) for seed in SEEDS)
        for mistake, said in {
            "NOT_ALIGNED": "no multiple of 1024",
            "TOO_MUCH": "no thread can go on.*wait.* at barrier_wait",
            "TOO_OFTEN": "more arrivals than the 1",
        }.items():
            with pytest.raises(LaunchError, match=said):
                copied(mistake, 0)

    def test_blocks_come_in_an_order_that_the_seed_decides(self) -> None:
        last = [launch("last_block", [], [(np.uint32, (32,))], block=32, grid=9, seed=s)[0] for s in (*SEEDS, *SEEDS)]
        assert all((y == y[0]).all() for y in last)
        assert len({int(y[0]) for y in last}) > 3
        assert np.array_equal(last[: len(SEEDS)], last[len(SEEDS) :])


class TestSites:
    def test_launches_tell_where_they_wait(self) -> None:
        visited()
        launch("sum_of_tiles<ingot::NONE>", [numbers(2, 64)], [(np.float32, (64,))], block=64, shared=512)
        lines = (Path(__file__).parent / "cases.cu").read_text().splitlines()
        said = [lines[site.line - 1].split(") ")[-1] for site in sorted(visited())]
        assert said == ["copy_wait<1>();", "sync_block();", "sync_block();"]
        assert visited() == set()

    def test_a_place_can_be_left_out(self) -> None:
        x = numbers(1, 128)
        visited()
        launch("turn_around<ingot::NONE>", [x], [(np.float32, x.shape)], block=128)
        (site,) = visited()
        with without(site):
            (y,) = launch("turn_around<ingot::NONE>", [x], [(np.float32, x.shape)], block=128)
        assert not np.array_equal(y, x[:, ::-1])
        (y,) = launch("turn_around<ingot::NONE>", [x], [(np.float32, x.shape)], block=128)
        assert np.array_equal(y, x[:, ::-1])


class TestOverlap:
    """Kernels that may start before those before them have ended."""

    def scaled(self, when: str, constant: tuple[int, ...] | None = (1,), seed: int = 0) -> bool:
        x, scale = numbers(3, 64), numbers(64)
        kernel = f"scale_rows<ingot::{when}>"
        (y,) = launch(kernel, [x, scale], [(np.float32, x.shape)], block=64, grid=3, seed=seed, constant=constant)
        return np.array_equal(y, x * scale)

    def test_constants_may_be_read_before(self) -> None:
        assert all(self.scaled("IN_TIME", seed=seed) for seed in SEEDS)

    @pytest.mark.parametrize("when", ["EARLY_READ", "EARLY_COPY", "EARLY_WRITE"])
    def test_nothing_else_may_be_touched_before(self, when: str) -> None:
        for seed in SEEDS:
            with pytest.raises(LaunchError, match=r"byte \d+ of 768 was touched before await_kernels"):
                self.scaled(when, seed=seed)

    def test_what_is_no_constant_is_none(self) -> None:
        with pytest.raises(LaunchError, match=r"byte \d+ of 256 was touched before await_kernels"):
            self.scaled("IN_TIME", constant=())

    @pytest.mark.parametrize("when", ["NEVER", "IN_SOME_BLOCKS"])
    def test_each_block_must_wait(self, when: str) -> None:
        for constant in ((1,), None):
            with pytest.raises(LaunchError, match="the block ended without await_kernels"):
                self.scaled(when, constant)

    def test_inputs_are_read_only_again_afterwards(self) -> None:
        x = np.arange(64, dtype=np.uint32).reshape(64, 1)
        with pytest.raises(LaunchError, match="an input of 256 was written"):
            launch("harmful<ingot::STORE_INPUT>", [x], [(np.uint32, (64, 1))], block=64, shared=256, constant=())


class TestHarm:
    @pytest.mark.parametrize(
        ("harm", "said"),
        [
            ("STORE_BEHIND", "0 bytes behind an allocation of 256"),
            ("LOAD_BEHIND", "0 bytes behind an allocation of 256"),
            ("STORE_INPUT", "an input of 256 was written"),
            ("STORE_PARAMS", "an operand or parameter was written"),
            ("STORE_NULL", "NULL"),
            ("SHARED_BEHIND", "behind the 256 of dynamic shared memory"),
            ("SHARED_BEFORE", "in front of the dynamic shared memory"),
            ("SHARED_INDEX", r"cases\.cu:\d+: an index outside of its array"),
            ("MISALIGNED", r"cases\.cu:\d+: an address that is not aligned"),
            ("MISALIGNED_CONSTANT", "load_constant: 0x[0-9a-f]+ is no multiple of 16"),
            ("MISALIGNED_COPY", "copy_async: .* is no multiple of 16"),
            ("COPY_FROM_SHARED", "copy_async: from 0x[0-9a-f]+, which is in shared memory"),
            ("MATRIX_NOT_SHARED", "load_matrix: .* is not in shared memory"),
            ("DIVERGENT_BLOCK", "32 of 64 have returned; 32 of 64 threads wait at sync_block"),
            ("RETURNED_BLOCK", "8 of 64 have returned; 56 of 64 threads wait at sync_block"),
            ("HALF_WARP", "16 lanes of warp 0 wait at shuffle"),
            ("TWO_OPERATIONS", "while other lanes of the warp are at"),
            ("WRONG_COUNT", "no multiple of 32"),
            ("TWO_COUNTS", "others wait for|wait at sync_some"),
            ("SPIN", "a block may not wait for another"),
            ("DEEP_STACK", "bytes of stack"),
            ("DIVIDE", r"cases\.cu:\d+: a division by zero"),
        ],
    )
    def test_is_reported(self, harm: str, said: str) -> None:
        x = np.arange(64, dtype=np.uint32).reshape(64, 1)
        for seed in (0, 1):
            with pytest.raises(LaunchError, match=said):
                launch(f"harmful<ingot::{harm}>", [x], [(np.uint32, (64, 1))], block=64, shared=256, seed=seed)

    def test_bytes_in_front_of_an_operand_are_looked_at(self) -> None:
        x = np.arange(64, dtype=np.uint32).reshape(64, 1)
        with pytest.raises(AssertionError):
            launch("harmful<ingot::STORE_BEFORE>", [x], [(np.uint32, (64, 1))], block=64, shared=256)

    def test_launches_that_no_device_takes(self) -> None:
        x, y = numbers(5, 128), [(np.float32, (5, 128))]
        with pytest.raises(LaunchError, match="more than the kernel was compiled for"):
            launch("turn_around<ingot::NONE>", [x], y, block=129)
        with pytest.raises(LaunchError, match="grid"):
            launch("turn_around<ingot::NONE>", [x], y, block=128, grid=0)
        with pytest.raises(LaunchError, match="more dynamic shared memory"):
            launch("turn_around<ingot::NONE>", [x], y, block=128, grid=5, shared=49 << 10)
        with pytest.raises(LaunchError, match="of them static"):
            launch("turn_around<ingot::NONE>", [x], y, block=128, grid=5, shared=48 << 10)
        with pytest.raises(LaunchError, match="bytes of operands and parameters"):
            launch("turn_around<ingot::NONE>", [x, x], y, block=128, grid=5)


class TestWarps:
    def test_shuffles(self) -> None:
        x = np.random.default_rng(0).integers(-20, 40, 32).astype(np.int32)
        lane = np.arange(32)
        for seed in SEEDS:
            (y,) = launch("exchange", [x], [(np.int32, (6, 32))], block=32, seed=seed)
            assert np.array_equal(y[0], x[(lane + 3) % 32])
            assert np.array_equal(y[1], x[lane ^ 5])
            assert np.array_equal(y[2], x[np.where(lane + 4 < 32, lane + 4, lane)])
            assert np.array_equal(y[3], x[np.where(lane >= 4, lane - 4, lane)])
            assert (y[4].view(np.uint32) == sum(1 << i for i in range(32) if x[i] > 10)).all()
            assert (y[5] == 1).all()

    def test_transposed_matrices(self) -> None:
        x = np.arange(256, dtype=np.uint16).reshape(16, 16)
        (y,) = launch("transpose16", [x], [(np.uint16, (16, 16))], block=32, shared=512)
        assert np.array_equal(y, x.T)

    def product(self, kind: str, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        columns = np.ascontiguousarray(b.T)
        (d,) = launch(f"product<ingot::{kind}>", [a, columns, c], [(c.dtype.type, (16, 8))], block=32, shared=768)
        return d

    def test_products_of_bytes_are_exact(self) -> None:
        rng = np.random.default_rng(1)
        a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((16, 32), (32, 8)))
        c = rng.integers(-(2**31), 2**31, (16, 8)).astype(np.int32)
        with np.errstate(over="ignore"):
            wanted = c + a.astype(np.int32) @ b.astype(np.int32)
        assert np.array_equal(self.product("of_s8", a, b, c), wanted)

    def test_products_of_halves(self) -> None:
        a, b, c = numbers(16, 16), numbers(16, 16)[:, :8], numbers(16, 8)
        a16, b16 = a.astype(np.float16), b.astype(np.float16)
        np.testing.assert_allclose(
            self.product("of_half<ingot::f16>", a16, b16, c), c + a16.astype(float) @ b16, rtol=1e-5
        )
        a16, b16 = to_bfloat16(a), to_bfloat16(b)
        wanted = c + from_bfloat16(a16).astype(float) @ from_bfloat16(b16)
        np.testing.assert_allclose(self.product("of_half<ingot::bf16>", a16, b16, c), wanted, rtol=1e-5)

    def test_products_of_tf32_see_ten_bits(self) -> None:
        a, b, c = numbers(16, 8), numbers(8, 8), numbers(16, 8)
        seen = [(x.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(float) for x in (a, b)]
        np.testing.assert_allclose(self.product("of_tf32", a, b, c), c + seen[0] @ seen[1], rtol=1e-5)


def test_the_header_has_what_the_device_has() -> None:
    """A function that one header lacks would be found by the first kernel that calls it: here, without one."""
    root = Path(__file__).parents[2]
    real, host = (
        set(re.findall(r"^(?:template <.*?> )?DEVICE .*?(\w+)(?:<.*?>)?\(", path.read_text(), re.MULTILINE))
        for path in (root / "kernels/common/cuda_device.h", Path(__file__).with_name("cuda_device.h"))
    )
    assert len(real) > 30
    own = {"approximate", "shuffle_by", "group_element", "group_product", "group_product_turned", "saturate_s8"}
    assert host - own == real - {"group_operand"}  # the descriptor of group_multiply


def test_conversions() -> None:
    halves = np.arange(65536).astype(np.uint16)
    bits = np.random.default_rng(5).integers(0, 2**32, 65536, np.uint64).astype(np.uint32)
    bits[:32768] = bits[:32768] % 0x20000000 + 0x30000000  # where float16 has numbers, denormals among them
    x = bits.view(np.float32)
    kinds = [np.float32, np.float32, np.uint16, np.uint16, np.uint32]
    made = launch("conversions", [halves, x], [(k, (65536,)) for k in kinds], block=256, grid=256)
    of_f16, of_bf16, f16, bf16, tf32 = made
    number = ~np.isnan(x)
    np.testing.assert_array_equal(of_f16, halves.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(of_bf16, from_bfloat16(halves))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(f16[number], x[number].astype(np.float16).view(np.uint16))
    np.testing.assert_array_equal(bf16[number], to_bfloat16(x[number]))
    assert (f16[~number] == 0x7FFF).all() and (bf16[~number] == 0x7FFF).all() and (tf32[~number] == 0x7FFFFFFF).all()
    finite = np.isfinite(x) & (np.abs(x) < 3e38)
    assert (tf32[finite] % 0x2000 == 0).all()
    error = np.abs(tf32[finite].view(np.float32).astype(float) - x[finite])
    ulp = np.exp2(np.floor(np.log2(np.maximum(np.abs(x[finite].astype(float)), 2.0**-126))) - 10)
    assert (error <= ulp / 2).all()
