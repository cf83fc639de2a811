"""Ingot's exceptions: one class a kind of failure, with the runtime's own message."""

from __future__ import annotations


class IngotError(Exception):
    """Anything Ingot refuses. ``status`` is the runtime's status name, ``offset`` the byte of the file, if any."""

    status: str = "error"

    def __init__(self, message: str, status: str | None = None, offset: int | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status
        self.offset = offset


class EngineError(IngotError):
    """The engine file is damaged, of another version, or breaks a rule of the format."""


class ArgumentError(IngotError, ValueError):
    """A wrong name, shape, element type or option."""

    status = "argument"


class ResourceError(IngotError, OSError):
    """The system has no memory, file or thread to give, or the machine does not fit the engine."""


class RunError(IngotError):
    """A run failed: an index in the data was out of range, or the device failed."""


class BuildError(IngotError):
    """The model cannot be built as asked."""

    status = "build"


#: modules that building needs and running does not -> the package that brings them
_PACKAGES = {"onnx": "onnx", "google": "protobuf", "tomli": "tomli"}


def missing_package(error: ModuleNotFoundError) -> str | None:
    """A line that says what to install, when what is missing is one that building needs."""
    package = _PACKAGES.get((error.name or "").split(".")[0])
    return None if package is None else f"{package} is not installed: pip install {package}"
