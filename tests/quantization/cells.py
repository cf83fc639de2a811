"""Recurrent layers of int8 in NumPy, as docs/numerics.md says them."""

from __future__ import annotations

import numpy as np

from ingot.builder.ir import Node
from ingot.kernels.recurrent.attrs import QRecurrentAttrs, RecurrentKind

F32 = np.float32
ONE = F32(1)
MAGIC = F32(12582912)
POLYNOMIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)


def exp_negative(a: np.ndarray) -> np.ndarray:
    """exp(-a) for a >= 0."""
    x = np.where(a > 87, F32(-87), -a)
    n = (x * F32(1.44269504088896341) + MAGIC) - MAGIC
    r = (x - n * F32(0.693359375)) + n * F32(2.12194440e-4)
    p = np.full_like(r, POLYNOMIAL[0])
    for c in POLYNOMIAL[1:]:
        p = p * r + F32(c)
    power = np.ldexp(ONE, np.where(np.isnan(n), 0, n).astype(np.int32))
    return ((p * (r * r) + r) + ONE) * power


def sigmoid(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(a, b, c) with sigmoid = a / c and 1 - sigmoid = b / c."""
    e = exp_negative(np.abs(x))
    return np.where(x < 0, e, ONE), np.where(x < 0, ONE, e), ONE + e


def hyperbolic(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(a, c) with tanh = a / c."""
    a = np.abs(x)
    e = exp_negative(a + a)
    return np.copysign(ONE - e, x), ONE + e


def parts(x: np.ndarray, factor: np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Fifteen bits of float32 as two int8: 128 high + low."""
    v = x * factor
    v = np.clip(np.where(np.isnan(v), F32(0), v), F32(-16319), F32(16319))
    q = np.rint(v).astype(np.int64)
    high = (q + 64) // 128
    return high, q - 128 * high


def recurrent(node: Node, inputs: list, fma) -> list[np.ndarray]:
    """Y, Y_h and, for LSTM, Y_c. ``fma`` rounds once."""
    x, w, r, bias, h0, c0, _, scale = inputs
    attrs: QRecurrentAttrs = node.attrs
    (steps, batch, _), hidden, gates = x.shape, attrs.hidden, attrs.kind.gates
    y = np.zeros((steps, attrs.direction.count, batch, hidden), F32)
    state = np.zeros((attrs.direction.count, batch, hidden), F32)
    h_all = state.copy() if h0 is None else h0.astype(F32)
    c_all = state.copy() if c0 is None else c0.astype(F32)

    def product(pair, weights, factor, start):
        high, low = pair
        total = (128 * high + low) @ weights.astype(np.int64).T
        assert np.abs(total).max(initial=0) < 2**31
        return fma(total.astype(F32), factor, start)

    for d in range(attrs.direction.count):
        of_w, of_r = np.split(bias[d], 2)
        apart = np.zeros(gates * hidden, bool)
        if attrs.kind is RecurrentKind.GRU and attrs.linear_before_reset:
            apart[2 * hidden :] = True
        x_bias, h_bias = np.where(apart, of_w, of_w + of_r), np.where(apart, of_r, F32(0))
        h, c = h_all[d].copy(), c_all[d].copy()
        backwards = attrs.direction.name == "REVERSE" or d == 1
        for t in reversed(range(steps)) if backwards else range(steps):
            if attrs.fine is None:
                total = (x[t].astype(np.int64) - attrs.x.zero_point) @ w[d].astype(np.int64).T
                ahead = fma(total.astype(F32), scale[d, 0], x_bias)
            else:
                inverse = F32(1.0 / float(F32(attrs.fine)))
                ahead = product(parts(x[t], inverse), w[d], scale[d, 0], x_bias)
            h, c = _step(attrs, ahead, h, c, r[d], scale[d, 1], h_bias, product)
            y[t, d] = h
        h_all[d], c_all[d] = h, c
    return [y, h_all, c_all][: 3 if attrs.kind is RecurrentKind.LSTM else 2]


def _step(attrs: QRecurrentAttrs, ahead, h, c, r, scale, bias, product) -> tuple[np.ndarray, np.ndarray]:
    n, pair = attrs.hidden, parts(h, F32(16256))
    if attrs.kind is RecurrentKind.LSTM:
        i, o, f, g = np.split(product(pair, r, scale, ahead), 4, axis=1)
        (i, _, di), (o, _, do), (f, _, df), (g, dg) = sigmoid(i), sigmoid(o), sigmoid(f), hyperbolic(g)
        both = di * dg
        c = ((f * c) * both + (i * g) * df) / (df * both)
        t, dt = hyperbolic(c)
        return (o * t) / (do * dt), c
    if attrs.kind is RecurrentKind.RNN:
        t, dt = hyperbolic(product(pair, r, scale, ahead))
        return t / dt, c
    z, reset = np.split(product(pair, r[: 2 * n], scale[: 2 * n], ahead[:, : 2 * n]), 2, axis=1)
    reset, _, dr = sigmoid(reset)
    if attrs.linear_before_reset:
        candidate = ahead[:, 2 * n :] + (product(pair, r[2 * n :], scale[2 * n :], bias[2 * n :]) * reset) / dr
    else:
        kept = parts((h * reset) / dr, F32(16256))
        candidate = product(kept, r[2 * n :], scale[2 * n :], ahead[:, 2 * n :])
    (z, rest, dz), (t, dt) = sigmoid(z), hyperbolic(candidate)
    return (t * rest + (z * h) * dt) / (dz * dt), c
