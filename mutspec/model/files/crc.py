"""CRC-32 of parts of a file, and of a changed file, computed from its old CRC-32 and the changed bytes alone.

CRC-32 is linear over GF(2): for equal lengths, crc(old) ⊕ crc(new) depends on old ⊕ new alone, and bytes that follow
multiply it by a power of x. So damage in the untouched bytes can still be detected afterwards. The arithmetic on
polynomials is that of zlib's `crc32_combine` (Mark Adler, zlib 1.2.12).
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
_ONE = 1 << 31
_PART = 4 << 20
"""The number of bytes that a thread checks at once: enough that combining the parts costs nothing."""
_BUFFER = 256 << 10
"""The bytes that are read at once: few enough to be still in the processor's cache when their CRC is computed."""


def crc32_of_range(descriptor: int, offset: int, size: int, threads: int) -> int:
    """Returns the CRC-32 of a range of bytes of a file.

    Arguments:
        descriptor: the file, open for reading.
        offset: where the range begins.
        size: the number of bytes in it.
        threads: how many parts of it are read at once.

    Raises:
        OSError: the file cannot be read, or ends before the range does.
    """

    def of_part(start: int) -> tuple[int, int]:
        return _crc32_of_part(descriptor, start, stop := min(start + _PART, offset + size)), stop - start

    total = 0
    pool = ThreadPoolExecutor(threads)
    try:
        for crc32, length in pool.map(of_part, range(offset, offset + size, _PART)):
            total = joined_crc32(total, crc32, length)
    finally:
        pool.shutdown(cancel_futures=True)
    return total


def _crc32_of_part(descriptor: int, start: int, stop: int) -> int:
    buffer = memoryview(bytearray(min(_BUFFER, stop - start)))
    crc32 = 0
    while start < stop:
        count = os.preadv(descriptor, [buffer[: stop - start]], start)
        if count == 0:
            raise OSError(errno.EIO, "the file became shorter while it was read")
        crc32 = zlib.crc32(buffer[:count], crc32)
        start += count
    return crc32


def patched_crc32(crc32: int, size: int, deltas: Iterable[tuple[int, int]]) -> int:
    """Returns the CRC-32 of `size` bytes after changes.

    Arguments:
        crc32: the CRC-32 before the changes.
        size: the number of bytes in all.
        deltas: for each changed range, the offset of its end, and crc(old bytes) ⊕ crc(new bytes).
    """
    total, position = 0, 0
    for end, delta in sorted(deltas):
        total = _multiply(total, _zeros(end - position)) ^ delta
        position = end
    return crc32 ^ _multiply(total, _zeros(size - position))


def joined_crc32(first: int, second: int, length: int) -> int:
    """Returns the CRC-32 of two texts one after the other, from theirs, and from the length of the second."""
    return _multiply(first, _zeros(length)) ^ second


def crc32_delta(difference: bytes | memoryview) -> int:
    """Returns crc(old bytes) ⊕ crc(new bytes), from old ⊕ new."""
    return zlib.crc32(difference) ^ _crc32_of_zeros(len(difference))


@lru_cache(maxsize=64)
def _crc32_of_zeros(count: int) -> int:
    return zlib.crc32(bytes(count))


def _multiply(a: int, b: int) -> int:
    """Returns a·b modulo the CRC polynomial. Bit 31 is the coefficient of x⁰."""
    product = 0
    for bit in range(31, -1, -1):
        if a >> bit & 1:
            product ^= b
        b = b >> 1 ^ (_POLYNOMIAL if b & 1 else 0)
    return product


@lru_cache(maxsize=1024)
def _zeros(count: int) -> int:
    """Returns x to the power 8·count: appending `count` zero bytes multiplies a CRC by it."""
    result = _ONE
    for bit in range(count.bit_length()):
        if count >> bit & 1:
            result = _multiply(result, _power_of_zeros(bit))
    return result


@lru_cache(maxsize=64)
def _power_of_zeros(exponent: int) -> int:
    """Returns `_zeros(2 ** exponent)`."""
    if exponent == 0:
        return _ONE >> 8
    half = _power_of_zeros(exponent - 1)
    return _multiply(half, half)
