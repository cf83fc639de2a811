"""Axes of extent one repeated."""
