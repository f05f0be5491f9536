"""The formulas of ops on bits, and number formats of any width as tables of all their numbers.

Borrowed from the product are the draws alone: see `tests/oracle.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from math import copysign, frexp
from typing import TYPE_CHECKING, Any

import numpy as np

from mutspec.graph.exact_counts import binomial_quantile
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import uniform_64_bits

if TYPE_CHECKING:
    from tests.formulas import Case

LEAST = 2.0**-126
MANTISSA = {"float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}


@cache
def numbers_of(**widths: int) -> np.ndarray:
    """Every number of a form, in the order of their bits: a float, or fixed point in two's complement."""
    if "fraction" in widths:
        half = 1 << widths["integer"] + widths["fraction"]
        return np.array([*range(half), *range(-half, 0)]) / 2.0 ** widths["fraction"]
    mantissas, last = 1 << widths["mantissa"], (1 << widths["exponent"]) - 1
    bias = last // 2
    sizes = [part / mantissas * 2.0 ** (1 - bias) for part in range(mantissas)]
    sizes += [(1 + part / mantissas) * 2.0 ** (field - bias) for field in range(1, last) for part in range(mantissas)]
    sizes += [np.inf, *[np.nan] * (mantissas - 1)]
    return np.array([*sizes, *(-size for size in sizes)])


def nearest_code(values: np.ndarray, **widths: int) -> np.ndarray:
    """The bits of the nearest number of a form; of two, of the one whose last bit is 0."""
    numbers = numbers_of(**widths)
    if "fraction" in widths:
        return _nearest(values, numbers)
    count = len(numbers) // 2
    finite = int(np.isinf(numbers[:count]).argmax())
    sizes = np.array([*numbers[:finite], 2 * numbers[finite - 1] - numbers[finite - 2]])  # the last one for infinity
    return _nearest(np.abs(values), sizes) + count * np.signbit(values)


def _nearest(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    order = np.argsort(numbers)
    places = np.searchsorted(numbers[order], values).clip(1, len(numbers) - 1)
    below, above = order[places - 1], order[places]
    to_below, to_above = values - numbers[below], numbers[above] - values
    is_above = (to_above < to_below) | ((to_above == to_below) & (above % 2 == 0))
    return np.where(is_above, above, below)


def bits_meant(bits: Any, dtype: str | Mapping[str, int], width: int) -> list[int]:
    """The bits that a step means."""
    if bits is None:
        return list(range(width))
    if isinstance(bits, str):
        mantissa = MANTISSA.get(dtype, 0) if isinstance(dtype, str) else dtype.get("mantissa", 0)
        return {
            "mantissa": list(range(mantissa)),
            "exponent": list(range(mantissa, width - 1)),
            "sign": [width - 1],
        }[bits]
    if isinstance(bits, dict):
        return list(range(bits["first"], bits["last"] + 1))
    return [bits] if isinstance(bits, int) else list(bits)


def _with_bits(case: Case, change: Callable[[np.ndarray, list[int]], np.ndarray]) -> np.ndarray:
    """Touch the bits of a form of the weight, given as integers."""
    stored = case.weight.astype(case.stored)
    form = case.get("format", "stored")
    if form == "int8":
        default = max(float(np.abs(case.weight).max()) / 127.0, LEAST)
        unit = case.real(case.get("scale", default))
        levels = np.clip(np.rint(case.weight / unit), -128, 127).astype(np.int8)
        return change(levels.view(np.uint8), bits_meant(case.get("bits"), "int8", 8)).view(np.int8) * unit
    if isinstance(form, dict):
        width = len(numbers_of(**form)).bit_length() - 1
        codes = nearest_code(stored.astype(np.float64).ravel(), **form)
        touched = change(codes.astype(np.uint32), bits_meant(case.get("bits"), form, width))
        return numbers_of(**form)[touched].reshape(case.weight.shape).astype(case.stored)
    cast = stored if form == "stored" else stored.astype(form)
    width = 8 * cast.dtype.itemsize
    touched = change(
        cast.reshape(-1).view(f"u{cast.dtype.itemsize}"), bits_meant(case.get("bits"), cast.dtype.name, width)
    )
    return touched.view(cast.dtype).reshape(cast.shape).astype(case.stored)


def _one_bit_of(case: Case, bits: list[int], entry: int) -> int:
    """The bit that is drawn for an entry."""
    return bits[(Permutation(1 << 62, case.key("bit")).image(entry) >> 30) * len(bits) >> 32]


def bit_flip(case: Case) -> np.ndarray:
    def flipped(words: np.ndarray, bits: list[int]) -> np.ndarray:
        flat = words.reshape(-1)
        if "rate_per_bit" in case.step:
            masks = _masks_per_bit(case, bits)
        elif case.get("flip") == "all":
            masks = [sum(1 << bit for bit in bits)] * flat.size
        else:
            masks = [1 << _one_bit_of(case, bits, entry) for entry in range(flat.size)]
        return np.array([int(word) ^ mask for word, mask in zip(flat, masks, strict=True)], words.dtype).reshape(
            words.shape
        )

    return _with_bits(case, flipped)


def bits_per_weight(case: Case) -> int:
    """How many bits of a weight may flip."""
    form = case.get("format", "stored")
    if isinstance(form, dict):
        return len(bits_meant(case.get("bits"), form, len(numbers_of(**form)).bit_length() - 1))
    dtype = case.stored if form == "stored" else np.dtype(form)
    return len(bits_meant(case.get("bits"), dtype.name, 8 * dtype.itemsize))


def _masks_per_bit(case: Case, bits: list[int]) -> list[int]:
    masks = [0] * case.weight.size
    for number in flipped_bits(case, len(bits)):
        masks[number // len(bits)] |= 1 << bits[number % len(bits)]
    return masks


def flipped_bits(case: Case, bits: int) -> list[int]:
    """With `rate_per_bit`, the numbers of the bits that flip, those of entry i being bits·i and the following ones."""
    size = case.weight.size * bits
    rate = Fraction(str(case.step["rate_per_bit"]))
    count = binomial_quantile(size, rate, uniform_64_bits(case.key("rate")))
    return Permutation(size, case.key("choose")).chosen(count) if count else []


def stuck_at(case: Case) -> np.ndarray:
    def stuck(words: np.ndarray, bits: list[int]) -> np.ndarray:
        mask = words.dtype.type(sum(1 << bit for bit in bits))
        return words | mask if case.step["value"] else words & ~mask

    return _with_bits(case, stuck)


def block_bit_flip(case: Case) -> np.ndarray:
    exponent, mantissa = case.get("exponent", 8), case.get("mantissa", 7)
    bias, sign = 2 ** (exponent - 1) - 1, mantissa + exponent
    bits = bits_meant(case.get("bits"), {"mantissa": mantissa}, sign + 1)
    if "bits" not in case.step:
        bits = [bit for bit in bits if not mantissa <= bit < sign]
    flat, run = case.weight.astype(np.float64).ravel().tolist(), case.get("shared_by", max(1, case.weight.size))
    result = []
    for start in range(0, len(flat), run):
        block = flat[start : start + run]
        largest = max(map(abs, block))
        stored = min(max(frexp(largest)[1] - 1 + bias, 0), 2**exponent - 1) if largest else 0
        step = 2.0 ** (stored - bias - mantissa + 1)
        factor = 1.0
        if min(bits) >= mantissa and max(bits) < sign:
            factor = 2.0 ** ((stored ^ 1 << _one_bit_of(case, bits, start // run) - mantissa) - stored)
        for entry, value in enumerate(block, start):
            size, negative = min(round(abs(value) / step), 2**mantissa - 1), copysign(1, value) < 0
            if factor == 1:
                bit = _one_bit_of(case, bits, entry)
                size, negative = (size, not negative) if bit == sign else (size ^ 1 << bit, negative)
            result.append((-size if negative else size) * step * factor if size else -0.0 if negative else 0.0)
    return np.array(result).reshape(case.weight.shape)
