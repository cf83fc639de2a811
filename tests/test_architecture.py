"""The picture of docs/architecture.md, checked: who imports whom, what an operator's folder holds, what is linked."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ingot
from ingot import _kernel, kernels

ROOT = Path(__file__).parent.parent

#: part -> the parts of `ingot` it may import; "" is the runtime API, `ingot` itself
MAY_IMPORT = {
    "targets": set(),
    "kernels": {"targets", "kernels"},
    "builder": {"builder", "kernels", "targets", ""},
    "bindings/ingot": {""},
}
THE_EXCEPTIONS = {
    # `ingot.build` and the building commands load the builder when they are called
    "bindings/ingot": {"builder", "targets", "kernels", "examples"},
}
WITHOUT_ONNX = ("targets", "kernels", "bindings/ingot")


#: where the version stands
VERSIONS = {
    "pyproject.toml": r'^version = "([\d.]+)"',
    "runtime_c/CMakeLists.txt": r"^project\(ingot VERSION ([\d.]+)",
    "bindings/ingot/__init__.py": r'^__version__ = "([\d.]+)"',
}


def test_one_version() -> None:
    header = (ROOT / "runtime_c/include/ingot.h").read_text()
    wanted = ".".join(re.findall(r"^#define INGOT_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)$", header, re.M))
    found = {path: re.findall(pattern, (ROOT / path).read_text(), re.M) for path, pattern in VERSIONS.items()}
    assert found == {path: [wanted] for path in VERSIONS}


def _python_files(folder: str) -> list[Path]:
    return sorted(p for p in (ROOT / folder).rglob("*.py") if "__pycache__" not in p.parts)


def _imports(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Absolute names of the modules that the code imports; ``package`` is where it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _package(folder: str, path: Path) -> list[str]:
    inside = path.relative_to(ROOT / folder).parent.parts
    return ["ingot", *([] if folder == "bindings/ingot" else [folder]), *inside]


def _part(module: str) -> str | None:
    """Which part of Ingot a module belongs to; ``None`` when it is another's."""
    names = module.split(".")
    if names[0] != "ingot":
        return None
    return names[1] if len(names) > 1 and names[1] in ("targets", "kernels", "builder", "examples") else ""


def _runs_on_import(tree: ast.Module) -> ast.Module:
    """The tree without function bodies and without what only type checkers read."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
            return ast.Pass()

        visit_AsyncFunctionDef = visit_FunctionDef

        def visit_If(self, node: ast.If) -> ast.AST:
            return ast.Pass() if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    return Strip().visit(tree)


@pytest.mark.parametrize("folder", list(MAY_IMPORT))
def test_arrows_never_run_backwards(folder: str) -> None:
    files = _python_files(folder)
    assert files or folder == "targets"
    wrong = []
    for path in files:
        tree = ast.parse(path.read_text(), str(path))
        package = _package(folder, path)
        late = {_part(name) for name in _imports(tree, package)} - {None}
        early = {_part(name) for name in _imports(_runs_on_import(tree), package)} - {None}
        wrong += [f"{path.relative_to(ROOT)} imports {part or 'ingot'}" for part in early - MAY_IMPORT[folder]]
        allowed = MAY_IMPORT[folder] | THE_EXCEPTIONS.get(folder, set())
        wrong += [f"{path.relative_to(ROOT)} imports {part or 'ingot'} when called" for part in late - allowed]
    assert not wrong


def test_the_check_sees_a_wrong_arrow() -> None:
    code = "import ingot.builder.plan\nfrom ..builder import ir\ndef f():\n    from ingot.targets import load\n"
    found = {_part(name) for name in _imports(ast.parse(code), ["ingot", "kernels"])}
    assert found == {"builder", "targets"}
    early = {_part(name) for name in _imports(_runs_on_import(ast.parse(code)), ["ingot", "kernels"])}
    assert early == {"builder"}


@pytest.mark.parametrize("folder", WITHOUT_ONNX)
def test_only_the_builder_knows_onnx(folder: str) -> None:
    for path in _python_files(folder):
        tree = _runs_on_import(ast.parse(path.read_text(), str(path)))
        names = {name.split(".")[0] for name in _imports(tree, _package(folder, path))}
        assert not names & {"onnx", "onnxruntime"}, path


def test_importing_ingot_loads_neither_onnx_nor_the_builder() -> None:
    code = "import sys, ingot; print(*sorted(m for m in sys.modules if m.split('.')[0] in ('onnx', 'onnxruntime') or "
    code += "m.startswith(('ingot.builder', 'ingot.kernels', 'ingot.targets'))))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


class TestOperators:
    """An operator has one home, and all of it is there."""

    FOLDERS = sorted(p.parent for p in (ROOT / "kernels").glob("*/op.py"))

    @pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
    def test_a_folder_is_complete(self, folder: Path) -> None:
        assert (folder / "__init__.py").is_file()
        spec = kernels.load()[folder.name]
        assert spec.name == folder.name
        assert spec.tactics and list(spec.samples()), "an operator without tactics or samples"
        lists = folder / "kernels.inc"
        sources = [*folder.glob("*_cpu*.c"), *folder.glob("*_cuda.c")]
        assert lists.exists() == bool(sources), "kernels.inc and C sources come together"
        if sources:
            assert list(folder.glob("*.h"))
            names = re.findall(r"^INGOT_(?:CUDA_)?KERNEL\((\w+)", lists.read_text(), re.MULTILINE)
            assert names and set(names) <= set(_kernel.kernels())

    def test_every_kernel_of_a_tactic_exists_and_is_used(self) -> None:
        used = {tactic.kernel for spec in kernels.load().values() for tactic in spec.tactics} - {""}
        assert used == set(_kernel.kernels())

    def test_every_kernel_of_the_cpu_has_a_portable_implementation(self) -> None:
        for info in _kernel.kernels().values():
            assert info.isas[:1] == (("portable",) if info.backend == "cpu" else ()), info.name
            assert info.name.endswith("_cuda") == (info.backend == "cuda"), info.name


def _library() -> Path:
    return Path(ingot.get_library()).resolve()


def _tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class TestLibrary:
    HEADER = ROOT / "runtime_c" / "include" / "ingot.h"

    def test_links_against_libc_libm_and_threads_alone(self) -> None:
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", _tool("readelf", "-d", str(_library())))
        assert set(needed) <= {
            "libc.so.6",
            "libm.so.6",
            "libpthread.so.0",
            "ld-linux-x86-64.so.2",
            "ld-linux-aarch64.so.1",
        }
        assert "libc.so.6" in needed

    def test_exports_what_the_header_declares(self) -> None:
        symbols = {
            line.split()[-1] for line in _tool("nm", "-D", "--defined-only", str(_library())).splitlines() if line
        }
        declared = set(re.findall(r"^[\w \*]*?\b(ingot_\w+)\(", self.HEADER.read_text(), re.MULTILINE))
        assert symbols == declared

    def test_stripped_it_is_under_one_mebibyte(self, tmp_path: Path) -> None:
        copy = tmp_path / "libingot.so"
        shutil.copyfile(_library(), copy)
        _tool("strip", str(copy))
        assert copy.stat().st_size < 1 << 20

    #: the packages of the README bring no C++ compiler; .ci/run has one
    COMPILERS = [("cc", "c", "c11")] + [("c++", "c++", "c++11")] * bool(shutil.which("c++"))

    @pytest.mark.parametrize(("compiler", "language", "standard"), COMPILERS)
    def test_the_header_stands_alone(self, compiler: str, language: str, standard: str, tmp_path: Path) -> None:
        source = tmp_path / "alone.c"
        source.write_text('#include "ingot.h"\nint main(void) { return ingot_version_number() == 0; }\n')
        flags = ["-x", language, f"-std={standard}", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]
        _tool(compiler, *flags, f"-I{self.HEADER.parent}", str(source))
