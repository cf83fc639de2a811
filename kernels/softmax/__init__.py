"""Softmax, LogSoftmax and Hardmax along one axis."""
