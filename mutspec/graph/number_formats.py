"""Number formats of any width, as data: which bits a number has in them, and what these mean."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Float:
    """A float as IEEE 754 has them: with subnormal numbers, and infinite ones and NaN where the exponent is all ones.

    Arguments:
        exponent: the bits of the exponent: at least 2.
        mantissa: the bits of the mantissa, which are the least significant: at least 1.
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
    """A whole number of steps of 2^-fraction, in two's complement. What is beyond becomes the number at that end.

    Arguments:
        integer: the bits before the point, without the sign's.
        fraction: the bits behind it.
    """

    integer: int
    fraction: int

    @property
    def width(self) -> int:
        """The bits of a number, its sign the most significant."""
        return 1 + self.integer + self.fraction

    def __str__(self) -> str:
        return f"a fixed-point number of {self.integer} bits before the point and {self.fraction} behind it"


@dataclass(frozen=True, slots=True)
class SignedSize:
    """A whole number as a sign and a size. What is beyond becomes the largest.

    Arguments:
        size: the bits of the size.
    """

    size: int

    @property
    def width(self) -> int:
        """The bits of a number, its sign the most significant."""
        return 1 + self.size


Format = Float | Fixed | SignedSize
