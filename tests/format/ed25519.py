"""Ed25519 signatures by the book (RFC 8032, section 5.1), slow and for tests alone: the runtime only verifies."""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_BASE_Y = 4 * pow(5, _P - 2, _P) % _P

Point = tuple[int, int]


def _base() -> Point:
    square = (_BASE_Y * _BASE_Y - 1) * pow(_D * _BASE_Y * _BASE_Y + 1, _P - 2, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    return (x if x % 2 == 0 else _P - x), _BASE_Y


def _add(a: Point, b: Point) -> Point:
    product = _D * a[0] * b[0] * a[1] * b[1] % _P
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, _P - 2, _P)
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, _P - 2, _P)
    return x % _P, y % _P


def _multiply(scalar: int, point: Point) -> bytes:
    result: Point = (0, 1)
    while scalar:
        if scalar & 1:
            result = _add(result, point)
        point = _add(point, point)
        scalar >>= 1
    return (result[1] | (result[0] & 1) << 255).to_bytes(32, "little")


def _scalar(*parts: bytes) -> int:
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little")


def _secret(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254
    return scalar, digest[32:]


def public_key(seed: bytes) -> bytes:
    """The 32 bytes of the public key that belongs to a seed of 32 bytes."""
    return _multiply(_secret(seed)[0], _base())


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64 bytes of the signature."""
    scalar, prefix = _secret(seed)
    key = public_key(seed)
    nonce = _scalar(prefix, message) % _L
    point = _multiply(nonce, _base())
    return point + ((nonce + _scalar(point, key, message) * scalar) % _L).to_bytes(32, "little")
