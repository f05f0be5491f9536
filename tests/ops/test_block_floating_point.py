"""Bits of block floating point: what the laws do not reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from tests.toys import mutate, same_bits

SIZES = np.random.default_rng(5).uniform(1, 2, 70_000).astype(np.float32)
"""The weights of more than a chunk. Their exponents are all 0, which is stored as 127."""


def flipped(weight: np.ndarray, **keys: Any) -> np.ndarray:
    step = {"op": "block_bit_flip", "target": "d", "non_finite": "report", **keys}
    return mutate({"d/kernel": weight}, step).tensors["d/kernel"]


@pytest.mark.parametrize("shared_by", [1, 16, 4096])
def test_a_flip_in_a_shared_exponent_scales_its_block_and_no_other(shared_by: int) -> None:
    after = flipped(SIZES.astype(np.float64), shared_by=shared_by, bits="exponent", mantissa=23, fraction=0.5)
    blocks = [slice(start, start + shared_by) for start in range(0, len(SIZES), shared_by)]
    factors = np.array([after[block][0] / SIZES[block][0] for block in blocks])
    np.testing.assert_allclose(after, SIZES * factors.repeat(shared_by)[: len(SIZES)], rtol=2.0**-22)
    is_touched = factors != 1
    is_left_alone = ~is_touched.repeat(shared_by)[: len(SIZES)]
    np.testing.assert_array_equal(after[is_left_alone], SIZES[is_left_alone])
    assert is_touched.sum() == int(len(blocks) / 2 + 0.5)
    # The stored 127 loses one of its seven ones, or gains the highest.
    powers = np.log2(factors[is_touched])
    assert {*np.rint(powers).tolist()} <= {*(-(2.0**bit) for bit in range(7)), 128.0}


def test_each_bit_of_shared_exponents_is_as_likely_to_flip() -> None:
    after = flipped(SIZES.astype(np.float64), shared_by=2, bits="exponent", mantissa=23)
    powers = np.rint(np.log2(after / SIZES)).astype(int)
    np.testing.assert_array_equal(powers[::2], powers[1::2])
    _, counts = np.unique(powers[::2], return_counts=True)
    assert len(counts) == 8
    assert stats.chisquare(counts).pvalue > 1e-5


def test_each_bit_of_a_weight_is_as_likely_to_flip() -> None:
    after = flipped(SIZES.astype(np.float64), shared_by=2, exponent=4, mantissa=10)
    sizes = np.minimum(np.rint(SIZES.astype(np.float64) * 2**9), 1023).astype(int)
    bits = np.where(after < 0, 1 << 10, sizes ^ np.rint(np.abs(after) * 2**9).astype(int))
    assert {*bits.tolist()} == {1 << bit for bit in range(11)}
    assert stats.chisquare(np.bincount(np.log2(bits).astype(int))).pvalue > 1e-5


def test_a_bit_by_its_number_counts_mantissa_exponent_and_sign_in_this_order() -> None:
    weight = np.array([1.0, 0.5, 0.25, 0.0])
    after = {bit: flipped(weight, exponent=3, mantissa=4, bits=bit).tolist() for bit in (0, 3, 4, 6, 7)}
    assert after == {
        0: [1.125, 0.625, 0.375, 0.125],
        3: [0.0, 1.5, 1.25, 1.0],
        4: [0.5, 0.25, 0.125, 0.0],  # the stored 3 becomes 2
        6: [16.0, 8.0, 4.0, 0.0],  # and 7
        7: [-1.0, -0.5, -0.25, -0.0],
    }


def test_small_weights_in_the_block_of_a_large_one_are_lost_and_only_the_touched_are_rounded() -> None:
    weight = np.array([1.0, 1e-3, 0.3, 0.3])
    after = flipped(weight, exponent=5, mantissa=4, bits="sign", shared_by=2)
    np.testing.assert_array_equal(after, [-1.0, -0.0, -0.3125, -0.3125])
    after = flipped(weight, exponent=5, mantissa=4, bits="sign", shared_by=2, indices=[3])
    np.testing.assert_array_equal(after, [1.0, 1e-3, 0.3, -0.3125])


def test_what_is_beyond_the_exponents_becomes_the_largest_or_the_smallest() -> None:
    weight = np.array([100.0, -np.inf, np.nan, 1.0, 0.01, 0.0])
    after = flipped(weight, exponent=2, mantissa=3, bits="sign", shared_by=1)
    np.testing.assert_array_equal(after, [-7.0, 7.0, 0.0, -1.0, -0.0, -0.0])


def test_a_block_of_zeros_stays_zero_whatever_its_exponent_becomes() -> None:
    zeros = np.zeros(32, np.float32)
    assert same_bits(flipped(zeros, bits="exponent"), zeros)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_weights_with_exponents_of_their_own_lose_nothing_in_any_dtype(dtype: str) -> None:
    weight = np.array([1.5, 2.0**-9, 2.0**-14], dtype)
    np.testing.assert_array_equal(flipped(weight, bits="sign", shared_by=1), -weight)
