"""A C program links with what ``get_include`` and ``get_library`` name."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import ingot

PROGRAM = r"""
#include <stdio.h>
#include "ingot.h"
int main(int argc, char **argv) {
    ingot_engine *engine;
    ingot_error error;
    if (ingot_engine_open_file(argv[argc - 1], NULL, &engine, &error)) return puts(error.message), 1;
    printf("%u\n", ingot_engine_io_count(engine));
    ingot_engine_close(engine);
    return 0;
}
"""


def test_they_exist() -> None:
    assert os.path.isfile(os.path.join(ingot.get_include(), "ingot.h"))
    library = ctypes.CDLL(ingot.get_library())
    assert library.ingot_version_number() == 1 << 8


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_program_links_and_runs(saved: Path, tmp_path: Path) -> None:
    source, program, library = tmp_path / "program.c", tmp_path / "program", Path(ingot.get_library())
    source.write_text(PROGRAM)
    command = ["cc", "-std=c11", f"-I{ingot.get_include()}", "-o", str(program), str(source)]
    subprocess.run([*command, str(library), f"-Wl,-rpath,{library.parent}"], check=True)
    done = subprocess.run([str(program), str(saved)], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "4\n")
