"""show what is in an engine

Inputs and outputs, memory, steps with their kernels (of CUDA: how each is started, and how long it should take), what
the builder's passes did, and the precision ledger.
--json gives everything, tensors and parameters too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ingot
from ingot.arrays import shape_text
from ingot.cli.common import add_json, print_json, shorten, size_text, table
from ingot.cli.cuda import STEP_HEADS, describe_kernels, describe_start, predicted_total
from ingot.cli.ledger import describe_ledger

EXAMPLE = "ingot inspect model.ingot"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("engine", type=Path, metavar="ENGINE")
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    with ingot.load(options.engine, any_machine=True) as engine:
        content = engine.inspect()
        if engine.unfit:
            content["refused"] = engine.unfit
    if options.json:
        print_json({"engine": str(options.engine), **content})
    else:
        print(describe(str(options.engine), content))
    return 0


def describe(name: str, content: dict[str, Any]) -> str:
    """The content of an engine as text."""
    metadata = content["metadata"]
    model = metadata.get("model", {})
    lines = [
        f"{name}: format {content['format']}, {size_text(content['size'])}, built by {metadata.get('builder', '?')} "
        f"from {model.get('name') or 'a model'} ({model.get('sha256', '?')[:12]})",
        f"SHA-256 {content['digest']}, {len(content['signatures']) or 'no'} signature(s)",
        f"this machine cannot run it: {content['refused']}"
        if "refused" in content
        else f"this machine runs variant {content['variant']} with {content['isa']}",
    ]
    for variant in content["variants"]:
        arch = f", sm_{variant['arch']}" if variant["arch"] else ""
        lines.append(f"\nvariant {variant['name']} ({variant['backend']}{arch}), {len(variant['programs'])} profile(s)")
        for index in variant["programs"]:
            lines += _program(content["programs"][index])
    lines += describe_ledger(metadata)
    lines += _tactics(metadata.get("tactics", []))
    lines += describe_kernels(metadata)
    lines += ["", total] if (total := predicted_total(metadata)) else []
    if metadata.get("passes"):
        lines += ["\npasses", *(f"  {line}" for line in metadata["passes"])]
    lines.append(f"\nself-test: {_self_test(content['self_test'])}")
    return "\n".join(lines)


def _program(program: dict[str, Any]) -> list[str]:
    lines = []
    for kind in ("inputs", "outputs"):
        rows = [[io["name"], io["dtype"], _shape(io)] for io in program[kind]]
        lines += [kind, table(rows) or "  none"]
    memory = program["memory"]
    arena, bound = memory["arena"], memory["lower_bound"]
    ratio = f" ({arena / bound:.2f} times the lower bound {size_text(bound)})" if bound else ""
    others = f"constants {size_text(memory['constants'])}, state {size_text(memory['state'])}"
    lines += ["memory", f"  arena {size_text(arena)}{ratio}, {others}"]
    lines += ["steps", _steps(program["steps"]) or "  none"]
    return lines


def _steps(steps: list[dict[str, Any]]) -> str:
    started = any("launch" in step for step in steps)
    heads = ["#", "kernel", *(STEP_HEADS if started else []), "result", "nodes"]
    rows = []
    for i, step in enumerate(steps):
        results = ", ".join(f"{o['dtype']} {shape_text(o['shape'])}" for o in step["outputs"])
        start = describe_start(step) if started else []
        rows.append([i, step["kernel"], *start, results, shorten(step["name"], 60)])
    return table(rows, heads, right=(0, 5, 6) if started else (0,)) if rows else ""


def _shape(io: dict[str, Any]) -> str:
    least = io["min_shape"]
    return shape_text(io["shape"]) if least == io["shape"] else f"{shape_text(least)} to {shape_text(io['shape'])}"


def _tactics(rows: list[dict[str, Any]]) -> list[str]:
    """Why steps that had a choice have the kernel that they have."""
    if not rows:
        return []
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["why"]] = counts.get(row["why"], 0) + 1
    lines = [f"\ntactics: {', '.join(f'{n} x {why}' for why, n in counts.items())}"]
    return [
        *lines,
        table(
            [[row["tactic"], row["runner_up"], shorten(row["layer"], 60)] for row in rows],
            ["tactic", "instead of", "nodes"],
        ),
    ]


def _self_test(records: list[dict[str, Any]]) -> str:
    outputs = [r for r in records if r["mode"]]
    return f"{len(outputs)} output(s), {', '.join(dict.fromkeys(r['mode'] for r in outputs))}" if outputs else "none"
