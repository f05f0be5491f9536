"""Conversion between numbers and their bits in formats of any width. Encoding rounds once, halves to even."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mutspec.graph.number_formats import Fixed, Float, Format, SignedSize

Words = NDArray[np.uint32]
Reals = NDArray[np.float64]


def encode(form: Format, values: Any) -> Words:
    """Returns the bits of numbers, rounded to a format once. NaN becomes 0 in a format without NaN."""
    return _ENCODE[type(form)](form, np.asarray(values, np.float64))


def decode(form: Format, words: Words) -> Reals:
    """Returns the numbers that have these bits in a format."""
    return _DECODE[type(form)](form, words)


def _least_exponent(form: Float) -> int:
    """Returns the exponent of the smallest normal number, which is also that of all subnormal ones."""
    return 2 - (1 << form.exponent - 1)


def _encode_float(form: Float, values: Reals) -> Words:
    # `steps` includes the implicit bit of a normal number, which is then added to the exponent field. So rounding up
    # may carry into the exponent, as it should.
    is_number = np.isfinite(values)
    size = np.where(is_number, np.abs(values), 0.0)
    least, infinite = _least_exponent(form), (1 << form.exponent) - 1 << form.mantissa
    exponent = np.where(size > 0, np.maximum(np.frexp(size)[1] - 1, least), least)
    steps = np.rint(np.ldexp(size, form.mantissa - exponent)).astype(np.int64)
    code = np.minimum(steps + (exponent - least << form.mantissa), infinite)
    code[~is_number] = infinite
    code[np.isnan(values)] |= 1 << form.mantissa - 1
    signed: Words = (code | np.signbit(values).astype(np.int64) << form.width - 1).astype(np.uint32)
    return signed


def _decode_float(form: Float, words: Words) -> Reals:
    code = words.astype(np.int64)
    field, mantissa = code >> form.mantissa & (1 << form.exponent) - 1, code & (1 << form.mantissa) - 1
    is_normal = field > 0
    steps = mantissa + (is_normal.astype(np.int64) << form.mantissa)
    exponent = np.maximum(field, 1) - 1 + _least_exponent(form) - form.mantissa
    size = np.ldexp(steps.astype(np.float64), exponent.astype(np.int32))
    is_last = field == (1 << form.exponent) - 1
    size[is_last] = np.where(mantissa[is_last] == 0, np.inf, np.nan)
    signed: Reals = np.copysign(size, 0.5 - (code >> form.width - 1))
    return signed


def _encode_fixed(form: Fixed, values: Reals) -> Words:
    end = 2.0**form.integer
    inside = np.where(np.isnan(values), 0.0, values).clip(-end, end - 2.0**-form.fraction)
    steps = np.rint(np.ldexp(inside, form.fraction)).astype(np.int64)
    words: Words = (steps & (1 << form.width) - 1).astype(np.uint32)
    return words


def _decode_fixed(form: Fixed, words: Words) -> Reals:
    sign = 1 << form.width - 1
    steps = (words.astype(np.int64) ^ sign) - sign
    values: Reals = np.ldexp(steps.astype(np.float64), -form.fraction)
    return values


def _encode_signed_size(form: SignedSize, values: Reals) -> Words:
    size = np.where(np.isnan(values), 0.0, np.abs(values)).clip(0, (1 << form.size) - 1)
    words: Words = np.rint(size).astype(np.uint32) | np.signbit(values).astype(np.uint32) << np.uint32(form.size)
    return words


def _decode_signed_size(form: SignedSize, words: Words) -> Reals:
    size = (words & np.uint32((1 << form.size) - 1)).astype(np.float64)
    values: Reals = np.copysign(size, 0.5 - (words >> np.uint32(form.size)))
    return values


_ENCODE: Mapping[type[Format], Callable[[Any, Reals], Words]] = {
    Float: _encode_float,
    Fixed: _encode_fixed,
    SignedSize: _encode_signed_size,
}
_DECODE: Mapping[type[Format], Callable[[Any, Words], Reals]] = {
    Float: _decode_float,
    Fixed: _decode_fixed,
    SignedSize: _decode_signed_size,
}
