"""Compiled instances on disk, by the content of all that they are made of.

A file is a line of JSON (what takes how much, SHA-256 of the rest) and the machine code. One that is damaged is not
there: it is compiled again and replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ingot.builder.cuda.instance import Compiled, Instance


def cache_folder() -> Path:
    """``$INGOT_CACHE_DIR``, else ``ingot`` in the user's folder of caches."""
    given = os.environ.get("INGOT_CACHE_DIR")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ingot"


class Cache:
    """A folder of compiled instances. Where it cannot be written nothing is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "cuda"

    @staticmethod
    def key(version: str, arch: str, instance: Instance, files: Mapping[str, bytes]) -> str:
        """A digest of the compiler's version, the options, the translation unit and what it includes."""
        digest = hashlib.sha256()
        parts = [version, arch, *instance.options, instance.text]
        for part in [*(each.encode() for each in parts), *(x for name in files for x in (name.encode(), files[name]))]:
            digest.update(f"{len(part)}:".encode() + part)
        return digest.hexdigest()

    def load(self, key: str) -> Compiled | None:
        """What was kept; ``None`` when nothing was, or it is damaged."""
        try:
            head, _, image = self._path(key).read_bytes().partition(b"\n")
            fields = json.loads(head)
            if fields.pop("sha256") != hashlib.sha256(image).hexdigest():
                return None
            return Compiled(image, **fields)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def save(self, key: str, compiled: Compiled) -> None:
        """Keep it: written under another name and renamed, so nobody ever reads half of it."""
        fields = asdict(compiled)
        image = fields.pop("image")
        head = json.dumps(fields | {"sha256": hashlib.sha256(image).hexdigest()}).encode()
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(head + b"\n" + image)
                os.replace(name, path)
            except OSError:
                os.unlink(name)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key[2:]
