"""LSTM, GRU and RNN: against onnxruntime, packed and plain, on every instruction set, however split."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from ingot._kernel import available_isas, empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.errors import IngotError
from ingot.kernels.recurrent.attrs import (
    AFFINE,
    SCALED_TANH,
    SIGMOID,
    TANH,
    Direction,
    GateActivation,
    RecurrentAttrs,
    RecurrentKind,
)
from ingot.kernels.recurrent.op import SPEC
from ingot.kernels.spec import DType, TensorType

NAMES = ("x", "w", "r", "b", "lens", "h0", "c0", "p")
#: ONNX's name of some activations; those with constants take these
FUNCTIONS = {
    "Sigmoid": SIGMOID,
    "Tanh": TANH,
    "Relu": GateActivation(1),
    "LeakyRelu": GateActivation(3, 0.3),
    "HardSigmoid": GateActivation(8, 0.3, 0.6),
    "Affine": GateActivation(AFFINE, 0.3, 0.6),
    "ScaledTanh": GateActivation(SCALED_TANH, 0.3, 0.6),
}
EACH = {RecurrentKind.RNN: 1, RecurrentKind.GRU: 2, RecurrentKind.LSTM: 3}


def oracle(
    kind: RecurrentKind, inputs: list[np.ndarray | None], names: list[str], **attributes: Any
) -> list[np.ndarray]:
    """What onnxruntime computes."""
    used = [name if array is not None else "" for name, array in zip(NAMES, inputs)]
    results = ["y", "h", "c"][: 3 if kind is RecurrentKind.LSTM else 2]
    functions = [FUNCTIONS[name] for name in names]
    alphas, betas = [f.alpha for f in functions if f.alpha], [f.beta for f in functions if f.beta]
    attributes |= {"activations": names}
    attributes |= {k: v for k, v in (("activation_alpha", alphas), ("activation_beta", betas)) if v}
    node = helper.make_node(kind.name, used, results, **attributes)
    constants = [numpy_helper.from_array(a, n) for n, a in zip(NAMES[1:], inputs[1:]) if a is not None]
    graph = helper.make_graph(
        [node],
        "recurrent",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, inputs[0].shape)],
        [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in results],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": inputs[0]})


def ours(
    attrs: RecurrentAttrs, inputs: list[np.ndarray | None], plain: bool, isa: str, splits: int
) -> list[np.ndarray]:
    values = [None if a is None else Value("", TensorType(DType.of(a.dtype), a.shape), a) for a in inputs]
    types = SPEC.infer(attrs, [None if v is None else v.type for v in values])
    node = Node(SPEC, attrs, values, [Value("", t) for t in types])
    tactic = next(t for t in SPEC.tactics if t.kernel == ("recurrent_f32" if plain else "recurrent_f32_n16"))
    assert tactic.when(node)
    packed = [tactic.pack[i](node, a) if a is not None and i in tactic.pack else a for i, a in enumerate(inputs)]
    outputs = [empty(t.shape, np.float32) for t in types]
    params = make_params(tactic.params_type, tactic.params(node))
    run_kernel(tactic.kernel, packed, outputs, params, isa=isa, splits=splits)
    return outputs


@st.composite
def cases(draw: st.DrawFn) -> tuple[RecurrentAttrs, list[np.ndarray | None], list[str]]:
    kind, direction = draw(st.sampled_from(list(RecurrentKind))), draw(st.sampled_from(list(Direction)))
    steps, batch = draw(st.integers(1, 8)), draw(st.sampled_from((1, 2, 3, 9)))
    width, hidden = draw(st.sampled_from((1, 5, 8, 33))), draw(st.sampled_from((1, 4, 16, 21, 48)))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    d, g, each = direction.count, kind.gates, EACH[kind]
    names = [("Sigmoid", "Tanh", "Tanh")[i % each] if each > 1 else "Tanh" for i in range(each * d)]
    if draw(st.booleans()):
        names = [draw(st.sampled_from(list(FUNCTIONS))) for _ in names]

    def floats(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) * 0.4).astype(np.float32)

    inputs: list[np.ndarray | None] = [
        floats(steps, batch, width),
        floats(d, g * hidden, width),
        floats(d, g * hidden, hidden),
    ]
    optional = [
        floats(d, 2 * g * hidden),
        random.integers(1, steps + 1, batch).astype(np.int32),
        floats(d, batch, hidden),
    ]
    if kind is RecurrentKind.LSTM:
        optional += [floats(d, batch, hidden), floats(d, 3 * hidden)]
    inputs += [array if draw(st.booleans()) else None for array in optional]
    rows = [[FUNCTIONS[n] for n in names[i * each : (i + 1) * each]] + [TANH] * (3 - each) for i in range(d)]
    attrs = RecurrentAttrs(
        kind,
        hidden,
        direction,
        (*rows[0], *rows[-1]),
        draw(st.sampled_from((math.inf, math.inf, 0.7))),
        kind is RecurrentKind.GRU and draw(st.booleans()),
    )
    return attrs, inputs, names


@settings(max_examples=60, deadline=None)
@given(cases())
def test_against_onnxruntime(case: tuple[RecurrentAttrs, list[np.ndarray | None], list[str]]) -> None:
    attrs, inputs, names = case
    more: dict[str, Any] = {"hidden_size": attrs.hidden, "direction": attrs.direction.name.lower()}
    more |= {"clip": attrs.clip} if attrs.clip < math.inf else {}
    more |= {"linear_before_reset": 1} if attrs.linear_before_reset else {}
    expected = oracle(attrs.kind, inputs, names, **more)
    for plain in (False, True):
        for isa in available_isas("recurrent_f32"):
            results = ours(attrs, inputs, plain, isa, 1)
            for y, wanted in zip(results, expected, strict=True):
                scale = max(np.abs(wanted).max(), 1)  # an unbounded activation amplifies what rounding does
                np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-4 * scale)
            again = ours(attrs, inputs, plain, isa, 3)
            assert [y.tobytes() for y in again] == [y.tobytes() for y in results]


def test_a_sequence_of_length_zero_leaves_the_state() -> None:
    random = np.random.default_rng(0)
    x, w, r, h0 = (random.standard_normal(s).astype(np.float32) for s in ((3, 2, 4), (1, 20, 4), (1, 20, 5), (1, 2, 5)))
    inputs = [x, w, r, None, np.array([0, 3], np.int32), h0, None, None]
    y, h, c = ours(RecurrentAttrs(RecurrentKind.LSTM, 5), inputs, False, "portable", 1)
    np.testing.assert_array_equal(h[0, 0], h0[0, 0])
    assert not y[:, 0, 0].any() and not c[0, 0].any() and y[:, 0, 1].all()


@pytest.mark.parametrize("length", [-1, 4, -(1 << 31), (1 << 31) - 1])
def test_a_length_out_of_range_is_an_error(length: int) -> None:
    inputs = [np.zeros(s, np.float32) for s in ((3, 2, 4), (1, 20, 4), (1, 20, 5))]
    lens = np.array([1, length], np.int32)
    with pytest.raises(IngotError):
        ours(RecurrentAttrs(RecurrentKind.LSTM, 5), [*inputs, None, lens], True, "portable", 1)


SHAPES = {
    "in": [(3, 2, 4), (1, 20, 4), (1, 20, 5), (1, 40), (2,), (1, 2, 5), (1, 2, 5), (1, 15)],
    "out": [(3, 1, 2, 5), (1, 2, 5), (1, 2, 5)],
}
GOOD = {"kind": 2, "clip": math.inf, "activations": [TANH.params()] * 6}


def attempt(fields: dict[str, Any], ins: list[tuple[int, ...]], outs: list[tuple[int, ...]]) -> None:
    inputs = [empty(s, np.int32 if i == 4 else np.float32) for i, s in enumerate(ins)]
    run_kernel(
        "recurrent_f32", inputs, [empty(s, np.float32) for s in outs], make_params("ingot_recurrent_params", fields)
    )


def test_every_wrong_extent_is_refused() -> None:
    attempt(GOOD, SHAPES["in"], SHAPES["out"])
    for side in ("in", "out"):
        for operand, shape in enumerate(SHAPES[side]):
            for axis in range(len(shape)):
                changed = {k: list(v) for k, v in SHAPES.items()}
                changed[side][operand] = (*shape[:axis], shape[axis] + 1, *shape[axis + 1 :])
                with pytest.raises(IngotError):
                    attempt(GOOD, changed["in"], changed["out"])


@pytest.mark.parametrize(
    "change",
    [
        {"kind": 3},
        {"kind": 0},
        {"kind": 1},
        {"direction": 2},
        {"direction": 3},
        {"linear_before_reset": 2},
        {"input_forget": 2},
        {"clip": -1.0},
        {"clip": math.nan},
        {"reserved": 1},
        {"activations": [{"kind": 99}] * 6},
    ],
)
def test_params_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(IngotError):
        attempt(GOOD | change, SHAPES["in"], SHAPES["out"])
