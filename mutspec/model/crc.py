"""CRC-32 of a file after some of its bytes changed, from its old CRC-32 and those bytes alone.

CRC-32 is linear over GF(2): for equal lengths, crc(old) ⊕ crc(new) depends on old ⊕ new alone, and bytes that follow
multiply it by a power of x. So damage that was in the untouched bytes stays as detectable as it was. The arithmetic on
polynomials is that of zlib's `crc32_combine` (Mark Adler, zlib 1.2.12).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31


def patched_crc32(crc32: int, size: int, deltas: Iterable[tuple[int, int]]) -> int:
    """The CRC-32 of `size` bytes after changes.

    Arguments:
        crc32: before the changes.
        size: the number of bytes in all.
        deltas: for each changed range, disjoint: the offset of its end, and crc(old bytes) ⊕ crc(new bytes).
    """
    total, position = 0, 0
    for end, delta in sorted(deltas):
        total = _multiply(total, _zeros(end - position)) ^ delta
        position = end
    return crc32 ^ _multiply(total, _zeros(size - position))


def crc32_delta(difference: bytes | memoryview) -> int:
    """crc(old bytes) ⊕ crc(new bytes), from old ⊕ new."""
    return zlib.crc32(difference) ^ _crc32_of_zeros(len(difference))


@lru_cache(maxsize=64)
def _crc32_of_zeros(count: int) -> int:
    return zlib.crc32(bytes(count))


def _multiply(a: int, b: int) -> int:
    """a·b modulo the CRC polynomial; bit 31 is the coefficient of x⁰."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=1024)
def _zeros(count: int) -> int:
    """The power 8·count of x: what `count` zero bytes multiply a CRC by."""
    power, result = _ONE >> 8, _ONE
    while count:
        if count & 1:
            result = _multiply(result, power)
        power = _multiply(power, power)
        count >>= 1
    return result
