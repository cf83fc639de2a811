"""The first convolution of a network: which ones read the image as it comes, and that they give what steps apart do."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import ingot
from ingot import builder

sys.path.append(str(Path(__file__).parents[1] / "emulator"))
from driver import in_process
from host_compiler import HostCompiler

PROGRAM = """
import sys
import numpy as np
import ingot

path, given, results = sys.argv[1:4]
driver.set(arch=90)
np.savez(results, **ingot.load(path).context().run(dict(np.load(given))))
"""


def model(channels: int = 3, groups: int = 1, dilation: int = 1, shown: bool = False) -> bytes:
    """A 3x3 convolution of an image; ``shown``: it is an output channels-last as well."""
    random = np.random.default_rng(0)
    w = random.normal(0.0, 0.3, (8 * groups, channels // groups, 3, 3)).astype(np.float32)
    attrs = {"strides": [2, 2], "pads": [1, 2, 0, 1], "group": groups, "dilations": [dilation] * 2}
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"], name="first", **attrs)]
    nodes += [helper.make_node("Relu", ["c"], ["y"], name="bend")]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    if shown:
        nodes.append(helper.make_node("Transpose", ["x"], ["z"], perm=[0, 2, 3, 1], name="show"))
        outputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, channels, 9, 21])
    graph = helper.make_graph(nodes, "image", [x], outputs, [numpy_helper.from_array(w, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


def build(raw: bytes, precision: str, x: np.ndarray, **options: object) -> bytes:
    calibration = {"calibration": [{"x": x}]} if precision == "int8" else {}
    return builder.build(onnx.load_from_string(raw), precision=precision, **calibration, **options)


def image(channels: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((2, channels, 9, 21)).astype(np.float32)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_one_step_does_what_three_do(precision: str, tmp_path: Path) -> None:
    raw, x = model(), image(3)
    wanted = ingot.load(build(raw, precision, x)).context().run({"x": x})["y"]
    path = tmp_path / "model.ingot"
    path.write_bytes(build(raw, precision, x, target="h200", compiler=HostCompiler()))
    steps = ingot.load(str(path), any_machine=True).inspect()["programs"][0]["steps"]
    assert steps[0]["kernel"] == {"int8": "image_conv_s8_cuda", "fp16": "image_conv_f16_cuda"}[precision]
    np.savez(tmp_path / "given.npz", x=x)
    in_process(PROGRAM, str(path), str(tmp_path / "given.npz"), str(tmp_path / "results.npz"))
    got = np.load(tmp_path / "results.npz")["y"]
    if precision == "int8":
        assert got.tobytes() == np.asarray(wanted).tobytes()
    else:
        assert np.linalg.norm(got - wanted) <= 5e-3 * np.linalg.norm(wanted)


@pytest.mark.parametrize(
    ("precision", "case"),
    [
        ("fp32", {}),
        ("fp16", {"channels": 5}),
        ("fp16", {"channels": 4, "groups": 2}),
        ("fp16", {"dilation": 2}),
        ("fp16", {"shown": True}),
        ("int8", {"channels": 5}),
    ],
)
def test_others_stay_apart(precision: str, case: dict, tmp_path: Path) -> None:
    raw, x = model(**case), image(case.get("channels", 3))
    engine = build(raw, precision, x, target="h200", compiler=HostCompiler(), self_test=False)
    steps = ingot.load(engine, any_machine=True).inspect()["programs"][0]["steps"]
    assert not any(step["kernel"].startswith("image_conv") for step in steps)
