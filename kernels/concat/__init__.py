"""Tensors joined along an axis."""
