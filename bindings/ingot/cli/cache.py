"""show, merge, prune and compare timing and calibration caches

show prints what a cache holds; merge writes one from several: of times of one thing the better measurement, of
calibrations of one model the widest ranges; prune writes a timing cache without times of kernels that are outdated or
unknown, and of unknown targets (with --target: of all others); diff compares two and has exit status 1 when times, or
scales, differ. TensorRT's calibration caches are read as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ingot
from ingot.cli import timings
from ingot.cli.calibration import origin, summary
from ingot.cli.common import UsageError, add_json, print_json, shorten, table

EXAMPLE = "ingot cache merge -o all.timings mine.timings theirs.timings"
#: caches that an action takes: at least, at most
ACTIONS = {"show": (1, None), "merge": (1, None), "prune": (1, 1), "diff": (2, 2)}
#: actions that write a file
WRITING = ("merge", "prune")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("-o", "--output", type=Path, metavar="CACHE", help="the file that merge and prune write")
    parser.add_argument("--target", metavar="NAME", help="prune: keep the times of this target alone")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    least, most = ACTIONS[options.action]
    if len(options.files) < least or (most and len(options.files) > most):
        raise UsageError(f"{options.action} takes {least} files")
    if (options.output is None) == (options.action in WRITING):
        raise UsageError(f"{options.action} needs -o CACHE" if options.output is None else "-o is for merge and prune")
    if options.target and options.action != "prune":
        raise UsageError("--target is for prune")
    if len(set(options.files)) != len(options.files):
        raise UsageError("a file is named twice")
    ingot._builder()  # says what to install when it cannot be imported
    kinds = {path: timings.is_timings(path) for path in options.files}
    if all(kinds.values()):
        return timings.run(options)
    odd = next((path for path, is_timings in kinds.items() if is_timings), None)
    if odd is not None:
        raise UsageError(f"{odd} is a timing cache, {next(p for p in options.files if not kinds[p])} is none")
    if options.action == "prune":
        raise UsageError(f"{options.files[0]}: not a timing cache: only those are pruned")
    from ingot.builder.calibrate import Calibration

    caches = {str(path): Calibration.load(path) for path in options.files}
    return {"show": _show, "merge": _merge, "diff": _diff}[options.action](caches, options)


def _show(caches: dict[str, Any], options: argparse.Namespace) -> int:
    if options.json:
        keys = ("amax", "low", "high", "error", "method")
        print_json(
            {
                path: {
                    **summary(found),
                    "ranges": {n: {k: getattr(r, k) for k in keys} for n, r in found.ranges.items()},
                }
                for path, found in caches.items()
            }
        )
        return 0
    for path, found in caches.items():
        print(f"{path}: {len(found.ranges)} tensors, {origin(found)}, for model {found.digest_model[:12] or 'unknown'}")
        rows = [
            [f"{r.amax:.6g}", f"{r.low:.6g}", f"{r.high:.6g}", f"{r.error:.1e}", r.method, shorten(name, 70)]
            for name, r in found.ranges.items()
        ]
        print(table(rows, ["amax", "low", "high", "error", "method", "tensor"], right=(0, 1, 2, 3)))
    return 0


def _merge(caches: dict[str, Any], options: argparse.Namespace) -> int:
    from ingot.builder.calibrate.cache import merge

    merged = merge(caches)
    merged.save(options.output)
    if options.json:
        print_json({"cache": str(options.output), **summary(merged)})
    else:
        print(f"{options.output}: {len(merged.ranges)} tensors, {origin(merged)}")
    return 0


def _diff(caches: dict[str, Any], options: argparse.Namespace) -> int:
    one, other = caches.values()
    names = sorted({*one.ranges, *other.ranges})
    scales = {name: (one.scale(name), other.scale(name)) for name in names}
    different = {name: pair for name, pair in scales.items() if pair[0] != pair[1]}
    if options.json:
        print_json({"files": list(caches), "tensors": len(names), "different": different})
        return 1 if different else 0
    print(f"{len(different)} of {len(names)} scales differ")
    rows = [
        [*("-" if s is None else f"{s:.6g}" for s in pair), _ratio(*pair), shorten(name, 70)]
        for name, pair in different.items()
    ]
    if rows:
        print(table(rows, ["scale", "scale", "ratio", "tensor"], right=(0, 1, 2)))
    return 1 if different else 0


def _ratio(one: float | None, other: float | None) -> str:
    return "-" if one is None or other is None else f"{other / one:.4f}"
