"""The convolution of an image as it comes, on the CPU: that it is its transpose and the convolution, in one."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ingot
from ingot._kernel import available_isas, make_params, run_kernel
from ingot.errors import IngotError
from ingot.kernels.common.half import widen
from ingot.kernels.spec import DType, OpSpec, Sample

sys.path.insert(0, str(Path(__file__).parent))
from samples import CASES, in_steps, make_node, run

IMAGES = [case for case in CASES if case.values[0].name == "image_conv" and "int8" not in case.id]

#: norm of the difference over norm of the result: sums in other orders, and once rounded to what is stored
BOUNDS = {DType.F32: 1e-6, DType.F16: 1e-3, DType.BF16: 5e-3}


@pytest.mark.parametrize(("spec", "sample"), IMAGES)
def test_it_is_what_its_steps_are(spec: OpSpec, sample: Sample) -> None:
    node, arrays = make_node(spec, sample)
    step, inputs = in_steps(node, arrays)
    (tactic,) = (t for t in spec.tactics if t.is_for("cpu") and t.when(node))
    apart = next(t for t in step.op.tactics if t.kernel and t.is_for("cpu") and t.when(step))
    for isa in available_isas(tactic.kernel):
        (got,) = run(node, tactic, arrays, isa, 1)
        (wanted,) = run(step, apart, inputs, isa, 1)
        stored = node.outputs[0].type.dtype
        if stored is not DType.F32:
            got, wanted = widen(got, stored), widen(wanted, stored)
        bound = BOUNDS[node.inputs[1].type.dtype]
        assert np.linalg.norm(got - wanted) <= bound * np.linalg.norm(wanted), isa


@pytest.mark.parametrize("kernel", ["image_conv_f32_n16", "image_conv_bf16_n16k2"])
def test_infinite_pixels_stay_in_their_windows(kernel: str) -> None:
    """What stands beside a window, or is padded to its channels, is no part of it."""
    spec, sample = next(c.values for c in IMAGES if ("bf16" in kernel) == ("bf16" in c.id) and "3x3 stride" in c.id)
    node, arrays = make_node(spec, sample)
    tactic = next(t for t in spec.tactics if t.kernel == kernel)
    arrays[0][0, 1, 4, 8] = np.inf
    assert arrays[0].shape == (1, 3, 23, 37)
    for isa in available_isas(kernel):
        (got,) = run(node, tactic, arrays, isa, 1)
        values = got if got.dtype == np.float32 else widen(got, DType.BF16)
        touched = ~np.isfinite(values).all(axis=-1)[0]
        assert not np.delete(np.delete(touched, [1, 2], 0), [3, 4], 1).any(), isa
        assert not touched[:, :3].any(), isa


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"groups": 2}, "groups"),
        ({"kernel": [2, 3, 3], "pads_begin": [1, 1, 1]}, "two spatial axes"),
        ({"dilations": [1, 2, 1]}, "dilation"),
        ({"strides": [1, 0, 1]}, "strides"),
        ({"kernel": [1, 2, 3]}, "kernel|output extent"),
        ({"kernel": [1, 5000, 3]}, "kernel|axes"),
        ({"pads_end": [0, 9, 9]}, "output extent"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, reason: str) -> None:
    x, w, y = (np.zeros(shape, np.float32) for shape in ((1, 3, 8, 9), (1, 9, 3, 16), (1, 8, 9, 4)))
    conv = {"kernel": [1, 3, 3], "strides": [1, 1, 1], "dilations": [1, 1, 1], "pads_begin": [0, 1, 1]}
    conv |= {"pads_end": [0, 1, 1], "groups": 1} | change
    with pytest.raises(IngotError, match=reason):
        run_kernel("image_conv_f32_n16", [x, w, None], [y], make_params("ingot_image_conv_params", {"conv": conv}))


def test_images_of_many_channels_are_refused() -> None:
    x, y = np.zeros((1, 5, 8, 9), np.float32), np.zeros((1, 8, 9, 4), np.float32)
    w = np.zeros((1, 9, 5, 16), np.float32)
    conv = {"kernel": [1, 3, 3], "strides": [1] * 3, "dilations": [1] * 3, "pads_begin": [0, 1, 1], "groups": 1}
    params = make_params("ingot_image_conv_params", {"conv": conv | {"pads_end": [0, 1, 1]}})
    with pytest.raises(IngotError, match="channels"):
        run_kernel("image_conv_f32_n16", [x, w, None], [y], params)


def model(channels: int) -> onnx.ModelProto:
    """Two convolutions of 3x3."""
    random = np.random.default_rng(0)
    weights = [random.normal(0.0, 0.2, shape).astype(np.float32) for shape in ((8, channels, 3, 3), (4, 8, 3, 3))]
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["b"], name="first", strides=[2, 2], pads=[1, 2, 0, 1]),
        helper.make_node("Relu", ["b"], ["c"], name="bend"),
        helper.make_node("Conv", ["c", "d"], ["y"], name="second"),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, channels, 19, 21])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "image", [x], [y], [numpy_helper.from_array(w, n) for w, n in zip(weights, "ad")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("channels", [1, 3, 4, 5])
def test_networks_begin_with_it(precision: str, channels: int) -> None:
    engine = ingot.build(model(channels), precision=precision)
    steps = [step["kernel"] for step in engine.inspect()["programs"][0]["steps"]]
    assert sum(kernel.startswith("image_conv") for kernel in steps) == (channels < 5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_pixels_of_one_channel_are_an_image_either_way(precision: str) -> None:
    """Channels last, as networks of other frameworks have them: [N, H, W, 1] is [N, 1, H, W] as it lies."""
    first, last = model(1), model(1)
    last.graph.input[0].CopyFrom(helper.make_tensor_value_info("i", TensorProto.FLOAT, [2, 19, 21, 1]))
    last.graph.node.insert(0, helper.make_node("Transpose", ["i"], ["x"], perm=[0, 3, 1, 2], name="order"))
    x = np.random.default_rng(1).standard_normal((2, 1, 19, 21)).astype(np.float32)
    engines = [ingot.build(m, precision=precision) for m in (first, last)]
    kernels = [[step["kernel"] for step in e.inspect()["programs"][0]["steps"]] for e in engines]
    assert kernels[0] == kernels[1] and kernels[0][0].startswith("image_conv"), kernels
    wanted = engines[0].context().run({"x": x})["y"]
    np.testing.assert_array_equal(engines[1].context().run({"i": x.reshape(2, 19, 21, 1)})["y"], wanted)
