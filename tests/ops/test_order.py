"""Weights that change places: nothing is lost, nothing is made, and what is done twice can be undone.

Borrowed from the product are the draws alone: see `tests/oracle.py`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mutspec.errors import PlanError
from mutspec.graph.permutation import Permutation
from mutspec.graph.streams import stream_key, uniform_64_bits
from tests.ops.op_table import LAW, TARGET, fitting, models, steps
from tests.oracle import Step, masks
from tests.toys import Tensors, layered, mutate, same_bits

KINDS = ("swap", "inversion", "scramble")


def bits(values: np.ndarray) -> Counter[bytes]:
    """The entries of a tensor, whatever their order."""
    return Counter(entry.tobytes() for entry in values.ravel())


def columns(values: np.ndarray) -> list[np.ndarray]:
    return [np.ascontiguousarray(values[..., column]) for column in range(values.shape[-1])]


@LAW
@given(steps(("shuffle",), otherwise=False), models(("float32", "bfloat16", "int8")))
def test_a_shuffle_permutes_the_chosen_entries_of_each_tensor(step: Step, tensors: Tensors) -> None:
    tensors = fitting(step, tensors)
    after = mutate(tensors, step).tensors
    chosen = masks(step, {path: tensors[path] for path in ("d/kernel", "d/bias", "e/kernel", "e/gamma")})
    for path, mask in chosen.items():
        assert bits(after[path][mask]) == bits(tensors[path][mask])
        assert same_bits(after[path][~mask], tensors[path][~mask])


@LAW
@given(steps(("shuffle_neurons", "swap_neurons"), otherwise=False), models(("float32", "float16")))
def test_neurons_are_shuffled_within_and_swapped_as_wholes(step: Step, tensors: Tensors) -> None:
    tensors = fitting(step, tensors)
    after = mutate(tensors, step).tensors
    for path in ("d/kernel", "e/kernel"):
        before, now = columns(tensors[path]), columns(after[path])
        if step["op"] == "shuffle_neurons":
            assert [bits(column) for column in now] == [bits(column) for column in before]
        else:
            assert Counter(column.tobytes() for column in now) == Counter(column.tobytes() for column in before)


def test_each_neuron_is_shuffled_in_an_order_of_its_own() -> None:
    before = {"d/kernel": np.repeat(np.arange(50, dtype=np.float32)[:, None], 4, axis=1)}
    after = mutate(before, {"op": "shuffle_neurons", "target": "d"}).tensors["d/kernel"]
    assert len({column.tobytes() for column in columns(after)}) == 4


def test_a_shuffle_can_take_any_entry_to_any_place() -> None:
    before = {"d/kernel": np.arange(4, dtype=np.float32)}
    seen = {(entry, place) for seed in range(60) for place, entry in enumerate(_shuffled(before, seed))}
    assert len(seen) == 16


def _shuffled(before: Tensors, seed: int) -> list[float]:
    return list(mutate(before, {"op": "shuffle", "target": "d", "seed": seed}).tensors["d/kernel"].tolist())


INVOLUTIONS: dict[str, st.SearchStrategy[Step]] = {
    op: steps((op,), otherwise=op == "bit_flip") for op in ("negate", "negate_neurons", "swap_neurons", "bit_flip")
}


@pytest.mark.parametrize("op", INVOLUTIONS)
@LAW
@given(data=st.data())
def test_what_is_done_twice_on_one_stream_is_undone(op: str, data: st.DataObject) -> None:
    step = data.draw(INVOLUTIONS[op])
    step.pop("rank", None)  # the second step would rank what the first left
    if op == "bit_flip":
        step = {key: value for key, value in step.items() if key not in ("format", "scale")}  # casts lose bits
    tensors = fitting(step, data.draw(models()))
    twice = [{**step, "id": "one", "stream": "same"}, {**step, "id": "two", "stream": "same"}]
    after = mutate(tensors, twice).tensors
    assert {path: same_bits(after[path], tensors[path]) for path in tensors} == dict.fromkeys(tensors, True)


@pytest.mark.parametrize("op", INVOLUTIONS)
def test_what_is_done_once_is_not_nothing(op: str) -> None:
    before = layered()
    after = mutate(before, {"op": op, "target": TARGET, "count": 2}).tensors
    assert not same_bits(after["d/kernel"], before["d/kernel"])


def genes_of(step: Step, tensors: Tensors) -> list[list[str]]:
    """The genomes, each as its tensors."""
    paths = [path for path in tensors if path.startswith(("d/", "e/")) and not path.endswith("moving_mean")]
    paths = [path for path in paths if tensors[path].size]
    over = step.get("per", "all")
    names = {"all": lambda path: "", "layer": lambda path: path.rpartition("/")[0], "tensor": lambda path: path}
    genomes: dict[str, list[str]] = {}
    for path in paths:
        genomes.setdefault(names[over](path), []).append(path)
    return list(genomes.values())


def rearranged(step: Step, tensors: Tensors) -> dict[str, np.ndarray]:
    """`permute_genes` in NumPy."""
    results = dict(tensors)
    for paths in genes_of(step, tensors):
        genes = np.concatenate([tensors[path].ravel() for path in paths])
        origin = "" if step.get("per", "all") == "all" else paths[0]

        def key(name: str, origin: str = origin) -> bytes:
            return stream_key(step["seed"], "permute_genes", origin, name)

        size = len(genes)
        if size < 2:
            continue
        ends = sorted(uniform_64_bits(key(name)) * (size + 1) // 2**64 for name in ("start", "stop"))
        start, stop = ends if ends[1] - ends[0] > 1 else (min(ends[0], size - 2), min(ends[0], size - 2) + 2)
        if step["kind"] == "swap":
            pair = Permutation(size, key("choose")).chosen(2)
            genes[pair] = genes[pair[::-1]]
        elif step["kind"] == "inversion":
            genes[start:stop] = genes[start:stop][::-1]
        else:
            order = Permutation(stop - start, key("order"))
            genes[start:stop] = genes[start:stop][[order.image(number) for number in range(stop - start)]]
        offset = 0
        for path in paths:
            values = tensors[path]
            results[path] = genes[offset : offset + values.size].reshape(values.shape)
            offset += values.size
    return results


permutations = st.fixed_dictionaries(
    {
        "op": st.just("permute_genes"),
        "target": st.just(TARGET),
        "kind": st.sampled_from(KINDS),
        "allow_empty": st.just(True),
        "seed": st.integers(0, 30),
    },
    optional={"per": st.sampled_from(["all", "layer", "tensor"])},
)


@LAW
@given(permutations, models(("float64", "float32", "bfloat16", "int8")))
def test_genes_are_rearranged_over_tensors_as_one_array(step: Step, tensors: Tensors) -> None:
    mutant = mutate(tensors, step)
    wanted = rearranged(step, tensors)
    assert {path: same_bits(mutant.tensors[path], wanted[path]) for path in tensors} == dict.fromkeys(tensors, True)
    for paths in genes_of(step, tensors):
        whole = [sum((bits(each[path]) for path in paths), Counter()) for each in (tensors, mutant.tensors)]
        assert whole[0] == whole[1]
    for write in mutant.program.steps[0].writes:
        assert mutant.outcome.effects[write.version].touched == write.touched


@LAW
@given(permutations, models(("float32", "int8")))
def test_genes_that_are_swapped_or_inverted_twice_are_as_before(step: Step, tensors: Tensors) -> None:
    if step["kind"] == "scramble":
        step["kind"] = "inversion"
    twice = [{**step, "id": "one", "stream": "same"}, {**step, "id": "two", "stream": "same"}]
    after = mutate(tensors, twice).tensors
    assert {path: same_bits(after[path], tensors[path]) for path in tensors} == dict.fromkeys(tensors, True)


@pytest.mark.parametrize("kind", KINDS)
def test_every_gene_takes_part_the_first_and_the_last_included(kind: str) -> None:
    before = {"d/kernel": np.arange(3, dtype=np.float32), "d/bias": np.arange(3, 6, dtype=np.float32)}
    seen: set[tuple[str, int]] = set()
    for seed in range(60):
        after = mutate(before, {"op": "permute_genes", "target": "d", "kind": kind, "seed": seed}).tensors
        moved = {(path, int(place)) for path in before for place in np.flatnonzero(before[path] != after[path])}
        assert len(moved) == 2 or kind != "swap"
        seen |= moved
    assert len(seen) == 6


def test_genes_of_two_dtypes_are_not_a_genome() -> None:
    before = {"d/kernel": np.ones(3, np.float32), "d/bias": np.ones(3, np.float16)}
    step: dict[str, Any] = {"op": "permute_genes", "target": "d", "kind": "swap"}
    with pytest.raises(PlanError, match="`d/kernel` is float32 and `d/bias` float16; a genome has one"):
        mutate(before, step)
    assert mutate(before, {**step, "per": "tensor"}).touched() == {"d/kernel": 2, "d/bias": 2}
