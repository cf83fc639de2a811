"""Whole engines in the emulator, whose graphs run in any order that their edges allow: the self-test in the file, which
the CPU computed, must hold in every one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ingot import builder

sys.path.append(str(Path(__file__).parents[1] / "emulator"))
from driver import in_process
from host_compiler import HostCompiler

TARGET = "jetson-orin-nano-8gb"
ORDERS = 8


def cells() -> onnx.ModelProto:
    """Two cells of branches that are joined, split and added: views, joins in place, and memory that is given away."""
    random = np.random.default_rng(0)
    nodes, weights = [], []

    def constant(name: str, *shape: int) -> str:
        data = random.normal(0, 0.3, shape).astype(np.float32)
        weights.append(helper.make_tensor(name, TensorProto.FLOAT, shape, data))
        return name

    def node(op: str, inputs: list[str], **attrs: object) -> str:
        name = f"{op}{len(nodes)}"
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attrs))
        return name

    value = node("Conv", ["x", constant("stem", 16, 3, 3, 3)], pads=[1, 1, 1, 1])  # few channels: packed another way
    for cell in range(2):
        narrow = node("Relu", [node("Conv", [value, constant(f"a{cell}", 8, 16, 1, 1)])])
        wide = node("Conv", [value, constant(f"b{cell}", 8, 16, 3, 3)], pads=[1, 1, 1, 1])
        pooled = node("MaxPool", [value], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        joined = node("Concat", [narrow, wide], axis=1)
        value = node("Add", [node("Sigmoid", [joined]), node("Mul", [pooled, joined])])
    head = node("GlobalAveragePool", [value])
    nodes.append(helper.make_node("Softmax", [node("Flatten", [head])], ["y"], name="y"))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 6])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16])
    graph = helper.make_graph(nodes, "cells", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


PROGRAM = f"""
import ingot
for seed in range({ORDERS}):
    driver.set(seed=seed)
    with ingot.load(sys.argv[1]) as engine:
        engine.self_test()
"""


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8"])
def test_the_self_test_holds_in_any_order(precision: str, tmp_path: Path) -> None:
    given = {"calibration_synthetic": True} if precision == "int8" else {}
    engine = builder.build(cells(), target=TARGET, precision=precision, compiler=HostCompiler(), **given)
    (tmp_path / "cells.ingot").write_bytes(engine)
    in_process(PROGRAM, str(tmp_path / "cells.ingot"))
