"""D2: the same model and options give the same bytes, in any process, from any folder, under any hash seed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

import ingot

EXAMPLES = ("digits/digits_cnn.onnx", "control/policy.onnx")
#: digests of the engines of the repository's models. A change that moves one says why in its commit message.
DIGESTS = Path(__file__).parent / "digests.json"
SCRIPT = "import sys, ingot; sys.stdout.write(ingot.build(sys.argv[1]).digest)"


def model(name: str) -> Path:
    return Path(str(resources.files("ingot.examples") / name))


@pytest.mark.parametrize("name", EXAMPLES)
def test_processes_agree(name: str, tmp_path: Path) -> None:
    digests = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed / "elsewhere"
        folder.mkdir(parents=True)
        copy = shutil.copy(model(name), folder / "model.onnx")
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(copy)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@pytest.mark.parametrize("name", EXAMPLES)
def test_digest_is_the_recorded_one(name: str) -> None:
    engine = ingot.build(model(name).read_bytes(), self_test=False)
    recorded = json.loads(DIGESTS.read_text())
    assert recorded[name] == engine.digest, f"{name}: the engine's bytes changed; say why, and record {engine.digest}"


def test_bytes_are_the_file(tmp_path: Path) -> None:
    engine = ingot.build(model("control/policy.onnx"))
    path = tmp_path / "policy.ingot"
    engine.save(path)
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(bytes(engine.bytes)).digest()
