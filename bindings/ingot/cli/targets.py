"""list the devices that engines can be built for"""

from __future__ import annotations

import argparse

from ingot.cli.common import add_json, print_json, table

EXAMPLE = "ingot targets --json"


def arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    from ingot import targets  # needs tomli before Python 3.11

    found = [targets.get(name) for name in targets.names()]
    if options.json:
        rows = [
            {"name": t.name, "description": t.description, "backend": t.backend, "arch": t.arch, "figures": t.figures}
            for t in found
        ]
        print_json({"targets": rows})
    else:
        print(
            table(
                [[t.name, t.backend, t.arch, t.description] for t in found],
                ["target", "backend", "arch", ""],
                indent="",
            )
        )
    return 0
