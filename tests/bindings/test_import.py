"""What importing costs, and what a missing onnx says."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ingot


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_neither_onnx_nor_the_builder() -> None:
    """Loading and running an engine does not either: a robot has none of them."""
    code = """
import sys, ingot, ingot.cli
ingot.cli.make_parser()
heavy = [m for m in sys.modules if m.split(".")[0] in ("onnx", "onnxruntime", "google")]
heavy += [m for m in sys.modules if m.startswith(("ingot.builder", "ingot.kernels", "ingot.targets", "ingot.examples"))]
print(heavy)
"""
    assert python(code).strip() == "[]"


def test_building_without_onnx_says_what_to_install() -> None:
    code = """
import sys
sys.modules["onnx"] = None
import ingot
try:
    ingot.build("model.onnx")
except ingot.BuildError as error:
    print(error)
"""
    assert python(code).strip() == "cannot build: onnx is not installed: pip install onnx"


def test_public_names_exist_and_are_documented() -> None:
    for name in ingot.__all__:
        assert getattr(ingot, name).__doc__, name


def test_errors_are_ingots_own() -> None:
    for error in (ingot.ArgumentError, ingot.BuildError, ingot.EngineError, ingot.ResourceError, ingot.RunError):
        assert issubclass(error, ingot.IngotError)
    with pytest.raises(ValueError, match="path or bytes"):
        ingot.load(1)
    with pytest.raises(OSError, match="No such file"):
        ingot.load("/nowhere/engine.ingot")
