"""Recurrent layers in int8 over seconds of speech, each engine carrying its own state: errors do not add up."""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from zoo import folder

ROOT = folder()
pytestmark = pytest.mark.skipif(ROOT is None, reason="../shared is not here: states were not carried over speech")

Frames = Iterator[dict[str, np.ndarray]]


def speech(count: int) -> np.ndarray:
    """float32 [count] in [-1, 1), 16 kHz."""
    with wave.open(str(ROOT / "data/audio/silero_test.wav")) as file:
        return np.frombuffer(file.readframes(count), np.int16).astype(np.float32) / 32768


def stream(engine: ingot.Engine, frames: Frames, state: str, out: str, carried: str) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and states of all frames, the state beginning at zero."""
    outputs, states = [], []
    (shape,) = [i.shape for i in engine.inputs if i.name == state]
    held = np.zeros(shape, np.float32)
    with engine.context() as context:
        for frame in frames:
            found = context.run(frame | {state: held})
            held = np.array(found[carried])
            outputs.append(np.array(found[out]))
            states.append(held)
    return np.array(outputs), np.array(states)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_noise_suppression() -> None:
    """Spectra reach a thousand times their median; two stacked layers."""
    x = speech(128 * 400 + 512)
    spectra = [np.abs(np.fft.rfft(x[i : i + 512])).astype(np.float32).reshape(1, 1, -1) for i in range(0, 51200, 128)]
    path, names = ROOT / "models/dtln_stage1_lstm/model.onnx", ("input_3", "activation_2", "tf_op_layer_stack_2")
    whole = ingot.build(path, self_test=False)
    wanted, states = stream(whole, ({"input_2": s} for s in spectra), *names)
    before = [np.zeros_like(states[0]), *states]
    data = [{"input_2": s, "input_3": h} for s, h in zip(spectra[::5], before[::5])]
    engine = ingot.build(path, precision="int8", calibration=data, self_test=False)
    found, found_states = stream(engine, ({"input_2": s} for s in spectra), *names)
    assert relative(found, wanted) < 0.03
    assert relative(found_states, states) < 0.03


def test_voice_activity() -> None:
    """The layer of the detector alone in int8: no decision changes."""
    x = np.concatenate([np.zeros(64, np.float32), speech(512 * 400)])
    frames = [x[i : i + 576].reshape(1, -1) for i in range(0, 512 * 400, 512)]
    path, names = ROOT / "models/silero_vad_16k/model.onnx", ("state", "output", "stateN")
    options = {
        "profiles": [{"input": (1, 576), "state": (2, 1, 128)}],
        "constants": {"sr": np.array(16000, np.int64)},
        "self_test": False,
    }
    wanted, states = stream(ingot.build(path, **options), ({"input": f} for f in frames), *names)
    before = [np.zeros_like(states[0]), *states]
    data = [{"input": f, "state": h} for f, h in zip(frames[::5], before[::5])]
    only = {"*": "fp32", "*LSTM": "int8"}
    engine = ingot.build(path, precision="int8", calibration=data, layer_precision=only, **options)
    assert any(row["kernel"] == "recurrent_s8_n16k4" for row in engine.inspect()["metadata"]["ledger"])
    found, found_states = stream(engine, ({"input": f} for f in frames), *names)
    assert ((found > 0.5) == (wanted > 0.5)).all()
    assert relative(found_states, states) < 0.05
