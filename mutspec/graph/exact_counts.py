"""The numbers of entries that steps change, in exact arithmetic, computed while compiling."""

from __future__ import annotations

from fractions import Fraction


def rounded_share(share: Fraction, size: int) -> int:
    """Returns the whole number nearest to `share` of `size`, with halves rounded up: floor(share·size + ½)."""
    return (2 * share.numerator * size + share.denominator) // (2 * share.denominator)


def binomial_quantile(size: int, rate: Fraction, uniform: int) -> int:
    """Returns the number of successes in `size` trials at which the cumulative probability passes `uniform` / 2**64.

    Inversion keeps draws nested: for one `uniform`, a larger rate never gives a smaller number. The probabilities are
    unnormalised integers, computed outwards from the mode by their exact ratios until they are less than 2**-192 of the
    mode's. So the result is the same on every machine. The time is proportional to the standard deviation.

    Arguments:
        size: the number of trials.
        rate: the exact probability of a success.
        uniform: a uniform 64-bit number.
    """
    if rate <= 0 or size == 0:
        return 0
    if rate >= 1:
        return size
    success, failure = rate.numerator, rate.denominator - rate.numerator
    mode = min(size, (size + 1) * success // rate.denominator)
    at_mode = 1 << 192
    above = []
    mass, count = at_mode, mode
    while count < size and mass:
        mass = mass * (size - count) * success // ((count + 1) * failure)
        count += 1
        above.append(mass)
    below = []
    mass, count = at_mode, mode
    while count > 0 and mass:
        mass = mass * count * failure // ((size - count + 1) * success)
        count -= 1
        below.append(mass)
    masses = [*reversed(below), at_mode, *above]
    threshold = (uniform * sum(masses)) >> 64
    cumulative = 0
    for offset, mass in enumerate(masses):
        cumulative += mass
        if cumulative > threshold:
            return mode - len(below) + offset
    return mode + len(above)
