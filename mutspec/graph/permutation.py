"""A keyed permutation of [0, n), by which all entries are chosen.

Entry i is one of the k chosen entries of n if its image is below k. So the chosen entries are distinct, and a smaller k
chooses a subset of those of a larger one. To list them, the permutation is inverted for the k smallest images, which
takes memory and time for k entries and not for n.

The permutation is a Feistel network on the bits of n, with cycle walking: an image outside [0, n) is sent through the
network again (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002). The round function is a 32-bit
multiply-xorshift mixer. The rounds work on Python integers as well as on arrays of unsigned 32-bit integers, so that
compiling does not need NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

ROUNDS = 6
"""Luby and Rackoff (1988) need four rounds of pseudo-random functions. The mixer is weaker, so there are more, and
`tests/graph/test_permutation.py` tests the statistics."""

SMALLEST_DOMAIN_BITS = 8
"""With fewer bits the halves would be too small to mix well. Cycle walking skips images beyond the pool."""

T = TypeVar("T", bound=Any)


@dataclass(frozen=True, slots=True)
class Permutation:
    """A permutation of [0, size) given by a key.

    Arguments:
        size: the number of entries, at most 2**62.
        key: 16 bytes, from `stream_key`.
    """

    size: int
    key: bytes

    @property
    def half_bits(self) -> tuple[int, int]:
        """The numbers of bits of the upper and of the lower half of an entry's number."""
        # The halves may differ by a bit: the domain is the next power of two, not the next power of four, so fewer than
        # half of the images are outside [0, size).
        bits = max(SMALLEST_DOMAIN_BITS, (self.size - 1).bit_length())
        return bits - bits // 2, bits // 2

    def rounds(self, upper: T, lower: T, *, inverse: bool = False) -> tuple[T, T]:
        """Applies the network to the halves of entries' numbers. Images may be outside [0, size)."""
        upper_bits, lower_bits = self.half_bits
        upper_mask, lower_mask = (1 << upper_bits) - 1, (1 << lower_bits) - 1
        digest = blake2b(b"permutation", key=self.key, digest_size=4 * ROUNDS).digest()
        keys = [int.from_bytes(digest[at : at + 4], "little") for at in range(0, 4 * ROUNDS, 4)]
        # Each round changes one half by a function of the other one, so it is its own inverse: the inverse network is
        # the same rounds in reverse order. The masks matter because the halves differ in width if the bits are odd.
        for number in reversed(range(ROUNDS)) if inverse else range(ROUNDS):
            if number % 2 == 0:
                upper = upper ^ (_mix(lower, keys[number]) & upper_mask)
            else:
                lower = lower ^ (_mix(upper, keys[number]) & lower_mask)
        return upper, lower

    def image(self, value: int, *, inverse: bool = False) -> int:
        """Returns the image of an entry; with `inverse`, the entry of an image."""
        lower_bits = self.half_bits[1]
        # Cycle walking. It ends, because the network permutes its whole domain: the cycle of an entry below `size`
        # comes back to that entry. The domain is less than twice the size, except for pools of up to 128 entries, so
        # on average less than two walks through the network are needed.
        while True:
            upper, lower = self.rounds(value >> lower_bits, value & ((1 << lower_bits) - 1), inverse=inverse)
            value = (upper << lower_bits) | lower
            if value < self.size:
                return value

    def chosen(self, count: int) -> list[int]:
        """Returns the `count` chosen entries, in ascending order."""
        return sorted(self.image(image, inverse=True) for image in range(count))


def _mix(value: Any, key: int) -> Any:
    # The mixer `lowbias32` (Chris Wellons, hash-prospector, 2018), with the key in place of its first shift.
    value = (value ^ key) * 0x7FEB352D & 0xFFFFFFFF
    value = (value ^ (value >> 15)) * 0x846CA68B & 0xFFFFFFFF
    return value ^ (value >> 16)
