"""Writes small CUDA engines for the C tests: ``python make_cuda_engines.py FOLDER``.

Their modules are for ``tests/runtime_c/fake_cuda.c``, a driver that knows the functions which steps name here.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from ingot._kernel import make_params
from ingot._native import ffi, lib
from ingot.builder import plan, writer

sys.path.insert(0, str(Path(__file__).parent))
from hand import BINARY, UNARY, Hand, elementwise, engine

MODULE = plan.Module("functions of the fake driver", b"FAKE", 87)
WEIGHTS = np.arange(-32, 32, dtype=np.float32) / 8


class CudaHand(Hand):
    """A program for CUDA: the function that a launch names does what the step's kernel says."""

    def launch(self, function: str, shared: int = 0, counters: int = 0) -> plan.StepLaunch:
        return plan.StepLaunch(MODULE, function, (2, 1, 1), (32, 1, 1), shared, counters)

    def unary(self, function: str, x: int, y: int) -> int:
        params = elementwise(UNARY[function], 1)
        return self.step("elementwise_cuda", [x], [y], params, name=function, launch=self.launch(function))

    def binary(self, function: str, a: int, b: int, y: int) -> int:
        params = elementwise(BINARY[function], 2)
        launch = self.launch(function, shared=60000 if function == "add" else 0, counters=3 if function == "mul" else 0)
        return self.step("elementwise_cuda", [a, b], [y], params, name=function, launch=launch)

    def cuda_engine(self, arch: int = 87, min_driver: int = 12060, **options: object) -> bytes:
        variant = writer.Variant("jetson", [self.program], lib.INGOT_BACKEND_CUDA, arch, 0, min_driver, 8)
        return engine([variant], **options)


def expected(x: np.ndarray) -> np.ndarray:
    start = x * WEIGHTS
    return -np.maximum(start, 0) + (start + WEIGHTS) * (start + WEIGHTS)


def branches(min_driver: int = 12060) -> bytes:
    """Two branches along edges, with a self-test."""
    hand = CudaHand("branches")
    x, w = hand.input("x", (64,)), hand.constant("w", WEIGHTS)
    places = {"start": 0, "left": 256, "right": 512, "left2": 256, "right2": 0}
    start, left, right, left2, right2 = (hand.tensor(n, (64,), offset=at) for n, at in places.items())
    y = hand.output("y", (64,))
    hand.binary("mul", x, w, start)
    hand.unary("relu", start, left)
    hand.binary("add", start, w, right)
    hand.unary("neg", left, left2)
    hand.binary("mul", right, right, right2)
    hand.binary("add", left2, right2, y)
    hand.program.edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5), (1, 4)]
    given = np.linspace(-1, 1, 64, dtype=np.float32)
    self_test = [writer.SelfTest(0, given), writer.SelfTest(1, expected(given), stride=1)]
    return hand.cuda_engine(min_driver=min_driver, self_test=self_test)


def counter() -> bytes:
    """total += x; y is its negative. A serial program with state, whose first value is 0x40 in every byte."""
    hand = CudaHand("counter")
    x = hand.input("x", (16,))
    total = hand.tensor("total", (16,), plan.STATE)
    y = hand.output("y", (16,))
    hand.binary("add", total, x, total)
    hand.unary("neg", total, y)
    hand.program.fills = [plan.Fill(total, lib.INGOT_FILL_BYTES, value=0x40)]
    return hand.cuda_engine()


def gather() -> bytes:
    """y = w[index], where the device meets what is out of range."""
    hand = CudaHand("gather")
    index = hand.input("index", (8,), dtype=plan.DType.I64)
    y = hand.output("y", (8,))
    w = hand.constant("w", WEIGHTS)
    params = make_params("ingot_gather_params", {"axis": 0})
    hand.step("gather_cuda", [w, index], [y], params, name="look it up", launch=hand.launch("gather"))
    return hand.cuda_engine()


def pack() -> bytes:
    """A tuning pack of two problems, y = x w, cold, and y = relu(x): an honest candidate and one that does another."""
    programs, tests, io = [], [], 0
    given = np.empty(64, np.float32)
    lib.ingot_tuner_fill(ffi.cast("void *", given.ctypes.data), plan.DType.F32.value, given.nbytes, 0)
    results = {"binary": given * WEIGHTS, "unary": np.maximum(given, 0)}
    for group, (kind, functions) in enumerate((("binary", ("mul", "add")), ("unary", ("relu", "neg")))):
        for function in functions:
            hand = CudaHand(f"jetson/0\tproblem {group}\t{function} @0\t1")
            operands = [hand.input("x", (64,))]
            if kind == "binary":
                operands.append(hand.constant("w", WEIGHTS))
            getattr(hand, kind)(function, *operands, hand.output("y", (64,)))
            program = hand.program
            program.is_candidate, program.group, program.between_bytes = True, group, (1 << 30) * (1 - group)
            programs.append(program)
            tests.append(writer.SelfTest(io + 1, results[kind], stride=1))
            io += len(program.io_names)
    return engine([writer.Variant("jetson", programs, lib.INGOT_BACKEND_CUDA, 87, 0, 12060, 8)], self_test=tests)


ENGINES = {"branches": branches, "newest": lambda: branches(13000), "counter": counter, "gather": gather, "pack": pack}

if __name__ == "__main__":
    for name, make in ENGINES.items():
        (Path(sys.argv[1]) / f"{name}.ingot").write_bytes(make())
