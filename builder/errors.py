"""What is wrong with a model, all of it at once; what is wrong with a cache."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ingot.errors import BuildError


@dataclass(frozen=True, slots=True)
class Problem:
    """One node that cannot be built: its name, its operator, what is not supported and the nearest form that is."""

    node: str
    op_type: str
    what: str
    nearest: str = ""

    def __str__(self) -> str:
        hint = f"; nearest supported form: {self.nearest}" if self.nearest else ""
        return f"node {self.node} ({self.op_type}): {self.what}{hint}"


class ModelError(BuildError):
    """The ONNX file is missing, damaged, unsafe or not a model."""

    status = "model"


class UnsupportedModel(BuildError):
    """Nodes of the model cannot be built; ``problems`` lists every one."""

    status = "unsupported"

    def __init__(self, model: str, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(f"{model}: {len(problems)} node(s) cannot be built: " + " | ".join(map(str, problems)))


class CacheError(BuildError):
    """A cache that is damaged, of another kind or for another model: says the file and the line."""

    status = "cache"

    def __init__(self, path: str | os.PathLike[str], line: int, what: str) -> None:
        super().__init__(f"{os.fspath(path)}:{line}: {what}")
