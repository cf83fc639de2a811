"""Tactics of CUDA measured on the stand-in for the driver: in place, and by a pack that ingot-tune measures elsewhere.

Times of the emulator say nothing; what is kept, chosen, dropped and refused does. Each test is a program for a process
of its own, since a driver stays where it was loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ingot import builder
from ingot._kernel import kernels
from ingot.builder.tuning.cache import TimingCache, usable
from ingot.builder.tuning.keys import fingerprint
from ingot.builder.tuning.local import Packer
from ingot.errors import BuildError
from ingot.targets import get

sys.path.append(str(Path(__file__).parents[1] / "emulator"))
import compile as emulator_compile
from driver import in_process
from host_compiler import HostCompiler

ROOT = Path(__file__).parents[2]
TARGET = "h200"
#: the stand-in as such a device
DEVICE = {"arch": 90, "multiprocessors": 132, "version": 13000}

#: what programs begin with: the device, and a build that measures
HEAD = f"""
from pathlib import Path
from ingot import builder
from ingot.builder.tuning.cache import TimingCache
from ingot.errors import IngotError
from host_compiler import HostCompiler

driver.set(**{DEVICE})
model, timings = sys.argv[1:3]
lines = []

def build(compiler=HostCompiler(), cache=timings, **options):
    reports = []
    raw = builder.build(model, target="{TARGET}", compiler=compiler, timing_cache=cache, tuned=reports.append,
                        log=lines.append, **options)
    return raw, reports[0]
"""


def products(dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """Two matrix products of different shapes, each of which several kernels can do."""
    random = np.random.default_rng(3)
    weights = [
        helper.make_tensor(name, TensorProto.FLOAT, shape, random.normal(0, 0.3, shape).astype(np.float32))
        for name, shape in (("v", (16, 16)), ("w", (16, 24)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "v"], ["a"], name="first"),
        helper.make_node("Softmax", ["a"], ["b"], name="between"),
        helper.make_node("MatMul", ["b", "w"], ["y"], name="second"),
    ]
    x = helper.make_tensor_value_info("x", dtype, [1, 8, 16])
    y = helper.make_tensor_value_info("y", dtype, [1, 8, 24])
    graph = helper.make_graph(nodes, "products", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "products.onnx"
    onnx.save(products(), path)
    return path


@pytest.fixture(scope="module")
def tuned(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    """The engine that was tuned in place, and what was measured."""
    folder = tmp_path_factory.mktemp("tuned")
    program = """
raw, report = build(tune=True)
assert report.measured > 3 and report.reused == 0
Path(sys.argv[3]).write_bytes(raw)
import ingot
with ingot.load(raw) as engine:
    engine.self_test()
assert driver.live == {} and driver.count("damaged") == 0, driver.live
"""
    in_process(HEAD + program, str(model), str(folder / "t.timings"), str(folder / "tuned.ingot"), timeout=300)
    return (folder / "tuned.ingot").read_bytes(), folder / "t.timings"


def write_pack(model: Path, path: Path) -> None:
    """Without a device."""
    packer = Packer(path, HostCompiler())
    builder.build(str(model), target=TARGET, tune=True, self_test=False, measurer=packer, compiler=HostCompiler())
    assert packer.written == [path]


@pytest.fixture(scope="module")
def pack(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packs") / "products.pack"
    write_pack(model, path)
    return path


class TestInPlace:
    def test_the_same_cache_gives_the_same_bytes_without_a_device(self, model: Path, tuned: tuple[bytes, Path]) -> None:
        raw, timings = tuned
        options = {"timing_cache": timings, "timing_cache_only": True, "compiler": HostCompiler()}
        assert builder.build(str(model), target=TARGET, **options) == raw

    @pytest.mark.parametrize("precision", ["fp16", "bf16", "int8"])
    def test_no_honest_candidate_is_dropped(self, precision: str, model: Path, tmp_path: Path) -> None:
        given = {"calibration_synthetic": True} if precision == "int8" else {"max_error": 1.0}
        program = f"""
raw, report = build(tune=True, precision="{precision}", **{given})
assert report.measured > 3 and not [line for line in lines if line.startswith("left out")], lines
assert not any(timing.is_wrong for timing in TimingCache.load(timings).entries.values())
import ingot
with ingot.load(raw) as engine:
    engine.self_test()
assert driver.live == {{}} and driver.count("damaged") == 0
"""
        in_process(HEAD + program, str(model), str(tmp_path / "t.timings"), timeout=300)

    def test_what_is_known_is_not_measured_again(self, model: Path, tuned: tuple[bytes, Path], tmp_path: Path) -> None:
        raw, timings = tuned
        (tmp_path / "t.timings").write_bytes(timings.read_bytes())
        program = """
raw, report = build(tune=True)
assert report.measured == 0 and report.reused > 3
assert driver.count("kernels") == 0, "something ran"
Path(sys.argv[3]).write_bytes(raw)
"""
        in_process(HEAD + program, str(model), str(tmp_path / "t.timings"), str(tmp_path / "again"), timeout=300)
        assert (tmp_path / "again").read_bytes() == raw
        assert (tmp_path / "t.timings").read_bytes() == timings.read_bytes()

    def test_entries_name_device_driver_and_code(self, tuned: tuple[bytes, Path]) -> None:
        cache = TimingCache.load(tuned[1])
        (remark,) = cache.remarks
        assert remark.startswith("# machine cuda sm_90, 132 multiprocessors, 1000 MHz, l2 ")
        assert remark.endswith("driver 13.0: Emulated device")
        steps = [key for key in cache.entries if not key.problem.startswith("program ")]
        assert {key.target.partition("/")[0] for key in steps} == {TARGET} and {key.threads for key in steps} == {1}
        assert all(len(key.tactic.rpartition("@")[2]) == 8 for key in steps), "the digest of the kernel's source"
        assert all(timing.samples >= 3 and not timing.is_wrong for timing in cache.entries.values())

    def test_other_code_is_measured_again(self, model: Path, tuned: tuple[bytes, Path], tmp_path: Path) -> None:
        """Of kernels that changed since nothing is known."""
        text = tuned[1].read_text().splitlines(keepends=True)[:-1]
        old = [line.replace("@", "@0") if "@" in line else line for line in text]
        (tmp_path / "old.timings").write_text("".join(old))
        with pytest.raises(BuildError, match="no time of"):
            builder.build(
                str(model),
                target=TARGET,
                timing_cache=tmp_path / "old.timings",
                timing_cache_only=True,
                compiler=HostCompiler(),
            )
        kept, outdated = usable(
            TimingCache.load(tmp_path / "old.timings"),
            {info.name: info.abi for info in kernels().values()},
            {fingerprint(get(TARGET))},
        )
        assert outdated.code == outdated.total > 3 and len(kept) <= 2
        assert str(outdated) == f"{outdated.code} of kernels whose source has changed"

    @pytest.mark.parametrize(
        ("settings", "found"),
        [
            ({"multiprocessors": 114}, "found Emulated device: sm_90 with 114"),
            ({"arch": 87}, "found Emulated device: sm_87 with 132"),
        ],
    )
    def test_another_device_is_refused(self, settings: dict[str, int], found: str, model: Path, tmp_path: Path) -> None:
        program = f"""
driver.set(**{settings})
class Nobody:
    version = "nobody"
    def compile(self, *_):
        raise AssertionError("compiled before the device was looked at")
try:
    build(compiler=Nobody(), tune=True)
except IngotError as error:
    print(error)
"""
        said = in_process(HEAD + program, str(model), str(tmp_path / "t.timings"))
        assert "target h200: kernels are measured on a device of its kind alone: wanted sm_90 with 132" in said
        assert found in said and not (tmp_path / "t.timings").exists()


class TestFailures:
    def test_after_any_call_that_fails_nothing_is_left_and_tuning_goes_on(self, model: Path, tmp_path: Path) -> None:
        """A call of the driver fails while candidates are made, run, timed and compared: what was measured is kept."""
        program = """
failed = 0
for function, skip in (
    ("cuDevicePrimaryCtxRetain", 0), ("cuMemAlloc_v2", 2), ("cuModuleLoadData", 3), ("cuGraphAddKernelNode", 2),
    ("cuGraphAddKernelNode", 11), ("cuGraphInstantiateWithFlags", 5), ("cuGraphLaunch", 9), ("cuEventRecord", 4),
    ("cuStreamSynchronize", 20), ("cuEventElapsedTime", 30), ("cuGraphLaunch", 100),
):
    before = len(TimingCache.load(timings).entries) if Path(timings).exists() else 0
    driver.fail(function, skip)
    try:
        build(tune=True)
    except IngotError as error:
        assert function.partition("_")[0] in str(error), error
        failed += 1
    driver.forgive()
    assert driver.live == {}, (function, skip, driver.live)
    assert (len(TimingCache.load(timings).entries) if Path(timings).exists() else 0) >= before
print(failed)
raw, report = build(tune=True)
assert driver.live == {} and driver.count("damaged") == 0
assert report.measured + report.reused > 3
again, _ = build(timing_cache_only=True)
assert again == raw
"""
        said = in_process(HEAD + program, str(model), str(tmp_path / "t.timings"), timeout=600)
        assert int(said) >= 5

    def test_a_pack_gives_everything_back_whichever_call_fails(self, pack: Path) -> None:
        program = """
from ingot.builder.tuning.measure import Pack
from ingot.errors import IngotError
GIVES_BACK = ("Destroy", "Free", "FreeHost", "Unload", "Release", "Unregister", "Synchronize", "PopCurrent")
driver.set(arch=90, multiprocessors=132, version=13000)
raw, failed = open(sys.argv[1], "rb").read(), 0
with Pack(raw) as pack:  # a driver that does not start is not asked again
    candidates = pack.problems()[0]
    pack.measure(candidates, 0.0)
    held = {kind: count / len(candidates) for kind, count in driver.live.items()}  # by one: its context and samples
for skip in range(0, 700, 23):
    before, raised = driver.live, False
    driver.fail(None, skip)
    try:
        with Pack(raw) as pack:
            for problem in pack.problems():
                pack.measure(problem, 0.0)
    except IngotError as error:
        raised = "999" in str(error)
    function = driver.failed.partition("_")[0]
    driver.forgive()
    failed += raised
    # Nobody is told of a call that gives something back: that alone is still there, or all that one candidate holds
    # where its context could not be entered for it. How often things run, and so which call fails, differs every time.
    more = {kind: count - before.get(kind, 0) for kind, count in driver.live.items() if count > before.get(kind, 0)}
    if raised or not function:
        assert not more, (skip, function, more)
    elif function == "cuCtxPushCurrent":
        assert all(count <= held.get(kind, 0) for kind, count in more.items()), (skip, more, held)
    else:
        assert function.endswith(GIVES_BACK) and sum(more.values()) <= 1, (skip, function, more)
left = driver.live
with Pack(raw) as pack:
    (first, *_) = pack.problems()
    times = pack.measure(first, 0.1)
    assert len(times) == len(first) and not pack.dropped and all(t.samples >= 3 for t in times.values())
assert driver.live == left and driver.count("damaged") == 0
print(failed)
"""
        assert int(in_process(program, str(pack), timeout=300)) > 15

    def test_what_is_cold_in_the_model_is_cold_when_it_is_measured(self, model: Path) -> None:
        """Where the model touches more than the cache: bytes are written before each sample, and runs read copies."""
        program = """
from ingot.builder.tuning import tuner
from ingot.builder.tuning.keys import Key
calls = {}
for touched in (0, 1 << 30):
    tuner._touched = lambda graph: touched
    driver.forgive()
    build(cache=None, tune=True)
    calls[touched] = tuple(map(driver.calls, ("cuMemcpyDtoDAsync_v2", "cuMemsetD8Async")))
    assert driver.live == {} and driver.count("damaged") == 0
(warm_copies, warm_writes), (copies, writes) = calls.values()
assert warm_copies == 0 and writes - warm_writes > 100, calls
"""
        in_process(HEAD + program, str(model), "none", timeout=300)

    def test_an_interrupt_keeps_what_was_measured(self, model: Path, tmp_path: Path) -> None:
        program = """
def interrupt(line):
    if line.startswith("measuring tactics: 2 of"):
        raise KeyboardInterrupt
try:
    builder.build(model, target="h200", compiler=HostCompiler(), timing_cache=timings, tune=True, log=interrupt)
except KeyboardInterrupt:
    pass
assert driver.live == {}, driver.live
raw, report = build(tune=True)
print(report.reused, report.measured)
"""
        reused, measured = map(int, in_process(HEAD + program, str(model), str(tmp_path / "t.timings")).split())
        assert reused > 1 and measured > 1, "the first problem was kept, the second is measured"

    def test_a_candidate_that_computes_something_else_is_dropped(self, model: Path, tmp_path: Path) -> None:
        """The fastest of all, since it is measured by nobody: it is reported, never chosen, and not tried again."""
        program = """
class Liar(HostCompiler):
    "Spoils the first element of what one kernel of products of few rows computes."
    def compile(self, instances, target, log):
        from ingot.builder.cuda.instance import Compiled
        import compile as emulator_compile
        found = dict(super().compile(instances, target, log))
        for each in instances:
            if each.kernel.startswith("matmul_few<") and each.kernel == lie:
                honest = f"ingot::{each.kernel}"
                text = each.text.rpartition("INGOT_CUDA_ENTRY")[0] + (
                    "struct liar : %s { static DEVICE void run(const call &c) { %s::run(c); ingot::sync_block();"
                    "if (!threadIdx.x && !blockIdx.x) static_cast<float *>(c.arg[4].data)[0] = 1e9f; } };"
                    "INGOT_CUDA_ENTRY(%s, liar)" % (honest, honest, each.entry))
                found[each] = Compiled(emulator_compile.compile_text(text, each.exact))
        return found

class Watcher(HostCompiler):
    def compile(self, instances, target, log):
        kernels.extend(each.kernel for each in instances if each.kernel.startswith("matmul_few<"))
        return super().compile(instances, target, log)

kernels = []
build(Watcher(), cache=None)
lie = kernels[0]  # what the roofline takes
raw, report = build(Liar(), tune=True)
(key,) = {key.tactic for key, timing in TimingCache.load(timings).entries.items() if timing.is_wrong}
print(key)
dropped = [line for line in lines if line.startswith("left out: ")]
assert dropped and all(key in line and "self-test: output y0 is off by" in line for line in dropped), dropped
chosen = {choice.option.tactic.key for choice in report.plan.choices if choice.option.tactic}
assert key.partition(" @")[0] not in chosen, chosen
_, again = build(Liar(), tune=True)
assert again.measured == 0
assert driver.live == {}
"""
        assert "matmul_f32_few_cuda" in in_process(HEAD + program, str(model), str(tmp_path / "t.timings"), timeout=300)


def tool() -> Path:
    """ingot-tune as it was built with the extension."""
    found = sorted(ROOT.glob("build/*/ingot-tune"), key=lambda path: path.stat().st_mtime)
    assert found, "ingot-tune is nowhere: pip install . builds it"
    return found[-1]


def run_tool(*arguments: object, driver: bool = True, **settings: int) -> subprocess.CompletedProcess[str]:
    """ingot-tune on the stand-in."""
    device = {f"INGOT_EMULATOR_{name.upper()}": str(value) for name, value in {**DEVICE, **settings}.items()}
    preload = {"LD_PRELOAD": str(emulator_compile.driver())} if driver else {}
    command = [str(tool()), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **device, **preload}, timeout=300)


class TestPacks:
    def test_the_same_model_gives_the_same_pack(self, model: Path, pack: Path, tmp_path: Path) -> None:
        write_pack(model, tmp_path / "again.pack")
        assert (tmp_path / "again.pack").read_bytes() == pack.read_bytes()

    def test_measured_elsewhere_by_the_tool(
        self, model: Path, pack: Path, tuned: tuple[bytes, Path], tmp_path: Path
    ) -> None:
        out = tmp_path / "t.timings"
        done = run_tool(pack, "-o", out, "--seconds", 2)
        assert done.returncode == 0 and "2 problems" in done.stdout and "0 cannot run" in done.stdout, done.stderr
        found, here = TimingCache.load(out), TimingCache.load(tuned[1])
        assert found.entries.keys() == {key for key in here.entries if not key.problem.startswith("program ")}
        assert found.remarks == here.remarks
        options = {"target": TARGET, "timing_cache": out, "timing_cache_only": True, "compiler": HostCompiler()}
        first = builder.build(str(model), **options)
        assert builder.build(str(model), **options) == first

    def test_an_interrupted_file_is_completed(self, pack: Path, tmp_path: Path) -> None:
        out = tmp_path / "t.timings"
        assert run_tool(pack, "-o", out, "--seconds", 1).returncode == 0
        whole = TimingCache.load(out).entries.keys()
        lines = out.read_text().splitlines(keepends=True)
        out.write_text("".join(lines[:-3]))  # the checksum and two entries
        refused = run_tool(pack, "-o", out)
        assert refused.returncode == 1 and "--resume" in refused.stderr
        done = run_tool(pack, "-o", out, "--resume", "--seconds", 1)
        assert done.returncode == 0 and " 0 known" not in done.stdout, done.stdout
        assert TimingCache.load(out).entries.keys() == whole

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"multiprocessors": 114}, "wanted sm_90 with 132 multiprocessors, found Emulated device: sm_90 with 114"),
            ({"arch": 87}, "wanted sm_90 with"),
            ({"version": 12060}, "wanted a driver for CUDA 13.0 or newer, found one for 12.6"),
        ],
    )
    def test_the_wrong_device(self, settings: dict[str, int], words: str, pack: Path, tmp_path: Path) -> None:
        done = run_tool(pack, "-o", tmp_path / "t.timings", **settings)
        assert done.returncode == 1 and words in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "t.timings").exists()

    def test_no_driver(self, pack: Path, tmp_path: Path) -> None:
        done = run_tool(pack, "-o", tmp_path / "t.timings", driver=False)
        assert done.returncode == 1 and "there is no CUDA driver" in done.stderr

    def test_threads_are_of_no_use(self, pack: Path, tmp_path: Path) -> None:
        done = run_tool(pack, "-o", tmp_path / "t.timings", "--threads", 2)
        assert done.returncode == 1 and "1 thread" in done.stderr
