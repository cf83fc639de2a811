"""Weight equalisation and signs: what the float graph gives stays, channels come to like ranges."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot.builder import onnx_model
from ingot.builder.calibrate import calibrate, observe
from ingot.builder.calibrate.cache import to_tensorrt
from ingot.builder.onnx_import import import_model
from ingot.builder.passes import equalize
from ingot.builder.pipeline import TO_QUANTIZE, run_passes
from ingot.builder.quantization.signs import nonnegative

sys.path.insert(0, str(Path(__file__).resolve().parent))
import nets


def unbalanced(seed: int = 0):
    """Depthwise, pointwise and grouped convolutions whose channels differ by orders of magnitude."""
    net = nets.Net((1, 3, 12, 12), seed)
    y = net.op("Relu", net.conv("x", 3, 16))
    spread = np.exp2(-np.arange(16) % 11).astype(np.float32).reshape(-1, 1, 1, 1)
    for tensor in net.constants:
        array = nets.numpy_helper.to_array(tensor)
        scaled = array * spread.reshape(-1, *[1] * (array.ndim - 1))
        tensor.CopyFrom(nets.numpy_helper.from_array(scaled, tensor.name))
    y = net.op("Relu", net.conv(y, 16, 16, group=16))
    y = net.op("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = net.op("Relu", net.conv(y, 16, 24, kernel=1, group=2))
    return net.model(net.conv(y, 24, 7)), net.samples(4)


def float_graph(model):
    graph = import_model(onnx_model.read(model), {})
    run_passes(graph, TO_QUANTIZE)
    return graph


def largest(graph, names, samples):
    observation = observe(graph, names)
    found = {}
    for sample in samples:
        for name, array in observation.run(sample).items():
            found[name] = np.maximum(found.get(name, 0), np.abs(array).max(axis=tuple(range(array.ndim - 1))))
    return found


def test_results_stay() -> None:
    """Powers of two and no upper clamp: the same numbers up to the order of sums."""
    model, samples = unbalanced()
    graph = float_graph(model)
    output = graph.outputs[0].name
    before = [observe(graph, [output]).run(s)[output].copy() for s in samples]
    pairs = equalize.pairs(graph)
    assert len(pairs) == 3
    names = [pair.value.name for pair in pairs]
    uneven = largest(graph, names, samples)
    equalize.run(graph, pairs, uneven)
    for sample, wanted in zip(samples, before):
        np.testing.assert_allclose(observe(graph, [output]).run(sample)[output], wanted, rtol=1e-5, atol=1e-6)
    even = largest(graph, names, samples)
    first = names[0]
    assert even[first].min() > uneven[first].min() * 8
    assert even[first].max() == uneven[first].max()


def test_helps() -> None:
    model, samples = unbalanced(2)
    engines = [ingot.build(model)] + [
        ingot.build(model, precision="int8", calibration=samples, equalize=option) for option in (False, True)
    ]
    wanted, plain, equal = ([nets.outputs(engine, s)[0] for s in samples] for engine in engines)
    error = [sum(np.linalg.norm(a - b) for a, b in zip(wanted, found)) for found in (plain, equal)]
    assert error[1] < error[0]


def test_ranges_of_the_model_as_it_was_are_refused(tmp_path: Path) -> None:
    """Equalised tensors have others, and which ones depends on what inputs are taken for."""
    model, samples = unbalanced(2)
    own, before, foreign = tmp_path / "own", tmp_path / "before", tmp_path / "trt"
    options = {"precision": "int8", "self_test": False}
    engine = ingot.build(model, calibration=samples, equalize=True, calibration_cache=own, **options)
    again = ingot.build(model, equalize=True, calibration_cache=own, **options)
    assert again.digest == engine.digest
    calibration = calibrate(model, samples)
    calibration.save(before)
    foreign.write_text(to_tensorrt(calibration))
    for cache in (before, foreign):
        ingot.build(model, calibration_cache=cache, **options)
        with pytest.raises(ingot.BuildError, match=rf"{cache}:\d: equalize changes the ranges") as error:
            ingot.build(model, equalize=True, calibration_cache=cache, **options)
        assert "\n" not in str(error.value)
    with pytest.raises(ingot.BuildError, match="equalize changes the ranges"):
        ingot.build(model, equalize=True, calibration=calibration, **options)
    for wrong in ({"equalize": True, "input_ranges": {"x": (0, 9)}}, {}):
        with pytest.raises(ingot.BuildError, match=f"{own}:2: for another model"):
            ingot.build(model, calibration_cache=own, **wrong, **options)


def test_signs() -> None:
    model, _ = nets.mixed(0)
    graph = float_graph(model)
    positive = nonnegative(graph)
    samples = [{"x": np.random.default_rng(i).standard_normal((1, 3, 11, 9)).astype(np.float32) * 10} for i in range(3)]
    names = [node.output.name for node in graph.nodes]
    observation = observe(graph, names)
    for sample in samples:
        for name, array in observation.run(sample).items():
            if any(value.name == name for value in positive):
                assert array.min() >= 0, name
    assert {node.op.name for node in graph.nodes if node.output in positive} >= {"conv", "pool"}
