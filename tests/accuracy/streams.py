"""Networks in a loop: state carried from frame to frame, or a plant that answers."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import data
import measures
import numpy as np

CONTROL = Path(__file__).resolve().parents[2] / "examples/control"
Run = Callable[..., list[np.ndarray]]
_CALIBRATES = 0.25  #: share of the recording
_SAMPLES = 200  #: of its frames, evenly spaced


class _Stream(ABC):
    """``zeros`` are the first states. ``advance`` runs one frame and gives what it heard and the next states."""

    zeros: Sequence[np.ndarray]

    @abstractmethod
    def sequence(self) -> list[np.ndarray]:
        """The network's first input, frame by frame."""

    def constants(self) -> list[np.ndarray]:
        """Inputs behind the states that never change."""
        return []

    def follow(self, run: Run, sequence: Sequence[np.ndarray]) -> tuple[list[list[np.ndarray]], list[np.ndarray]]:
        """(inputs of every frame, first output of every frame)."""
        states, given, heard = list(self.zeros), [], []
        for frame in sequence:
            inputs = [frame, *states, *self.constants()]
            given.append([np.copy(x) for x in inputs])
            out, *states = (np.copy(x) for x in run(*inputs))
            heard.append(out)
        return given, heard

    def calibration(self, run: Run) -> list[list[np.ndarray]]:
        sequence = self.sequence()
        given, _ = self.follow(run, sequence[: int(len(sequence) * _CALIBRATES)])
        return given[:: max(len(given) // _SAMPLES, 1)][:_SAMPLES]

    def judged(self) -> list[np.ndarray]:
        sequence = self.sequence()
        return sequence[int(len(sequence) * _CALIBRATES) :]


class Silero(_Stream):
    """Voice activity: frames of 512 behind 64 samples of what came before; speech where the probability exceeds 0.5."""

    zeros = [np.zeros((2, 1, 128), np.float32)]

    def sequence(self) -> list[np.ndarray]:
        signal = np.concatenate([np.zeros(64, np.float32), data.speech()])
        return [frame[None] for frame in data.frames(signal, 576, 512)]

    def constants(self) -> list[np.ndarray]:
        return [np.array(16000, np.int64)]

    def results(self, run: Run) -> np.ndarray:
        _, heard = self.follow(run, self.judged())
        return np.array([float(p.reshape(-1)[0]) > 0.5 for p in heard])


class _Enhancer(_Stream):
    """Takes noise from speech; the result is what it gains in SI-SDR, in dB."""

    frame, step = 512, 128
    window: np.ndarray

    def recording(self) -> tuple[np.ndarray, np.ndarray]:
        """(clean, noisy at 5 dB), float64."""
        clean = data.speech(40.0).astype(np.float64)
        noise = np.random.Generator(np.random.PCG64(5)).standard_normal(len(clean))
        noise = np.convolve(noise, [0.2, 0.6, 0.2], "same")
        return clean, clean + noise * np.sqrt(np.mean(clean**2) / np.mean(noise**2) / 10**0.5)

    def spectra(self) -> np.ndarray:
        """complex128 [frames, 257] of the noisy recording."""
        return np.stack([np.fft.rfft(x * self.window) for x in data.frames(self.recording()[1], self.frame, self.step)])

    @abstractmethod
    def enhanced(self, spectra: np.ndarray, heard: Sequence[np.ndarray]) -> np.ndarray:
        """complex128 [frames, 257] of what the network makes of the spectra."""

    def results(self, run: Run) -> float:
        spectra = self.spectra()
        first = int(len(spectra) * _CALIBRATES)
        _, heard = self.follow(run, self.judged())
        clean, noisy = self.recording()
        start = first * self.step
        signal = self._overlap(self.enhanced(spectra[first:], heard))
        size = len(signal)
        before = measures.si_sdr(noisy[start : start + size], clean[start : start + size])
        return measures.si_sdr(signal, clean[start : start + size]) - before

    def _overlap(self, spectra: np.ndarray) -> np.ndarray:
        signal = np.zeros((len(spectra) - 1) * self.step + self.frame)
        for i, spectrum in enumerate(spectra):
            signal[i * self.step : i * self.step + self.frame] += np.fft.irfft(spectrum) * self.window
        return signal


class Dtln(_Enhancer):
    """A mask for the magnitudes of each frame."""

    window = np.ones(512)
    zeros = [np.zeros((1, 2, 128, 2), np.float32)]

    def sequence(self) -> list[np.ndarray]:
        return [np.abs(x).astype(np.float32)[None, None] for x in self.spectra()]

    def enhanced(self, spectra: np.ndarray, heard: Sequence[np.ndarray]) -> np.ndarray:
        return spectra * np.stack([mask.reshape(-1) for mask in heard])


class Gtcrn(_Enhancer):
    """Complex spectra in, complex spectra out."""

    step = 256
    window = np.sqrt(np.hanning(513)[:-1])
    zeros = [np.zeros(shape, np.float32) for shape in ((2, 1, 16, 16, 33), (2, 3, 1, 1, 16), (2, 1, 33, 16))]

    def sequence(self) -> list[np.ndarray]:
        return [np.stack([x.real, x.imag], 1).astype(np.float32)[None, :, None] for x in self.spectra()]

    def enhanced(self, spectra: np.ndarray, heard: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([x[0, :, 0, 0] + 1j * x[0, :, 0, 1] for x in heard])


class Pendulum:
    """The repository's own policy in a loop with its plant: the mean cost over 12 plants, 4 seconds at 1 kHz."""

    _PLANTS, _STEPS, _PERIOD = 12, 4000, 0.001

    def calibration(self, run: Run) -> list[list[np.ndarray]]:
        _, seen = self._drive(run, seed=1, steps=2000)
        return [[x] for x in seen[:: len(seen) // _SAMPLES][:_SAMPLES]]

    def results(self, run: Run) -> float:
        return self._drive(run, seed=2, steps=self._STEPS)[0]

    def _drive(self, run: Run, seed: int, steps: int) -> tuple[float, list[np.ndarray]]:
        """(mean of position error^2 in m^2 plus 1 - cos(angle), observations [1, 8])."""
        sys.path.insert(0, str(CONTROL))
        import plant

        generator = np.random.Generator(np.random.PCG64(seed))
        params = plant.nominal().array(self._PLANTS)
        params[:, :3] *= generator.uniform(0.9, 1.1, (self._PLANTS, 3))
        states = generator.uniform(-1, 1, (self._PLANTS, 4)) * [1.0, 1.0, np.pi, 3.0]
        amplitude, rate = generator.uniform(0, 0.3, self._PLANTS), generator.uniform(0.3, 1.5, self._PLANTS)
        cost, seen = 0.0, []
        for step in range(steps):
            angle = rate * step * self._PERIOD
            sine, cosine = amplitude * np.sin(angle), amplitude * np.cos(angle)
            targets = np.stack([sine, rate * cosine, -(rate**2) * sine, -(rate**3) * cosine], axis=1)
            observed = [row[None] for row in plant.observe(states, targets)]
            taken = np.array([float(run(x)[0].reshape(-1)[0]) for x in observed])
            seen += [np.copy(x) for x in observed]
            plant.step(params, states, taken, np.zeros(self._PLANTS), self._PERIOD, 1)
            cost += float(np.mean((states[:, 0] - sine) ** 2 + 1 - np.cos(states[:, 2])))
        return cost / steps, seen
