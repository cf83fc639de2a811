"""The samples that mixed precision is judged on: a few of all that calibration sees, with their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ingot.builder.calibrate import DataError, Item
from ingot.builder.calibrate.data import Kept
from ingot.errors import BuildError


class Judged:
    """Shown every sample (:meth:`add`), keeps at most ``most``. ``labels``: of all samples in their order, or None."""

    def __init__(self, most: int, labels: Sequence[Any] | np.ndarray | None, generated: bool) -> None:
        self.labels = labels
        self.generated = generated
        self.seen = 0
        #: shows all samples, when they are wanted; None when they have been seen, or there are none
        self.later: Callable[[], None] | None = None
        self._kept = Kept(most)

    def add(self, digest: int, item: Item) -> None:
        """Keep the sample if its digest is among the least."""
        if self.labels is not None:
            label = np.asarray(self.labels[self.seen]).reshape(-1) if self.seen < len(self.labels) else None
            item = item._replace(label=label)
        self.seen += 1
        self._kept.add(digest, item)

    def take(self, most: int | None = None) -> list[Item]:
        """The first that were kept, the least digest first: all by default.

        Raises BuildError when there are none, :class:`DataError` when labels do not fit the samples.
        """
        if self.later is not None:
            show, self.later = self.later, None
            show()
        if self.labels is not None and len(self.labels) != self.seen:
            raise DataError(f"{len(self.labels)} labels for {self.seen} calibration samples: give one for each")
        items = self._kept.items[:most]
        if not items:
            raise BuildError(
                "precision best measures on samples: give calibration data, or a calibration cache that a build with "
                "these options has written"
            )
        return items
