"""Slices chosen by index along one axis."""
