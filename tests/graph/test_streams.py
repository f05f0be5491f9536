"""Keys of random streams."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mutspec.graph.streams import stream_key, uniform_64_bits


def test_golden_keys() -> None:
    # Changing these changes the noise of every plan there is: raise STREAM_VERSION with them.
    assert stream_key(0, "jitter", "dense/kernel", "noise").hex() == GOLDEN[0]
    assert stream_key(2**63, "größe", "encoder/dense_1/bias", "choose").hex() == GOLDEN[1]
    assert uniform_64_bits(stream_key(0, "jitter", "dense/kernel", "rate")) == GOLDEN[2]


parts = st.tuples(st.integers(-(2**70), 2**70), st.text(max_size=4), st.text(max_size=4), st.text(max_size=4))


@given(parts, parts)
def test_other_parts_give_other_keys(one: tuple[int, str, str, str], other: tuple[int, str, str, str]) -> None:
    assert (stream_key(*one) == stream_key(*other)) == (one == other)


def test_parts_do_not_run_into_one_another() -> None:
    assert stream_key(1, "ab", "c", "d") != stream_key(1, "a", "bc", "d") != stream_key(1, "a", "b", "cd")
    assert stream_key(1, "1", "", "") != stream_key(11, "", "", "")


def test_a_draw_of_the_compiler_is_uniform() -> None:
    draws = [uniform_64_bits(stream_key(number, "s", "t", "rate")) / 2**64 for number in range(5000)]
    assert stats.kstest(draws, "uniform").pvalue > 1e-3


GOLDEN = ("715cb19deb109cd4f5e8026249acce54", "41d31ee134bbae57908a29d9bdaf89ef", 17501967567700448794)
