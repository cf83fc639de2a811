"""What a measured time belongs to, and what was measured: the words that packs, timing caches and the search share."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass

from ingot._native import lib
from ingot.builder.cuda.instance import FOLDERS, included, kernel_folder
from ingot.builder.ir import Node
from ingot.kernels.spec import Tactic
from ingot.targets import Target


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A tactic doing a problem on a target. ``problem`` says all that time may depend on, and no name or address.

    ``target`` is a :func:`fingerprint`, ``tactic`` what :func:`named` gives, ``abi`` that of its kernel. No field holds
    a tab or a line break.
    """

    target: str
    problem: str
    tactic: str
    abi: int
    threads: int

    @property
    def program(self) -> str:
        """The name of the candidate's program in a tuning pack, which may be run with any number of threads."""
        return f"{self.target}\t{self.problem}\t{self.tactic}\t{self.abi}"

    @property
    def text(self) -> str:
        """The key as it begins a line of a timing cache."""
        return f"{self.program}\t{self.threads}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """The key of that text; ``ValueError`` when it is none."""
        target, problem, tactic, abi, threads = text.split("\t")
        return cls(target, problem, tactic, int(abi), int(threads))


@dataclass(frozen=True, slots=True)
class Timing:
    """Median time of a run, and the standard error of that median as ``samples`` measurements show it; nanoseconds."""

    median_ns: float
    spread_ns: float
    samples: int

    @property
    def is_wrong(self) -> bool:
        """Whether this is no time: the candidate computed something else than it should."""
        return self.median_ns >= lib.INGOT_TUNER_WRONG_NS


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tactic that could do a node. Producers that it absorbs are part of the node; constants are not yet packed."""

    problem: str
    tactic: Tactic
    node: Node


def fingerprint(target: Target) -> str:
    """The target's name, and a digest of all that its file declares but the description."""
    declared = {"backend": target.backend, "arch": target.arch, **target.figures}
    text = json.dumps(declared, sort_keys=True, separators=(",", ":"))
    return f"{target.name}/{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def named(tactic: Tactic, node: Node, target: Target) -> str:
    """``Tactic.key``; of CUDA with ``@`` and eight digits of the SHA-256 of the kernel's source and all it includes."""
    if not tactic.launch:
        return tactic.key
    return f"{tactic.key} @{code_digest(tactic.launch(node, target).source)}"


@functools.cache
def code_digest(source: str) -> str:
    """Eight digits that change with the source, below ``kernels/``, or what it includes."""
    folder = kernel_folder()
    text = f'#include "cuda_device.h"\n#include "{source}"\n'
    digest = hashlib.sha256()
    for name, content in included(text, [folder / each for each in FOLDERS]).items():
        digest.update(f"{len(name)}:{name}{len(content)}:".encode() + content)
    return digest.hexdigest()[:8]


@functools.cache
def code_digests() -> frozenset[str]:
    """Those of all sources of CUDA kernels that there are."""
    folder = kernel_folder()
    return frozenset(code_digest(path.relative_to(folder).as_posix()) for path in sorted(folder.glob("*/*.cu")))
