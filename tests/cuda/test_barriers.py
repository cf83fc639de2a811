"""Every place where threads of a CUDA kernel wait is there for a reason: without it the emulator sees a wrong result or
an error, in some sample of the operator under some order of threads.

That is as much a test of the emulator as of the kernels: a barrier that it does not miss is one it could not have told
was forgotten.
"""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from ingot.builder.ir import Node
from ingot.kernels.spec import Tactic
from ingot.targets import Target

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("cuda", "emulator", "kernels"))
import harness
import samples
from emulator import LaunchError, Site, visited, without

SEEDS = (1, 2, 3)
OPERATORS = [n for n, spec in samples.SPECS.items() if any(t.backend == "cuda" for t in spec.tactics)]

ONE_BLOCK = (1, 1, 1)
#: how many places of a file nobody misses, because another one makes up for them
SPARE = {
    "attention_mma.cu": 1,  # of a warp that is alone with its keys: its lanes meet when they load matrices
    "cuda_gemm.h": 1,  # the last wait for copies: none is under way
    # before a block counts: here blocks end one after the other; and before one of a team ends: here they end together
    "cuda_gemm_split.h": 2,
    "cuda_windows.h": 1,  # behind a table: here no thread goes on that waits for other kernels before the table is made
    "cuda_rows.h": 1,  # before a block counts: here blocks end one after the other, so that all have written
    "recurrent.cu": 2,  # before and after the products of x: either will do
    "recurrent_s8.cu": 2,
    "recurrent_team.cu": 2,  # likewise; the first one also waits for blocks to begin, and here all have
}


@dataclass(frozen=True)
class Run:
    """A sample by a CUDA tactic, as a device would run it."""

    node: Node
    tactic: Tactic
    target: Target
    arrays: Sequence[np.ndarray | None]

    def outcome(self, seed: int = SEEDS[0], grid: tuple[int, int, int] | None = None) -> list[bytes] | str:
        """The bits of the results, or what went wrong."""
        try:
            got = harness.run_node(self.node, self.tactic, self.target, self.arrays, seed=seed, grid=grid)
        except (LaunchError, AssertionError, IndexError) as error:
            return str(error)
        return [array.tobytes() for array in got]


def runs_of(operator: str) -> Iterator[Run]:
    for case in samples.CASES:
        spec, sample = case.values
        if spec.name != operator:
            continue
        node, arrays = samples.make_node(spec, sample)
        for tactic in spec.tactics:
            if tactic.backend == "cuda" and tactic.when(node):
                launches = {tactic.launch(node, target): target for target in harness.TARGETS.values()}
                yield from (Run(node, tactic, target, arrays) for target in launches.values())


def find_missed(runs: Iterable[Run], seen: set[Site], missed: set[Site], one_block: bool) -> None:
    """Add where threads wait to ``seen``, and to ``missed`` where something changes when they do not. In one block,
    which then has the work of all: kernels that can have but few samples that make them."""
    grid = ONE_BLOCK if one_block else None
    for run in runs:
        wanted = run.outcome()
        visited()
        if one_block and run.outcome(grid=grid) != wanted:
            continue  # a kernel with a block for each part of the work
        run.outcome(grid=grid)
        here = visited()
        seen |= here
        for site in sorted(here - missed):
            with without(site):
                if any(run.outcome(seed, grid) != wanted for seed in SEEDS):
                    missed.add(site)


@functools.cache
def places(operator: str) -> tuple[frozenset[Site], frozenset[Site]]:
    """Where threads wait in the kernels of the operator, and where something changes when they do not."""
    runs = list(runs_of(operator))
    harness.warm(run.tactic.launch(run.node, run.target) for run in runs)
    seen: set[Site] = set()
    missed: set[Site] = set()
    find_missed(runs, seen, missed, one_block=False)
    if seen - missed:
        find_missed(runs, seen, missed, one_block=True)
    return frozenset(seen), frozenset(missed)


def unexplained(idle: set[Site]) -> set[Site]:
    """Those in files that have more of them than are spare."""
    files = Counter(Path(site.file).name for site in idle)
    return {site for site in idle if files[Path(site.file).name] > SPARE.get(Path(site.file).name, 0)}


@pytest.mark.parametrize("operator", OPERATORS)
def test_is_missed_when_it_is_not_there(operator: str) -> None:
    seen, missed = places(operator)
    idle = seen - missed
    for other in OPERATORS:  # a header may be shared by kernels that need it and kernels that do not
        if unexplained(idle):
            idle -= places(other)[1]
    idle = unexplained(idle)
    assert not idle, "nothing changes without " + ", ".join(f"{Path(s.file).name}:{s.line}" for s in sorted(idle))
