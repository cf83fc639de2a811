"""The table of accuracy in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]
COLUMNS = ("int8", "synthetic", "best", "shipped")


def table(rows: Sequence[Row]) -> str:
    """Classifiers on labelled data, then the others at their own measure."""
    labelled = [row for row in rows if row["measure"] == "top-1"]
    others = [row for row in rows if row["measure"] != "top-1"]
    return "\n".join([*_classifiers(labelled), "", *_others(others)]) + "\n"


def _lines(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *body)]


def _classifiers(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = ["top-1, %", "images", "FP32", "INT8", "as FP32", "synthetic", "best", "shipped INT8"]
    body = [_classifier(row) for row in rows]
    free = [row for row in rows if not row["grid"] and "agreement" in row.get("int8", {})]
    count = sum(row["int8"]["count"] for row in free)
    if count:
        pooled = sum(row["int8"]["agreement"] * row["int8"]["count"] for row in free) / count
        body.append(["all but †", str(count), "", "", f"{pooled:.2f}", "", "", ""])
    return _lines(head, body)


def _classifier(row: Row) -> list[str]:
    def value(name: str, key: str = "value") -> str:
        found = row.get(name, {})
        return f"{found[key]:.1f}" if key in found else ("refused" if "error" in found else "")

    return [
        _name(row),
        str(row["fp32"]["count"]),
        value("fp32"),
        value("int8"),
        value("int8", "agreement"),
        value("synthetic"),
        _best(row, value("best")),
        value("shipped"),
    ]


def _name(row: Row) -> str:
    return row["model"] + (" †" if row["grid"] else "")


def _best(row: Row, text: str) -> str:
    kept = row.get("best", {}).get("kept")
    return f"{text} ({kept} kept)" if kept else text


def _others(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = ["model", "measure", "cases", "FP32", "INT8", "synthetic", "best", "shipped INT8"]
    return _lines(
        head, [[_name(r), r["measure"], str(r["fp32"]["count"]), _figure(r, "fp32"), *_changes(r)] for r in rows]
    )


def _figure(row: Row, name: str) -> str:
    found = row.get(name, {})
    return f"{found['value']:.4g}" if "value" in found else ("refused" if "error" in found else "")


def _changes(row: Row) -> list[str]:
    return [_best(row, _figure(row, name)) if name == "best" else _figure(row, name) for name in COLUMNS]
