"""Trials: engines with some layers kept out of int8, judged on samples against the float engine and against labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ingot.builder.calibrate import DataError, Item
from ingot.builder.precision.engine import Results, Runner
from ingot.builder.precision.judge import distances
from ingot.builder.precision.record import Record
from ingot.builder.precision.samples import Judged


@dataclass(frozen=True, slots=True)
class Trial:
    """How a mixed engine does: the error of each output; points of top-1 that it loses, where there are labels."""

    errors: dict[str, float]
    drop: float | None = None

    @property
    def error(self) -> float:
        """That of the worst output."""
        return max(self.errors.values(), default=0.0)

    @property
    def worst(self) -> str:
        """The name of the worst output."""
        return max(self.errors, key=self.errors.__getitem__, default="")


@dataclass(slots=True)
class Bench:
    """Runs trials on ``samples`` against the engine that ``reference`` makes; ``outputs`` are the names of its outputs.

    A trial that ``record`` knows is not run, so samples need not be there.
    """

    reference: Callable[[], Runner]
    record: Record
    outputs: Sequence[str]
    samples: Judged
    labelled: bool
    _wanted: Results = field(default_factory=list)

    def judge(self, kind: str, make: Callable[[], Runner], layers: Iterable[str], most: int | None = None) -> Trial:
        """The engine that ``make`` gives when there is something to measure, on ``most`` samples, or all.

        ``kind`` and ``layers`` say to the record which one it is.
        """
        fields = [*self.outputs, *(["top-1 lost"] if self.labelled and most is None else [])]
        found = self.record.get(kind, layers, fields, lambda: self._measure(make, most, fields))
        drop = found.pop("top-1 lost") if len(fields) > len(self.outputs) else None
        return Trial(found, drop)

    def _measure(self, make: Callable[[], Runner], most: int | None, fields: Sequence[str]) -> dict[str, float]:
        items = self.samples.take(most)
        if len(self._wanted) < len(items):
            self._wanted = self.reference().results(item.arrays for item in items)
        wanted = self._wanted
        got = make().results(item.arrays for item in items)
        found = dict(zip(self.outputs, distances(got, wanted)))
        if len(fields) > len(self.outputs):
            labels = [label_of(item) for item in items]
            output = classifier(self.outputs, wanted[0], labels)
            found["top-1 lost"] = 100 * (hits(wanted, output, labels) - hits(got, output, labels))
        return found


def label_of(item: Item) -> np.ndarray:
    """The labels of a sample; :class:`DataError` where it has none."""
    if item.label is None:
        raise DataError(
            f"{item.place}: no label: max_accuracy_drop needs one for each sample, from labels (--labels FILE) or from "
            "an array called labels beside the inputs"
        )
    return item.label


def classifier(names: Sequence[str], results: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> int:
    """Which output the labels are about: the only one of floats that has a row of classes for each label."""
    rows, largest = labels[0].size, max(int(label.max(initial=0)) for label in labels)
    if any(label.size != rows for label in labels):
        raise DataError("labels: some samples have more of them than others")
    fits = [
        index
        for index, array in enumerate(results)
        if array.dtype.kind == "f" and array.ndim and array.shape[-1] > 1 and array.size == rows * array.shape[-1]
    ]
    if len(fits) != 1:
        found = ", ".join(names[index] for index in fits) or "none"
        count = "one label" if rows == 1 else f"{rows} labels"
        raise DataError(
            f"labels: with {count} a sample one output should hold a row of scores for each; such outputs: {found} of "
            f"{', '.join(names)}"
        )
    classes = results[fits[0]].shape[-1]
    if largest >= classes:
        raise DataError(
            f"labels: class {largest}, and output {names[fits[0]]!r} has {classes} classes, 0 to {classes - 1}"
        )
    return fits[0]


def hits(results: Results, output: int, labels: Sequence[np.ndarray]) -> float:
    """The share of rows of an output whose largest score is at the label's place."""
    right = total = 0
    for arrays, label in zip(results, labels):
        rows = arrays[output].reshape(label.size, -1)
        right += int((rows.argmax(axis=1) == label.reshape(-1)).sum())
        total += label.size
    return right / total
