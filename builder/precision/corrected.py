"""Bias corrections for choices of int8 layers other than all of them; see :mod:`ingot.builder.calibrate.empirical`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ingot.builder.calibrate import empirical
from ingot.builder.calibrate.corrections import Corrections
from ingot.builder.ir import Graph
from ingot.builder.passes import quantize
from ingot.builder.precision.samples import Judged
from ingot.builder.quantization.request import Request


@dataclass(slots=True)
class Corrector:
    """Measures on ``samples`` of those not judged, at most, what ``known`` does not have by the digest of a graph."""

    graph: Graph
    judged: Judged
    samples: int
    known: dict[str, Corrections]
    log: Callable[[str], None] | None = None
    _tried: dict[str, Corrections] = field(default_factory=dict)

    def correct(self, request: Request, kept_out: Iterable[str], settled: bool = False) -> Request:
        """The request with biases corrected for the graph that it gives with these layers out of int8.

        What is ``settled`` becomes known.
        """
        rounded = self.graph.copy()
        plain = replace(request, corrections={}, means={}, allow_fallback=True, refused={})
        plain.kept_out = dict.fromkeys(kept_out, "-")
        quantize.run(rounded, plain)
        digest = empirical.graph_digest(rounded)
        found = self.known.get(digest) or self._tried.get(digest)
        if found is None:
            samples = [item.arrays for item in self.judged.rest(self.samples)]
            found = self._tried[digest] = empirical.measure(self.graph, rounded, samples, self.log)
        if settled:
            self.known[digest] = found
        return replace(request, corrections=found.shifts, means={})
