"""INT8 recurrent layers: the kernel against integers and single roundings, and layers in networks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import ingot
from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.builder.ir import Graph, Node, Value
from ingot.errors import IngotError
from ingot.kernels.recurrent.attrs import PARTS, Direction, QRecurrentAttrs, RecurrentKind
from ingot.kernels.recurrent.int8 import _USUAL, TACTICS
from ingot.kernels.recurrent.op import SPEC
from ingot.kernels.spec import DType, Quant, TensorType

sys.path.insert(0, str(Path(__file__).resolve().parent))
import integers
import nets

F32 = np.float32
AWKWARD = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-42, 1.0, -1.0, 0.999, -0.0], F32)


# -- the kernel --------------------------------------------------------------------------------------------------------


def int8s(rng: np.random.Generator, kind: int, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers, extremes, or -128 alone."""
    found = rng.choice([-128, 127], shape) if kind == 0 else np.full(shape, -128) if kind == 1 else None
    return (rng.integers(-128, 128, shape) if found is None else found).astype(np.int8)


@st.composite
def cases(draw: st.DrawFn) -> tuple[QRecurrentAttrs, list[np.ndarray | None]]:
    kind, direction = draw(st.sampled_from(list(RecurrentKind))), draw(st.sampled_from(list(Direction)))
    steps, batch = draw(st.integers(0, 7)), draw(st.sampled_from((1, 2, 3, 9, 17)))
    width, hidden = draw(st.sampled_from((1, 4, 7, 16, 33))), draw(st.sampled_from((1, 3, 16, 21, 40)))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    d, rows = direction.count, kind.gates * hidden
    fine = draw(st.sampled_from((None, None, 0.01, 3e-5)))
    scale = float(F32(rng.uniform(0.01, 0.1)))
    x_quant = Quant(scale, draw(st.sampled_from((0, -128, 127, 5)))) if fine is None else Quant(float(F32(fine)))
    output = draw(st.none() | st.builds(Quant, st.sampled_from((1 / 128, 0.5, 3.7e-3)), st.sampled_from((0, -128, 9))))
    attrs = QRecurrentAttrs(
        kind,
        hidden,
        direction,
        _USUAL[kind],
        linear_before_reset=draw(st.booleans()),
        fine=None if fine is None else x_quant.scale,
        x=x_quant,
        output=output,
    )
    bytes_of = lambda *shape: int8s(rng, draw(st.integers(0, 4)), shape)  # noqa: E731
    x = bytes_of(steps, batch, width)
    if fine is not None:
        x = (rng.standard_normal(x.shape) * fine * 5000).astype(F32)
        ties = rng.random(x.shape) < 0.2
        x[ties] = ((rng.integers(-9, 9, x.shape) + 0.5) * x_quant.scale).astype(F32)[ties]
    w, r = bytes_of(d, rows, width), bytes_of(d, rows, hidden)
    bias = rng.standard_normal((d, 2 * rows)).astype(F32)
    size = draw(st.sampled_from((1.0, 1.0, 1e3)))  # of gates: saturated ones among them
    terms = np.array([width**0.5 * (100 if fine is None else 1e4), hidden**0.5 * 1e6]).reshape(1, 2, 1)
    scales = (rng.uniform(0.5, 2, (d, 2, rows)) * size / terms).astype(F32)
    h0 = rng.uniform(-1, 1, (d, batch, hidden)).astype(F32) if draw(st.booleans()) else None
    c0 = None
    if kind is RecurrentKind.LSTM and draw(st.booleans()):
        c0 = rng.standard_normal((d, batch, hidden)).astype(F32)
    if draw(st.booleans()):
        for array in (h0, c0, x if fine is not None else None):
            if array is not None:
                array[rng.random(array.shape) < 0.1] = rng.choice(AWKWARD)
    sums = np.stack([weights.sum(axis=2, dtype=np.int32) for weights in (w, r)], axis=1)
    return attrs, [x, w, r, bias, h0, c0, sums, scales]


def node_of(attrs: QRecurrentAttrs, inputs: list[np.ndarray | None]) -> Node:
    values = [None if a is None else Value("", TensorType(DType.of(a.dtype), a.shape), a) for a in inputs]
    types = SPEC.infer(attrs, [None if v is None else v.type for v in values])
    return Node(SPEC, attrs, values, [Value("", t) for t in types])


def kernel(node: Node, inputs: list[np.ndarray | None], isa: str, splits: int) -> list[np.ndarray]:
    (tactic,) = (t for t in TACTICS if t.is_for("cpu"))
    assert tactic.when(node)
    packed = [tactic.pack[i](node, a) if i in tactic.pack else a for i, a in enumerate(inputs)]
    outputs = [empty(v.type.shape, v.type.dtype.numpy) for v in node.outputs]
    params = make_params(tactic.params_type, tactic.params(node))
    run_kernel(tactic.kernel, packed, outputs, params, isa=isa, splits=splits, constant=list(tactic.pack))
    return outputs


def test_the_kernel_exists_for_every_instruction_set() -> None:
    assert "portable" in available_isas("recurrent_s8_n16k4")


@settings(max_examples=120, deadline=None)
@given(cases())
def test_exact(case: tuple[QRecurrentAttrs, list[np.ndarray | None]]) -> None:
    attrs, inputs = case
    node = node_of(attrs, inputs)
    with np.errstate(all="ignore"):
        wanted = integers.recurrent(node, inputs)
    for isa in available_isas("recurrent_s8_n16k4"):
        for splits in (1, 2):
            for y, exact in zip(kernel(node, inputs, isa, splits), wanted, strict=True):
                assert y.dtype == exact.dtype
                np.testing.assert_array_equal(y, exact, err_msg=f"{isa} {attrs}")


def test_functions_of_gates_are_those_of_mathematics() -> None:
    x = np.concatenate([np.linspace(-100, 100, 20001), [0.0, 1e-30, 88.5, -88.5, 3e38, -3e38]]).astype(F32)
    wide = x.astype(np.float64)
    with np.errstate(over="ignore"):
        a, b, c = integers.cells.sigmoid(x)
        np.testing.assert_allclose(a / c, 1 / (1 + np.exp(-wide)), atol=2e-7)
        np.testing.assert_allclose(b / c, 1 / (1 + np.exp(wide)), atol=2e-7)
        a, c = integers.cells.hyperbolic(x)
        np.testing.assert_allclose(a / c, np.tanh(wide), atol=2e-7)


GOOD = {"kind": 2, "inverse_scale": 1.0}


def attempt(params: dict[str, Any], change: dict[int, tuple[int, ...]] | None = None) -> None:
    """A layer of 1 direction, 2 steps, batch 1, 5 inputs and 16 units; inputs and outputs with other shapes."""
    dtypes = {3: F32, 4: F32, 5: F32, 6: np.int32, 7: F32}
    shapes = {
        0: (2, 1, 5), 1: (1, 4, 2, 64), 2: (1, 4, 4, 64), 3: (1, 2, 64), 4: (1, 1, 16), 5: (1, 1, 16),
        6: (1, 2, 64), 7: (1, 2, 64), 8: (2, 1, 1, 16), 9: (1, 1, 16), 10: (1, 1, 16),
    } | (change or {})  # fmt: skip
    arrays = [empty(shape, dtypes.get(i, np.int8 if i < 8 else F32)) for i, shape in shapes.items()]
    run_kernel("recurrent_s8_n16k4", arrays[:8], arrays[8:], make_params("ingot_recurrent_s8_params", params))


def test_every_wrong_extent_is_refused() -> None:
    attempt(GOOD)
    shapes = [
        (2, 1, 5), (1, 4, 2, 64), (1, 4, 4, 64), (1, 2, 64), (1, 1, 16), (1, 1, 16), (1, 2, 64), (1, 2, 64),
        (2, 1, 1, 16), (1, 1, 16), (1, 1, 16),
    ]  # fmt: skip
    for operand, shape in enumerate(shapes):
        for axis in range(len(shape)):
            if (operand, axis) == (0, 2):
                continue  # up to the padding of the weights, any width will do
            with pytest.raises(IngotError):
                attempt(GOOD, {operand: (*shape[:axis], shape[axis] + 1, *shape[axis + 1 :])})
    with pytest.raises(IngotError):
        attempt(GOOD, {0: (2, 1, 9)})


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 3}, {"kind": 0}, {"kind": 1}, {"direction": 2}, {"direction": 3}, {"linear_before_reset": 2},
        {"input_zero": 128}, {"input_zero": -129}, {"output_zero": 300}, {"inverse_scale": 0.0},
        {"inverse_scale": float("nan")}, {"inverse_scale": float("inf")}, {"fine": 1.0}, {"fine": -1.0},
        {"fine": float("nan")}, {"reserved": 1},
    ],
)  # fmt: skip
def test_params_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(IngotError):
        attempt(GOOD | change)


# -- in networks -------------------------------------------------------------------------------------------------------


def network(
    op_type: str, *, before: bool, direction: str = "forward", steps: int = 6, **attributes: Any
) -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    """x [T, B, I], perhaps through a product, a recurrent layer with a carried state, and a product behind it."""
    rng = np.random.default_rng(len(op_type + direction))
    d, g, width, hidden = 2 if direction == "bidirectional" else 1, {"RNN": 1, "GRU": 3, "LSTM": 4}[op_type], 12, 24
    floats = lambda *shape: (rng.standard_normal(shape) * 0.3).astype(F32)  # noqa: E731
    constants = {
        "w": floats(d, g * hidden, width), "r": floats(d, g * hidden, hidden), "b": floats(d, 2 * g * hidden),
        "m": floats(width, width), "v": floats(d * hidden, 7), "flat shape": np.array([steps, 3, -1]),
    }  # fmt: skip
    results = ["y", "h", "c"] if op_type == "LSTM" else ["y", "h"]
    states = ["h0", "c0"] if op_type == "LSTM" else ["h0"]
    nodes = [helper.make_node("MatMul", ["x", "m"], ["mixed"])] if before else []
    x = "mixed" if before else "x"
    nodes += [
        helper.make_node(
            op_type, [x, "w", "r", "b", "", *states], results, "cell",
            hidden_size=hidden, direction=direction, **attributes,
        ),
        helper.make_node("Transpose", ["y"], ["turned"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["turned", "flat shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "v"], ["out"]),
    ]  # fmt: skip
    f32 = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    graph = helper.make_graph(
        nodes,
        "net",
        [f32("x", (steps, 3, width)), *(f32(s, (d, 3, hidden)) for s in states)],
        [f32(name, None) for name in ("out", *results[1:])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=9)
    samples = [
        {"x": rng.standard_normal((steps, 3, width)).astype(F32)}
        | {s: rng.uniform(-1, 1, (d, 3, hidden)).astype(F32) for s in states}
        for _ in range(5)
    ]
    return model, samples


def layer(graph: Graph) -> Node:
    (node,) = [node for node in graph.nodes if node.op.name == "recurrent"]
    return node


FORMS = [
    ("LSTM", {}),
    ("LSTM", {"direction": "reverse"}),
    ("LSTM", {"direction": "bidirectional"}),
    ("GRU", {"linear_before_reset": 0}),
    ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}),
    ("RNN", {"direction": "reverse"}),
]


@pytest.mark.parametrize("before", [False, True], ids=["x in float32", "x in int8"])
@pytest.mark.parametrize(("op_type", "attributes"), FORMS, ids=lambda v: str(v))
def test_networks_compute_what_the_integer_graph_says(op_type: str, attributes: dict[str, Any], before: bool) -> None:
    model, samples = network(op_type, before=before, **attributes)
    graph, request = nets.integer_graph(model, samples)
    node = layer(graph)
    assert isinstance(node.attrs, QRecurrentAttrs)
    assert (node.attrs.fine is None) == before
    assert node.output.type.dtype is DType.I8
    assert all(value.type.dtype is DType.F32 for value in node.outputs[1:])
    engine = ingot.build(model, precision="int8", calibration=request.ranges)
    assert engine.inspect()["metadata"]["ledger"][-1]["got"] == "int8"
    whole = ingot.build(model)
    for sample in samples:
        values = integers.run(graph, sample)
        got = nets.outputs(engine, sample)
        for value, array, real in zip(graph.outputs, got, nets.outputs(whole, sample), strict=True):
            np.testing.assert_array_equal(array, values[value.name])
            assert np.linalg.norm(array - real) < 0.05 * np.linalg.norm(real)


RUN = """
import sys, hashlib, numpy as np, ingot
engine = ingot.load(sys.argv[1])
samples = np.load(sys.argv[2])
names = [i.name for i in engine.inputs]
for threads in (1, 2):
    digest = hashlib.sha256()
    with engine.context(threads=threads) as context:
        for _ in range(3):
            for array in context.run({name: samples[name] for name in names}).values():
                digest.update(np.ascontiguousarray(array).tobytes())
    print(digest.hexdigest())
"""


def test_same_bits_everywhere(tmp_path: Path) -> None:
    model, samples = network("GRU", before=True, direction="bidirectional", linear_before_reset=1)
    engine = ingot.build(model, precision="int8", calibration=samples)
    assert all(row["exact_across_targets"] for row in engine.inspect()["metadata"]["ledger"])
    engine.save(tmp_path / "engine.ingot")
    np.savez(tmp_path / "x.npz", **samples[0])
    found = {}
    for isa in ("portable", "avx2", "avxvnni", "avx512", "avx512vnni", "neon", "neondot"):
        command = [sys.executable, "-c", RUN, str(tmp_path / "engine.ingot"), str(tmp_path / "x.npz")]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"INGOT_ISA": isa})
        if done.returncode == 0:
            found[isa] = done.stdout.split()
    assert len(found["portable"]) == 2
    assert len({digest for pair in found.values() for digest in pair}) == 1, found


SPECIAL = {
    "clip": ({"clip": 0.5}, "LSTM with clip has no int8 form"),
    "activations": ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "LSTM with activations has no int8 form"),
    "input_forget": ({"input_forget": 1}, "LSTM with input_forget has no int8 form"),
}


def with_input(model: onnx.ModelProto, index: int, array: np.ndarray) -> None:
    """The layer with one more constant input."""
    (node,) = [node for node in model.graph.node if node.op_type == "LSTM"]
    node.input.extend([""] * (index + 1 - len(node.input)))
    node.input[index] = "more"
    model.graph.initializer.append(numpy_helper.from_array(array, "more"))


@pytest.mark.parametrize(
    ("index", "array", "what"),
    [(4, np.array([6, 2, 3], np.int32), "sequence_lens"), (7, np.full((1, 72), 0.1, F32), "peepholes")],
    ids=["sequence_lens", "peepholes"],
)
def test_layers_with_special_inputs_stay_float(index: int, array: np.ndarray, what: str) -> None:
    model, samples = network("LSTM", before=True)
    with_input(model, index, array)
    engine = ingot.build(model, precision="int8", calibration=samples)
    rows = {row["layer"]: row for row in engine.inspect()["metadata"]["ledger"]}
    assert rows["cell"]["got"] == "fp32"
    assert rows["cell"]["why"] == f"LSTM with {what} has no int8 form"


@pytest.mark.parametrize("name", SPECIAL)
def test_what_has_no_integer_form_stays_float_and_the_ledger_says_why(name: str) -> None:
    attributes, reason = SPECIAL[name]
    model, samples = network("LSTM", before=True, **attributes)
    engine = ingot.build(model, precision="int8", calibration=samples)
    rows = {row["layer"]: row for row in engine.inspect()["metadata"]["ledger"]}
    assert rows["cell"]["got"] == "fp32"
    assert rows["cell"]["why"] == reason
    assert any(row["got"] == "int8" for row in rows.values())


@pytest.mark.parametrize("axis", [None, 1])
def test_a_model_that_arrives_quantised(axis: int | None) -> None:
    """x and the weights through DequantizeLinear: the layer takes the numbers as they are."""
    rng = np.random.default_rng(4)
    model, samples = network("LSTM", before=False)
    kept = [t for t in model.graph.initializer if t.name not in ("w", "r")]
    nodes = []
    for name, width in (("w", 12), ("r", 24)):
        scales = F32(0.004) if axis is None else rng.uniform(0.002, 0.005, 96).astype(F32)
        kept.append(numpy_helper.from_array(rng.integers(-127, 128, (1, 96, width)).astype(np.int8), f"{name}.q"))
        kept.append(numpy_helper.from_array(np.asarray(scales), f"{name}.scale"))
        more = {} if axis is None else {"axis": axis}
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", f"{name}.scale"], [name], **more))
    kept.append(numpy_helper.from_array(F32(0.03), "x.scale"))
    kept.append(numpy_helper.from_array(np.array(7, np.int8), "x.zero"))
    nodes.append(helper.make_node("QuantizeLinear", ["x", "x.scale", "x.zero"], ["x.q"]))
    nodes.append(helper.make_node("DequantizeLinear", ["x.q", "x.scale", "x.zero"], ["x.real"]))
    for node in model.graph.node:
        node.input[:] = ["x.real" if name == "x" else name for name in node.input]
    nodes += list(model.graph.node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    engine = ingot.build(model, precision="int8", allow_fallback=True)
    (row,) = [row for row in engine.inspect()["metadata"]["ledger"] if row["kernel"].startswith("recurrent")]
    assert row["kernel"] == "recurrent_s8_n16k4"
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for sample in samples:
        for got, wanted in zip(nets.outputs(engine, sample), session.run(None, sample), strict=True):
            np.testing.assert_allclose(got, wanted, atol=2e-3)


def test_the_state_takes_part_with_fifteen_bits() -> None:
    high, low = integers.cells.parts(np.array([1, -1, 1 / PARTS, 0.5 / PARTS, 1.5 / PARTS, 9, -9], F32), F32(PARTS))
    assert (128 * high + low).tolist() == [16256, -16256, 1, 0, 2, 16319, -16319]
    assert high.max() == 127 and high.min() == -127
    assert low.max() <= 63 and low.min() >= -64
