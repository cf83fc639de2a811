"""measure the kernels that could do each step of a model

What is measured goes into a timing cache, which ingot build --timing-cache reads, on any machine. What the file knows
already is not measured again: a run that was interrupted goes on from there. The model is prepared as ingot build does
it, so give the same options of precision. With --pack nothing is measured here: what the cache lacks is written into a
tuning pack, which ingot-tune measures on a device without Python. For CUDA the pack has the machine code of all that is
to be measured, so it is written without a GPU; measuring here takes a device of the target's architecture and number of
multiprocessors.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import ingot
from ingot.cli.build import add_model, model_options
from ingot.cli.common import Progress, UsageError, add_json, print_json
from ingot.cli.quantisation import check_quantisation
from ingot.cli.tactics import add_effort

EXAMPLE = "ingot tune model.onnx --target cpu-x86-64-v4 -o model.timings"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="TIMINGS", help="the timing cache to write, or to extend")
    parser.add_argument("--pack", type=Path, metavar="PACK", help="write a tuning pack of what TIMINGS lacks")
    add_effort(parser)
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    check_quantisation(options)
    if options.effort == 0:
        raise UsageError("--effort 0 measures nothing; use 1 to 3")
    if options.output is None and options.pack is None:
        raise UsageError("give -o TIMINGS, or --pack PACK")
    path = options.pack or options.output
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: its folder does not exist")
    builder = ingot._builder()  # says what to install when it cannot be imported
    from ingot.builder.tuning.local import Packer

    packer = Packer(options.pack) if options.pack else None
    start = time.perf_counter()
    reports: list[Any] = []
    stdout = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    with Progress(f"tuning {options.model.name}", ticks=False) as progress, stdout:
        builder.build(
            options.model,
            **model_options(options),
            tune=True,
            effort=options.effort,
            timing_cache=options.output,
            fast_math=not options.no_fast_math,
            threads=options.threads,
            self_test=False,
            log=progress,
            tuned=reports.append,
            measurer=packer,
        )
    (report,) = reports
    seconds = time.perf_counter() - start
    if packer:
        written = list(map(str, packer.written))
        if options.json:
            print_json({"packs": written, "seconds": seconds})
        else:
            print("\n".join(written) or f"nothing to measure: {options.output or 'no step has a choice'}")
        return 0
    if options.json:
        print_json({"cache": str(options.output), "seconds": seconds, "tactics": report.json()})
    else:
        print(f"{options.output}: tuned for {options.target} in {seconds:.1f} s", *report.text(), sep="\n")
    return 0
