"""Number formats of any width, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Float:
    """A float as in IEEE 754: with subnormal numbers, and with infinity and NaN if all bits of the exponent are set.

    Arguments:
        exponent: the number of bits of the exponent, at least 2.
        mantissa: the number of bits of the mantissa, at least 1. They are the least significant ones.
    """

    exponent: int
    mantissa: int

    @property
    def width(self) -> int:
        """The bits of a number, its sign the most significant."""
        return 1 + self.exponent + self.mantissa

    def __str__(self) -> str:
        return f"a float of {self.exponent} bits of exponent and {self.mantissa} of mantissa"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A whole number of steps of 2^-fraction, in two's complement. Numbers out of range become the nearest end.

    Arguments:
        integer: the number of bits before the point, without the sign bit.
        fraction: the number of bits after it.
    """

    integer: int
    fraction: int

    @property
    def width(self) -> int:
        """The bits of a number, its sign the most significant."""
        return 1 + self.integer + self.fraction

    def __str__(self) -> str:
        return f"a fixed-point number of {self.integer} bits before the point and {self.fraction} after it"


@dataclass(frozen=True, slots=True)
class SignedSize:
    """A whole number as a sign and a magnitude. Numbers out of range become the nearest end.

    Arguments:
        size: the number of bits of the magnitude.
    """

    size: int

    @property
    def width(self) -> int:
        """The bits of a number, its sign the most significant."""
        return 1 + self.size


Format = Float | Fixed | SignedSize
