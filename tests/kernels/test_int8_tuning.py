"""How steps in INT8 are cut: what kernels refuse. That it changes no bit, the samples test with every tactic."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import aligned, empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.errors import IngotError
from ingot.kernels.common.activation import NO_ACTIVATION
from ingot.kernels.conv.attrs import QConvAttrs
from ingot.kernels.conv.int8 import pack_conv_s8, pack_depthwise_columns_s8, pack_depthwise_s8, pack_s8
from ingot.kernels.spec import DType, Quant, TensorType
from ingot.targets import get

QUANT = Quant(0.1, 3)
NUMBERS = {"inverse_scale": 1.0, "output_min": -128}
REFUSED = [{"rows": 11}, {"rows": -1}, {"slice": 65}, {"slice": -1}, {"way": 4}, {"reserved": 1}]


def flat(kernel: Any, strides: Any, dilations: Any, pads: int, groups: int = 1) -> dict[str, Any]:
    """Parameters of a convolution of two axes."""
    both = {"pads_begin": [0, pads, pads], "pads_end": [0, pads, pads], "groups": groups}
    return {"kernel": [1, *kernel], "strides": [1, *strides], "dilations": [1, *dilations], **both}


@pytest.mark.parametrize(
    ("tuning", "change", "reason"),
    [
        ({"way": 3}, {}, "tuning"),
        ({"rows": 1}, {}, "tuning"),
        ({"way": 1}, {"strides": [1, 1, 3]}, "column by column"),
        ({"way": 1}, {"dilations": [1, 1, 2], "pads_end": [0, 1, 3]}, "column by column"),
        ({"way": 1}, {"kernel": [3, 3, 1], "pads_begin": [1, 1, 0], "pads_end": [1, 1, 0]}, "column by column"),
        ({"way": 2}, {"strides": [1, 1, 2], "pads_end": [0, 1, 5]}, "pairs of rows"),
        ({"way": 2}, {"strides": [1, 2, 1], "pads_end": [0, 4, 1]}, "pairs of rows"),
        ({"way": 2}, {"dilations": [1, 2, 1], "pads_end": [0, 3, 1]}, "pairs of rows"),
        ({"way": 2}, {"kernel": [1, 4, 3], "pads_end": [0, 2, 1]}, "pairs of rows"),
        ({"way": 2}, {"kernel": [3, 1, 3], "pads_begin": [1, 0, 1], "pads_end": [1, 0, 1]}, "pairs of rows"),
    ],
)
def test_depthwise_refuses_a_way(tuning: dict[str, int], change: dict[str, Any], reason: str) -> None:
    x, w = np.ones((1, 4, 5, 8), np.int8), np.ones((8, 1, 3, 3), np.int8)
    params = flat((3, 3), (1, 1), (1, 1), 1, 8) | change
    packed = aligned(pack_depthwise_columns_s8(w) if tuning.get("way") in (1, 2) else pack_depthwise_s8(w))
    operands = [aligned(x), packed, None, None, np.full(8, 9, np.int32), np.ones(8, np.float32)]
    fields = {"conv": params, "numbers": NUMBERS, "tuning": tuning}
    width = 2 if params["strides"][2] == 3 else 5
    with pytest.raises(IngotError, match=reason):
        blob = make_params("ingot_conv_s8_params", fields)
        run_kernel("conv_s8_dw", operands, [empty((1, 4, width, 8), np.int8)], blob, constant=[1, 4, 5])


@pytest.mark.parametrize("tuning", REFUSED)
def test_conv_refuses_a_tuning(tuning: dict[str, int]) -> None:
    x, w = np.ones((1, 4, 5, 8), np.int8), np.ones((8, 8, 3, 3), np.int8)
    operands = [aligned(x), aligned(pack_conv_s8(w)[0]), None, None, np.full(8, 9, np.int32), np.ones(8, np.float32)]
    for fields, accepted in ((tuning, False), ({}, True)):
        conv = flat((3, 3), (1, 1), (1, 1), 1)
        blob = make_params("ingot_conv_s8_params", {"conv": conv, "numbers": NUMBERS, "tuning": fields})
        with nullcontext() if accepted else pytest.raises(IngotError, match="tuning"):
            run_kernel("conv_s8_n16k4", operands, [empty((1, 4, 5, 8), np.int8)], blob, constant=[1])


@pytest.mark.parametrize("tuning", [*REFUSED, {"way": 2}])
def test_matmul_refuses_a_tuning(tuning: dict[str, int]) -> None:
    a, b = np.ones((3, 8), np.int8), np.ones((8, 5), np.int8)
    operands = [aligned(a), aligned(pack_s8(b.T)), None, None, np.full(5, 8, np.int32), np.ones(5, np.float32)]
    for fields, accepted in ((tuning, False), ({}, True)):
        given = {"matmul": {"alpha": 1.0}, "numbers": NUMBERS, "tuning": fields}
        with nullcontext() if accepted else pytest.raises(IngotError, match="quantisation"):
            run_kernel(
                "matmul_s8_n16k4", operands, [empty((3, 5), np.int8)], make_params("ingot_matmul_s8_params", given),
                constant=[1],
            )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "channels", "stride", "best"),
    [
        ("cpu-x86-64-v4", 64, 1, "by=pairs"),
        ("cpu-x86-64-v3", 128, 1, "by=pairs"),
        ("cpu-x86-64-v4", 24, 1, ""),  # most of a block of 64 channels would be empty
        ("cpu-x86-64-v4", 64, 2, "by=columns"),
        ("cpu-x86-64-v3", 64, 2, ""),
    ],
)
def test_the_model_puts_depthwise_ways_in_order(target: str, channels: int, stride: int, best: str) -> None:
    """As they were measured; all of them before the kernel of products, which takes a hundred times as long."""
    attrs = QConvAttrs((3, 3), (stride, stride), (1, 1, 1, 1), (1, 1), channels, NO_ACTIVATION, QUANT, None, QUANT)
    x = Value("x", TensorType(DType.I8, (1, 12, 12, channels), QUANT))
    w = Value("w", TensorType(DType.I8, (channels, 1, 3, 3)), np.ones((channels, 1, 3, 3), np.int8))
    kind = TensorType(DType.I8, (1, 12 // stride, 12 // stride, channels), QUANT)
    spec = kernels.load()["conv"]
    node = Node(spec, attrs, [x, w, None, None, None, None], [Value("y", kind)], ("conv",))
    able = [tactic for tactic in spec.tactics if tactic.is_for("cpu") and tactic.when(node)]
    shares = {tactic.key: tactic.efficiency(node, get(target)) for tactic in able}
    assert max(shares, key=shares.get) == f"conv_s8_dw {best}".strip()
    assert max(share for key, share in shares.items() if "n16k4" in key) < 0.5 * min(
        share for key, share in shares.items() if "dw" in key
    )
