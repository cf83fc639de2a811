"""The time that a step should take, from the figures of the target's TOML.

    time = max(operations / peak, bytes / bandwidth) / efficiency + what any step costs

with the peak and the bandwidth of one core, or of a whole GPU (S. Williams, A. Waterman, D. Patterson: "Roofline: an
insightful visual performance model for multicore architectures", CACM 52 (4), 2009). ``Tactic.efficiency`` is the share
of it that the tactic is expected to reach.
"""

from __future__ import annotations

from dataclasses import dataclass

from ingot.builder.ir import Node
from ingot.kernels.spec import DType
from ingot.targets import Target

#: of tactics that do not say what they reach, by backend: on a GPU what simple kernels leave of the memory's bandwidth
EFFICIENCY = {"cpu": 0.5, "cuda": 0.65}
#: of targets that give no figures: those of a desktop core
ASSUMED_PEAKS, ASSUMED_BANDWIDTH = {"f32": 50.0, "i8": 150.0}, 10.0
#: what a step of the CPU costs besides its work, nanoseconds; of CUDA the target's file says it
STEP_NS = 200.0


@dataclass(frozen=True, slots=True)
class Roofline:
    """Peaks in operations a nanosecond by element type, bandwidth in bytes a nanosecond.

    ``step_ns`` is what any step costs. ``kernel_ns`` is what any kernel takes besides, however little it does: it tells
    no tactics apart and counts in predictions alone. ``assumed``: the target's file gives none. Such a model compares
    steps, it does not tell tactics apart.
    """

    target: Target
    peaks: dict[str, float]
    bandwidth: float
    assumed: bool = False
    step_ns: float = STEP_NS
    kernel_ns: float = 0.0

    @classmethod
    def of(cls, target: Target) -> Roofline:
        """The model of the target, by the figures of its file."""
        peaks, bandwidth = target.peak_gops, target.figures.get("memory_gbs")
        if peaks and bandwidth:
            step, kernel = _step_ns(target), _cycles_ns(target, "kernel_cycles")
            return cls(target, peaks, float(bandwidth), step_ns=step, kernel_ns=kernel)
        return cls(target, ASSUMED_PEAKS, ASSUMED_BANDWIDTH, assumed=True)

    def ns(self, node: Node) -> float:
        """Nanoseconds that the node, whose tactic is chosen, should take."""
        return self.work_ns(node) + self.step_ns

    def work_ns(self, node: Node, least: float = 0.0) -> float:
        """The same without what any step costs. The tactic reaches at least the share ``least``, whatever it says: some
        say less than is true, so that any other goes before them."""
        values = [value for value in [*node.inputs, *node.outputs] if value is not None]
        moved = sum(value.type.nbytes for value in dict.fromkeys(values)) / self.bandwidth
        work = node.op.work(node) if node.op.work else None
        computed = work.ops / self._peak(work.dtype) if work else 0.0
        says = node.tactic.efficiency
        return max(computed, moved) / max(says(node, self.target) if says else self._efficiency, least)

    def copy_ns(self, nbytes: int) -> float:
        """Nanoseconds that copying so many bytes should take."""
        return 2 * nbytes / self.bandwidth / self._efficiency + self.step_ns

    @property
    def _efficiency(self) -> float:
        return EFFICIENCY[self.target.backend]

    def _peak(self, dtype: DType) -> float:
        """A type without a peak of its own is computed in float32."""
        return float(self.peaks.get(dtype.name.lower(), self.peaks["f32"]))


def _step_ns(target: Target) -> float:
    return _cycles_ns(target, "launch_cycles") if target.backend == "cuda" else STEP_NS


def _cycles_ns(target: Target, figure: str) -> float:
    """Clocks that the target's file names as nanoseconds; 0 where it does not."""
    cycles = target.figures.get(figure, 0)
    return cycles * 1000.0 / target.figures["clock_mhz"] if cycles else 0.0
