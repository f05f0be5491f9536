"""A keyed permutation of [0, n): the one way in which entries are chosen.

Entry i is chosen among k of n iff its image is below k. So the chosen entries are distinct, a smaller k chooses a
subset of what a larger one does, and neither memory nor time depends on n when the permutation is inverted from the k
smallest images.

The permutation is a Feistel network on the bits of n, with cycle walking: an image outside [0, n) is sent through the
network again (Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002). The round function is a 32-bit
multiply-xorshift mixer. The rounds work on Python integers and on arrays of unsigned 32-bit integers alike, so that
compiling needs no NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeVar

ROUNDS = 6
SMALLEST_DOMAIN_BITS = 8
"""With fewer bits the halves are too small to mix well; cycle walking makes up for the larger domain."""

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
        """The bits of the upper and of the lower half that an entry's number is split into."""
        # The halves may differ by a bit: the domain is the next power of two, not the next power of four, and images
        # outside [0, size), which are computed in vain, are fewer than half.
        bits = max(SMALLEST_DOMAIN_BITS, (self.size - 1).bit_length())
        return bits - bits // 2, bits // 2

    def rounds(self, upper: T, lower: T, *, inverse: bool = False) -> tuple[T, T]:
        """Sends the halves of entries' numbers through the network. The image may lie outside [0, size)."""
        upper_bits, lower_bits = self.half_bits
        upper_mask, lower_mask = (1 << upper_bits) - 1, (1 << lower_bits) - 1
        digest = blake2b(b"permutation", key=self.key, digest_size=4 * ROUNDS).digest()
        keys = [int.from_bytes(digest[at : at + 4], "little") for at in range(0, 4 * ROUNDS, 4)]
        # Each round changes one half by what the other one is, so that the same round undoes it: the inverse is the
        # same rounds in reverse order. Halves may differ in width, so they do not change places; rounds alternate.
        for number in reversed(range(ROUNDS)) if inverse else range(ROUNDS):
            if number % 2 == 0:
                upper = upper ^ (_mix(lower, keys[number]) & upper_mask)
            else:
                lower = lower ^ (_mix(upper, keys[number]) & lower_mask)
        return upper, lower

    def image(self, value: int, *, inverse: bool = False) -> int:
        """Returns the image of one entry; with `inverse`, the entry of an image."""
        lower_bits = self.half_bits[1]
        # Cycle walking. It ends, as the cycle that an entry of [0, size) is in comes back to it at the latest.
        while True:
            upper, lower = self.rounds(value >> lower_bits, value & ((1 << lower_bits) - 1), inverse=inverse)
            value = (upper << lower_bits) | lower
            if value < self.size:
                return value

    def chosen(self, count: int) -> list[int]:
        """Returns the `count` entries that are chosen, ascending."""
        return sorted(self.image(image, inverse=True) for image in range(count))


def _mix(value: Any, key: int) -> Any:
    # Products of 32-bit numbers are cut to 32 bits: Python's integers need the mask, and arrays of uint32 wrap anyway.
    # The constants are those of lowbias32 (Wellons, Prospecting for Hash Functions, 2018).
    value = (value ^ key) * 0x7FEB352D & 0xFFFFFFFF
    value = (value ^ (value >> 15)) * 0x846CA68B & 0xFFFFFFFF
    return value ^ (value >> 16)
