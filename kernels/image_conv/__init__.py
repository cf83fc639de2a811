"""Convolution of an image as it comes."""
