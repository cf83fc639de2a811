"""What the commands that calibrate share: options, and what is said of a calibration."""

from __future__ import annotations

import argparse
from typing import Any

from ingot.cli.common import UsageError
from ingot.errors import ArgumentError

METHODS = ("auto", "entropy", "minmax", "percentile", "mse")


def add_method(parser: argparse.ArgumentParser, option: str) -> None:
    """How ranges are chosen; for the commands that calibrate."""
    parser.add_argument(
        option, choices=METHODS, default="auto", help="how a range is chosen: auto takes the least error (auto)"
    )


def add_preprocess(parser: argparse.ArgumentParser, option: str) -> None:
    """What is done to images; for the commands that calibrate."""
    parser.add_argument(
        option, metavar="SPEC", help='how the model wants images, e.g. "resize=256,crop=224,scale=1/255,order=rgb"'
    )


def parse_preprocess(text: str | None) -> Any:
    """The function that reads an image, from what the option says."""
    if text is None:
        return None
    from ingot.builder.calibrate.images import parse

    try:
        return parse(text)
    except ArgumentError as error:
        raise UsageError(str(error)) from None


def summary(found: Any) -> dict[str, Any]:
    """What a cache says of itself, without its ranges."""
    return {
        "model": found.digest_model,
        "data": found.digest_data,
        "samples": found.samples,
        "source": found.source,
        "method": found.method,
        "tensors": len(found.ranges),
    }


def origin(found: Any) -> str:
    """Where the ranges are from, for people."""
    if found.source == "tensorrt":
        return "scales of TensorRT"
    kind = "synthetic samples" if found.source == "synthetic" else "samples"
    return f"method {found.method}, {found.samples} {kind}"
