"""Expressions build a graph, and compute nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mutspec.graph.choice import Listed, Scattered, Window, chosen_count
from mutspec.graph.expression import Expression, constant, draw
from mutspec.graph.graph import GraphBuilder
from mutspec.graph.permutation import Permutation
from tests.toys import Toy


def tensor(
    builder: GraphBuilder, path: str = "a", shape: tuple[int, ...] = (2, 3), dtype: str = "float32"
) -> Expression:
    return Expression(builder, builder.current(path, shape, dtype))


def test_building_reads_and_computes_nothing() -> None:
    builder = GraphBuilder()
    huge = tensor(builder, shape=(10**9, 10**9))
    scaled = huge / huge.standard_deviation() + abs(huge).max() * draw(
        builder, "normal", b"k" * 16, huge.shape, huge.dtype
    )
    assert scaled.shape == (10**9, 10**9)
    assert scaled.dtype == "float32"


def test_equal_nodes_are_made_once() -> None:
    builder = GraphBuilder()
    weight = tensor(builder)
    first = (weight * 2.0 + weight.standard_deviation()).node
    count = len(builder.nodes)
    assert (tensor(builder) * 2.0 + tensor(builder).standard_deviation()).node == first
    assert len(builder.nodes) == count
    assert (
        draw(builder, "normal", b"a" * 16, (2,), "float32").node
        == draw(builder, "normal", b"a" * 16, (2,), "float32").node
    )
    assert (
        draw(builder, "normal", b"a" * 16, (2,), "float32").node
        != draw(builder, "normal", b"b" * 16, (2,), "float32").node
    )


def test_zeros_of_both_signs_are_two_numbers() -> None:
    builder = GraphBuilder()
    assert constant(builder, 0.0).node != constant(builder, -0.0).node
    assert constant(builder, 0.0).node == constant(builder, 0).node
    toy = Toy({"a": np.ones(2, np.float32)})
    toy.set("a", toy["a"] * -0.0)
    toy.set("a", toy["a"] * 0.0, Listed((0,)))
    assert np.signbit(toy.run().tensors["a"]).tolist() == [True, True]
    assert np.signbit(toy.value(constant(toy.builder, -0.0)))


@pytest.mark.parametrize("value", [0.1, 1e-320, float("inf"), -1e308, 2.0**-1074])
def test_numbers_keep_every_bit(value: float) -> None:
    toy = Toy({})
    assert toy.value(constant(toy.builder, value)) == value
    assert np.isnan(toy.value(constant(toy.builder, float("nan"))))


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda a, b: a + b.max_along(0), r"float32\[2, 3\] and float32\[2\]"),
        (lambda a, b: a * a.max_along(1), r"float32\[2, 3\] and float32\[3\]"),
        (lambda a, b: a - b, r"float32\[2, 3\] and float32\[2\]"),
        (lambda a, b: b / b.max_along(0), r"float32\[2\] and float32\[2\]"),
        (lambda a, b: b.max_along(0) + b, r"float32\[2\] and float32\[2\]"),
        (lambda a, b: a + a.cast("float64"), r"float32\[2, 3\] and float64\[2, 3\]"),
        (lambda a, b: b.spread((2, 3)), r"spread float32\[2\] over \[2, 3\]"),
        (lambda a, b: b.max_along(0).spread((2,)), r"spread float32\[2\] over \[2\]"),
    ],
)
def test_what_does_not_fit_is_refused_while_building(
    write: Callable[[Expression, Expression], Expression], what: str
) -> None:
    builder = GraphBuilder()
    with pytest.raises(ValueError, match=what):
        write(tensor(builder), tensor(builder, "b", (2,)))


def test_numbers_and_tensors_combine_from_both_sides() -> None:
    values = np.array([1.0, -2.0, 4.0], np.float32)
    for write, expected in (
        (lambda a: 1 - a, 1 - values),
        (lambda a: a - 1, values - 1),
        (lambda a: 2 / a, 2 / values),
        (lambda a: a / 2, values / 2),
        (lambda a: 3 + a * 0.1, 3 + values * np.float32(0.1)),
        (lambda a: abs(a).square_root(), np.sqrt(np.abs(values))),
        (lambda a: a.max() * a + a.sum(), 4 * values + 3),
        (lambda a: (2 - a.max() * 2).spread((3,)).cast("float32"), np.full(3, -6, np.float32)),
    ):
        toy = Toy({"a": values})
        toy.set("a", write(toy["a"]))
        assert toy.run().tensors["a"].tobytes() == expected.astype(np.float32).tobytes()


def test_versions_are_numbered_by_tensor() -> None:
    toy = Toy({"a": np.ones(2), "b": np.ones(2)})
    toy.set("a", toy["a"] + 1)
    toy.set("b", toy["a"] + 1)
    toy.set("a", toy["b"] + 1)
    graph = toy.builder.build()
    assert [version.name for version in graph.versions] == ["a@1", "b@1", "a@2"]
    assert {path: version.name for path, version in graph.outputs.items()} == {"a": "a@2", "b": "b@1"}
    assert [list(each) for each in toy.run().tensors.values()] == [[4, 4], [3, 3]]


def test_choices_know_how_many_entries_they_choose() -> None:
    pool = Permutation(12, b"k" * 16)
    assert chosen_count(Scattered(pool, 5, 0), (3, 4)) == 5
    assert chosen_count(Scattered(pool, 5, 4), (2, 2)) is None
    assert chosen_count(Scattered(pool, 12, 4), (2, 2)) == 4
    assert chosen_count(Listed((0, 3)), (3, 4)) == 2
    assert chosen_count(Window(1, 1, 3), (3, 4)) == 6
    assert chosen_count(Window(1, 0, 0), (3, 0)) == 0
