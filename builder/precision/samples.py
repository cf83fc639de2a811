"""The samples that mixed precision is judged on: a few of all that calibration sees, with their labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ingot.builder.calibrate import DataError, Item
from ingot.builder.calibrate.data import Kept
from ingot.errors import BuildError

#: fewer samples than this are not worth keeping apart
LEAST = 8
_LARGEST_DIGEST = (1 << 256) - 1


class Judged:
    """Shown every sample (:meth:`add`), keeps at most ``most``. ``labels``: of all samples in their order, or None.

    Calibration corrects biases on the samples with the least digests. Judged are those with the greatest, and not more
    than half of all if that leaves enough: on what biases were fitted to, an engine seems better than it is.
    """

    def __init__(self, most: int, labels: Sequence[Any] | np.ndarray | None, generated: bool) -> None:
        self.labels = labels
        self.generated = generated
        self.seen = 0
        #: shows all samples, when they are wanted; None when they have been seen, or there are none
        self.later: Callable[[], None] | None = None
        self._judged, self._fitted = Kept(most), Kept(most)

    def add(self, digest: int, item: Item) -> None:
        """Keep the sample if its digest is among the least."""
        if self.labels is not None:
            label = np.asarray(self.labels[self.seen]).reshape(-1) if self.seen < len(self.labels) else None
            item = item._replace(label=label)
        self.seen += 1
        self._judged.add(_LARGEST_DIGEST - digest, item)
        self._fitted.add(digest, item)

    def take(self, most: int | None = None) -> list[Item]:
        """Those to judge on, the greatest digest first; ``most`` of them, all by default.

        Raises BuildError when there are none, :class:`DataError` when labels do not fit the samples.
        """
        self._show()
        items = self._judged.items[: max((self.seen + 1) // 2, LEAST)][:most]
        if not items:
            raise BuildError(
                "errors are measured on samples: give calibration data, or a calibration cache that a build with "
                "these options has written"
            )
        return items

    def rest(self, most: int) -> list[Item]:
        """At most ``most`` to fit something to, the least digest first: none that is judged, where there are enough."""
        apart = self._fitted.items[: self.seen - len(self.take())][:most]
        return apart if len(apart) >= min(LEAST, most) else self._fitted.items[:most]

    def _show(self) -> None:
        if self.later is not None:
            show, self.later = self.later, None
            show()
        if self.labels is not None and len(self.labels) != self.seen:
            raise DataError(f"{len(self.labels)} labels for {self.seen} calibration samples: give one for each")
