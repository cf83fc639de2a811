"""Ingot: runs engine files, and builds them from ONNX models when the extra ``build`` is installed.

>>> engine = ingot.load("model.ingot")
>>> ctx = engine.context()
>>> ctx.inputs["image"][...] = image; ctx.run(); logits = ctx.outputs["logits"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .arrays import Arrays, TensorInfo
from .context import Context, Stats, StepTime
from .engine import Engine, load
from .errors import ArgumentError, BuildError, EngineError, IngotError, ResourceError, RunError, missing_package
from .paths import get_include, get_library

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np

__version__ = "0.1.0"
__all__ = [
    "ArgumentError",
    "Arrays",
    "BuildError",
    "Context",
    "Engine",
    "EngineError",
    "IngotError",
    "ResourceError",
    "RunError",
    "Stats",
    "StepTime",
    "TensorInfo",
    "build",
    "get_include",
    "get_library",
    "load",
]


def build(
    model: str | os.PathLike[str] | bytes | Any,
    *,
    target: str = "cpu",
    precision: str = "fp32",
    profiles: Sequence[Mapping[str, Sequence[int]]] | None = None,
    constants: Mapping[str, np.ndarray] | None = None,
    calibration: Any = None,
    calibration_method: str = "auto",
    calibration_cache: str | os.PathLike[str] | None = None,
    calibration_preprocess: Callable[[Path], np.ndarray] | None = None,
    calibration_synthetic: bool = False,
    input_ranges: Mapping[str, tuple[float, float]] | None = None,
    equalize: bool = False,
    bias_correction: bool = True,
    max_error: float | None = None,
    max_accuracy_drop: float | None = None,
    labels: Any = None,
    layer_precision: Mapping[str, str] | None = None,
    fallback_precision: str = "fp32",
    allow_fallback: bool = False,
    tune: bool = False,
    effort: int = 1,
    timing_cache: str | os.PathLike[str] | None = None,
    timing_cache_only: bool = False,
    fast_math: bool = True,
    threads: int = 1,
    dump_after: str | None = None,
    self_test: bool = True,
    log: Callable[[str], None] | None = None,
    tuned: Callable[[Any], None] | None = None,
) -> Engine:
    """Build an engine from an ONNX model (a file, its bytes, or a ``ModelProto``) and load it.

    ``target`` is what it is for (``ingot targets``), which need not be here: an engine for a GPU can be looked at and
    saved on any machine. Building one needs NVRTC: the extras ``cuda12`` (Orin) and ``cuda13`` (Thor, H200).

    ``profiles`` is a list with one dict from input name to shape, for inputs whose shape the model leaves open;
    ``constants`` takes inputs as constants; ``precision`` is "fp32", "fp16", "bf16", "int8" or "best". The last two
    take their ranges from ``calibration`` data (a folder, an ``.npz`` file, an iterable of ``{name: array}``; images by
    way of ``calibration_preprocess``, which makes an array of a path), from the file ``calibration_cache``, or with
    ``calibration_synthetic`` from generated inputs, to which ``input_ranges`` gives (low, high) by name;
    ``calibration_method`` is "auto", "entropy", "minmax", "percentile" or "mse". With "fp16" the same data say which
    layers would overflow. ``equalize`` brings the channels between convolutions to like ranges and
    ``bias_correction`` takes the mean error of rounded weights out of the biases; ``layer_precision`` may ask
    otherwise for layers by patterns of their names (what cannot have int8 is an error unless ``allow_fallback``);
    "best" keeps the fewest layers out of int8 with which every output errs by at most ``max_error`` (relative, on the
    calibration data, by default 0.02), and top-1 accuracy falls by at most ``max_accuracy_drop`` points, judged with
    ``labels``: a whole number for each sample; those layers get ``fallback_precision``. "fp16" and "bf16" keep the
    fewest layers in float32 with which ``max_error`` holds, by default well within 5e-3 and 5e-2, on the data or on
    generated inputs.
    Kernels are chosen by the times in ``timing_cache`` for ``threads`` threads; ``tune`` measures on this machine what
    is not in it, the more the higher ``effort`` (0 to 3), and writes it there; with ``timing_cache_only`` what is
    missing is an error; ``fast_math`` False leaves out kernels that trade accuracy for speed; ``tuned`` gets the report
    (``text()``, ``json()``).
    ``dump_after`` prints the graph after a pass; ``log`` gets a line for each piece of work. The same model, options
    and caches give the same bytes on any machine. Needs what the extra ``build`` installs.

    Raises :class:`BuildError` with everything that is wrong with the model.
    """
    builder = _builder()
    return load(
        builder.build(
            model,
            target=target,
            precision=precision,
            profiles=profiles,
            constants=constants,
            calibration=calibration,
            calibration_method=calibration_method,
            calibration_cache=calibration_cache,
            calibration_preprocess=calibration_preprocess,
            calibration_synthetic=calibration_synthetic,
            input_ranges=input_ranges,
            equalize=equalize,
            bias_correction=bias_correction,
            max_error=max_error,
            max_accuracy_drop=max_accuracy_drop,
            labels=labels,
            layer_precision=layer_precision,
            fallback_precision=fallback_precision,
            allow_fallback=allow_fallback,
            tune=tune,
            effort=effort,
            timing_cache=timing_cache,
            timing_cache_only=timing_cache_only,
            fast_math=fast_math,
            threads=threads,
            dump_after=dump_after,
            self_test=self_test,
            log=log,
            tuned=tuned,
        ),
        any_machine=True,  # what is built here need not run here
    )


def _builder() -> Any:
    try:
        from ingot import builder
    except ModuleNotFoundError as error:
        missing = missing_package(error)
        if missing is not None:
            raise BuildError(f"cannot build: {missing}") from None
        raise
    return builder
