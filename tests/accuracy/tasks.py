"""The models of ``../shared/models`` at their tasks: what they are shown, and how their answers are judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import data
import measures
import numpy as np
import streams
from measures import Score

Inputs = Sequence[np.ndarray]
Run = Callable[..., list[np.ndarray]]
"""One run of an engine: inputs to outputs, both in the order of the model."""


@dataclass(frozen=True)
class Task:
    """``calibration(run of FP32)`` gives the samples; ``results(run)`` what an engine makes of the judged ones."""

    model: str
    measure: str
    calibration: Callable[[Run], Sequence[Inputs]]
    results: Callable[[Run], Any]
    score: Callable[[Any, Any], Score]
    grid: bool = False  #: its weights lie on an INT8 grid and prove nothing about weights
    twin: str = ""  #: the same network as it was shipped quantised; takes the same inputs in the same order


@dataclass(frozen=True)
class Still:
    """A network of one image: ``prepare`` makes its input, ``decide`` its answer of the outputs."""

    samples: str
    prepare: Callable[[np.ndarray], np.ndarray]
    decide: Callable[..., Any]
    judged: int | None = None  #: so many of the judged samples, all of them when None

    def inputs(self, index: int) -> Inputs:
        return [self.prepare(data.samples(self.samples).image(index))]

    def indices(self) -> list[int]:
        return data.samples(self.samples).judged[: self.judged]

    def calibration(self, run: Run) -> list[Inputs]:
        return [self.inputs(i) for i in data.samples(self.samples).calibrates]

    def results(self, run: Run) -> list[Any]:
        return [self.decide(*run(*self.inputs(i))) for i in self.indices()]


def classifier(model: str, samples: str, prepare: Callable[[np.ndarray], np.ndarray], **more: Any) -> Task:
    """Top-1 on labelled images."""
    still = Still(samples, prepare, lambda out: int(out.argmax()))

    def score(found: list[int], float_found: list[int]) -> Score:
        return measures.top1(data.samples(samples).labels[still.indices()], np.array(found), np.array(float_found))

    return Task(model, "top-1", still.calibration, still.results, score, **more)


def pixels(model: str, prepare: Callable[[np.ndarray], np.ndarray], **more: Any) -> Task:
    """The class of each pixel."""
    still = Still("imagenet", prepare, lambda *outs: np.concatenate([_classes(out) for out in outs]), judged=40)
    return Task(model, "pixels as FP32", still.calibration, still.results, _pixel_score, **more)


def _classes(out: np.ndarray) -> np.ndarray:
    return (out if out.dtype.kind == "i" else out.argmax(1)).ravel()


def _pixel_score(found: list[np.ndarray], float_found: list[np.ndarray]) -> Score:
    return measures.decisions(np.concatenate(found), np.concatenate(float_found))


def detector(model: str, prepare: Callable[[np.ndarray], np.ndarray], decide: Callable[..., Any], judged: int) -> Task:
    """Boxes at IoU 0.5."""
    still = Still("faces", prepare, decide, judged)
    return Task(model, "boxes as FP32 (F1)", still.calibration, still.results, measures.boxes)


def policy(model: str, size: tuple[int, ...]) -> Task:
    """Actions on generated observations: there is no simulator of these robots here."""

    def observations(seed: int, count: int) -> list[Inputs]:
        generator = np.random.Generator(np.random.PCG64(seed))
        return [[generator.standard_normal(size, np.float32)] for _ in range(count)]

    def results(run: Run) -> np.ndarray:
        return np.stack([run(*one)[0].flatten() for one in observations(2, 500)])

    return Task(model, "error of actions", lambda run: observations(1, 200), results, measures.actions)


def stream(model: str, measure: str, kind: Any, score: Callable[[Any, Any], Score]) -> Task:
    """A network with carried state on the speech recording; its first quarter calibrates."""
    return Task(model, measure, kind.calibration, kind.results, score)


_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def _imagenet(x: np.ndarray, size: int = 224) -> np.ndarray:
    return data.nchw((data.crop(x, 256, size) / 255 - _MEAN) / _STD)


def _squeezenet(x: np.ndarray) -> np.ndarray:
    return data.nchw(data.crop(x, 256, 227)[..., ::-1] - np.array([104.0, 117.0, 123.0]))


def _float(x: np.ndarray) -> np.ndarray:
    return x[None].astype(np.float32)


TASKS = (
    classifier("mnist_cnn", "mnist", lambda x: _float(x[None])),
    classifier("resnet20_cifar10_fp32", "cifar10", lambda x: data.nchw((x / 255 - _MEAN) / _STD)),
    classifier("resnet8_mlperftiny_fp32", "cifar10", _float, twin="resnet8_mlperftiny_qdq_int8"),
    classifier("squeezenet1_1_fp32", "imagenet", _squeezenet),
    classifier("mobilenet_v1_025_224_fp32", "imagenet", lambda x: data.nchw(data.crop(x, 256, 224) / 127.5 - 1)),
    classifier("mobilenet_v2_tv_fp32", "imagenet", _imagenet, grid=True, twin="mobilenet_v2_tv_qdq_int8"),
    Task(
        "vww_mobilenetv1_fp32",
        "decisions as FP32",
        (
            person := Still("imagenet", lambda x: _float(data.crop(x, 96, 96) / 255), lambda o: int(o.argmax()))
        ).calibration,
        lambda run: np.array(person.results(run)),
        measures.decisions,
        twin="vww_mobilenetv1_qdq_int8",
    ),
    detector(
        "yolox_nano", lambda x: data.nchw(data.letterbox(x, 416)[..., ::-1]), lambda o: measures.yolox_boxes(o[0]), 120
    ),
    detector(
        "ultraface_rfb320",
        lambda x: data.nchw((data.resize(x, 240, 320) - 127.0) / 128),
        lambda s, b: measures.face_boxes(s[0], b[0]),
        200,
    ),
    pixels("twinlitenet", lambda x: data.nchw(data.resize(x, 360, 640) / 255)),
    pixels(
        "deeplab_cityscapes_fp32",
        lambda x: _float(data.resize(x, 513, 513) / 127.5 - 1),
        grid=True,
        twin="deeplab_cityscapes_qdq_u8",
    ),
    stream("silero_vad_16k", "decisions as FP32", streams.Silero(), measures.decisions),
    stream("dtln_stage1_lstm", "dB gained", streams.Dtln(), partial(measures.figure, count=1)),
    stream("gtcrn_stream", "dB gained", streams.Gtcrn(), partial(measures.figure, count=1)),
    policy("rl_g1_mjx", (1, 103)),
    policy("rl_go1_mjx", (1, 48)),
    policy("rl_leap_reorient_mjx", (1, 57)),
    policy("rl_limx_pf_encoder", (300,)),
    policy("rl_limx_pf_policy", (36,)),
    policy("rl_unitree_g1_velocity", (1, 480)),
    Task(
        "control",
        "closed-loop cost",
        streams.Pendulum().calibration,
        streams.Pendulum().results,
        partial(measures.figure, count=1),
    ),
)
