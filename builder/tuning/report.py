"""What tuning did: for people, for ``--json``, and, without times, for the engine's metadata."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ingot.builder.tuning.cache import Outdated
from ingot.builder.tuning.choose import Choice, Plan
from ingot.builder.tuning.costs import Cost
from ingot.builder.tuning.keys import Timing


@dataclass(slots=True)
class Report:
    """``measured`` counts candidates, ``reused`` those that the cache knew; ``tried`` has them by problem and tactic.

    ``default`` and ``chosen`` are times of the whole program, where they were compared; ``kept_default``: the chosen
    plan was not better, so the default one stands.
    """

    plan: Plan
    outdated: Outdated
    measured: int = 0
    reused: int = 0
    seconds: float = 0.0
    default: Timing | None = None
    chosen: Timing | None = None
    kept_default: bool = False
    tried: dict[str, dict[str, Cost]] = field(default_factory=dict)

    def metadata(self) -> list[dict[str, Any]]:
        """One entry a step that had a choice: the tactic and why. No times: equal caches give equal bytes."""
        rows = []
        for choice in self.plan.choices:
            row = {"layer": choice.node.name, "tactic": _name(choice), "why": why(choice, self.kept_default)}
            if choice.runner_up:
                row["runner_up"] = choice.runner_up.tactic.key
                rows.append(row)
        return rows

    def json(self) -> dict[str, Any]:
        """Everything, times in nanoseconds."""
        rows = []
        for row, choice in zip(self.metadata(), (c for c in self.plan.choices if c.runner_up)):
            problem = choice.option.candidate.problem if choice.option.candidate else ""
            rows.append(row | {"problem": problem, "candidates": self._candidates(choice)})
        found: dict[str, Any] = {
            "measured": self.measured,
            "reused": self.reused,
            "ignored": str(self.outdated),
            "seconds": self.seconds,
            "expected_ns": self.plan.ns,
            "bound_ns": self.plan.bound,
            "default_ns": self.plan.default_ns,
            "kept_default": self.kept_default,
            "steps": rows,
        }
        for name in ("default", "chosen"):
            timing = getattr(self, name)
            if timing:
                found[f"program_{name}"] = _timing(timing)
        return found

    def _candidates(self, choice: Choice) -> dict[str, Any]:
        problem = choice.default.candidate.problem
        return {
            key: _timing(cost.timing) if cost.timing else {"guessed_ns": cost.ns}
            for key, cost in self.tried.get(problem, {}).items()
        }

    def text(self) -> list[str]:
        """The report in lines."""
        changed = [c for c in self.plan.choices if c.option is not c.default]
        counts = Counter(_name(c) for c in changed)
        lines = [
            f"tactics: {self.measured} candidates measured, {self.seconds:.1f} s, {self.reused} known from the cache, "
            f"entries of it that were ignored: {self.outdated}"
        ]
        for choice in changed:
            lines.append(f"  {choice.node.name}: {_name(choice)} {_against(choice)}")
        if not changed:
            lines.append("  every step has its default tactic")
        elif len(changed) > 1:
            lines.append("  " + ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())))
        if self.plan.bound < self.plan.ns:
            share = 100 * (self.plan.ns - self.plan.bound) / self.plan.ns
            lines.append(f"  the search was cut short: the best plan is at most {share:.1f}% faster")
        if self.default and self.chosen:
            ratio = self.default.median_ns / self.chosen.median_ns
            text = (
                f"  whole program: {self.chosen.median_ns / 1e3:.1f} us, default {self.default.median_ns / 1e3:.1f} us"
            )
            noise = 100 * self.chosen.spread_ns / self.chosen.median_ns
            kept = ": not beyond noise, the default stays" if self.kept_default else ""
            lines.append(f"{text} ({ratio:.3f} times as fast, +- {noise:.1f}%){kept}")
        return lines


def _name(choice: Choice) -> str:
    return choice.option.tactic.key if choice.option.tactic else "absorbed"


def why(choice: Choice, kept_default: bool = False) -> str:
    """In words, without numbers."""
    if kept_default:
        return "default: the plan that was chosen was not faster as a whole"
    if choice.option.tactic is None:
        return "its reader computes it"
    known = "measured" if choice.cost.timing else "guessed"
    if choice.option is not choice.default:
        return known
    return f"{known}: no other is better beyond noise" if choice.cost.timing else "guessed: no reason for another"


def _against(choice: Choice) -> str:
    cost, other = choice.cost, choice.runner_up_cost
    if choice.option.tactic is None or other is None:
        return f"({why(choice)})"
    return f"({why(choice)}: {cost.ns / 1e3:.1f} us; {choice.runner_up.tactic.key} {other.ns / 1e3:.1f} us)"


def _timing(timing: Timing) -> dict[str, Any]:
    return {"median_ns": timing.median_ns, "spread_ns": timing.spread_ns, "samples": timing.samples}
