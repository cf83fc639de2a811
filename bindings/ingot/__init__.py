"""Ingot: runs engine files, and builds them from ONNX models when ``ingot[build]`` is installed."""

from __future__ import annotations

from .errors import ArgumentError, BuildError, EngineError, IngotError, ResourceError, RunError

__all__ = ["ArgumentError", "BuildError", "EngineError", "IngotError", "ResourceError", "RunError"]
