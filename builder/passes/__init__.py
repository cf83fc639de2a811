"""Passes: plain functions ``run(graph)``, one file each. ``rewrite`` and ``match`` hold what they share."""
