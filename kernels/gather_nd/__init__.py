"""Slices chosen by index tuples."""
