"""Mutations of bytes that know nothing of what they mean."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

BOUNDARIES = (
    0,
    1,
    2,
    7,
    8,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)


def mutated(data: bytes, random: Random, most: int = 3, others: tuple[bytes, ...] = ()) -> bytes:
    """Bytes with one to a few places changed; `others` are what may be spliced in."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, most))):
        if not changed:
            break
        random.choice(_MUTATIONS)(changed, random, others)
    return bytes(changed)


def _place(data: bytearray, random: Random) -> int:
    """Where to change something: anywhere, but more often at the beginning and the end, where formats have tables."""
    kind = random.random()
    if kind < 0.3:
        return min(random.randrange(1, 4096), len(data) - 1)
    if kind < 0.4:
        return max(0, len(data) - random.randrange(1, 1024))
    return random.randrange(len(data))


def _flip(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    data[_place(data, random)] ^= 1 << random.randrange(8)


def _set(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    data[_place(data, random)] = random.randrange(256)


def _fill(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    at = _place(data, random)
    size = min(random.choice((2, 4, 8, 16, 64, 512)), len(data) - at)
    data[at : at + size] = bytes([random.choice((0, 0, 0xFF))]) * size


def _number(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    width = random.choice((1, 2, 4, 8))
    at = _place(data, random)
    at -= at % width
    number = random.choice(BOUNDARIES) & (256**width - 1)
    data[at : at + width] = number.to_bytes(width, random.choice(("little", "little", "big")))


def _nudge(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    at = _place(data, random)
    data[at] = (data[at] + random.choice((-1, 1))) % 256


def _cut(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    del data[random.randrange(len(data)) :]


def _remove(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    at = _place(data, random)
    del data[at : at + random.choice((1, 2, 4, 16, 100))]


def _insert(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    at = _place(data, random)
    data[at:at] = random.randbytes(random.choice((1, 2, 4, 16, 100)))


def _copy(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    """Overwrite one range by another, of the same size."""
    size = random.choice((4, 8, 24, 40, 256))
    source, target = _place(data, random), _place(data, random)
    piece = data[source : source + size]
    data[target : target + len(piece)] = piece


def _splice(data: bytearray, random: Random, others: tuple[bytes, ...]) -> None:
    """The beginning of this and the end of another file."""
    if not others:
        return _copy(data, random, others)
    other = random.choice(others)
    at = random.randrange(len(data))
    data[at:] = other[random.choice((at, random.randrange(len(other)))) :]
    return None


_MUTATIONS: tuple[Callable[[bytearray, Random, tuple[bytes, ...]], None], ...] = (
    *(_flip, _flip, _set, _fill, _fill, _number, _number, _number, _nudge),
    *(_cut, _remove, _insert, _copy, _copy, _splice),
)
