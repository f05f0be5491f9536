"""Choices of slices, blocks, regions and bits: each as NumPy's indexing has it, whichever way they are asked for."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.graph.choice import Bits, Choice, ChosenSlices, Listed, Scattered, Tiles, Window, Within, chosen_count
from mutspec.graph.numpy_kernels.masks import Mask
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK

KEY = bytes(range(16))


def truth(choice: Choice, shape: tuple[int, ...]) -> np.ndarray:
    """The mask as a whole, asked for in three pieces."""
    mask, size = Mask(choice, shape), prod(shape)
    edges = sorted({0, size // 3, 2 * size // 3 + 1 if size > 2 else size, size})
    whole = np.zeros(size, bool)
    for start, stop in pairwise(edges):
        part = mask.at(start, stop)
        whole[start:stop] = False if part is None else part
    assert mask.count() == whole.sum()
    assert list(mask.entries()) == list(np.flatnonzero(whole))
    assert chosen_count(choice, shape) in (None, whole.sum())
    return whole.reshape(shape)


def units(size: int, count: int) -> tuple[Scattered, np.ndarray]:
    """Some of a pool of units, and which."""
    pool = Permutation(size, KEY)
    mask = np.zeros(size, bool)
    mask[pool.chosen(count)] = True
    return Scattered(pool, count, 0), mask


AXES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@given(AXES, st.data())
def test_slices_are_those_along_an_axis(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    chosen, mask = units(shape[axis], data.draw(st.integers(0, shape[axis])))
    wanted = np.broadcast_to(mask.reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape)
    np.testing.assert_array_equal(truth(ChosenSlices(shape[axis], prod(shape[axis + 1 :]), chosen), shape), wanted)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.data())
def test_blocks_are_tiles_of_a_matrix(rows: int, columns: int, height: int, width: int, data: st.DataObject) -> None:
    across, down = -(-columns // width), -(-rows // height)
    chosen, mask = units(across * down, data.draw(st.integers(0, across * down)))
    wanted = np.kron(mask.reshape(down, across), np.ones((height, width), bool))[:rows, :columns]
    np.testing.assert_array_equal(truth(Tiles(columns, height, width, chosen), (rows, columns)), wanted)


@given(AXES, st.data())
def test_a_regions_entries_are_counted_as_if_there_were_no_others(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    kept = tuple(sorted(data.draw(st.sets(st.integers(0, shape[axis] - 1), min_size=1))))
    region = ChosenSlices(shape[axis], prod(shape[axis + 1 :]), Listed(kept))
    inside = np.zeros(shape, bool)
    inside[tuple(list(kept) if i == axis else slice(None) for i in range(len(shape)))] = True
    np.testing.assert_array_equal(truth(Within(region, None), shape), inside)
    chosen, mask = units(int(inside.sum()), data.draw(st.integers(0, int(inside.sum()))))
    wanted = np.zeros(shape, bool)
    wanted[inside] = mask
    np.testing.assert_array_equal(truth(Within(region, chosen), shape), wanted)


@given(st.integers(1, 40), st.integers(1, 32), st.data())
def test_an_entry_is_chosen_with_any_of_its_bits(size: int, bits: int, data: st.DataObject) -> None:
    chosen, mask = units(size * bits, data.draw(st.integers(0, size * bits)))
    np.testing.assert_array_equal(truth(Bits(bits, chosen), (size,)), mask.reshape(size, bits).any(axis=1))


@pytest.mark.parametrize("count", [3, 40_000, 3 * CHUNK])
def test_few_and_many_give_the_same_entries_in_large_tensors(count: int) -> None:
    shape = (2, 3, CHUNK)
    region = ChosenSlices(3, CHUNK, Listed((0, 2)))
    chosen, mask = units(4 * CHUNK, count)
    wanted = np.zeros(shape, bool)
    wanted[:, [0, 2]] = mask.reshape(2, 2, CHUNK)
    np.testing.assert_array_equal(truth(Within(region, chosen), shape), wanted)


def test_a_window_is_a_run_along_an_axis() -> None:
    wanted = np.zeros((4, 5), bool)
    wanted[:, 1:3] = True
    np.testing.assert_array_equal(truth(Window(1, 1, 3), (4, 5)), wanted)
