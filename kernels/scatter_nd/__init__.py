"""Slices replaced or combined at index tuples."""
