"""What the README shows works: its Python and C examples run as they stand, its table is what is registered."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import ingot
from ingot.builder import operator_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()


def block(language: str, containing: str) -> str:
    """The code block of that language that contains the text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = [b for b in blocks if containing in b]
    return found


def test_python_and_c_examples(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    script = tmp_path / "example.py"
    script.write_text(block("python", "ingot.build"))
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("e") + done.stdout.count(".") >= 10, "ten logits are printed"
    assert (tmp_path / "digits.ingot").is_file()

    source = tmp_path / "example.c"
    source.write_text(block("c", "ingot_context_run"))
    program = tmp_path / "example"
    library = Path(ingot.get_library())
    compiler = shutil.which("cc") or "gcc"
    command = [
        compiler,
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{ingot.get_include()}",
        str(source),
        str(library),
    ]
    subprocess.run([*command, f"-Wl,-rpath,{library.parent}", "-o", str(program)], check=True)
    done = subprocess.run([str(program)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    float(done.stdout)


def test_operator_table_is_current() -> None:
    assert operator_table.replace(README) == README, "run python -m ingot.builder.operator_table --write"


def test_limits_are_said() -> None:
    for word in ("DLA", "Windows", "INT8", "CUDA"):
        assert word in README.split("## Limits")[1].split("## ")[0]
