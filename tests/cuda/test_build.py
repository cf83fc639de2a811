"""Engines for CUDA, built where there is no GPU: what is compiled, kept and written, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ingot import builder
from ingot._kernel import kernels
from ingot.builder.cuda import compiler as cuda_compiler
from ingot.builder.cuda import nvrtc
from ingot.builder.cuda.cache import Cache, cache_folder
from ingot.builder.cuda.compiler import NvrtcCompiler
from ingot.builder.cuda.instance import Compiled, CompileError, Instance, included, kernel_folder
from ingot.builder.cuda.link import arch_number, driver_number
from ingot.builder.cuda.nvrtc import Library, find
from ingot.builder.tuning.cache import TimingCache
from ingot.builder.tuning.keys import Key, Timing, code_digest, fingerprint
from ingot.cli import main
from ingot.errors import BuildError
from ingot.inspect import inspect_engine
from ingot.targets import get

#: one of each NVRTC, and the architecture that is neither
TARGETS = ("jetson-orin-nano-8gb", "jetson-thor", "h200")


def model(*nodes: onnx.NodeProto, out: Sequence[int] = (1, 8, 16), dtype: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """x [1, 8, 16] -> y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 16])
    y = helper.make_tensor_value_info("y", dtype, list(out))
    return helper.make_model(helper.make_graph(nodes, "m", [x], [y]), opset_imports=[helper.make_opsetid("", 21)])


def branches(named: bool = False) -> onnx.ModelProto:
    """Two branches between what they read and what reads them; ``named``: the first node is called "a"."""
    return model(
        helper.make_node("Softmax", ["x"], ["a"], axis=-1, name="a" if named else ""),
        helper.make_node("Softmax", ["a"], ["b"], axis=-1),
        helper.make_node("Softmax", ["a"], ["c"], axis=1),
        helper.make_node("Add", ["b", "c"], ["y"]),
    )


def product() -> onnx.ModelProto:
    """One matrix product, which several kernels can do."""
    net = model(helper.make_node("MatMul", ["x", "w"], ["y"]))
    weights = helper.make_tensor("w", TensorProto.FLOAT, [16, 16], np.linspace(-1, 1, 256, dtype=np.float32))
    net.graph.initializer.append(weights)
    return net


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGOT_CACHE_DIR", str(shared_cache))


class Host:
    """A compiler that makes nothing of anything, and remembers what it was asked for."""

    version = "host 1"

    def __init__(self) -> None:
        self.seen: list[Instance] = []

    def compile(self, instances: Sequence[Instance], target: Any, log: Any) -> Mapping[Instance, Compiled]:
        self.seen += instances
        return {each: Compiled(f"code of {each.entry}".encode()) for each in instances}


class TestEngines:
    @pytest.mark.parametrize("target", TARGETS)
    def test_every_step_has_code_for_the_target(self, target: str) -> None:
        engine = builder.build(branches(), target=target)
        content, device = inspect_engine(engine), get(target)
        (variant,) = content["variants"]
        assert (variant["name"], variant["backend"], variant["arch"]) == (target, "cuda", arch_number(device))
        (program,) = content["programs"]
        assert len(program["steps"]) == 4 and not program["serial"]
        assert program["edges"] == [[0, 1], [0, 2], [1, 3], [2, 3]]
        found = content["metadata"]["cuda"]
        assert found["compiler"] == f"NVRTC {find(device).version}"
        assert found["kernels"] and all(k["registers"] > 0 and k["spilled"] == 0 for k in found["kernels"])
        assert all(step["kernel"].endswith("_cuda") for step in program["steps"])

    @pytest.mark.parametrize("target", TARGETS)
    def test_the_same_bytes_wherever_kernels_and_cache_lie(
        self, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = builder.build(branches(), target=target)
        monkeypatch.setenv("INGOT_CACHE_DIR", str(tmp_path / "cache"))
        elsewhere = tmp_path / "another folder" / "kernels"
        shutil.copytree(kernel_folder(), elsewhere)
        monkeypatch.setattr(cuda_compiler, "kernel_folder", lambda: elsewhere)
        assert builder.build(branches(), target=target) == first

    def test_what_is_shown_of_a_step_is_how_it_is_started(self) -> None:
        """By the compiled entry the machine code of a step is found; only what the metadata predict has a time."""
        content = inspect_engine(builder.build(branches(), target="jetson-thor"))
        (program,), metadata = content["programs"], content["metadata"]
        compiled = {k["entry"]: k["kernel"] for k in metadata["cuda"]["kernels"]}
        for step, predicted in zip(program["steps"], metadata["predicted"]["steps"], strict=True):
            launch = step["launch"]
            assert compiled[launch["entry"]] == launch["instance"]
            assert min(launch["grid"]) >= 1 and len(launch["grid"]) == 3 and launch["shared_bytes"] >= 0
            assert launch["block"][0] % 32 == 0 and launch["block"][1:] == [1, 1]
            assert step["predicted_ns"] == predicted["ns"] > 0
        cpu = inspect_engine(builder.build(branches()))
        assert not any({"launch", "predicted_ns"} & step.keys() for step in cpu["programs"][0]["steps"])

    def test_another_compiler(self) -> None:
        host = Host()
        content = inspect_engine(builder.build(branches(), target="jetson-thor", compiler=host))
        assert content["metadata"]["cuda"]["compiler"] == "host 1"
        assert [k["entry"] for k in content["metadata"]["cuda"]["kernels"]] == [each.entry for each in host.seen]
        modules = next(s for s in content["sections"] if s["kind"] == "modules")
        assert modules["size"] >= sum(len(f"code of {each.entry}") for each in host.seen)

    def test_equal_instances_are_compiled_and_stored_once(self) -> None:
        twice = model(
            helper.make_node("Softmax", ["x"], ["a"], axis=-1), helper.make_node("Softmax", ["a"], ["y"], axis=-1)
        )
        host = Host()
        content = inspect_engine(builder.build(twice, target="jetson-thor", compiler=host))
        assert len(content["programs"][0]["steps"]) == 2 and len(host.seen) == 1
        assert next(s for s in content["sections"] if s["kind"] == "module_index")["entries"] == 1

    def test_the_self_test_holds_what_the_cpu_computes(self) -> None:
        engine = builder.build(branches(), target="jetson-thor", compiler=Host())
        tests = inspect_engine(engine)["self_test"]
        assert [t["mode"] for t in tests] == [None, "tolerance"]
        same = inspect_engine(builder.build(branches(), target="cpu"))["self_test"]
        assert [t["bytes"] for t in tests] == [t["bytes"] for t in same] and tests[1]["bytes"] > 0

    def test_results_of_integers_are_exact(self) -> None:
        signs = model(helper.make_node("Cast", ["x"], ["y"], to=TensorProto.INT32), dtype=TensorProto.INT32)
        tests = inspect_engine(builder.build(signs, target="jetson-thor", compiler=Host()))["self_test"]
        assert tests[1]["mode"] == "exact"

    def test_integers_that_floats_decide_are_not_tested(self) -> None:
        largest = model(
            helper.make_node("Softmax", ["x"], ["a"], axis=-1),
            helper.make_node("ArgMax", ["a"], ["y"], axis=-1, keepdims=0),
            out=(1, 8),
            dtype=TensorProto.INT64,
        )
        on_gpu, on_cpu = (
            inspect_engine(builder.build(largest, target=target, compiler=Host()))["self_test"]
            for target in ("jetson-thor", "cpu")
        )
        assert not on_gpu and [t["mode"] for t in on_cpu] == [None, "exact"]

    def test_all_that_cuda_cannot_do_is_said_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from ingot import kernels as registry

        bare = dict(registry.load())
        for name in ("softmax", "elementwise"):
            tactics = tuple(t for t in bare[name].tactics if t.backend == "cpu")
            bare[name] = dataclasses.replace(bare[name], tactics=tactics)
        monkeypatch.setattr(registry, "load", lambda: bare)
        with pytest.raises(BuildError) as caught:
            builder.build(branches(), target="h200", compiler=Host())
        assert str(caught.value).count("no kernel of cuda takes these operands") == 4

    def test_times_are_predicted_and_said_to_be(self) -> None:
        predicted = inspect_engine(builder.build(branches(), target="jetson-orin-nano-8gb"))["metadata"]["predicted"]
        figures = get("jetson-orin-nano-8gb").figures
        launch = 1e3 * (figures["launch_cycles"] + figures["kernel_cycles"]) / figures["clock_mhz"]
        assert "not measured" in predicted["note"] and predicted["chain"] == 3 and len(predicted["steps"]) == 4
        works = sum(step["ns"] for step in predicted["steps"]) - 4 * launch
        assert predicted["ns"] == pytest.approx(figures["graph_ns"] + 3 * launch + works, abs=8)

    def test_a_kernel_that_does_not_compile_is_named_with_its_layer(self) -> None:
        class Broken(Host):
            def compile(self, instances: Sequence[Instance], target: Any, log: Any) -> Mapping[Instance, Compiled]:
                raise CompileError(instances[0], "a.cu(3): error: this is wrong")

        with pytest.raises(BuildError, match=r"layer a: kernel softmax_\w+<.*sm_110: a\.cu\(3\): error: this is wrong"):
            builder.build(branches(named=True), target="jetson-thor", compiler=Broken())

    def test_no_tuning_without_the_device(self) -> None:
        with pytest.raises(
            BuildError, match="jetson-thor: kernels are measured on a device of its kind alone: wanted sm_110 with 20 "
        ):
            builder.build(branches(), target="jetson-thor", tune=True, compiler=Host())

    def test_times_of_a_cache_choose_the_tactic(self, tmp_path: Path) -> None:
        net, reports = product(), []
        plain = builder.build(net, target="jetson-thor", compiler=Host(), tuned=reports.append)
        (row,) = reports[0].json()["steps"]
        slow, quick = list(row["candidates"])[:2]
        cache = TimingCache()
        for tactic, median in ((slow, 9000.0), (quick, 1000.0)):
            kernel = tactic.partition(" ")[0]
            code = code_digest(f"matmul/{'few_rows' if 'few' in kernel else 'gemm'}.cu")
            named = f"{tactic} @{code}"
            key = Key(fingerprint(get("jetson-thor")), row["problem"], named, kernels()[kernel].abi, 1)
            cache.add(key, Timing(median, 1.0, 20))
        cache.save(tmp_path / "thor.timings")
        builder.build(
            net, target="jetson-thor", compiler=Host(), tuned=reports.append, timing_cache=tmp_path / "thor.timings"
        )
        (chosen,) = reports[1].json()["steps"]
        assert (chosen["tactic"], chosen["why"]) == (quick, "measured")
        assert builder.build(net, target="jetson-thor", compiler=Host()) == plain

    def test_effort_0_measures_nothing(self) -> None:
        assert builder.build(branches(), target="jetson-thor", tune=True, effort=0, compiler=Host())


def unit(folder: Path, text: str) -> Callable[[], Path]:
    """A folder of kernels with one source."""
    shutil.copytree(kernel_folder() / "common", folder / "common", dirs_exist_ok=True)
    (folder / "unit.cu").write_text(text)
    return lambda: folder


GOOD = """
namespace ingot {
template <int TIMES> struct twice {
    static constexpr int threads = 64;
    static constexpr int blocks = 1;
    using call = ingot::call<2>;
    static DEVICE void run(const call &c) {
        const int i = (int)(blockIdx.x * 64 + threadIdx.x);
        if (i >= c.arg[1].dims[0]) return;
        static_cast<float *>(c.arg[1].data)[i] = static_cast<const float *>(c.arg[0].data)[i] * (float)TIMES + 1.0f;
    }
};
} // namespace ingot
"""


class TestCompiler:
    @pytest.fixture
    def make(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., NvrtcCompiler]:
        """A compiler of a source, with a cache of its own."""

        def make(text: str = GOOD, cache: str = "cache") -> NvrtcCompiler:
            monkeypatch.setattr(cuda_compiler, "kernel_folder", unit(tmp_path / "kernels", text))
            return NvrtcCompiler(find(get("jetson-thor")), Cache(tmp_path / cache))

        return make

    @staticmethod
    def files(made: NvrtcCompiler) -> list[Path]:
        return sorted(path for path in made.cache.folder.rglob("*") if path.is_file())

    def compile(self, made: NvrtcCompiler, *instances: Instance) -> tuple[list[Compiled], int]:
        """The code, and how many were compiled."""
        lines: list[str] = []
        wanted = instances or (Instance("unit.cu", "twice<2>"),)
        found = made.compile(wanted, get("jetson-thor"), lines.append)
        return [found[each] for each in wanted], len(lines)

    def test_what_was_compiled_is_not_compiled_again(self, make: Callable[..., NvrtcCompiler]) -> None:
        two = Instance("unit.cu", "twice<2>"), Instance("unit.cu", "twice<3>")
        first, compiled = self.compile(make(), *two)
        assert compiled == 2 and first[0].image != first[1].image
        assert self.compile(make(), *two) == (first, 0)

    def test_a_changed_source_is(self, make: Callable[..., NvrtcCompiler]) -> None:
        (first,), _ = self.compile(make())
        (second,), compiled = self.compile(make(GOOD.replace("1.0f", "3.0f")))
        assert compiled == 1 and first.image != second.image

    def test_a_changed_header_is(self, make: Callable[..., NvrtcCompiler]) -> None:
        made = make()
        self.compile(made)
        header = cuda_compiler.kernel_folder() / "common" / "cuda_call.h"
        header.write_text(header.read_text() + "\n")
        assert self.compile(made)[1] == 1

    def test_exact_instances_are_others(self, make: Callable[..., NvrtcCompiler]) -> None:
        plain, exact = Instance("unit.cu", "twice<2>"), Instance("unit.cu", "twice<2>", exact=True)
        found, _ = self.compile(make(), plain, exact)
        assert plain.entry != exact.entry and found[0].image != found[1].image

    @pytest.mark.parametrize("damage", [b"", b"{}", b"\xff\xfe", b"[1]\n"])
    def test_a_damaged_entry_is_compiled_again(self, make: Callable[..., NvrtcCompiler], damage: bytes) -> None:
        first, _ = self.compile(make())
        (path,) = self.files(make())
        path.write_bytes(damage)
        assert self.compile(make()) == (first, 1)
        assert self.compile(make()) == (first, 0)

    def test_a_flipped_bit_is_damage(self, make: Callable[..., NvrtcCompiler]) -> None:
        first, _ = self.compile(make())
        (path,) = self.files(make())
        raw = bytearray(path.read_bytes())
        raw[-1] ^= 1
        path.write_bytes(raw)
        assert self.compile(make()) == (first, 1)

    def test_a_cache_that_cannot_be_written_is_none(self, make: Callable[..., NvrtcCompiler], tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        assert self.compile(make(cache="file"))[1] == 1
        assert self.compile(make(cache="file"))[1] == 1

    def test_the_first_error_is_told(self, make: Callable[..., NvrtcCompiler]) -> None:
        with pytest.raises(CompileError, match=r"unit\.cu.*error.*identifier .nobody. is undefined") as caught:
            self.compile(make(GOOD.replace("(float)TIMES", "nobody")))
        assert caught.value.instance.kernel == "twice<2>" and "\n" not in str(caught.value)

    def test_errors_of_templates_too(self, make: Callable[..., NvrtcCompiler]) -> None:
        with pytest.raises(CompileError, match="error"):
            self.compile(make(), Instance("unit.cu", "twice<wrong>"))

    def test_a_compiler_that_does_not_start(self, make: Callable[..., NvrtcCompiler], tmp_path: Path) -> None:
        made = make()
        made.library = Library(tmp_path / "libnvrtc.so", made.library.builtins, "13.0.1")
        with pytest.raises(BuildError, match=r"libnvrtc\.so"):
            self.compile(made)


class TestInstances:
    def test_names_depend_on_all_that_makes_them(self) -> None:
        base = Instance("a.cu", "k<1>")
        others = [
            Instance("b.cu", "k<1>"),
            Instance("a.cu", "k<2>"),
            Instance("a.cu", "k<1>", "int x;"),
            Instance("a.cu", "k<1>", "", True),
        ]
        assert len({each.entry for each in [base, *others]}) == 5
        assert base.entry.startswith("ingot_k_") and base.entry.isidentifier()

    def test_all_included_files_are_found(self, tmp_path: Path) -> None:
        for name, text in {
            "common/a.h": '#include "b.h"\n#include <stdint.h>\n',
            "common/b.h": '#  include "op/c.h"\n#include "a.h"\n',
            "op/c.h": "int c;\n",
            "op/unit.cu": '#include "c.h"\n#include "nobody.h"\n',
        }.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        found = included('#include "a.h"\n#include "op/unit.cu"\n', [tmp_path, tmp_path / "common"])
        assert sorted(found) == ["common/a.h", "common/b.h", "op/c.h", "op/unit.cu"]
        assert found["op/c.h"] == b"int c;\n"


class TestNvrtc:
    def test_what_to_install_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvrtc, "installed", lambda wheel: None)
        with pytest.raises(BuildError, match=r'pip install "nvidia-cuda-nvrtc-cu12==12\.6\.\*"'):
            builder.build(branches(), target="jetson-orin-nano-8gb")
        with pytest.raises(BuildError, match=r'pip install "nvidia-cuda-nvrtc==13\.0\.\*"'):
            builder.build(branches(), target="jetson-thor")

    def test_none_that_is_newer_than_the_driver(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        newer = Library(tmp_path, tmp_path, "12.9.41")
        monkeypatch.setattr(nvrtc, "installed", lambda wheel: newer)
        with pytest.raises(BuildError, match=r"NVRTC 12\.9\.41 is newer than CUDA 12\.6"):
            find(get("jetson-orin-nano-8gb"))

    def test_both_are_there_side_by_side(self) -> None:
        found = [find(get(name)) for name in TARGETS]
        assert [library.release for library in found] == [(12, 6), (13, 0), (13, 0)]

    def test_numbers_of_the_engine(self) -> None:
        assert [driver_number(get(name)) for name in TARGETS] == [12060, 13000, 13000]
        assert [arch_number(get(name)) for name in TARGETS] == [87, 110, 90]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Predicted times and compiled kernels are shown, on a machine that cannot run the engine."""
    source, made = str(tmp_path / "m.onnx"), str(tmp_path / "m.ingot")
    onnx.save(branches(), source)

    def said(*words: str) -> str:
        assert main(list(words)) == 0
        return capsys.readouterr().out

    built = said("build", source, "-o", made, "--target", "jetson-orin-nano-8gb")
    assert "predicted from the target's figures, not measured" in built and built.count("softmax_cuda") == 3
    shown = said("inspect", made)
    assert "machine code (NVRTC 12.6." in shown and "registers" in shown and "not measured" in shown
    step = json.loads(said("inspect", made, "--json"))["programs"][0]["steps"][0]
    (row,) = [line.split() for line in shown.splitlines() if line.split()[:2] == ["0", "softmax_cuda"]]
    assert row[2] == step["launch"]["entry"] and row[4] == str(step["launch"]["block"][0])
    assert row[6] == f"{step['predicted_ns'] / 1e3:.1f}" and shown.count(step["launch"]["entry"]) >= 2
    assert ("cannot run it: " in shown and "wanted a CUDA device sm_87" in shown) or "machine runs variant" in shown
    assert "OK, SHA-256" in said("verify", made)
    found = json.loads(said("build", source, "-o", made, "--target", "jetson-orin-nano-8gb", "--json"))
    assert found["target"] == "jetson-orin-nano-8gb" and found["predicted"]["ns"] > 0
    rows = {row["name"]: row for row in json.loads(said("targets", "--json"))["targets"]}
    assert rows["jetson-thor"]["peak_gops"]["i8"] == pytest.approx(516096)
    assert "jetson-thor" in said("targets")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() != tmp_path
    monkeypatch.setenv("INGOT_CACHE_DIR", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("INGOT_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "ingot"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ingot"


def test_the_integer_graph_is_that_of_the_cpu() -> None:
    weights = helper.make_tensor("w", TensorProto.FLOAT, [16, 16], np.linspace(-1, 1, 256, dtype=np.float32))
    net = model(helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("MatMul", ["t", "w"], ["y"]))
    net.graph.initializer.append(weights)
    given = {"x": 3.0, "t": 1.0, "y": 1.0}
    ledgers = [
        inspect_engine(builder.build(net, target=target, precision="int8", calibration=given, compiler=Host()))[
            "metadata"
        ]["ledger"]
        for target in ("cpu", "jetson-thor")
    ]
    kept = [[{key: row[key] for key in row if key not in ("kernel",)} for row in rows] for rows in ledgers]
    assert kept[0] == kept[1] and "int8" in {row["got"] for row in kept[0]}
