"""The command line: one module a command, which has ``EXAMPLE``, ``arguments(parser)`` and ``run(options) -> int``.

The first line of a module's docstring is its help. Exit status: 0 for success, 1 for failure, 2 for bad usage; the
reason is one line on stderr. ``INGOT_DEBUG=1`` shows the traceback instead.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ingot import __version__
from ingot.cli.common import UsageError
from ingot.errors import IngotError, missing_package

COMMANDS = (
    "build",
    "run",
    "bench",
    "inspect",
    "compare",
    "calibrate",
    "tune",
    "cache",
    "verify",
    "targets",
    "doctor",
    "demo",
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def make_parser() -> Parser:
    """The parser of all commands."""
    parser = Parser(prog="ingot", description="Builds engines from ONNX models and runs them.")
    parser.add_argument("--version", action="version", version=f"ingot {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"ingot.cli.{name}")
        summary, _, details = (module.__doc__ or "").partition("\n")
        sub = commands.add_parser(
            name,
            help=summary,
            description=f"{summary}\n{details}".strip(),
            epilog=f"example:\n  {module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    command = ""
    try:
        options = make_parser().parse_args(argv)
        command = options.command
        status = options.run(options)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has left: nothing to say, and nobody to say it to
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the traceback is for those who ask for it
        if os.environ.get("INGOT_DEBUG"):
            raise
        print(f"ingot {command}: {explain(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


def explain(error: Exception) -> str:
    """One line that says what went wrong and, where known, what to do."""
    if isinstance(error, ModuleNotFoundError) and missing_package(error):
        text = str(missing_package(error))
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    elif isinstance(error, MemoryError):
        text = "the system has no memory for this"
    elif isinstance(error, (IngotError, OSError)):
        text = str(error)
    else:
        text = f"internal error: {type(error).__name__}: {error} (INGOT_DEBUG=1 shows where; please report it)"
    return "; ".join(line.strip() for line in text.splitlines() if line.strip())
