"""A small transformer as exporters spell it, built for devices and run on the stand-in for the driver.

Attention reads its operands where the product leaves them, whatever the mask; rows that nobody reads are not computed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ingot
from ingot import builder, targets

sys.path.extend([str(Path(__file__).parent), str(Path(__file__).parents[1] / "emulator")])
from driver import in_process
from host_compiler import HostCompiler
from test_models import PROGRAM

BATCH, ROWS, HEADS, WIDTH = 2, 41, 3, 16  # more keys than a tile has: some warps see hidden ones alone
ALL = HEADS * WIDTH


class Net:
    """A model that is written node by node."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def weights(self, *shape: int) -> str:
        return self.constant(self.random.standard_normal(shape).astype(np.float32) / shape[0] ** 0.5)

    def constant(self, array: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def __call__(self, op: str, *inputs: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [f"v{len(self.nodes)}"], **attrs))
        return self.nodes[-1].output[0]

    def linear(self, x: str, rows: int, columns: int) -> str:
        return self("Add", self("MatMul", x, self.weights(rows, columns)), self.weights(columns))

    def norm(self, x: str) -> str:
        return self("LayerNormalization", x, self.weights(ALL), self.weights(ALL), axis=-1)

    def heads(self, x: str) -> str:
        x = self("Reshape", x, self.constant(np.array([BATCH, ROWS, HEADS, WIDTH])))
        return self("Transpose", x, perm=[0, 2, 1, 3])

    def together(self, x: str) -> list[str]:
        """q, k and v of one product, as one transpose and a split."""
        x = self("Reshape", self.linear(x, ALL, 3 * ALL), self.constant(np.array([BATCH, ROWS, 3, HEADS, WIDTH])))
        x = self("Transpose", x, perm=[2, 0, 3, 1, 4])
        return [self("Gather", x, self.constant(np.array(i)), axis=0) for i in range(3)]

    def attend(self, x: str, joined: bool, mask: str) -> str:
        q, k, v = self.together(x) if joined else [self.heads(self.linear(x, ALL, ALL)) for _ in range(3)]
        scores = self("MatMul", q, self("Transpose", k, perm=[0, 1, 3, 2]))
        scores = self("Mul", scores, self.constant(np.float32(WIDTH**-0.5)))
        scores = self("Add", scores, mask) if mask else scores
        y = self("MatMul", self("Softmax", scores, axis=-1), v)
        y = self("Reshape", self("Transpose", y, perm=[0, 2, 1, 3]), self.constant(np.array([BATCH, ROWS, ALL])))
        return self.linear(y, ALL, ALL)

    def model(self, y: str, shape: list[int]) -> onnx.ModelProto:
        ends = [("x", [BATCH, ROWS, ALL]), ("mask", [BATCH, 1, 1, ROWS]), (y, shape)]
        infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in ends]
        graph = helper.make_graph(self.nodes, "net", infos[:2], infos[2:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def made(joined: bool, causal: float) -> onnx.ModelProto:
    """``causal`` is what hides later keys in a mask of the model's own; 0: the mask is an input."""
    net = Net(3)
    hidden = net.constant(np.triu(np.full((ROWS, ROWS), causal, np.float32), 1)) if causal else "mask"
    x = net("Add", "x", net.attend(net.norm("x"), joined, hidden))
    x = net("Add", x, net.linear(net("Gelu", net.linear(net.norm(x), ALL, 2 * ALL)), 2 * ALL, ALL))
    last = net("Gather", x, net.constant(np.array(ROWS // 2)), axis=1)  # sees nothing of the second tile
    if causal:  # the mask is an input all the same
        last = net("Mul", last, net("Exp", net("ReduceMax", "mask", keepdims=0)))
    return net.model(net.linear(last, ALL, 5), [BATCH, 5])


@pytest.mark.parametrize("causal", [0.0, -np.inf, np.finfo(np.float32).min])
@pytest.mark.parametrize("joined", [False, True])
def test_as_on_the_cpu(joined: bool, causal: float, tmp_path: Path) -> None:
    raw = made(joined, causal).SerializeToString()
    rng = np.random.default_rng(4)
    mask = np.where(rng.random((BATCH, 1, 1, ROWS)) < 0.3, -10000.0, 0.0).astype(np.float32)
    mask[..., 0] = 0.0
    inputs = {"x": rng.standard_normal((BATCH, ROWS, ALL)).astype(np.float32), "mask": mask}
    np.savez(tmp_path / "given.npz", **inputs)
    cpu = ingot.load(builder.build(raw))
    wanted = cpu.context().run(inputs)
    for name, precision, bound in (("h200", "fp16", 5e-3), ("jetson-orin-nano-8gb", "fp32", 1e-5)):
        path, device = tmp_path / f"{name}.ingot", targets.get(name)
        path.write_bytes(builder.build(raw, target=name, precision=precision, compiler=HostCompiler()))
        steps = ingot.load(str(path), any_machine=True).inspect()["programs"][0]["steps"]
        kernels = [step["kernel"] for step in steps]
        assert any(kernel.startswith("attention") for kernel in kernels)
        assert not any(kernel.startswith("strided_copy") for kernel in kernels)
        arguments = [path, tmp_path / "given.npz", tmp_path / "results.npz", device.arch[3:].rstrip("a")]
        in_process(PROGRAM, *map(str, [*arguments, int(device.figures["integrated"])]))
        results = np.load(tmp_path / "results.npz")
        for output, array in wanted.items():
            assert np.linalg.norm(results[output] - array) <= bound * np.linalg.norm(array)
