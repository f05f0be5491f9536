"""The keyed permutation: a permutation, reproducible, without pattern."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mutspec.graph.choice import Scattered
from mutspec.graph.numpy_kernels.masks import Mask, permute
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK
from mutspec.graph.streams import stream_key


def key(number: int) -> bytes:
    return stream_key(number, "test", "dense/kernel", "choose")


def chosen_mask(size: int, count: int, number: int) -> np.ndarray:
    mask = Mask(Scattered(Permutation(size, key(number)), count, 0), (size,))
    spans = [mask.at(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]
    nothing = [np.zeros(min(CHUNK, size - start), bool) for start in range(0, size, CHUNK)]
    return np.concatenate([none if span is None else span for span, none in zip(spans, nothing, strict=True)])


@pytest.mark.parametrize("size", [*range(1, 40), 255, 256, 257, 1000, 4099, 65_536, 65_537, 200_003])
def test_it_is_a_permutation_and_its_inverse_undoes_it(size: int) -> None:
    permutation = Permutation(size, key(size))
    entries = np.arange(size, dtype=np.uint64)
    images = permute(permutation, entries)
    np.testing.assert_array_equal(np.sort(images), entries)
    np.testing.assert_array_equal(permute(permutation, images, inverse=True), entries)


@given(st.integers(1, 2**62), st.integers(0, 2**64), st.data())
def test_integers_and_arrays_go_the_same_way(size: int, number: int, data: st.DataObject) -> None:
    permutation = Permutation(size, key(number))
    values = data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5))
    for inverse in (False, True):
        images = [permutation.image(value, inverse=inverse) for value in values]
        assert permute(permutation, np.array(values, np.uint64), inverse=inverse).tolist() == images
        assert [permutation.image(image, inverse=not inverse) for image in images] == values


@given(st.integers(1, 300), st.integers(0, 2**64))
def test_a_smaller_count_chooses_a_subset(size: int, number: int) -> None:
    permutation = Permutation(size, key(number))
    chosen = [set(permutation.chosen(count)) for count in range(0, size + 1, max(1, size // 7))]
    assert all(fewer < more for fewer, more in pairwise(chosen))
    assert all(entry < size for entry in chosen[-1])


@pytest.mark.parametrize(("size", "count"), [(4, 2), (6, 3), (9, 2), (17, 2)])
def test_every_subset_is_equally_likely(size: int, count: int) -> None:
    seen = Counter(tuple(Permutation(size, key(number)).chosen(count)) for number in range(1200))
    observed = [seen[subset] for subset in combinations(range(size), count)]
    assert stats.chisquare(observed).pvalue > 1e-3


def test_every_order_of_four_is_equally_likely() -> None:
    orders = Counter(tuple(map(Permutation(4, key(number)).image, range(4))) for number in range(720))
    assert stats.chisquare([orders[order] for order in permutations(range(4))]).pvalue > 1e-3


@pytest.mark.parametrize("size", [100, 1000, 70_000])
def test_where_an_entry_goes_is_uniform_over_keys(size: int) -> None:
    images = [Permutation(size, key(number)).image(size - 1) for number in range(4000)]
    observed = np.bincount(np.array(images) * 50 // size, minlength=50)
    widths = np.bincount(np.arange(size) * 50 // size, minlength=50)
    assert stats.chisquare(observed, 4000 * widths / size).pvalue > 1e-3


@pytest.mark.parametrize("size", [2, 3, 10, 257])
def test_the_first_and_the_last_entry_can_be_chosen(size: int) -> None:
    chosen = {Permutation(size, key(number)).chosen(1)[0] for number in range(12 * size)}
    assert {0, size - 1} <= chosen


@pytest.mark.parametrize(("size", "share"), [(2**20 + 7, 0.01), (2**20, 0.5), (10**6, 0.1)])
def test_chosen_entries_show_no_pattern_along_a_tensor(size: int, share: float) -> None:
    for number in range(3):
        mask = chosen_mask(size, int(share * size), number)
        assert mask.sum() == int(share * size)
        centred = mask - mask.mean()
        lags = [1, 2, 3, 4, 5, 7, 8, 16, 64, 100, 128, 256, 512, 1000, 1024, 4096, 2**16, 2**18]
        scores = [np.dot(centred[:-lag], centred[lag:]) / (mask.var() * np.sqrt(size - lag)) for lag in lags]
        assert np.abs(scores).max() < 4.2
        blocks = mask[: size // 1024 * 1024].reshape(-1, 1024).sum(axis=1)
        dispersion = blocks.var() / (1024 * share * (1 - share))
        assert abs(dispersion - 1) < 4.2 * np.sqrt(2 / len(blocks))


def test_neighbouring_keys_choose_independently() -> None:
    size, share = 2**18 + 3, 0.25
    masks = np.array([chosen_mask(size, int(share * size), number) for number in range(4)], float)
    correlations = np.corrcoef(masks)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() * np.sqrt(size) < 4.2


@given(st.integers(0, 2**64), st.data())
def test_a_sparse_list_and_a_dense_scan_choose_the_same(number: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(9, 3000))
    count = data.draw(st.integers(1, size // 8))
    permutation = Permutation(size, key(number))
    sparse = Mask(Scattered(permutation, count, 0), (size,))
    assert sparse.listed is not None
    dense = np.flatnonzero(permute(permutation, np.arange(size, dtype=np.uint64)) < count)
    np.testing.assert_array_equal(sparse.listed, dense)
    assert permutation.chosen(count) == dense.tolist()


def test_golden_choices() -> None:
    # Changing these breaks every plan that names a fraction, count, rate or pick: raise STREAM_VERSION with them.
    assert Permutation(10, key(0)).chosen(3) == GOLDEN[10]
    assert Permutation(1000, key(0)).chosen(5) == GOLDEN[1000]
    assert Permutation(10**9, key(0)).chosen(4) == GOLDEN[10**9]


GOLDEN = {
    10: [3, 4, 8],
    1000: [212, 420, 467, 550, 963],
    10**9: [280641375, 414114452, 587947170, 890745288],
}
