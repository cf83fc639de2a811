"""Bias correction: the mean of the error that rounded weights make goes into the bias.

A layer's error is ``(w' - w) * x``. Inputs behind a ReLU have means that are as large as their deviations, so most of
that error is a constant for each output channel, which networks of depthwise convolutions amplify from layer to
layer. It is ``(w' - w) * mean(x)`` and costs nothing to take away. The method: Nagel et al., Data-Free Quantization
through Weight Equalization and Bias Correction, 2019. Padding is left out of account.
"""

from __future__ import annotations

import math

import numpy as np

from ingot.builder.ir import Node
from ingot.kernels.spec import QuantWeights, scale_shape

#: Not recurrent layers: what they read, spectra of speech and pauses, is far from its mean most of the time, and a
#: correction for the mean is then an error of its own, which states carry on.
CORRECTED = ("conv", "conv_transpose", "matmul")


def corrected_bias(node: Node, weights: QuantWeights, mean: np.ndarray) -> np.ndarray | None:
    """The bias (float32, one number an output channel) with which ``weights`` err by 0 on inputs of these means.

    ``mean`` has one number for each channel, the last axis of input 0. ``None`` where input 0 has none such.
    """
    error = _error(node, weights)
    if node.op.name == "matmul":
        shift = _matmul(node, error, mean)
    else:
        shift = _conv(error, mean, node.attrs.groups, node.op.name == "conv_transpose")
        if shift is not None and node.op.name == "conv_transpose":
            shift = shift / math.prod(node.attrs.strides)  # so many results share the taps of one input
    return None if shift is None else shifted_bias(node, -shift)


def shifted_bias(node: Node, shift: np.ndarray) -> np.ndarray | None:
    """The bias (float32) with ``shift`` added, one number an output channel; ``None`` where it has no constant one."""
    if node.op.name not in CORRECTED:
        return None
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and (bias.data is None or bias.data.size != shift.size):
        return None
    old = np.zeros(shift.shape) if bias is None else bias.data.astype(np.float64)
    new = (old + shift.reshape(old.shape)).astype(np.float32)
    return new if np.isfinite(new).all() else None


def _error(node: Node, weights: QuantWeights) -> np.ndarray:
    """What rounding has added to the weights, float64."""
    shape = scale_shape(weights.axis, weights.data.shape)
    scales = np.asarray(weights.scales, np.float64).reshape(shape)
    return weights.data.astype(np.float64) * scales - node.inputs[1].data.astype(np.float64)


def _conv(error: np.ndarray, mean: np.ndarray, groups: int, transposed: bool) -> np.ndarray | None:
    taps = _total(error.reshape(*error.shape[:2], -1))
    if transposed:  # [C, O / groups]
        taps = taps.reshape(groups, -1, taps.shape[1]).transpose(0, 2, 1)
    else:  # [O, C / groups]
        taps = taps.reshape(groups, -1, taps.shape[1])
    if taps.shape[0] * taps.shape[2] != mean.size:
        return None
    return _total(taps * mean.reshape(groups, 1, -1)).reshape(-1)


def _matmul(node: Node, error: np.ndarray, mean: np.ndarray) -> np.ndarray | None:
    rows = error.reshape(error.shape[-2:])
    rows = rows if node.attrs.trans_b else rows.T  # [N, K]
    if node.attrs.trans_a or rows.shape[1] != mean.size:
        return None
    return _total(rows * mean) * node.attrs.alpha


def _total(x: np.ndarray) -> np.ndarray:
    """Sums over the last axis, from left to right on any machine."""
    return np.cumsum(x, axis=-1)[..., -1] if x.shape[-1] else np.zeros(x.shape[:-1])
