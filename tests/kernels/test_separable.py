"""A depthwise convolution and the pointwise one that reads it, in one pass, beside the two kernels it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ingot import kernels
from ingot._kernel import aligned, available_isas, empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.builder.tuning.fused import fused
from ingot.errors import IngotError
from ingot.kernels.common.activation import NO_ACTIVATION, Activation, ActivationKind
from ingot.kernels.conv.attrs import ConvAttrs, conv_params
from ingot.kernels.conv.panels import pack_conv, pack_depthwise
from ingot.kernels.spec import DType, Tactic, TensorType

CONV = kernels.load()["conv"]
RELU6 = Activation(ActivationKind.CLIP, 0.0, 6.0)
SILU = Activation(ActivationKind.SILU)


def tactic() -> Tactic:
    (found,) = [t for t in CONV.tactics if t.kernel == "conv_f32_dw_pw"]
    return found


def pair(
    size: tuple[int, int],
    channels: int,
    out: int,
    *,
    stride: int = 1,
    pads: tuple[int, ...] = (1, 1, 1, 1),
    batch: int = 1,
    bias: bool = True,
    residual: bool = False,
    activations: tuple[Activation, Activation] = (RELU6, NO_ACTIVATION),
    **second: Any,
) -> Node:
    """The pointwise convolution; ``second`` changes its attributes."""
    rng = np.random.default_rng(5)

    def value(name: str, *shape: int, constant: bool = True) -> Value:
        data = rng.standard_normal(shape).astype(np.float32)
        return Value(name, TensorType(DType.F32, shape), data if constant else None)

    def node(name: str, attrs: ConvAttrs, inputs: list[Value | None]) -> Node:
        made = Node(CONV, attrs, inputs, [], (name,))
        (kind,) = CONV.infer(attrs, [None if v is None else v.type for v in inputs])
        made.outputs = [Value(name, kind, None, made)]
        return made

    x = value("x", batch, *size, channels, constant=False)
    window = ConvAttrs((3, 3), (stride, stride), pads, (1, 1), channels, activations[0])
    between = [x, value("w", channels, 1, 3, 3), value("b", channels) if bias else None, None]
    first = node("first", window, between)
    point = {"kernel": (1, 1), "strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1)} | second
    attrs = ConvAttrs(**point, activation=activations[1])
    weights = value("v", out, channels // attrs.groups, *attrs.kernel)
    inputs = [first.output, weights, value("c", out) if bias else None, None]
    if residual:
        (kind,) = CONV.infer(attrs, [v and v.type for v in inputs])
        inputs[3] = Value("r", kind)
    return node("second", attrs, inputs)


def data(value: Value | None) -> np.ndarray | None:
    """What a constant holds, or numbers that its name decides."""
    if value is None or value.data is not None:
        return None if value is None else value.data
    rng = np.random.default_rng(sum(value.name.encode()))
    return rng.standard_normal(value.type.shape).astype(np.float32)


def separate(node: Node, isa: str) -> np.ndarray:
    """By the two default kernels."""
    first = node.inputs[0].producer
    x, w, b, _ = (data(v) for v in first.inputs)
    between = empty(first.output.type.shape, np.float32)
    params = make_params("ingot_conv_params", conv_params(first))
    run_kernel("conv_f32_dw", [aligned(x), pack_depthwise(first, w), b, None], [between], params, isa=isa)
    _, w, b, residual = (data(v) if i else None for i, v in enumerate(node.inputs))
    y = empty(node.output.type.shape, np.float32)
    params = make_params("ingot_conv_params", conv_params(node))
    run_kernel("conv_f32_n16", [between, pack_conv(node, w), b, residual], [y], params, isa=isa)
    return y


def together(node: Node, isa: str, splits: int = 1, gap: int = 0) -> np.ndarray:
    whole = fused(node, tactic())
    arrays = [data(v) for v in whole.inputs]
    for index, pack in whole.tactic.pack.items():
        arrays[index] = aligned(pack(whole, arrays[index]))
    wide = empty((*node.output.type.shape[:-1], node.output.type.shape[-1] + gap), np.float32)
    wide[...] = 7
    y = wide[..., : node.output.type.shape[-1]]
    params = make_params(whole.tactic.params_type, whole.tactic.params(whole))
    run_kernel(whole.tactic.kernel, arrays, [y], params, isa=isa, splits=splits)
    assert (wide[..., node.output.type.shape[-1] :] == 7).all(), "bytes between the rows were written"
    return y.copy()


PAIRS = {
    "one pixel": {"size": (1, 1), "channels": 3, "out": 5},
    "odd": {"size": (7, 9), "channels": 21, "out": 33, "residual": True},
    "stride 2": {"size": (15, 14), "channels": 32, "out": 16, "stride": 2, "batch": 2},
    "stride 2, odd": {"size": (9, 7), "channels": 17, "out": 40, "stride": 2, "pads": (0, 1, 2, 0)},
    "slices of channels": {"size": (3, 5), "channels": 540, "out": 20, "activations": (SILU, RELU6)},
    "bent": {"size": (6, 6), "channels": 8, "out": 70, "activations": (SILU, SILU), "residual": True, "batch": 2},
    "no bias": {"size": (8, 5), "channels": 16, "out": 1, "bias": False, "pads": (0, 0, 0, 0)},
    "wide pads": {"size": (2, 2), "channels": 4, "out": 8, "pads": (3, 3, 3, 3)},
}


@pytest.mark.parametrize("name", PAIRS)
def test_one_pass_gives_what_two_give(name: str) -> None:
    node = pair(**PAIRS[name])
    assert tactic().when(node)
    for isa in available_isas("conv_f32_dw_pw"):
        whole = together(node, isa)
        np.testing.assert_allclose(whole, separate(node, isa), rtol=1e-5, atol=1e-4, err_msg=isa)
        for splits, gap in ((2, 0), (5, 3)):
            np.testing.assert_array_equal(together(node, isa, splits, gap), whole, err_msg=f"{isa}, {splits} parts")


@pytest.mark.parametrize(
    "change", [{"groups": 2}, {"strides": (2, 2)}, {"kernel": (3, 3), "pads": (1, 1, 1, 1)}, {"stride": 3}]
)
def test_other_pairs_are_refused(change: dict[str, Any]) -> None:
    """By the tactic and by the kernel's own check."""
    node = pair((8, 8), 4, 4, **change)
    assert not tactic().when(node)
    with pytest.raises(IngotError, match="conv"):
        together(node, "portable")


def test_a_reader_of_something_else_is_refused() -> None:
    node = pair((8, 8), 4, 4)
    other = pair((8, 8), 4, 4)
    other.inputs[0] = Value("input", node.inputs[0].type)
    assert tactic().when(node) and not tactic().when(other)
