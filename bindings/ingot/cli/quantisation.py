"""The options of ``ingot build`` that are about INT8 and mixed precision."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ingot.cli.calibration import add_method, add_preprocess, parse_preprocess
from ingot.cli.common import UsageError
from ingot.cli.inputs import add_input_ranges, parse_input_ranges

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
FALLBACKS = ("fp32", "fp16", "bf16")
#: options that need a precision: of calibration, of int8, of best; by their names in the namespace
_MEASURED = ("fp16", "bf16", "best")
_CALIBRATED = ("calibration", "calibration_synthetic", "calibration_cache", "input_range")
_QUANTISED = ("equalize", "no_bias_correction")
_BEST = ("max_accuracy_drop", "labels", "fallback_precision")


def add_quantisation(parser: argparse.ArgumentParser) -> None:
    """What says how a model is quantised."""
    parser.add_argument("--calibration", type=Path, metavar="DATA", help="samples (ingot calibrate); not for fp32")
    parser.add_argument("--calibration-synthetic", action="store_true", help="generate samples instead")
    add_input_ranges(parser, "not for fp32: of inputs that are generated")
    add_method(parser, "--calibration-method")
    parser.add_argument(
        "--calibration-cache",
        type=Path,
        metavar="FILE",
        help="ranges and measurements are read from here, or written when new; not for fp32",
    )
    add_preprocess(parser, "--calibration-preprocess")
    parser.add_argument(
        "--equalize", action="store_true", help="int8, best: bring the channels between convolutions to like ranges"
    )
    parser.add_argument(
        "--no-bias-correction",
        action="store_true",
        help="int8, best: leave the mean error of rounded weights in the biases",
    )
    parser.add_argument(
        "--layer-precision",
        action="append",
        default=[],
        metavar="PATTERN=PRECISION",
        help=f"{', '.join(PRECISIONS)} for layers whose name matches, may be repeated",
    )
    parser.add_argument(
        "--fallback-precision", choices=FALLBACKS, help="best: what layers get that stay out of int8 (fp32)"
    )
    parser.add_argument("--allow-fallback", action="store_true", help="int8: layers that cannot have it stay in fp32")
    parser.add_argument(
        "--max-error",
        type=float,
        metavar="E",
        help="fp16, bf16, best: how far each output may be off on the samples, norm of the difference over norm of the "
        "output. best: 0.02 unless --max-accuracy-drop is given; fp16, bf16: well within 5e-3 and 5e-2",
    )
    parser.add_argument(
        "--max-accuracy-drop", type=float, metavar="P", help="best: points of top-1 accuracy that may be lost"
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="best: the class of each sample: .npy, .npz (labels) or .csv (CLASS, or FILE,CLASS of the files of DATA); "
        "not needed where DATA is .npz with an array called labels",
    )


def check_quantisation(options: argparse.Namespace) -> None:
    """:class:`UsageError` for options that nobody would look at, that exclude each other, or make no sense."""
    layers = map(parse_layer_precision, options.layer_precision)
    asked = {options.precision, *(precision for _, precision in layers)}
    for names, precisions in ((_CALIBRATED, ("int8", "fp16", "bf16", "best")), (_QUANTISED, ("int8", "best"))):
        given = [name for name in names if getattr(options, name)]
        if given and asked.isdisjoint(precisions):
            raise UsageError(f"{_option(given[0])} is for --precision {', '.join(precisions[:-1])} or {precisions[-1]}")
    given = [name for name in _BEST if getattr(options, name) is not None]
    if given and options.precision != "best":
        raise UsageError(f"{_option(given[0])} is for --precision best")
    if options.max_error is not None and options.precision not in _MEASURED:
        raise UsageError(f"--max-error is for --precision {', '.join(_MEASURED[:-1])} or {_MEASURED[-1]}")
    if options.calibration and options.calibration_synthetic:
        raise UsageError("give either --calibration DATA or --calibration-synthetic")
    if options.max_error is not None and not 0 < options.max_error < math.inf:
        raise UsageError(f"--max-error {options.max_error:g}: give a number above 0, e.g. 0.02 for 2%")
    drop = options.max_accuracy_drop
    if drop is not None and not 0 <= drop <= 100:
        raise UsageError(f"--max-accuracy-drop {drop:g}: give points of top-1 accuracy, from 0 to 100")
    if options.labels and drop is None:
        raise UsageError("--labels is for --max-accuracy-drop P: say how many points may be lost")
    if drop is not None and options.calibration_synthetic:
        raise UsageError("--max-accuracy-drop needs labelled samples: give --calibration DATA, not synthetic ones")


def quantisation(options: argparse.Namespace) -> dict[str, Any]:
    """These options as keyword arguments of :func:`ingot.build`."""
    return {
        "calibration": options.calibration,
        "calibration_method": options.calibration_method,
        "calibration_cache": options.calibration_cache,
        "calibration_preprocess": parse_preprocess(options.calibration_preprocess),
        "calibration_synthetic": options.calibration_synthetic,
        "input_ranges": parse_input_ranges(options.input_range),
        "equalize": options.equalize,
        "bias_correction": not options.no_bias_correction,
        "layer_precision": dict(map(parse_layer_precision, options.layer_precision)),
        "fallback_precision": options.fallback_precision or "fp32",
        "allow_fallback": options.allow_fallback,
        "max_error": options.max_error,
        "max_accuracy_drop": options.max_accuracy_drop,
        "labels": options.labels,
    }


def parse_layer_precision(text: str) -> tuple[str, str]:
    """``PATTERN=PRECISION`` in its two parts."""
    pattern, equals, precision = text.rpartition("=")
    if not equals or not pattern or precision not in PRECISIONS:
        choices = ", ".join(PRECISIONS)
        raise UsageError(f'--layer-precision {text!r}: write PATTERN=PRECISION, one of {choices}, e.g. "head*=fp32"')
    return pattern, precision


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
