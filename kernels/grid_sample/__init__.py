"""Interpolation at given points."""
