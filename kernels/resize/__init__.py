"""Interpolation onto another grid of the same axes."""
