"""The engine over tensors in memory, against NumPy."""

from __future__ import annotations

import time
from threading import Barrier
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.execute.engine import Effect, execute
from mutspec.graph.choice import Listed, Scattered, Window
from mutspec.graph.expression import constant, draw
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK
from mutspec.graph.streams import stream_key
from tests.toys import ArrayHome, MemoryStore, Toy, normal, same_bits, standard_deviation

KEY = stream_key(1, "jitter", "a", "noise")
SIZES = [1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 17]


def random(size: int | tuple[int, ...], dtype: Any = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(dtype)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise_on_any_number_of_chunks_is_that_of_numpy(size: int, dtype: str) -> None:
    values = random(size, dtype)
    toy = Toy({"a": values})
    toy.set("a", toy["a"] + toy["a"].standard_deviation() * 0.1 * draw(toy.builder, "normal", KEY, (size,), dtype))
    scale = np.dtype(dtype).type(standard_deviation(values) * 0.1)
    assert same_bits(toy.run(2).tensors["a"], values + scale * normal(KEY, size, dtype))


def busy(size: int) -> Toy:
    """A toy with reductions, choices, gathers and stores on many chunks."""
    shape = (size // 100, 100)
    toy = Toy({"a": random(shape), "b": random(shape, seed=1), "c": random((size // 100, 60), seed=2)})
    pool = Permutation(2 * size, KEY)
    noise = draw(toy.builder, "normal", KEY, shape, "float32")
    toy.set("a", toy["a"] + toy["a"].standard_deviation() * noise, Scattered(pool, size // 2, 0))
    toy.set("b", toy["b"] * toy["a"].max(), Scattered(pool, size // 2, size))
    toy.set("c", toy["a"].window(1, (size // 100, 60)), Window(1, 10, 60))
    toy.set("a", toy["b"].max_along(1).along(1, shape), Window(0, 3, size // 200))
    toy.set("a", toy["a"] * toy["a"].standard_deviation())
    return toy


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    toy = busy(5 * CHUNK // 100 * 100)
    one = toy.run(threads=1)
    for threads in (2, 5):
        many = toy.run(threads=threads)
        assert all(same_bits(one.tensors[path], many.tensors[path]) for path in one.tensors)
        assert one.effects == many.effects


def test_a_gather_from_a_computed_value_reads_the_computed_value() -> None:
    source, target = random((700, 300)), random((700, 200), seed=1)
    toy = Toy({"source": source, "target": target})
    toy.set("source", toy["source"] * 3.0)
    toy.set("target", toy["source"].window(1, (700, 200)), Window(1, 50, 200))
    toy.set("source", toy["source"] + 1.0)
    results = toy.run(2).tensors
    expected = target.copy()
    expected[:, 50:] = (source * 3)[:, 50:200]
    assert same_bits(results["target"], expected)
    assert same_bits(results["source"], source * 3 + 1)


def test_two_tensors_swap_by_way_of_a_third() -> None:
    a, b, c = (random(2 * CHUNK, seed=seed) for seed in range(3))
    toy = Toy({"a": a, "b": b, "c": c})
    toy.set("c", toy["a"])
    toy.set("a", toy["b"])
    toy.set("b", toy["c"])
    results = toy.run().tensors
    assert same_bits(results["a"], b)
    assert same_bits(results["b"], a)
    assert same_bits(results["c"], a)


def test_a_step_reads_the_version_of_its_time() -> None:
    a, b = random((30, 40)), random((30, 40), seed=1)
    toy = Toy({"a": a, "b": b})
    early_a, early_b = toy["a"], toy["b"]
    toy.set("a", early_b, Window(0, 0, 10))
    toy.set("b", early_a, Window(0, 0, 10))
    toy.set("a", toy["a"] * 2.0)
    toy.set("b", toy["a"] + toy["b"], Window(0, 20, 30))
    toy.set("a", toy["a"] * 5.0)
    swapped_a, swapped_b = np.concatenate([b[:10], a[10:]]), np.concatenate([a[:10], b[10:]])
    swapped_a = swapped_a * np.float32(2)
    swapped_b[20:] = swapped_a[20:] + swapped_b[20:]
    results = toy.run(2).tensors
    assert same_bits(results["b"], swapped_b)
    assert same_bits(results["a"], swapped_a * np.float32(5))


def test_changed_entries_are_counted_by_bits() -> None:
    values = np.array([0.0, -0.0, 1.0, np.nan, np.inf, 3.0], np.float32)
    toy = Toy({"a": values})
    toy.set("a", toy["a"] * 1.0)  # nothing changes, NaN neither
    toy.set("a", constant(toy.builder, 0.0).cast("float32").spread((6,)))  # all but 0.0 itself
    toy.set("a", toy["a"] * -1.0, Listed((0, 5)))
    outcome = toy.run()
    assert [outcome.effect(f"a@{number}").changed for number in (1, 2, 3)] == [0, 5, 2]


def test_newly_non_finite_entries_are_counted() -> None:
    values = np.array([1e38, -1e38, np.inf, np.nan, 0.0, 1.0], np.float32)
    toy = Toy({"a": values})
    toy.set("a", toy["a"] * 10.0)
    toy.set("a", toy["a"] * 0.0)  # ∞ · 0 is NaN, but it was infinite already
    toy.set("a", toy["a"] / 0.0, Listed((4,)))
    outcome = toy.run()
    assert [outcome.effect(f"a@{number}").non_finite for number in (1, 2, 3)] == [2, 0, 1]


def test_newly_non_finite_entries_are_counted_over_all_chunks() -> None:
    values = random(4 * CHUNK)
    toy = Toy({"a": values})
    toy.set("a", (toy["a"] - toy["a"]) / (toy["a"] - toy["a"]), Scattered(Permutation(4 * CHUNK, KEY), 50_000, 0))
    assert toy.run(2).effect("a@1") == Effect(50_000, 50_000, 50_000)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype: str) -> None:
    values = random(CHUNK + 5, dtype)
    toy = Toy({"a": values})
    noise = draw(toy.builder, "normal", KEY, (CHUNK + 5,), "float32")
    toy.set("a", (toy["a"].cast("float32") * 1.1 + noise * 0.01).cast(dtype))
    exact = values.astype(np.float32) * np.float32(1.1) + normal(KEY, CHUNK + 5) * np.float32(0.01)
    assert same_bits(toy.run().tensors["a"], exact.astype(values.dtype))
    in_half = values * values.dtype.type(1.1) + (normal(KEY, CHUNK + 5) * np.float32(0.01)).astype(values.dtype)
    assert not same_bits(in_half, exact.astype(values.dtype))


def test_infinite_half_precision_is_newly_non_finite() -> None:
    toy = Toy({"a": np.array([60000.0, 1.0], np.float16), "b": np.array([3e38, 1.0], ml_dtypes.bfloat16)})
    for path in "ab":
        toy.set(path, (toy[path].cast("float32") * 2.0).cast(toy[path].dtype))
    outcome = toy.run()
    assert outcome.effect("a@1") == outcome.effect("b@1") == Effect(2, 2, 1)


def test_numbers_and_empty_tensors_are_tensors_too() -> None:
    toy = Toy({"number": np.array(2.0), "empty": np.zeros((3, 0), np.float32)})
    toy.set("number", toy["number"] * toy["number"].mean())
    toy.set("empty", toy["empty"] * toy["empty"].standard_deviation())
    toy.set("empty", toy["empty"].window(1, (3, 0)), Window(1, 0, 0))
    outcome = toy.run()
    assert outcome.tensors["number"] == 4.0
    assert outcome.tensors["number"].shape == ()
    assert outcome.tensors["empty"].shape == (3, 0)
    assert outcome.effect("empty@1") == Effect()


def test_chunks_are_read_alone_where_few_entries_are_chosen_and_noise_is_drawn() -> None:
    size = 40 * CHUNK
    values = np.zeros(size, np.float32)
    toy = Toy({"a": values})
    pool = Permutation(size, KEY)
    noise = draw(toy.builder, "normal", KEY, (size,), "float32")
    toy.set("a", toy["a"] + noise, Scattered(pool, 3, 0))
    toy.set("a", toy["a"] + 1.0, Listed((0, 5 * CHUNK, size - 1)))
    outcome = toy.run()
    assert not outcome.home.few_reads
    touched = {0, 5 * CHUNK, size - 1, *pool.chosen(3)}
    assert {start // CHUNK for _, _, start, _ in outcome.home.reads} == {entry // CHUNK for entry in touched}
    assert set(np.flatnonzero(outcome.tensors["a"]).tolist()) == touched


def test_a_few_entries_after_a_stored_version_do_not_hide_the_rest_of_it() -> None:
    values = random(3 * CHUNK)
    toy = Toy({"a": values})
    toy.set("a", toy["a"] * 2.0)
    toy.set("a", toy["a"] / toy["a"].max(), Listed((5,)))
    expected = values * np.float32(2)
    expected[5] /= expected.max()
    assert same_bits(toy.run().tensors["a"], expected)


def test_inputs_are_read_from_their_own_model() -> None:
    toy = Toy({"a": np.zeros(5)}, {"teacher": {"a": np.arange(5.0)}})
    toy.set("a", toy["teacher:a"] * 2.0)
    toy.set("a", toy["teacher:a"], Listed((4,)))
    assert toy.run().tensors["a"].tolist() == [0, 2, 4, 6, 4]


def test_progress_adds_up() -> None:
    toy = busy(3 * CHUNK // 100 * 100)
    calls: list[tuple[int, int]] = []
    execute(toy.builder.build(), ArrayHome(toy.tensors), threads=2, on_progress=lambda *call: calls.append(call))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert len(set(totals)) == 1
    assert done[-1] == totals[0]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 3, 11])
def test_what_fails_on_the_way_leaves_nothing_open_and_nothing_running(error: BaseException, after: int) -> None:
    toy = busy(5 * CHUNK // 100 * 100)

    class Failing(ArrayHome):
        count = 0

        def write(self, path: str, start: int, before: np.ndarray, after_: np.ndarray) -> None:
            self.count += 1
            if self.count > after:
                raise error
            super().write(path, start, before, after_)

    home = Failing(toy.tensors)
    with pytest.raises(type(error)):
        execute(toy.builder.build(), home, threads=3)
    assert not any(store.is_open for store in home.stores)


def test_a_store_is_closed_when_nobody_writes_to_it_any_more() -> None:
    late = []

    class SlowStore(MemoryStore):
        def write(self, start: int, values: np.ndarray) -> None:
            if start == 0:
                raise OSError("disk full")
            time.sleep(0.05)
            if not self.is_open:
                late.append(start)

    class SlowHome(ArrayHome):
        def store(self, size: int, dtype: np.dtype[Any]) -> MemoryStore:
            self.stores.append(SlowStore(size, dtype))
            return self.stores[-1]

    toy = Toy({"a": random(4 * CHUNK)})
    toy.set("a", toy["a"] * 2.0)
    toy.set("a", toy["a"] * toy["a"].max())
    home = SlowHome(toy.tensors)
    with pytest.raises(OSError, match="disk full"):
        execute(toy.builder.build(), home, threads=4)
    assert [store.is_open for store in home.stores] == [False]
    assert not late


def test_an_interrupt_in_the_progress_bar_leaves_nothing_open() -> None:
    toy = busy(5 * CHUNK // 100 * 100)
    for position in (1, 5, 20):
        calls = 0

        def interrupt(done: int, total: int, position: int = position) -> None:
            nonlocal calls
            calls += 1
            if calls == position:
                raise KeyboardInterrupt

        home = ArrayHome(toy.tensors)
        with pytest.raises(KeyboardInterrupt):
            execute(toy.builder.build(), home, threads=2, on_progress=interrupt)
        assert not any(store.is_open for store in home.stores)


@given(st.sampled_from(SIZES), st.sampled_from(["float16", "float32", "float64"]), st.sampled_from([1, 2, 5]))
def test_a_listed_entry_changes_alone(size: int, dtype: str, threads: int) -> None:
    values = np.ones(size, dtype)
    toy = Toy({"a": values})
    toy.set("a", toy["a"] * 2.0, Listed((size // 2, size - 1) if size > 1 else (0,)))
    expected = values.copy()
    expected[[size // 2, size - 1]] = 2
    outcome = toy.run(threads)
    assert same_bits(outcome.tensors["a"], expected)
    assert outcome.effect("a@1").changed == min(size, 2)


def test_all_but_one_entry_can_be_chosen() -> None:
    size = 3 * CHUNK
    pool = Permutation(size, KEY)
    toy = Toy({"a": np.zeros(size, np.float32)})
    toy.set("a", toy["a"] + 1.0, Scattered(pool, size - 1, 0))
    result = toy.run(2).tensors["a"]
    assert result.sum() == size - 1
    assert np.flatnonzero(result == 0).tolist() == [pool.image(size - 1, inverse=True)]


def test_a_value_that_is_read_twice_is_not_overwritten_on_the_way() -> None:
    values, noise = random(CHUNK + 5), normal(KEY, CHUNK + 5)
    toy = Toy({"a": values, "b": values})
    drawn = draw(toy.builder, "normal", KEY, (CHUNK + 5,), "float32")
    toy.set("a", (drawn * 2.0 + toy["a"]) * (drawn - 1.0))
    toy.set("b", toy["a"] + drawn.round() * drawn.round())
    doubled, reduced = noise * np.float32(2) + values, noise - np.float32(1)
    results = toy.run(2).tensors
    assert same_bits(results["a"], doubled * reduced)
    assert same_bits(results["b"], doubled * reduced + np.rint(noise) * np.rint(noise))


def test_a_version_is_not_overwritten_by_the_next_one() -> None:
    values = random(CHUNK + 5)
    toy = Toy({"a": values})
    toy.set("a", toy["a"] * 2.0)
    toy.set("a", toy["a"] * 0.0, Listed((1, 2)))
    toy.set("a", -toy["a"])
    expected = values * np.float32(2)
    expected[[1, 2]] *= np.float32(0)
    outcome = toy.run()
    assert same_bits(outcome.tensors["a"], -expected)
    assert [outcome.effect(f"a@{number}").changed for number in (1, 2, 3)] == [CHUNK + 5, 2, CHUNK + 5]


def test_many_small_tensors_are_under_way_at_once() -> None:
    toy = Toy({f"t{number}": random(10, seed=number) for number in range(8)})
    for path in toy.tensors:
        toy.set(path, toy[path] * 2.0)
    both = Barrier(2, timeout=30)

    class Meeting(ArrayHome):
        def write(self, path: str, start: int, before: np.ndarray, after: np.ndarray) -> None:
            both.wait()  # each waits for another tensor's
            super().write(path, start, before, after)

    home = Meeting(toy.tensors)
    execute(toy.builder.build(), home, threads=2)
    assert all(same_bits(home.results[path], values * np.float32(2)) for path, values in toy.tensors.items())
