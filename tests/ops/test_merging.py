"""Weights of other layers and models: exchanged, shared, blended along an arc, found by their names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mutspec
from mutspec.errors import PlanError
from tests.formulas import FORMULAS, Case
from tests.ops.op_table import LAW, SHAPES
from tests.oracle import COMPUTED_IN, Step
from tests.toys import Tensors, mutate, same_bits

DTYPES = st.sampled_from(["float64", "float32", "float16", "bfloat16", "int8"])
FLOATS = st.sampled_from(["float64", "float32", "float16", "bfloat16"])


@st.composite
def twins(draw: st.DrawFn, dtypes: st.SearchStrategy[str] = DTYPES, layers: int = 2) -> Tensors:
    """Layers of the same structure, and one other layer."""
    dtype, random = draw(dtypes), np.random.default_rng(draw(st.integers(0, 9)))
    shapes = {"kernel": draw(SHAPES), "bias": draw(SHAPES)}
    names = [*(f"{number}l/{role}" for number in range(layers) for role in shapes), "beside/kernel"]
    low, high = (-100, 100) if dtype == "int8" else (-2, 2)
    return {
        name: np.asarray(random.uniform(low, high, shapes[name.rpartition("/")[2]])).astype(dtype) for name in names
    }


@LAW
@given(twins())
def test_two_layers_swap_all_their_weights_and_swap_them_back(before: Tensors) -> None:
    step = {"op": "swap_weights", "target": "0l", "other": "1l"}
    mutant = mutate(before, step)
    wanted = {**before, **{f"{one}l/{role}": before[f"{1 - one}l/{role}"] for one in (0, 1) for role in ROLES}}
    assert {path: same_bits(mutant.tensors[path], wanted[path]) for path in before} == dict.fromkeys(before, True)
    assert mutant.touched() == {path: before[path].size for path in before if path != "beside/kernel"}
    twice = mutate(before, [{**step, "id": "one"}, {**step, "id": "two"}]).tensors
    assert {path: same_bits(twice[path], before[path]) for path in before} == dict.fromkeys(before, True)


ROLES = ("kernel", "bias")


@LAW
@given(twins(layers=3), st.sampled_from(["0l", "1l"]))
def test_layers_share_the_values_of_the_first(before: Tensors, other: str) -> None:
    mutant = mutate(before, {"op": "share_values", "target": ["2l", other]})
    wanted = {**before, **{f"2l/{role}": before[f"{other}/{role}"] for role in ROLES}}
    assert {path: same_bits(mutant.tensors[path], wanted[path]) for path in before} == dict.fromkeys(before, True)
    assert mutant.touched() == {f"2l/{role}": before[f"2l/{role}"].size for role in ROLES}


@LAW
@given(twins(FLOATS, layers=3))
def test_layers_share_their_mean(before: Tensors) -> None:
    mutant = mutate(before, {"op": "share_values", "target": {"name": "*l"}, "take": "mean"})
    for role in ROLES:
        dtype = before[f"0l/{role}"].dtype
        parts = [before[f"{number}l/{role}"].astype(COMPUTED_IN.get(dtype.name, dtype.name)) for number in range(3)]
        mean = np.asarray((parts[0] + parts[1] + parts[2]) / parts[0].dtype.type(3)).astype(dtype)
        for number in range(3):
            assert same_bits(mutant.tensors[f"{number}l/{role}"], mean)
    assert same_bits(mutant.tensors["beside/kernel"], before["beside/kernel"])


@LAW
@given(twins(FLOATS), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([None, 1.0, -1.0, 0.0, 2.0]))
def test_a_spherical_blend_is_the_point_on_the_arc(before: Tensors, t: float, factor: float | None) -> None:
    """Where one is a multiple of the other, or is 0, the arc is a line."""
    weight = before["0l/kernel"]
    other = before["1l/kernel"] if factor is None else np.asarray(weight * np.asarray(factor, weight.dtype))
    inputs = {"other": {**before, "0l/kernel": other}}
    step = {"op": "blend", "target": "0l/kernel", "source": "other:", "t": t, "along": "spherical"}
    after = mutate(before, step, inputs=inputs).tensors["0l/kernel"]
    wide = weight.astype("float64")
    wanted = FORMULAS["blend"](Case(step, "0l/kernel", wide, wide.dtype, np.ones(wide.shape, bool), inputs))
    tolerance = {"float64": 1e-6, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[weight.dtype.name]
    np.testing.assert_allclose(after.astype("float64"), wanted, atol=tolerance)


def test_a_spherical_blend_keeps_the_norm_where_a_linear_one_sags() -> None:
    before = {"d/kernel": np.array([[3.0, 0.0]])}
    other = {"d/kernel": np.array([[0.0, 3.0]])}
    step = {"op": "blend", "target": "d", "source": "other:", "t": 0.5}
    straight, round_ = (
        mutate(before, {**step, "along": along}, inputs={"other": other}).tensors["d/kernel"]
        for along in ("linear", "spherical")
    )
    np.testing.assert_array_equal(straight, [[1.5, 1.5]])
    np.testing.assert_allclose(round_, np.array([[3.0, 3.0]]) / np.sqrt(2), rtol=1e-12)


SOURCES: Mapping[str, tuple[str, str]] = {
    "the same weight of another model": ("other:", "other:d/kernel"),
    "a layer": ("e", "e/kernel"),
    "a weight": ("e/kernel", "e/kernel"),
    "a layer of another model": ("other:e", "other:e/kernel"),
    "a weight of another model": ("other:e/kernel", "other:e/kernel"),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    "step",
    [
        {"op": "blend", "source": "<source>", "t": 1.0},
        {"op": "average", "sources": ["<source>"], "shares": [0.0, 1.0]},
        {"op": "crossover", "source": "<source>", "fraction": 1.0},
        {"op": "add_difference", "plus": "<source>", "minus": "d/kernel"},
    ],
    ids=lambda step: step["op"],
)
def test_a_source_is_found_by_its_name(step: Step, name: str) -> None:
    source, wanted = SOURCES[name]
    random = np.random.default_rng(0)
    models = {
        model: {path: random.integers(1, 99, (3, 4)).astype("float64") for path in ("d/kernel", "e/kernel", "e/bias")}
        for model in ("", "other")
    }
    filled = {
        key: source if value == "<source>" else [source] if value == ["<source>"] else value
        for key, value in step.items()
    }
    after = mutate(models[""], {**filled, "target": "d"}, inputs={"other": models["other"]}).tensors
    model, _, path = wanted.rpartition(":")
    np.testing.assert_array_equal(after["d/kernel"], models[model][path])
    np.testing.assert_array_equal(after["e/kernel"], models[""]["e/kernel"])


def test_a_source_in_the_same_model_is_as_the_steps_before_left_it() -> None:
    before = {"d/kernel": np.array([1.0]), "e/kernel": np.array([5.0])}
    steps = [
        {"op": "scale", "target": "e", "factor": 3.0},
        {"op": "blend", "target": "d", "source": "e", "t": 1.0},
        {"op": "swap_weights", "target": "d", "other": "e"},
        {"op": "scale", "id": "again", "target": "d", "factor": 2.0},
    ]
    after = mutate(before, steps).tensors
    assert (after["d/kernel"].item(), after["e/kernel"].item()) == (30.0, 15.0)


MISFITS: Mapping[str, tuple[Step, str, tuple[str | int, ...]]] = {
    "another shape": (
        {"op": "blend", "source": "e", "t": 1}, r"`e/kernel` \(4\).*does not fit `d/kernel` \(3\)", ("source",)
    ),
    "no such layer": ({"op": "blend", "source": "g", "t": 1}, "no layer is called `g`", ("source",)),
    "no such weight in the other model": (
        {"op": "crossover", "source": "other:", "count": 1}, "`other` has no weight `d/kernel`", ("source",)
    ),
    "the second source": (
        {"op": "average", "sources": ["d", "e"]}, r"`e/kernel` \(4\).*does not fit", ("sources", 1)
    ),
    "a layer that has many": (
        {"op": "blend", "source": "two", "t": 1}, "`two` does not have exactly one weight that belongs to", ("source",)
    ),
    "swapped with another shape": ({"op": "swap_weights", "other": "e"}, "cannot change places with", ("other",)),
    "swapped with itself": ({"op": "swap_weights", "other": "d"}, "a weight is on both sides", ("other",)),
    "shared by two shapes": ({"op": "share_values", "target": ["d", "e"]}, "cannot have the values of", ("target",)),
}  # fmt: skip


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_belong_together_are_named(name: str) -> None:
    step, message, at = MISFITS[name]
    sizes = {"d/kernel": 3, "e/kernel": 4, "two/alpha": 3, "two/beta": 3}
    before = {path: np.ones(size) for path, size in sizes.items()}
    with pytest.raises(PlanError, match=message) as caught:
        mutate(before, {"target": "d", **step}, inputs={"other": {"x/kernel": np.ones(3)}})
    assert caught.value.problems[0].path == ("steps", 0, *at)


def test_a_merge_casts_its_source_to_the_dtype_of_the_target() -> None:
    before = {"d/kernel": np.array([1.0], np.float16), "e/kernel": np.array([1.0 + 2.0**-9, 3.0], np.float32)[:1]}
    after = mutate(before, {"op": "average", "target": "d", "sources": ["e"]}).tensors["d/kernel"]
    assert same_bits(after, np.array([1.0 + 2.0**-10], np.float16))


def test_a_crossover_never_takes_all_or_nothing_of_a_tensor_at_one_point() -> None:
    before, other = {"d/kernel": np.zeros(5)}, {"d/kernel": np.ones(5)}
    cuts = set()
    for seed in range(80):
        step = {"op": "crossover", "target": "d", "source": "other:", "method": "one_point", "seed": seed}
        after = mutate(before, step, inputs={"other": other}).tensors["d/kernel"].tolist()
        assert after == sorted(after)
        cuts.add(int(sum(after)))
    assert cuts == {1, 2, 3, 4}


def test_layers_are_crossed_as_wholes_at_the_rate() -> None:
    names = [f"layer{number}/{role}" for number in range(200) for role in ROLES]
    before, other = ({name: np.full(3, value) for name in names} for value in (0.0, 1.0))
    step = {"op": "crossover", "target": "*", "source": "other:", "method": "layers", "rate": 0.25}
    after = mutate(before, step, inputs={"other": other}).tensors
    taken = {name: float(values.mean()) for name, values in after.items()}
    assert set(taken.values()) == {0.0, 1.0}
    assert all(taken[f"layer{number}/kernel"] == taken[f"layer{number}/bias"] for number in range(200))
    assert 30 <= sum(taken.values()) / 2 <= 70


def test_layers_of_one_structure_share_the_values_of_each_weight_at_its_place() -> None:
    import keras

    queries = keras.Input((4, 6))
    x = keras.layers.MultiHeadAttention(2, 3, name="one")(queries, queries)
    x = keras.layers.MultiHeadAttention(2, 3, name="other")(x, x)
    model = keras.Model(queries, x)
    mutant = mutspec.apply(mutspec.plan({"steps": [{"op": "share_values", "target": ["one", "other"]}]}), model)
    wanted = model.get_layer("one").get_weights()
    for name in ("one", "other"):
        assert all(map(np.array_equal, mutant.get_layer(name).get_weights(), wanted))
