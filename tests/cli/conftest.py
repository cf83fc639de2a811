"""The command line in this process, small models, and engines that this machine must refuse."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ingot.cli import main


@dataclass
class Result:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def failed(self, status: int, *parts: str) -> None:
        """It failed as promised: one line on stderr that holds these parts, nothing on stdout."""
        assert (self.status, self.out) == (status, ""), self
        assert self.err.endswith("\n") and self.err.count("\n") == 1, self.err
        for part in parts:
            assert part in self.err, self.err


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("INGOT_DEBUG", raising=False)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        try:
            status = main([str(a) for a in arguments])
        except SystemExit as leave:
            status = leave.code
        return Result(status, *capsys.readouterr())

    return run


def write_model(path: Path, nodes: list[onnx.NodeProto], rows: Any = 2, initializers: Any = ()) -> None:
    """A model with input ``x`` [rows, 4] and output ``y`` [rows, 4]."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 4])],
        list(initializers),
    )
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())


@pytest.fixture
def write():
    return write_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """``good.onnx`` (softmax(x + w)), ``open.onnx`` (rows not fixed) and the array ``x.npy``."""
    weights = numpy_helper.from_array(np.arange(4, dtype=np.float32), "w")
    nodes = [
        helper.make_node("Add", ["x", "w"], ["s"], name="add"),
        helper.make_node("Softmax", ["s"], ["y"], axis=-1, name="soft"),
    ]
    write_model(tmp_path / "good.onnx", nodes, 2, [weights])
    write_model(tmp_path / "open.onnx", nodes, "rows", [weights])
    np.save(tmp_path / "x.npy", np.random.default_rng(5).normal(size=(2, 4)).astype(np.float32))
    return tmp_path


@pytest.fixture
def engine(folder: Path, cli) -> Path:
    assert cli("build", folder / "good.onnx", "-o", folder / "good.ingot").status == 0
    return folder / "good.ingot"
