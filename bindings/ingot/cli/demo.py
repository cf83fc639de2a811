"""do the main job end to end on what ships with the package

Builds two engines, reads held-out digits, keeps a simulated pendulum up at 1 kHz in C, and draws the run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ingot.cli.common import count

EXAMPLE = "ingot demo --output demo-out"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output", type=Path, default=Path("demo-out"), metavar="DIR", help="where results go (demo-out)"
    )
    parser.add_argument(
        "--seconds", type=count(5, 600), default=10, metavar="S", help="length of the control run, 5 to 600 (10)"
    )


def run(options: argparse.Namespace) -> int:
    from ingot.examples import demo

    return demo.main(["--output", str(options.output), "--seconds", str(options.seconds)])
