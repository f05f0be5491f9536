"""Kernels: draws, reductions and gathers against NumPy and SciPy."""

from __future__ import annotations

from hashlib import blake2b

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mutspec.graph.choice import Window
from mutspec.graph.expression import constant, draw
from mutspec.graph.graph import Node
from mutspec.graph.numpy_kernels.entrywise import MAP_KERNELS
from mutspec.graph.numpy_kernels.places import Span
from mutspec.graph.primitives import CHUNK
from mutspec.graph.streams import stream_key
from tests.toys import Toy

KEY = stream_key(7, "jitter", "dense/kernel", "noise")


def drawn(primitive: str, dtype: str, chunk: int = 0, count: int = CHUNK, key: bytes = KEY) -> np.ndarray:
    node = Node(primitive, (), (CHUNK * (chunk + 1),), dtype, (("key", key),))
    return MAP_KERNELS[primitive](node, Span(chunk * CHUNK, chunk * CHUNK + count))


GOLDEN_DRAWS = {
    ("normal", "float32", 0): "d88cc61b515d9f68",
    ("normal", "float32", 1): "8dd84da97c5b68a6",
    ("normal", "float64", 0): "31c3b9792ffc4679",
    ("normal", "float64", 1): "7c27c03125417c71",
    ("uniform", "float32", 0): "ba6f97916e5f1f4a",
    ("uniform", "float32", 1): "caacc9e76d0e47d6",
    ("uniform", "float64", 0): "684c5eae840b67fa",
    ("uniform", "float64", 1): "06ed274fd172f6f6",
}


@pytest.mark.parametrize("primitive", ["normal", "uniform"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunk", [0, 1])
def test_golden_draws(primitive: str, dtype: str, chunk: int) -> None:
    # Changing these changes the noise of every plan there is: raise STREAM_VERSION with them.
    values = drawn(primitive, dtype, chunk)
    assert (
        blake2b(values.astype(f"<f{values.itemsize}").tobytes(), digest_size=8).hexdigest()
        == GOLDEN_DRAWS[primitive, dtype, chunk]
    )


def test_draws_are_those_of_philox_in_numpy() -> None:
    for chunk in (0, 1, 5):
        bits = np.random.Philox(key=int.from_bytes(KEY, "little"), counter=chunk << 128)
        expected = np.random.Generator(bits).standard_normal(CHUNK, np.float32)
        assert drawn("normal", "float32", chunk).tobytes() == expected.tobytes()
        bits = np.random.Philox(key=int.from_bytes(KEY, "little"), counter=chunk << 128)
        assert drawn("uniform", "float64", chunk).tobytes() == np.random.Generator(bits).random(CHUNK).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_their_distribution(dtype: str) -> None:
    normal = np.concatenate([drawn("normal", dtype, chunk) for chunk in range(16)])
    uniform = np.concatenate([drawn("uniform", dtype, chunk) for chunk in range(16)])
    assert normal.dtype == uniform.dtype == dtype
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3
    assert uniform.min() >= 0
    assert uniform.max() < 1
    # The ziggurat's tail begins beyond 3.65.
    beyond = stats.binomtest(int((np.abs(normal) > 4).sum()), len(normal), 2 * stats.norm.sf(4))
    assert beyond.pvalue > 1e-3


@pytest.mark.parametrize("primitive", ["normal", "uniform"])
def test_chunks_keys_and_origins_draw_independently(primitive: str) -> None:
    others = [
        drawn(primitive, "float64", 1),
        drawn(primitive, "float64", 2),
        drawn(primitive, "float64", key=stream_key(8, "jitter", "dense/kernel", "noise")),
        drawn(primitive, "float64", key=stream_key(7, "jitter", "dense_1/kernel", "noise")),
        drawn(primitive, "float64", key=stream_key(7, "other", "dense/kernel", "noise")),
    ]
    values = [drawn(primitive, "float64"), *others]
    correlations = np.corrcoef(values)[np.triu_indices(len(values), 1)]
    assert np.abs(correlations).max() * np.sqrt(CHUNK) < 4.2
    centred = values[0] - values[0].mean()
    serial = [np.dot(centred[:-lag], centred[lag:]) / (centred.var() * np.sqrt(CHUNK - lag)) for lag in range(1, 9)]
    assert np.abs(serial).max() < 4.2


@given(st.sampled_from(["normal", "uniform"]), st.sampled_from(["float32", "float64"]), st.integers(1, 500))
def test_a_shorter_tensor_draws_the_beginning_of_a_longer_one(primitive: str, dtype: str, count: int) -> None:
    assert drawn(primitive, dtype, count=count).tobytes() == drawn(primitive, dtype, count=501)[:count].tobytes()


@pytest.mark.parametrize("size", [1, 2, 1000, CHUNK, CHUNK + 1, 3 * CHUNK - 1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions_are_those_of_numpy_in_float64(size: int, dtype: str) -> None:
    values = (np.random.default_rng(size).standard_normal(size) * 3 + 1000).astype(dtype)
    toy = Toy({"a": values})
    wide = values.astype(np.float64)
    np.testing.assert_allclose(toy.value(toy["a"].mean()), wide.mean(), rtol=1e-14)
    np.testing.assert_allclose(toy.value(toy["a"].standard_deviation()), wide.std(), rtol=1e-11, atol=1e-300)
    np.testing.assert_allclose(toy.value(toy["a"].sum()), wide.sum(), rtol=1e-14)
    assert toy.value(abs(toy["a"]).max()) == np.abs(wide).max()


def test_the_blocks_of_a_sum_are_added_in_order() -> None:
    # In another order, or at once, the small ones would not get lost, or the large ones not cancel.
    values = np.zeros(4 * CHUNK)
    values[0], values[CHUNK], values[2 * CHUNK], values[3 * CHUNK] = 1.0, 1e17, -1e17, 1.0
    toy = Toy({"a": values})
    assert toy.value(toy["a"].sum()) == 1.0


def test_a_reduction_of_nothing_is_a_number() -> None:
    toy = Toy({"a": np.zeros((0, 3))})
    assert toy.value(toy["a"].sum()) == 0
    assert toy.value(abs(toy["a"]).max()) == 0


def test_nan_is_not_lost_in_a_maximum() -> None:
    values = np.ones(CHUNK + 2, np.float32)
    values[CHUNK + 1] = np.nan
    toy = Toy({"a": values})
    assert np.isnan(toy.value(toy["a"].max()))


shapes = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)


@given(shapes, st.data())
def test_the_largest_entry_along_an_axis(shape: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    values = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    toy = Toy({"a": values})
    others = tuple(other for other in range(len(shape)) if other != axis)
    np.testing.assert_array_equal(toy.value(toy["a"].max_along(axis)), values.max(axis=others))
    toy.set("a", toy["a"].max_along(axis).along(axis, shape))
    expected = np.broadcast_to(values.max(axis=others, keepdims=True), shape)
    np.testing.assert_array_equal(toy.run().tensors["a"], expected)


def test_the_largest_entry_along_an_axis_of_many_chunks() -> None:
    values = np.random.default_rng(2).standard_normal((300, 700)).astype(np.float32)
    for axis in (0, 1):
        toy = Toy({"a": values})
        np.testing.assert_array_equal(toy.value(abs(toy["a"]).max_along(axis)), np.abs(values).max(axis=1 - axis))


@given(shapes, st.integers(1, 6), st.data())
def test_a_window_is_a_slice(shape: tuple[int, ...], length: int, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    source_shape = (*shape[:axis], length, *shape[axis + 1 :])
    random = np.random.default_rng(3)
    target, source = random.standard_normal(shape), random.standard_normal(source_shape)
    start = data.draw(st.integers(0, min(length, shape[axis])))
    stop = data.draw(st.integers(start, min(length, shape[axis])))
    toy = Toy({"target": target, "source": source})
    toy.set("target", toy["source"].window(axis, shape), Window(axis, start, stop))
    outcome = toy.run()
    expected = target.copy()
    index = (*[slice(None)] * axis, slice(start, stop))
    expected[index] = source[index]
    np.testing.assert_array_equal(outcome.tensors["target"], expected)
    assert outcome.effect("target@1").changed == (expected != target).sum()


@pytest.mark.parametrize(
    ("source_shape", "shape", "axis"),
    [
        ((500, 300), (500, 290), 1),
        ((300, 500), (290, 500), 0),
        ((40, 60, 70), (40, 90, 70), 1),
        ((2, 9, 20_000), (2, 9, 7), 2),
        ((30, 100_000), (30, 3), 1),
        ((3, 700_000), (3, 2), 1),
    ],
)
def test_a_window_over_many_chunks_is_a_slice(source_shape: tuple[int, ...], shape: tuple[int, ...], axis: int) -> None:
    random = np.random.default_rng(4)
    source, target = random.standard_normal(source_shape), random.standard_normal(shape)
    stop = min(source_shape[axis], shape[axis])
    toy = Toy({"target": target, "source": source})
    toy.set("target", toy["source"].window(axis, shape), Window(axis, 1, stop))
    expected = target.copy()
    index = (*[slice(None)] * axis, slice(1, stop))
    expected[index] = source[index]
    outcome = toy.run()
    np.testing.assert_array_equal(outcome.tensors["target"], expected)
    largest = max(stop - start for _, _, start, stop in outcome.home.reads)
    assert largest <= 16 * CHUNK


def nearest_bfloat16(value: float) -> float:
    """The nearest bfloat16, ties to even, from the exact integers of a double."""
    mantissa, exponent = np.frexp(np.float64(value))
    exact = float(mantissa) * 256
    return float(np.ldexp(float(round(exact)), int(exponent) - 8))


TIES = st.builds(lambda n, sign: (n + 0.5) / 128 * (1 + sign * 2.0**-45), st.integers(128, 254), st.integers(-1, 1))
"""Halfway between two numbers of bfloat16, or by so little off it that float32 does not tell."""


@given(st.floats(1e-30, 1e30) | TIES)
def test_float64_is_rounded_to_bfloat16_once(value: float) -> None:
    toy = Toy({"a": np.array([value, -value])})
    assert toy.value(constant(toy.builder, value).cast("bfloat16")) == nearest_bfloat16(value)
    toy.tensors = {"a": np.array([value, -value]), "b": np.zeros(2, ml_dtypes.bfloat16)}
    toy.set("b", toy["a"].cast("bfloat16"))
    expected = [nearest_bfloat16(value), -nearest_bfloat16(value)]
    assert toy.run().tensors["b"].astype(float).tolist() == expected


def test_special_values_survive_the_cast_to_bfloat16() -> None:
    values = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 3.4e38, 1e300, -1e300, 1e-300])
    toy = Toy({"a": values, "b": np.zeros(9, ml_dtypes.bfloat16)})
    toy.set("b", toy["a"].cast("bfloat16"))
    result = toy.run().tensors["b"].astype(np.float64)
    np.testing.assert_array_equal(result, [np.inf, -np.inf, np.nan, 0, -0.0, np.inf, np.inf, -np.inf, 0])
    assert np.signbit(result).tolist()[:2] == [False, True]
    assert np.signbit(result[4])


def test_the_same_draw_serves_tensors_of_all_sizes() -> None:
    short, long = np.zeros(10, np.float32), np.zeros(CHUNK + 10, np.float32)
    toy = Toy({"short": short, "long": long})
    toy.set("short", draw(toy.builder, "normal", KEY, (10,), "float32"))
    toy.set("long", draw(toy.builder, "normal", KEY, (CHUNK + 10,), "float32"))
    results = toy.run().tensors
    assert results["short"].tobytes() == results["long"][:10].tobytes()
    assert results["long"][:10].tobytes() != results["long"][CHUNK:].tobytes()
