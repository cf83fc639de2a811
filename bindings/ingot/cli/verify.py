"""check an engine file completely

Every check that the loader does, of every variant, and the SHA-256 identity; no device is needed for that. Prints OK
with the identity, or the reason and the byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ingot
from ingot.cli.common import add_json, print_json
from ingot.errors import IngotError

EXAMPLE = "ingot verify model.ingot --self-test"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    parser.add_argument("--self-test", action="store_true", help="also run the self-test in the file")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    try:
        engine = ingot.load(options.engine, check_sha256=True, any_machine=True)
        self_test = _self_test(engine) if options.self_test else None
    except IngotError as error:
        if options.json:
            result = {"engine": str(options.engine), "ok": False, "status": error.status, "reason": str(error)}
            print_json({**result, "offset": error.offset})
        raise
    if options.json:
        print_json({"engine": str(options.engine), "ok": True, "digest": engine.digest, "self_test": self_test})
    else:
        print(f"{options.engine}: OK, SHA-256 {engine.digest}" + (f", self-test {self_test}" if self_test else ""))
    return 0


def _self_test(engine: ingot.Engine) -> str:
    try:
        engine.self_test()
    except IngotError as error:
        if error.status == "unsupported":
            return "absent"
        raise
    return "passed"
