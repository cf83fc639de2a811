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
from ingot.cli.common import Progress, UsageError, add_json, print_json, size_text
from ingot.cli.cuda import describe_prediction
from ingot.cli.quantisation import PRECISIONS, add_quantisation, check_quantisation, quantisation
from ingot.cli.tactics import add_tactics, check_tactics, tactics
from ingot.engine import Engine

EXAMPLE = 'ingot build model.onnx -o model.ingot --profile "image=1x3x224x224"'


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUT.ingot", help="the engine file to write"
    )
    add_tactics(parser)
    parser.add_argument("--dump-after", metavar="PASS", help="print the graph after this pass")
    add_json(parser)


def add_model(parser: argparse.ArgumentParser) -> None:
    """The model, and what is to become of it."""
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--target", default="cpu", metavar="NAME", help="what to build for; see ingot targets (cpu)")
    parser.add_argument(
        "--precision",
        choices=(*PRECISIONS, "best"),
        default="fp32",
        help="what to store and compute in; best: int8 but for the layers that cost too much (fp32)",
    )
    parser.add_argument(
        "--profile", action="append", default=[], metavar="NAME=SHAPE", help="the shape of an input, may be repeated"
    )
    add_quantisation(parser)


def model_options(options: argparse.Namespace) -> dict[str, Any]:
    """The options of :func:`add_model` as keyword arguments of :func:`ingot.build`."""
    profile = dict(map(parse_profile, options.profile))
    if len(profile) != len(options.profile):
        raise UsageError("--profile names an input twice")
    return {
        "target": options.target,
        "precision": options.precision,
        "profiles": [profile] if profile else None,
        **quantisation(options),
    }


def run(options: argparse.Namespace) -> int:
    model = model_options(options)
    if options.dump_after:
        check_pass(options.dump_after)
    if not options.output.absolute().parent.is_dir():
        raise UsageError(f"{options.output}: its folder does not exist")
    check_quantisation(options)
    check_tactics(options)
    reports: list[Any] = []
    start = time.perf_counter()
    # With --json the graph dump goes to stderr: stdout is for the object alone.
    stdout = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    with Progress(f"building {options.model.name}", ticks=not options.tune) as progress, stdout:
        engine = ingot.build(
            options.model,
            **model,
            **tactics(options),
            dump_after=options.dump_after,
            log=progress,
            tuned=reports.append,
        )
    engine.save(options.output)
    result = summary(engine, options.output, time.perf_counter() - start)
    for warning in result["warnings"]:
        print(f"ingot build: warning: {options.model}: {warning}", file=sys.stderr)
    if options.json:
        print_json(result | ({"tactics": reports[0].json()} if reports else {}))
    else:
        memory = result["memory"]
        print(
            f"{options.output}: {size_text(result['size'])} for {result['target']}, {result['steps']} steps, arena "
            f"{size_text(memory['arena'])}, constants {size_text(memory['constants'])}, {result['seconds']:.2f} s\n"
            f"SHA-256 {result['digest']}"
        )
        for line in result["passes"]:
            if line.startswith(("best: ", "fp16: ", "bf16: ")):
                print(line)
        for line in describe_prediction(engine.inspect()["metadata"]):
            print(line)
        if options.tune or options.timing_cache:
            print(*(line for report in reports for line in report.text()), sep="\n")
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
        "measured": metadata.get("measured", {}),
        "predicted": metadata.get("predicted", {}),
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


def check_pass(name: str) -> None:
    """:class:`UsageError` unless there is a pass of that name."""
    ingot._builder()  # says what to install when it cannot be imported
    from ingot.builder.pipeline import PASSES

    if name not in PASSES:
        raise UsageError(f"--dump-after {name}: no such pass; passes: {', '.join(dict.fromkeys(PASSES))}")
