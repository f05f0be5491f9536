"""Number formats of any width: of those that NumPy and ml_dtypes have too, the bits are theirs."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes  # noqa: F401  (makes NumPy know its floats by name)
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.graph.number_formats import Fixed, Float
from mutspec.graph.numpy_kernels.codes import decode, encode

FLOATS = {
    "float8_e5m2": Float(5, 2),
    "float8_e4m3": Float(4, 3),
    "float8_e3m4": Float(3, 4),
    "float16": Float(5, 10),
    "bfloat16": Float(8, 7),
    "float32": Float(8, 23),
}


def codes(name: str) -> np.ndarray:
    """All bits that a number may have; of 32 of them, some."""
    width = FLOATS[name].width
    if width <= 16:
        return np.arange(1 << width, dtype=np.uint32)
    return np.random.default_rng(0).integers(0, 1 << 32, 100_000, np.uint32)


@pytest.mark.parametrize("name", FLOATS)
def test_every_number_of_a_float_is_decoded_as_others_do(name: str) -> None:
    words = codes(name)
    with np.errstate(invalid="ignore"):
        wanted = words.astype(f"u{np.dtype(name).itemsize}").view(name).astype(np.float64)
    np.testing.assert_array_equal(decode(FLOATS[name], words), wanted)
    np.testing.assert_array_equal(np.signbit(decode(FLOATS[name], words)), np.signbit(wanted))


@pytest.mark.parametrize("name", FLOATS)
def test_every_number_of_a_float_has_the_bits_that_it_came_from(name: str) -> None:
    words = codes(name)
    words = words[~np.isnan(decode(FLOATS[name], words))]
    np.testing.assert_array_equal(encode(FLOATS[name], decode(FLOATS[name], words)), words)


@pytest.mark.parametrize("name", FLOATS)
def test_numbers_are_rounded_to_a_float_as_others_do(name: str) -> None:
    values = np.random.default_rng(1).integers(0, 1 << 32, 200_000, np.uint32).view(np.float32)
    near = np.random.default_rng(2).normal(0, 1, 200_000).astype(np.float32)
    values = np.concatenate([values[~np.isnan(values)], near, near * np.float32(2.0**-8), near * np.float32(1e3)])
    with np.errstate(over="ignore"):
        wanted = values.astype(name)
    np.testing.assert_array_equal(encode(FLOATS[name], values), wanted.view(f"u{wanted.itemsize}"))


@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3", "float8_e3m4", "float16", "bfloat16"])
def test_what_lies_in_the_middle_is_rounded_to_the_even_one(name: str) -> None:
    values = decode(FLOATS[name], np.arange((1 << FLOATS[name].width - 1) - (1 << FLOATS[name].mantissa), dtype="u4"))
    middle = (values[1:] + values[:-1]) / 2
    lower = np.arange(len(middle))
    np.testing.assert_array_equal(encode(FLOATS[name], middle), lower + lower % 2)
    np.testing.assert_array_equal(encode(FLOATS[name], np.nextafter(middle, np.inf)), lower + 1)


def test_nan_and_what_is_beyond_a_float_are_as_in_ieee_754() -> None:
    words = encode(Float(4, 3), np.array([np.nan, np.inf, -np.inf, 240, 247.9, 248, -1e308, -0.0, 5e-324]))
    assert [f"{word:08b}" for word in words] == [
        "01111100", "01111000", "11111000", "01110111", "01110111", "01111000", "11111000", "10000000", "00000000",
    ]  # fmt: skip


@given(st.integers(0, 15), st.integers(0, 16), st.floats(width=64, allow_nan=False, allow_infinity=False))
def test_fixed_point_is_the_nearest_multiple_of_its_step_within_its_range(
    integer: int, fraction: int, value: float
) -> None:
    form = Fixed(integer, fraction)
    end = 1 << integer + fraction
    steps = max(-end, min(end - 1, round(Fraction(value) * (1 << fraction))))
    (word,) = encode(form, np.array([value]))
    assert word == steps % (2 * end)
    assert decode(form, np.array([word]))[0] == steps / (1 << fraction)


def test_fixed_point_has_no_nan_and_ends_where_infinity_begins() -> None:
    words = encode(Fixed(2, 1), np.array([np.nan, np.inf, -np.inf]))
    assert decode(Fixed(2, 1), words).tolist() == [0.0, 3.5, -4.0]
