"""The schedule: every version once, in an order that works, nothing kept for longer than it is read."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mutspec.graph.choice import Listed, Window
from mutspec.graph.expression import draw
from mutspec.graph.graph import Graph
from mutspec.graph.primitives import Access
from mutspec.graph.schedule import Pass, PassKind, schedule
from tests.effort import examples
from tests.toys import Toy, passes_of, same_bits

HANGS = 30.0
"""Seconds of processor time that nothing here comes near. How fast things are is measured in benchmarks/."""

VALUES = np.arange(12.0).reshape(3, 4)


def check(graph: Graph) -> tuple[Pass, ...]:
    """Walk through the passes as an engine would, and see that each finds what it needs."""
    passes = schedule(graph)
    reduced: set[int] = set()
    stored: set[int] = set()
    versions: Counter[str] = Counter()
    for one in passes:
        assert one.stored <= stored
        roots = [one.node, *(number for version in one.versions for number in (version.before, version.node))]
        pending = list(graph.nodes[one.node].inputs) if one.kind is PassKind.REDUCE else roots
        seen: set[int] = set()
        while pending:
            number = pending.pop()
            node = graph.nodes[number]
            if number in one.stored or number in seen:
                continue
            seen.add(number)
            if node.access is Access.REDUCE:
                assert number in reduced, "a reduction is read before it is made"
            elif node.access is Access.GATHER:
                (source,) = node.inputs
                assert source in one.stored or graph.nodes[source].primitive == "base"
            else:
                pending += node.inputs
        if one.kind is PassKind.REDUCE:
            reduced.add(one.node)
        elif one.kind is PassKind.STORE:
            assert one.node not in stored, "stored twice"
            stored.add(one.node)
        versions.update(version.name for version in one.versions)
        assert one.frees <= stored
        stored -= one.frees
    assert not stored
    assert versions == Counter(version.name for version in graph.versions)
    emitted = [one.path for one in passes if one.kind is PassKind.EMIT]
    assert sorted(emitted) == sorted(graph.outputs)
    assert all(one.node == graph.outputs[one.path].node for one in passes if one.kind is PassKind.EMIT)
    return passes


def test_a_chain_of_steps_on_one_tensor_is_one_pass() -> None:
    toy = Toy({"a": VALUES})
    for _ in range(3):
        toy.set("a", toy["a"] * 2.0, Listed((1,)))
    check(toy.builder.build())
    assert passes_of(toy.builder.build()) == ["emit a@1@2@3"]


def test_a_reduction_over_the_input_needs_no_store() -> None:
    toy = Toy({"a": VALUES})
    toy.set("a", toy["a"] * toy["a"].standard_deviation())
    check(toy.builder.build())
    assert passes_of(toy.builder.build()) == ["reduce sum", "reduce sum", "emit a@1"]


def test_a_reduction_over_a_computed_version_stores_it_until_it_was_read() -> None:
    toy = Toy({"a": VALUES})
    toy.set("a", toy["a"] * 2.0)
    toy.set("a", toy["a"] * toy["a"].standard_deviation())
    passes = check(toy.builder.build())
    assert passes_of(toy.builder.build()) == ["store a@1", "reduce sum", "reduce sum", "emit a@2"]
    assert [len(one.frees) for one in passes] == [0, 0, 0, 1]


def test_a_version_that_another_tensor_takes_is_stored() -> None:
    toy = Toy({"a": VALUES, "b": VALUES})
    toy.set("a", toy["a"] * 2.0)
    toy.set("b", toy["a"], Window(1, 0, 2))
    toy.set("a", toy["a"] * 3.0)
    check(toy.builder.build())
    assert passes_of(toy.builder.build()) == ["store a@1", "emit b@1", "emit a@2"]


def test_one_value_for_several_tensors_is_computed_and_stored_once() -> None:
    toy = Toy({"a": VALUES, "b": VALUES, "c": VALUES})
    toy.set("a", toy["a"] * 2.0)
    toy.set("b", toy["a"])
    toy.set("c", toy["b"])
    toy.set("c", toy["c"] / toy["b"].max())
    check(toy.builder.build())
    names = passes_of(toy.builder.build())
    assert names[0] == "store a@1"
    assert sorted(names[1:]) == ["emit a", "emit b@1", "emit c@1@2", "reduce max"]
    outcome = toy.run()
    np.testing.assert_array_equal(outcome.tensors["c"], VALUES / 11)
    assert len(outcome.home.stores) == 1


def test_a_value_that_two_tensors_end_as_is_computed_once() -> None:
    toy = Toy({"a": VALUES, "b": VALUES})
    toy.set("a", toy["a"] * 2.0)
    toy.set("b", toy["a"])
    check(toy.builder.build())
    assert passes_of(toy.builder.build()) == ["store a@1", "emit a", "emit b@1"]


def test_what_is_made_of_a_number_is_not_stored() -> None:
    toy = Toy({"a": VALUES, "b": VALUES})
    for path in "ab":
        toy.set(path, (toy["a"].max() * 0.5).spread((3, 4)))
    toy.set("b", toy["b"] * toy["b"].mean(), Listed((2,)))
    check(toy.builder.build())
    assert not [name for name in passes_of(toy.builder.build()) if "store" in name]
    assert toy.run().tensors["b"].ravel().tolist() == [2.75, 2.75, 2.75**2, *[2.75] * 9]


def test_a_gather_of_a_computed_value_stores_it() -> None:
    toy = Toy({"a": VALUES, "b": np.zeros((3, 2))})
    toy.set("a", toy["a"] * 2.0)
    toy.set("b", toy["a"].window(1, (3, 2)), Window(1, 0, 2))
    check(toy.builder.build())
    assert passes_of(toy.builder.build()) == ["store a@1", "emit a", "emit b@1"]


actions = st.tuples(
    st.sampled_from(["scale", "noise", "fill", "copy", "blend", "window", "normalise", "part"]),
    st.sampled_from("abc"),
    st.sampled_from("abc"),
    st.integers(0, 3),
)


@settings(max_examples=examples(120, 60))
@given(st.lists(actions, max_size=12), st.sampled_from([1, 3]))
@example([("fill", "a", "b", 2), ("fill", "b", "b", 2), ("window", "a", "a", 0)], 1)
def test_any_sequence_of_steps_is_scheduled_and_gives_what_numpy_gives(
    program: list[tuple[str, str, str, int]], threads: int
) -> None:
    tensors = {path: np.random.default_rng(number).standard_normal((4, 5)) for number, path in enumerate("abc")}
    toy, now = Toy(tensors), {path: values.copy() for path, values in tensors.items()}
    for action, path, other, number in program:
        key = bytes([number]) * 16
        if action == "scale":
            toy.set(path, toy[path] * (1.5 + number))
            now[path] = now[path] * (1.5 + number)
        elif action == "noise":
            toy.set(path, toy[path] + draw(toy.builder, "normal", key, (4, 5), "float64"))
            bits = np.random.Philox(key=int.from_bytes(key, "little"), counter=0)
            now[path] = now[path] + np.random.Generator(bits).standard_normal(20).reshape(4, 5)
        elif action == "fill":
            toy.set(path, (toy[other].max() + number).spread((4, 5)))
            now[path] = np.full((4, 5), now[other].max() + number)
        elif action == "copy":
            toy.set(path, toy[other])
            now[path] = now[other].copy()
        elif action == "blend":
            toy.set(path, toy[path] + toy[other])
            now[path] = now[path] + now[other]
        elif action == "window":
            toy.set(path, toy[other].window(1, (4, 5)), Window(1, number, 4))
            now[path] = now[path].copy()
            now[path][:, number:4] = now[other][:, number:4]
        elif action == "normalise":
            toy.set(path, toy[path] / (1 + abs(toy[other]).max()))
            now[path] = now[path] / (1 + np.abs(now[other]).max())
        else:
            toy.set(path, toy[path] * -1.0, Listed((number, 7 + number)))
            now[path] = now[path].copy()
            now[path].flat[[number, 7 + number]] *= -1
    check(toy.builder.build())
    outcome = toy.run(threads)
    for path in "abc":
        assert same_bits(outcome.tensors[path], now[path])


@pytest.mark.parametrize("depends_on_its_past", [False, True])
def test_a_thousand_steps_on_one_tensor_are_quick(depends_on_its_past: bool) -> None:
    toy = Toy({"a": np.ones(3)})
    begin = time.process_time()
    for number in range(1000):
        factor = toy["a"].max() if depends_on_its_past else 1.0 + number % 2
        toy.set("a", (toy["a"] + 1.0) / factor)
    passes = check(toy.builder.build())
    assert len(passes) == (2000 if depends_on_its_past else 1)
    outcome = toy.run()
    assert time.process_time() - begin < HANGS
    assert len(outcome.effects) == 1000
    assert len(outcome.home.stores) == (999 if depends_on_its_past else 0)


def test_a_thousand_tensors_in_many_steps_are_quick() -> None:
    tensors = {f"t{number}": np.ones(2) for number in range(1000)}
    toy = Toy(tensors)
    begin = time.process_time()
    for step in range(3):
        for number, path in enumerate(tensors):
            other = f"t{(number * 7 + step) % 1000}"
            toy.set(path, toy[path] * 0.5 + toy[other])
    schedule(toy.builder.build())
    assert time.process_time() - begin < HANGS
