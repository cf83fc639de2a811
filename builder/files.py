"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets

from ingot.errors import BuildError


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a file that is either the old or the new one, never half of either."""
    target = os.path.abspath(os.fspath(path))
    temporary = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.{secrets.token_hex(4)}")
    try:
        try:
            with open(temporary, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.replace(temporary, target)
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise BuildError(f"{os.fspath(path)}: {error.strerror or error}") from None
