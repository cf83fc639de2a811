"""The same examples on every run: what passed once passes again, and a failure is there for whoever looks next."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("ingot", derandomize=True, database=None, deadline=None)
settings.load_profile("ingot")
