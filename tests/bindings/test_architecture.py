"""What the Python API imports, read from its source. Who may import whom: tests/test_architecture.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("builder", "kernels", "targets", "examples")


def part_of(module: str) -> str | None:
    """The part that a module of the package belongs to; None for modules of others."""
    names = module.split(".")
    if names[0] != "ingot":
        return None
    return names[1] if len(names) > 1 and names[1] in PARTS else "ingot"


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module with whether it is imported only when a function is called."""
    tree = ast.parse(path.read_text())
    for_checkers = [n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    skipped = {id(n) for block in for_checkers for n in ast.walk(block)}
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((f"{node.module}.{alias.name}", id(node) in inside) for alias in node.names)


def test_the_runtime_needs_cffi_and_numpy_alone() -> None:
    import sys

    for path in sorted((ROOT / "bindings/ingot").rglob("*.py")):
        for module, on_call in imports(path):
            top = module.split(".")[0]
            known = top in ("ingot", "numpy", "cffi") or top in sys.stdlib_module_names
            assert known or on_call, f"{path.relative_to(ROOT)} imports {module}"


def test_relative_imports_stay_in_their_package() -> None:
    """So that the rules above see every way out."""
    for path in sorted((ROOT / "bindings/ingot").rglob("*.py")):
        depth = len(path.relative_to(ROOT / "bindings/ingot").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                names = [node.module or ""] if node.module else [alias.name for alias in node.names]
                assert node.level <= depth and not set(n.split(".")[0] for n in names) & set(PARTS), path


def test_a_backward_arrow_would_be_seen(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text("import numpy\nfrom ingot import builder\ndef f():\n    import ingot.kernels.spec\n")
    assert [(part_of(m), late) for m, late in imports(module)] == [(None, False), ("builder", False), ("kernels", True)]
