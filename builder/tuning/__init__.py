"""Tactics chosen by measurement: candidates, packs that time them, the timing cache, and the search over the graph."""
