"""Operators: one folder each. :func:`load` imports them all, in the order of their names."""

from __future__ import annotations

import functools
import importlib.util
import pkgutil

from .spec import OpSpec


@functools.cache
def load() -> dict[str, OpSpec]:
    """All operators by name. A folder with an ``op.py`` is an operator; nothing lists them."""
    specs: dict[str, OpSpec] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda m: m.name):
        if not module.ispkg or importlib.util.find_spec(f"{__name__}.{module.name}.op") is None:
            continue
        spec: OpSpec = importlib.import_module(f"{__name__}.{module.name}.op").SPEC
        if spec.name in specs:
            raise ValueError(f"two operators are called {spec.name}")
        specs[spec.name] = spec
    return specs
