"""Few entries, computed alone: the bits and the counts that they have among all others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mutspec.execute.engine import Effect, execute
from mutspec.graph.choice import Bits, Choice, ChosenSlices, Listed, Scattered, StridedSlices, Within
from mutspec.graph.expression import Expression, dirac, draw, words
from mutspec.graph.number_formats import Float
from mutspec.graph.numpy_kernels.masks import Mask
from mutspec.graph.numpy_kernels.places import Span, SparseEntries, by_chunk
from mutspec.graph.permutation import Permutation
from mutspec.graph.primitives import CHUNK, PRIMITIVES
from mutspec.graph.streams import stream_key
from tests.toys import ArrayHome, Toy, same_bits

SHAPE = (301, 7, 97)
SIZE = 301 * 7 * 97
KEY = stream_key(3, "fault", "a", "bit")
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 1e-42, 3.4e38, 0.5, 2.5], np.float32)


def tensor(seed: int) -> np.ndarray:
    """Ordinary numbers, and among them all sorts of others."""
    generator = np.random.default_rng(seed)
    values = generator.standard_normal(SIZE).astype(np.float32)
    places = generator.integers(0, SIZE, SIZE // 3)
    values[places] = SPECIAL[np.arange(len(places)) % len(SPECIAL)]
    return values.reshape(SHAPE)


BASE, OTHER = tensor(0), tensor(1)
THREE = np.random.default_rng(2).standard_normal((301, 3, 7, 97)).astype(np.float32)
EVERY_BIT = tuple(range(32))
SMALL = Float(4, 3)

VALUES: Mapping[str, Callable[[Toy], Expression]] = {
    "base": lambda toy: toy["other:b"],
    "constant": lambda toy: toy["a"] + 0.1,
    "add": lambda toy: toy["a"] + toy["other:b"],
    "subtract": lambda toy: toy["a"] - toy["other:b"],
    "multiply": lambda toy: toy["a"] * toy["other:b"],
    "divide": lambda toy: toy["a"] / toy["other:b"],
    "minimum": lambda toy: toy["a"].minimum(toy["other:b"]),
    "maximum": lambda toy: toy["a"].maximum(toy["other:b"]),
    "negative": lambda toy: -toy["a"],
    "absolute": lambda toy: abs(toy["a"]),
    "square_root": lambda toy: toy["a"].square_root(),
    "round": lambda toy: toy["a"].round(),
    "sign": lambda toy: toy["a"].sign(),
    "cast": lambda toy: toy["a"].cast("float64").cast("bfloat16").cast("float16").cast("float32"),
    "bits": lambda toy: toy["a"].bits("uint32").bits("float32"),
    "encode": lambda toy: toy["a"].cast("float64").encode(SMALL).bits("float32"),
    "decode": lambda toy: toy["a"].cast("float64").encode(SMALL).decode(SMALL).cast("float32"),
    "exponent": lambda toy: abs(toy["a"]).cast("float64").exponent().cast("float32"),
    "two_to": lambda toy: up_to_63(toy).cast("float64").two_to().cast("float32"),
    "flip": lambda toy: flipped(toy, drawn_bits(toy, (23, 30), 1)),
    "set": lambda toy: toy["a"].bits("uint32").set(words(toy.builder, SHAPE, "uint32", 5)).bits("float32"),
    "clear": lambda toy: toy["a"].bits("uint32").clear(words(toy.builder, SHAPE, "uint32", 5)).bits("float32"),
    "word": lambda toy: words(toy.builder, SHAPE, "uint32", 77).bits("float32"),
    "spread": lambda toy: abs(toy["a"]).max().cast("float32").spread(SHAPE),
    "along": lambda toy: toy["a"].max_along(1).along(1, SHAPE),
    "one_bit": lambda toy: drawn_bits(toy, EVERY_BIT, 3).bits("float32"),
    "chosen_bits": lambda toy: flipped(toy, chosen_bits(toy, SIZE // 50)),
    "reshape": lambda toy: (-toy["a"].reshape((SIZE,))).reshape(SHAPE),
    "gather": lambda toy: toy["other:b"].reshape(SHAPE[::-1]).transpose((2, 1, 0)),
    "sum_over": lambda toy: toy["other:c"].sum_over(1).cast("float32"),
    "swap": lambda toy: toy["other:b"].swap(StridedSlices(7, 97), order=(4, 1, 0, 6), count=4),
    "dirac": lambda toy: dirac(toy.builder, SHAPE, "float32", (5,)),
    "choose": lambda toy: (toy["a"] * 2.0).where(Scattered(Permutation(SIZE, KEY), SIZE // 2, 0), toy["other:b"]),
    "select": lambda toy: toy["a"].select(toy["other:b"].bits("uint32").cast("bool"), toy["other:b"]),
}


def flipped(toy: Toy, bits: Expression) -> Expression:
    return toy["a"].bits("uint32").flip(bits).bits("float32")


def drawn_bits(toy: Toy, positions: tuple[int, ...], group: int) -> Expression:
    return draw(toy.builder, "one_bit", KEY, SHAPE, "uint32", positions=positions, group=group)


def up_to_63(toy: Toy) -> Expression:
    return toy["a"].bits("uint32").clear(words(toy.builder, SHAPE, "uint32", 2**32 - 64))


def chosen_bits(toy: Toy, count: int) -> Expression:
    choice = Bits(32, Scattered(Permutation(32 * SIZE, KEY), count, 0))
    made = toy.builder.node("chosen_bits", (), SHAPE, "uint32", choice=choice, positions=EVERY_BIT)
    return Expression(toy.builder, made)


def toy_of() -> Toy:
    return Toy({"a": BASE}, {"other": {"b": OTHER, "c": THREE}})


few = st.lists(st.integers(0, SIZE - 1), max_size=40, unique=True).map(lambda some: Listed(tuple(sorted(some))))
scattered = st.builds(
    lambda key, count: Scattered(Permutation(SIZE, key), count, 0),
    st.binary(min_size=16, max_size=16),
    st.integers(0, SIZE // 20),
)
of_a_pool = st.builds(
    lambda key, count, offset: Scattered(Permutation(3 * SIZE, key), count, offset),
    st.binary(min_size=16, max_size=16),
    st.integers(0, SIZE // 20),
    st.integers(0, 2 * SIZE),
)
bits = st.builds(
    lambda key, count: Bits(32, Scattered(Permutation(32 * SIZE, key), count, 0)),
    st.binary(min_size=16, max_size=16),
    st.integers(0, SIZE // 20),
)
within = st.builds(
    lambda key, count: Within(
        ChosenSlices(7, 97, Listed((1, 4))), Scattered(Permutation(SIZE // 7 * 2, key), count, 0)
    ),
    st.binary(min_size=16, max_size=16),
    st.integers(0, SIZE // 40),
)
choices = st.one_of(few, scattered, of_a_pool, bits, within)


def test_all_primitives_by_entry_are_tried_here() -> None:
    assert VALUES.keys() == {name for name, primitive in PRIMITIVES.items() if primitive.is_by_entry}


def whole(value: Callable[[Toy], Expression], base: np.ndarray) -> np.ndarray:
    """All entries of a value."""
    toy = Toy({"a": base}, {"other": {"b": OTHER, "c": THREE}})
    toy.set("a", value(toy))
    outcome = toy.run(2)
    assert not outcome.home.few_reads
    return outcome.tensors["a"]


def effect(choice: Choice, before: np.ndarray, after: np.ndarray) -> Effect:
    """What a step changed, counted one entry after the other."""
    differs = before.view(np.uint32) != after.view(np.uint32)
    lost = np.isfinite(before) & ~np.isfinite(after)
    return Effect(Mask(choice, SHAPE).count(), int(differs.sum()), int(lost.sum()))


@pytest.mark.parametrize("primitive", VALUES)
@settings(max_examples=12)
@given(choice=choices)
def test_few_entries_have_the_bits_that_they_have_among_all(primitive: str, choice: Choice) -> None:
    toy = toy_of()
    toy.set("a", VALUES[primitive](toy), choice)
    outcome = toy.run(2)
    chosen = Mask(choice, SHAPE).entries()
    expected = BASE.copy()
    expected.reshape(-1)[chosen] = whole(VALUES[primitive], BASE).reshape(-1)[chosen]
    assert same_bits(outcome.tensors["a"], expected)
    assert outcome.effect("a@1") == effect(choice, BASE, expected)
    needs_all = primitive in ("spread", "along")
    assert needs_all or not outcome.home.reads


@given(st.lists(st.tuples(st.sampled_from(sorted(VALUES)), choices), min_size=2, max_size=4), st.sampled_from([1, 3]))
@settings(max_examples=25)
def test_steps_on_few_entries_follow_one_another(steps: list[tuple[str, Choice]], threads: int) -> None:
    toy = toy_of()
    for name, choice in steps:
        toy.set("a", VALUES[name](toy), choice)
    outcome = toy.run(threads)
    before = BASE
    for number, (name, choice) in enumerate(steps, 1):
        chosen = Mask(choice, SHAPE).entries()
        after = before.copy()
        after.reshape(-1)[chosen] = whole(VALUES[name], before).reshape(-1)[chosen]
        assert outcome.effect(f"a@{number}") == effect(choice, before, after)
        before = after
    assert same_bits(outcome.tensors["a"], before)


def test_nothing_but_the_entries_is_read() -> None:
    toy = Toy({"a": np.zeros(40 * CHUNK, np.float32)})
    pool = Permutation(40 * CHUNK, KEY)
    toy.set("a", toy["a"] + 1.0, Scattered(pool, 3, 0))
    toy.set("a", toy["a"] + 1.0, Listed((0, 5 * CHUNK, 40 * CHUNK - 1)))
    outcome = toy.run()
    touched = {0, 5 * CHUNK, 40 * CHUNK - 1, *pool.chosen(3)}
    assert not outcome.home.reads
    assert {entry for _, _, entries in outcome.home.few_reads for entry in entries.tolist()} == touched
    assert set(np.flatnonzero(outcome.tensors["a"]).tolist()) == touched


def test_many_entries_are_computed_with_all_others() -> None:
    toy = toy_of()
    toy.set("a", toy["a"] * 2.0, Scattered(Permutation(SIZE, KEY), SIZE // 10, 0))
    assert not toy.run().home.few_reads


def test_no_two_batches_have_entries_in_one_chunk_and_none_has_too_many() -> None:
    size = 200 * CHUNK
    toy = Toy({"a": np.zeros(size, np.int8)})
    toy.set("a", toy["a"] + words(toy.builder, (size,), "int8", 1), Scattered(Permutation(size, KEY), size // 20, 0))
    batches = [entries for _, _, entries in toy.run(2).home.few_reads]
    chunks = [np.unique(entries // CHUNK) for entries in batches]
    assert len(np.unique(np.concatenate(chunks))) == sum(map(len, chunks)) == 200
    assert max(map(len, batches)) <= CHUNK


def test_a_new_tensor_is_written_whole_though_few_of_its_entries_change() -> None:
    toy = Toy({"a": np.zeros(3 * CHUNK, np.float32)})
    made = words(toy.builder, (3 * CHUNK,), "uint32", 7).bits("float32")
    toy.builder.create("a", made.node)
    toy.set("a", toy["a"] + 1.0, Listed((5,)))

    class NewHome(ArrayHome):
        def write(self, path: str, start: int, before: np.ndarray | None, after: np.ndarray) -> None:
            assert before is None
            written.append(start)

    written: list[int] = []
    home = NewHome(toy.tensors)
    execute(toy.builder.build(), home, threads=1)
    assert sorted(written) == [0, CHUNK, 2 * CHUNK]


entries_of_a_tensor = st.lists(st.integers(0, 5 * CHUNK), unique=True, max_size=60).map(
    lambda some: np.array(sorted(some), np.int64)
)


@given(entries_of_a_tensor)
def test_entries_by_the_chunk_are_all_entries(entries: np.ndarray) -> None:
    parts = [(number, entries[part]) for number, part in by_chunk(entries)]
    assert [number for number, _ in parts] == sorted({entry // CHUNK for entry in entries.tolist()})
    assert all(set((some // CHUNK).tolist()) == {number} for number, some in parts)
    assert [entry for _, some in parts for entry in some.tolist()] == entries.tolist()


@given(entries_of_a_tensor.filter(len), st.integers(1, 50), st.integers(1, 3000))
def test_a_place_knows_its_entries(entries: np.ndarray, length: int, stride: int) -> None:
    some, around = SparseEntries(entries), Span(int(entries[0]), int(entries[-1]) + 1)
    inside = np.isin(around.entries(), entries)
    assert (some.start, some.stop) == (around.start, around.stop)
    assert np.array_equal(some.slice_numbers(length, stride), around.slice_numbers(length, stride)[inside])
    assert np.array_equal(some.holds(around.entries()), inside)
    assert np.array_equal(some.positions(entries), np.arange(len(entries)))
    assert np.array_equal(around.entries()[around.positions(entries)], entries)


@given(choice=choices, entries=st.lists(st.integers(0, SIZE - 1), unique=True, min_size=1, max_size=50))
@settings(max_examples=30)
def test_a_mask_tells_of_entries_what_it_tells_of_spans(choice: Choice, entries: list[int]) -> None:
    mask, some = Mask(choice, SHAPE), np.array(sorted(entries), np.int64)
    everywhere = mask.at(0, SIZE)
    expected = np.zeros(len(some), bool) if everywhere is None else everywhere[some]
    told = mask.these(some)
    assert (told is None) == (not expected.any())
    assert told is None or np.array_equal(told, expected)
