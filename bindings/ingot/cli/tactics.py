"""The options of ``ingot build`` and ``ingot tune`` that are about how kernels are chosen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ingot.cli.common import MAX_THREADS, UsageError, count

EFFORTS = (
    "0: nothing, what the target's figures say; 1: what they say may be best; 2: everything; 3: near ties again (1)"
)


def add_effort(parser: argparse.ArgumentParser) -> None:
    """Options of all that chooses tactics."""
    parser.add_argument("--effort", type=int, choices=range(4), default=1, help=f"how much to measure, {EFFORTS}")
    parser.add_argument(
        "--threads",
        type=count(1, MAX_THREADS),
        default=1,
        metavar="N",
        help="threads that a CPU engine will run with: times are measured, and looked up, for so many (1)",
    )
    parser.add_argument(
        "--no-fast-math", action="store_true", help="leave out kernels that trade accuracy for speed, e.g. Winograd"
    )


def add_tactics(parser: argparse.ArgumentParser) -> None:
    """Options of ``ingot build``."""
    parser.add_argument(
        "--tune",
        action="store_true",
        help="measure the kernels that could do each step, here and now; for CUDA on a device of the target",
    )
    add_effort(parser)
    parser.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="times to choose by; with --tune new ones are written there"
    )
    parser.add_argument(
        "--timing-cache-only", action="store_true", help="measure nothing; fail where --timing-cache lacks a time"
    )


def check_tactics(options: argparse.Namespace) -> None:
    """:class:`UsageError` for options that nobody would look at or that exclude each other."""
    if options.timing_cache_only and options.tune:
        raise UsageError("--timing-cache-only measures nothing: leave --tune out")
    if options.timing_cache_only and not options.timing_cache:
        raise UsageError("--timing-cache-only needs --timing-cache FILE")


def tactics(options: argparse.Namespace) -> dict[str, Any]:
    """These options as keyword arguments of :func:`ingot.build`."""
    return {
        "tune": options.tune,
        "effort": options.effort,
        "timing_cache": options.timing_cache,
        "timing_cache_only": options.timing_cache_only,
        "fast_math": not options.no_fast_math,
        "threads": options.threads,
    }
