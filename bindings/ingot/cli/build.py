"""build an engine from an ONNX model

Inputs whose shape the model leaves open are fixed with --profile.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import ingot
from ingot.cli.calibration import add_method, add_preprocess, parse_preprocess
from ingot.cli.common import Progress, UsageError, add_json, print_json, size_text
from ingot.cli.inputs import add_input_ranges, parse_input_ranges
from ingot.engine import Engine

PRECISIONS = ("fp32", "fp16", "bf16", "int8")

EXAMPLE = 'ingot build model.onnx -o model.ingot --profile "image=1x3x224x224"'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.ingot", help="the engine file to write"
    )
    parser.add_argument("--target", default="cpu", metavar="NAME", help="what to build for; see ingot targets (cpu)")
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help="what to store and compute in (fp32)")
    parser.add_argument(
        "--profile", action="append", default=[], metavar="NAME=SHAPE", help="the shape of an input, may be repeated"
    )
    parser.add_argument("--calibration", type=Path, metavar="DATA", help="int8, fp16: samples; see ingot calibrate")
    parser.add_argument("--calibration-synthetic", action="store_true", help="int8, fp16: generate samples")
    add_input_ranges(parser, "int8, fp16: for inputs that are generated")
    add_method(parser, "--calibration-method")
    parser.add_argument(
        "--calibration-cache",
        type=Path,
        metavar="FILE",
        help="int8, fp16: ranges are read from here, or written when new",
    )
    add_preprocess(parser, "--calibration-preprocess")
    parser.add_argument(
        "--layer-precision",
        action="append",
        default=[],
        metavar="PATTERN=PRECISION",
        help=f"{', '.join(PRECISIONS)} for layers whose name matches, may be repeated",
    )
    parser.add_argument("--allow-fallback", action="store_true", help="int8: layers that cannot have it stay in fp32")
    parser.add_argument("--dump-after", metavar="PASS", help="print the graph after this pass")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    profile = dict(map(parse_profile, options.profile))
    if len(profile) != len(options.profile):
        raise UsageError("--profile names an input twice")
    if options.dump_after:
        check_pass(options.dump_after)
    if not options.output.absolute().parent.is_dir():
        raise UsageError(f"{options.output}: its folder does not exist")
    check_calibration(options)
    layers = dict(map(parse_layer_precision, options.layer_precision))
    start = time.perf_counter()
    # With --json the graph dump goes to stderr: stdout is for the object alone.
    stdout = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    with Progress(f"building {options.model.name}") as progress, stdout:
        engine = ingot.build(
            options.model,
            target=options.target,
            precision=options.precision,
            profiles=[profile] if profile else None,
            calibration=options.calibration,
            calibration_method=options.calibration_method,
            calibration_cache=options.calibration_cache,
            calibration_preprocess=parse_preprocess(options.calibration_preprocess),
            calibration_synthetic=options.calibration_synthetic,
            input_ranges=parse_input_ranges(options.input_range),
            layer_precision=layers,
            allow_fallback=options.allow_fallback,
            dump_after=options.dump_after,
            log=progress,
        )
    engine.save(options.output)
    result = summary(engine, options.output, time.perf_counter() - start)
    for warning in result["warnings"]:
        print(f"ingot build: warning: {options.model}: {warning}", file=sys.stderr)
    if options.json:
        print_json(result)
    else:
        memory = result["memory"]
        print(
            f"{options.output}: {size_text(result['size'])} for {result['target']}, {result['steps']} steps, arena "
            f"{size_text(memory['arena'])}, constants {size_text(memory['constants'])}, {result['seconds']:.2f} s\n"
            f"SHA-256 {result['digest']}"
        )
    return 0


def summary(engine: Engine, path: Path, seconds: float) -> dict[str, Any]:
    """What the command says of the engine it has written."""
    content = engine.inspect()
    program, metadata = content["programs"][0], content["metadata"]
    passes = metadata.get("passes", [])
    return {
        "engine": str(path),
        "size": content["size"],
        "digest": engine.digest,
        "target": engine.variant,
        "steps": len(program["steps"]),
        "memory": program["memory"],
        "inputs": program["inputs"],
        "outputs": program["outputs"],
        "passes": passes,
        "warnings": [line.partition("warning: ")[2] for line in passes if "warning: " in line],
        "seconds": seconds,
    }


def parse_profile(text: str) -> tuple[str, tuple[int, ...]]:
    """``NAME=1x3x224x224`` as a name and a shape."""
    name, equals, shape = text.rpartition("=")
    if not equals or not name:
        raise UsageError(f'--profile {text!r}: write NAME=SHAPE, e.g. "image=1x3x224x224"')
    if ":" in shape:
        raise UsageError(f"--profile {text!r}: ranges of shapes are not supported yet: give one shape")
    extents = shape.split("x")
    if not all(e.isascii() and e.isdigit() and len(e) < 16 for e in extents):
        raise UsageError(f"--profile {text!r}: {shape!r} is no shape; write it like 1x3x224x224")
    return name, tuple(map(int, extents))


def parse_layer_precision(text: str) -> tuple[str, str]:
    """``PATTERN=PRECISION`` in its two parts."""
    pattern, equals, precision = text.rpartition("=")
    if not equals or not pattern or precision not in PRECISIONS:
        choices = ", ".join(PRECISIONS)
        raise UsageError(f'--layer-precision {text!r}: write PATTERN=PRECISION, one of {choices}, e.g. "head*=fp32"')
    return pattern, precision


def check_calibration(options: argparse.Namespace) -> None:
    """:class:`UsageError` for options of calibration that nobody would look at, or that exclude each other."""
    given = [
        name
        for name in ("calibration", "calibration_synthetic", "calibration_cache", "input_range")
        if getattr(options, name)
    ]
    asked = {options.precision, *(precision for _, precision in map(parse_layer_precision, options.layer_precision))}
    if given and asked.isdisjoint({"int8", "fp16"}):
        raise UsageError(f"--{given[0].replace('_', '-')} is for --precision int8 or fp16")
    if options.calibration and options.calibration_synthetic:
        raise UsageError("give either --calibration DATA or --calibration-synthetic")


def check_pass(name: str) -> None:
    """:class:`UsageError` unless there is a pass of that name."""
    ingot._builder()  # says what to install when it cannot be imported
    from ingot.builder.pipeline import PASSES

    if name not in PASSES:
        raise UsageError(f"--dump-after {name}: no such pass; passes: {', '.join(dict.fromkeys(PASSES))}")
