"""The precision ledger as text: what each step was asked to compute in, what it got, why, and how far it is off."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ingot.cli.common import shorten, table

HEADER = ["#", "layer", "asked", "got", "SQNR dB", "in scale", "weight scales", "scale", "exact", "why"]


def describe_ledger(metadata: dict[str, Any]) -> list[str]:
    """Lines on the precision of an engine; one for each step where not all of them were asked for fp32."""
    ledger = metadata.get("ledger", [])
    if not ledger:
        return []
    counts = Counter(row["got"] for row in ledger)
    lines = [f"\nprecision: {', '.join(f'{count} steps {got}' for got, count in counts.items())}"]
    if all(row["asked"] == row["got"] == "fp32" and "outputs" not in metadata for row in ledger):
        return lines
    measured = metadata.get("measured", {})
    if "on" in measured:
        lines.append(f"  measured on {measured.get('samples', '?')} samples of {measured['on']}")
    if "kept_out" in measured:
        asked = metadata.get("options", {}).get("precision", "best")
        out = "int8" if asked == "best" else asked
        lines.append(f"  {asked}: {measured['kept_out']} of {measured['layers']} layers kept out of {out}")
    if "accuracy_drop" in measured:
        lines.append(f"  top-1 lost: {measured['accuracy_drop']:.2f} points")
    for row in metadata.get("outputs", []):
        bits = "the same bits on all targets" if row["exact_across_targets"] else "bits may differ between targets"
        error = f", relative error {row['error']:.3g}" if "error" in row else ""
        lines.append(f"  output {row['output']}: {bits}{error}")
    rows = [_row(index, row) for index, row in enumerate(ledger)]
    return [*lines, table(rows, HEADER, right=(0, 4, 5, 7))]


def _row(index: int, row: dict[str, Any]) -> list[Any]:
    ratio = f"{row['sqnr_db']:.1f}" if "sqnr_db" in row else ""
    inputs = " ".join(_number(scale) for scale in row.get("input_scales", []))
    weights = " to ".join(dict.fromkeys(_number(scale) for scale in row.get("weight_scales", [])))
    result = _number(row["scale"]) if "scale" in row else ""
    if row.get("zero_point"):
        result += f" @{row['zero_point']}"
    exact = "yes" if row["exact_across_targets"] else "no"
    layer = shorten(row["layer"], 40)
    return [index, layer, row["asked"], row["got"], ratio, inputs, weights, result, exact, row.get("why", "")]


def _number(scale: float) -> str:
    return f"{scale:.3g}"
