"""Empirical bias correction: means of layers come back to those of the float model, on any machine and in any order."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import ingot
from ingot.builder import onnx_model
from ingot.builder.calibrate import Calibration, calibrate, empirical, float_graph
from ingot.builder.calibrate.cache import to_tensorrt
from ingot.builder.calibrate.corrections import bfloat16
from ingot.builder.calibrate.data import Item, Kept

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "quantization"))
from nets import Net, mixed


@pytest.fixture(scope="module")
def net() -> tuple[onnx.ModelProto, list[dict[str, np.ndarray]]]:
    model, _ = mixed(1)
    random = np.random.default_rng(8)
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    flat = np.ones(
        (1, 1, *shape[2:])
    )  # pictures with little but an offset: rounding errs by the same amount everywhere
    samples = [
        {model.graph.input[0].name: (flat * random.normal(size=(1, shape[1], 1, 1))).astype(np.float32)}
        for _ in range(24)
    ]
    return model, samples


def means(engine: ingot.Engine, samples: list[dict[str, np.ndarray]]) -> np.ndarray:
    with engine.context() as context:
        return np.mean([np.array(next(iter(context.run(s).values()))).mean(axis=(0, 2, 3)) for s in samples], axis=0)


def test_means_come_back(net) -> None:
    model, samples = net
    wanted = means(ingot.build(model), samples)
    with_it, without = (
        means(ingot.build(model, precision="int8", calibration=samples, bias_correction=on), samples)
        for on in (True, False)
    )
    assert np.linalg.norm(with_it - wanted) < 0.5 * np.linalg.norm(without - wanted)


def test_order_and_batching_do_not_matter(net) -> None:
    model, samples = net
    name = next(iter(samples[0]))
    found = calibrate(model, samples)
    assert found.corrections.shifts
    assert calibrate(model, samples[::-1]).text() == found.text()
    assert calibrate(model, {name: np.concatenate([s[name] for s in samples])}).text() == found.text()


def test_the_caches_give_the_same_engine(net, tmp_path: Path) -> None:
    model, samples = net
    found = calibrate(model, samples)
    found.save(tmp_path / "own")
    (tmp_path / "trt").write_text(to_tensorrt(found))
    engines = [ingot.build(model, precision="int8", calibration_cache=tmp_path / n) for n in ("own", "trt")]
    direct = ingot.build(model, precision="int8", calibration=samples)
    assert engines[0].digest == engines[1].digest == direct.digest


def test_a_build_writes_the_cache_that_it_used(net, tmp_path: Path) -> None:
    model, samples = net
    first = ingot.build(model, precision="int8", calibration=samples, calibration_cache=tmp_path / "c")
    assert Calibration.load(tmp_path / "c").corrections.shifts
    assert ingot.build(model, precision="int8", calibration_cache=tmp_path / "c").digest == first.digest


def test_corrections_of_other_layers_are_not_used(net, tmp_path: Path) -> None:
    model, samples = net
    calibrate(model, samples).save(tmp_path / "c")
    layer = next(n.name or n.output[0] for n in model.graph.node if n.op_type == "Conv")
    options = {"precision": "int8", "layer_precision": {f"*{layer}*": "fp32"}}
    cached = ingot.build(model, calibration_cache=tmp_path / "c", **options)
    passes = cached.inspect()["metadata"]["passes"]
    assert any("another choice of int8 layers" in line for line in passes)
    measured = ingot.build(model, calibration=samples, **options)
    assert not any("another choice" in line for line in measured.inspect()["metadata"]["passes"])
    assert measured.digest != cached.digest


def test_one_sample_corrects_nothing(net) -> None:
    model, samples = net
    assert not calibrate(model, samples[:1]).corrections.shifts


def test_differences_that_may_be_chance_are_shrunk() -> None:
    wanted = np.zeros((4, 3))
    steady, noisy, none = np.full(4, -1.0), np.array([-3.0, 3.0, -4.0, 2.0]), np.zeros(4)
    shift = empirical._shift(np.stack([steady, noisy, none], axis=1), wanted)
    assert shift[0] == 1 and 0 < shift[1] < 0.25 and shift[2] == 0


def test_bfloat16_rounds_halves_to_even() -> None:
    x = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-9, 3.0])
    assert bfloat16(x).tolist() == [1, 1 + 2**-6, -1, 3]


def test_kept_samples_are_copies_of_the_same_few() -> None:
    buffer = np.zeros(2, np.float32)
    forwards, backwards = Kept(3), Kept(3)
    for kept, order in ((forwards, range(9)), (backwards, range(8, -1, -1))):
        for number in order:
            buffer[:] = number
            kept.add((number * 7) % 9, Item("", {"x": buffer}))
    values = [[item.arrays["x"][0] for item in kept.items] for kept in (forwards, backwards)]
    assert values[0] == values[1] == [0, 4, 8]


def test_the_model_is_read_only(net) -> None:
    model, samples = net
    before = onnx_model.read(model).proto.SerializeToString()
    calibrate(model, samples)
    assert model.SerializeToString() == before


@pytest.mark.parametrize(("size", "behind"), [(5, True), (1, False)])
def test_pictures_are_compared_behind_the_function_that_reads_them(size: int, behind: bool) -> None:
    net = Net((1, 3, size, size), 2)
    c = net.conv("x", 3, 4)
    model = net.model(net.op("Mul", c, net.op("Sigmoid", c)))
    graph = float_graph(onnx_model.read(model))
    layer = next(node for node in graph.nodes if node.op.name == "conv")
    seen = empirical._seen(graph, [layer.output.name])
    assert (seen[layer.output.name] != layer.output.name) == behind
