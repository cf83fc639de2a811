"""The README's table of operators, made from what is registered: ``python -m ingot.builder.operator_table``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from ingot import kernels
from ingot.kernels.spec import ONNX

BEGIN, END = "<!-- operators:begin -->\n", "<!-- operators:end -->"
#: imported by the importer itself
BUILT_IN = {"control flow": ("Constant", "Identity", "If")}


def rows() -> Iterable[tuple[str, str, str]]:
    """(internal operator, ONNX operators, kernels), in the order of the names."""
    specs = kernels.load()
    by_folder: dict[str, list[str]] = {}
    for (domain, op_type), importer in ONNX.items():
        folder = importer.__module__.split(".")[2]
        by_folder.setdefault(folder, []).append(f"{domain}.{op_type}" if domain else op_type)
    for name in sorted(set(specs) | set(by_folder)):
        names = sorted({t.kernel for t in specs[name].tactics if t.kernel and t.is_for("cpu")}) if name in specs else []
        yield name, ", ".join(sorted(by_folder.get(name, []))), ", ".join(f"`{k}`" for k in names)
    for name, operators in BUILT_IN.items():
        yield name, ", ".join(operators), ""


def table() -> str:
    """The table in Markdown."""
    lines = ["| folder | ONNX operators | kernels |", "| --- | --- | --- |"]
    lines += [f"| {name} | {operators} | {found} |" for name, operators, found in rows()]
    lines.append("")
    lines.append("Operators that ONNX defines by a function of others are expanded into these.")
    return "\n".join(lines) + "\n"


def replace(readme: str) -> str:
    """The README with the present table."""
    before, rest = readme.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", metavar="README", nargs="?", const="README.md", help="put it into this file")
    args = parser.parse_args()
    if args.write:
        path = Path(args.write)
        path.write_text(replace(path.read_text()))
    else:
        print(table(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
