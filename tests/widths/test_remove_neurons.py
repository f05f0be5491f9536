"""`remove_neurons` and `mask_neurons`: which units go, what goes with them, and what a report says of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from tests.widths.networks import step
from tests.zoo.play import drawn, mutant_of, outputs


@cache
def chain() -> Any:
    """Three Dense layers."""
    import keras
    from keras import layers

    given = keras.Input((6,), name="given")
    x = layers.Dense(8, activation="relu", name="first")(given)
    x = layers.Dense(5, activation="relu", name="second")(x)
    return drawn(keras.Model(given, layers.Dense(3, name="last")(x)))


@cache
def image() -> Any:
    """A residual block with batch normalizations, a concatenation, and a Dense after a Flatten."""
    import keras
    from keras import layers

    given = keras.Input((6, 6, 3), name="given")
    stem = layers.Conv2D(4, 3, padding="same", name="stem")(given)
    stem = layers.ReLU(name="relu")(layers.BatchNormalization(name="stem_bn")(stem))
    inner = layers.Conv2D(7, 3, padding="same", activation="relu", name="inner")(stem)
    branch = layers.BatchNormalization(name="branch_bn")(layers.Conv2D(4, 1, name="branch")(inner))
    both = layers.Concatenate(name="both")([layers.Add(name="add")([stem, branch]), inner])
    flat = layers.Flatten(name="flat")(layers.MaxPooling2D(name="pool")(both))
    return drawn(keras.Model(given, layers.Dense(2, name="head")(flat)))


def weights(model: Any, layer: str) -> list[np.ndarray]:
    return [np.asarray(weight) for weight in model.get_layer(layer).get_weights()]


def removed(model: Any, target: Any, **keys: Any) -> Any:
    return mutant_of(model, step(target, **keys))


# Which weights.


def test_a_unit_goes_with_its_bias_and_the_row_that_reads_it() -> None:
    mutant = removed(chain(), "first", indices=[0, -2])
    kernel, bias = weights(chain(), "first")
    read, _ = weights(chain(), "second")
    assert np.array_equal(weights(mutant, "first")[0], np.delete(kernel, [0, 6], axis=1))
    assert np.array_equal(weights(mutant, "first")[1], np.delete(bias, [0, 6]))
    assert np.array_equal(weights(mutant, "second")[0], np.delete(read, [0, 6], axis=0))
    assert np.array_equal(weights(mutant, "second")[1], weights(chain(), "second")[1])
    assert mutant.get_layer("first").units == 6


def test_what_is_added_to_a_removed_filter_goes_too() -> None:
    mutant = removed(image(), "stem", indices=[2])
    for layer in ("stem_bn", "branch_bn"):
        for before, after in zip(weights(image(), layer), weights(mutant, layer), strict=True):
            assert np.array_equal(after, np.delete(before, 2))
    assert np.array_equal(weights(mutant, "branch")[0], np.delete(weights(image(), "branch")[0], 2, axis=3))
    assert np.array_equal(weights(mutant, "inner")[0], np.delete(weights(image(), "inner")[0], 2, axis=2))
    gone = [place * 11 + 2 for place in range(9)]  # 3×3 places of 4 + 7 channels
    assert np.array_equal(weights(mutant, "head")[0], np.delete(weights(image(), "head")[0], gone, axis=0))


def test_channels_that_are_concatenated_keep_their_places() -> None:
    mutant = removed(image(), "inner", indices=[0, 6])
    gone = [place * 11 + 4 + channel for place in range(9) for channel in (0, 6)]
    assert np.array_equal(weights(mutant, "head")[0], np.delete(weights(image(), "head")[0], gone, axis=0))
    assert np.array_equal(weights(mutant, "branch")[0], np.delete(weights(image(), "branch")[0], [0, 6], axis=2))


# Which units.


def kept(model: Any, mutant: Any, layer: str) -> list[int]:
    """The units of a layer that a mutant still has."""
    before, after = (weights(each, layer)[0].reshape(-1, weights(each, layer)[0].shape[-1]) for each in (model, mutant))
    rows = after.shape[0]
    return [at for at in range(before.shape[1]) if any(np.array_equal(before[:rows, at], each) for each in after.T)]


@pytest.mark.parametrize(("by", "norm"), [("l2", 2), ("l1", 1)])
@pytest.mark.parametrize("rank", ["smallest", "largest"])
def test_units_are_ranked_by_the_norm_of_their_incoming_weights(by: str, norm: int, rank: str) -> None:
    mutant = removed(chain(), "first", count=3, rank=rank, by=by)
    order = np.argsort(np.linalg.norm(weights(chain(), "first")[0], ord=norm, axis=0))
    gone = order[:3] if rank == "smallest" else order[-3:]
    assert kept(chain(), mutant, "first") == sorted(set(range(8)) - set(gone))


def test_units_are_ranked_by_the_gamma_that_follows() -> None:
    mutant = removed(image(), "stem", count=1, rank="smallest", by="gamma")
    gamma = np.abs(weights(image(), "stem_bn")[0])
    assert np.array_equal(weights(mutant, "stem_bn")[0], np.delete(weights(image(), "stem_bn")[0], np.argmin(gamma)))


def test_one_budget_over_all_targets_goes_by_the_share_of_the_mean_norm_of_a_layer() -> None:
    mutant = removed(chain(), ["first", "second"], count=5, rank="smallest", per="all")
    norms = {name: np.linalg.norm(weights(chain(), name)[0], axis=0) for name in ("first", "second")}
    scores = [(value / norm.mean(), name) for name, norm in norms.items() for value in norm]
    counts = [name for _, name in sorted(scores)[:5]]
    units = {name: mutant.get_layer(name).units for name in norms}
    assert units == {"first": 8 - counts.count("first"), "second": 5 - counts.count("second")}


def test_random_units_are_others_with_another_seed_and_fewer_are_some_of_more() -> None:
    draws = [{seed: set(kept(chain(), mutant_of_seed(seed, count), "first")) for seed in range(4)} for count in (2, 4)]
    assert len({frozenset(each) for each in draws[0].values()}) > 1
    assert all(draws[1][seed] <= draws[0][seed] for seed in range(4))


def mutant_of_seed(seed: int, count: int) -> Any:
    return mutspec.apply(mutspec.plan({"seed": seed, "steps": [step("first", count=count)]}), chain())


@pytest.mark.parametrize(
    ("keys", "units"),
    [
        ({"count": 3}, 5),
        ({"fraction": "25%"}, 6),
        ({"fraction": 0.3}, 6),  # 2.4 rounded
        ({"count": 3, "round_to": 4}, 8 - 0),
        ({"count": 5, "round_to": 4}, 4),
        ({"count": 7}, 1),
    ],
)
def test_an_amount_is_a_number_of_units_of_which_as_many_stay_as_rounding_says(keys: Any, units: int) -> None:
    assert removed(chain(), "first", allow_empty=True, **keys).get_layer("first").units == units


def test_layers_that_share_channels_count_as_one() -> None:
    mutant = removed(image(), ["stem", "branch"], count=1)
    assert mutant.get_layer("stem").filters == mutant.get_layer("branch").filters == 3


def test_two_steps_remove_what_one_would() -> None:
    once = removed(chain(), "first", indices=[1, 2, 5])
    twice = mutant_of(chain(), step("first", indices=[2], id="a"), step("first", indices=[1, 4], id="b"))
    for one, other in zip(once.get_weights(), twice.get_weights(), strict=True):
        assert np.array_equal(one, other)


# Coupled layers.


def test_what_is_masked_is_zero_and_keeps_its_shape() -> None:
    masked = mutant_of(image(), step("stem", "mask_neurons", indices=[2]))
    same = removed(image(), "stem", indices=[2], coupled="mask")
    for layer in ("stem", "stem_bn", "branch", "branch_bn", "inner", "head"):
        for one, other in zip(weights(masked, layer), weights(same, layer), strict=True):
            assert np.array_equal(one, other)
    assert not weights(masked, "stem")[0][..., 2].any()
    assert not weights(masked, "inner")[0][:, :, 2].any()
    assert np.array_equal(weights(masked, "stem_bn")[3], weights(image(), "stem_bn")[3])  # variances divide


def test_of_a_kernel_between_two_masked_layers_each_entry_counts_once() -> None:
    plan = mutspec.plan({"steps": [step(["stem", "inner"], "mask_neurons", indices=[0, 2])]})
    report = mutspec.dry_run(plan, image()).to_json()["steps"][0]["targets"]
    kernel = weights(image(), "inner")[0]
    kernel[:, :, [0, 2]] = 0
    kernel[..., [0, 2]] = 0
    assert np.array_equal(weights(mutspec.apply(plan, image()), "inner")[0], kernel)
    (touched,) = (each["touched"] for each in report if (each["layer"], each["weight"]) == ("inner", "kernel"))
    assert touched == np.count_nonzero(kernel == 0)


def test_units_of_other_layers_can_be_refused() -> None:
    with pytest.raises(PlanError, match="units of `branch` would go too"):
        removed(image(), "stem", count=1, coupled="refuse")
    assert removed(image(), ["stem", "branch"], count=1, coupled="refuse").get_layer("branch").filters == 3


def test_outputs_stay_unless_the_step_says_otherwise() -> None:
    with pytest.raises(PlanError, match="they are an output of the model"):
        removed(chain(), "last", indices=[0])
    mutant = removed(chain(), "last", indices=[0], outputs=True)
    values = [np.random.default_rng(0).normal(size=(4, 6)).astype("float32")]
    (before,), (after,) = outputs(chain(), values), outputs(mutant, values)
    assert np.allclose(after, before[:, 1:], atol=1e-6)


# Reports, files.


def test_where_all_layers_would_be_skipped_the_hint_is_not_to_skip_them() -> None:
    model = chain()
    with pytest.raises(PlanError, match="an output of the model") as caught:
        removed(model, model.layers[-1].name, count=1, on_unremovable="skip")
    assert "name others, or say `allow_empty: true`" in str(caught.value.problems[0].hint)


def test_where_rounding_leaves_nothing_to_remove_the_hint_names_what_would_help_and_is_not_there_yet() -> None:
    model = chain()
    with pytest.raises(PlanError, match="0 units after rounding") as caught:
        removed(model, "first", count=1, per="all", round_to=64)
    assert caught.value.problems[0].hint == "raise it, lower `round_to`, or say `allow_empty: true`"


def test_a_dry_run_says_who_is_coupled_and_why() -> None:
    report = mutspec.dry_run(mutspec.plan({"steps": [step("stem", indices=[2])]}), image())
    (group,) = report.to_json()["steps"][0]["coupled"]
    assert group["units"] == [{"layer": "stem", "argument": "filters", "before": 4, "after": 3, "indices": [2]}]
    roles = {layer["layer"]: layer["role"] for layer in group["layers"]}
    assert roles == {
        "stem": "target",
        "stem_bn": "channels",
        "inner": "inputs",
        "branch": "units",
        "branch_bn": "channels",
        "head": "inputs",
    }
    assert group["coupled_by"] == [{"layer": "add", "type": "Add"}]
    head = next(layer for layer in group["layers"] if layer["layer"] == "head")
    assert head["weights"] == [{"weight": "kernel", "before": [99, 2], "after": [90, 2]}]
    assert "with it units of `branch`, coupled by `add`" in str(report)


def test_a_dry_run_shows_layers_together_that_share_units_and_others_apart() -> None:
    import keras

    layers = keras.layers
    given = keras.Input((4, 3))
    branches = [layers.Dense(2, name=f"branch_{number}")(given) for number in range(4)]
    x = layers.DepthwiseConv1D(2, name="joined")(layers.Concatenate()(branches[:3]))
    x = layers.Dense(2, name="after")(layers.Concatenate()([x, layers.Cropping1D((0, 1))(branches[3])]))
    model = keras.Model(given, layers.Dense(2, name="head")(x))
    targets = ["branch_*", "after"]
    report = mutspec.dry_run(mutspec.plan({"steps": [step(targets, count=1)]}), model)
    groups = [[units["layer"] for units in group["units"]] for group in report.to_json()["steps"][0]["coupled"]]
    assert groups == [["branch_0", "branch_1", "branch_2"], ["branch_3"], ["after"]]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_file_gets_what_a_model_in_memory_gets(tmp_path: Path, suffix: str) -> None:
    import keras

    plan = mutspec.plan(
        {"seed": 2, "steps": [step("stem", count=2, rank="smallest"), step("inner", fraction="40%", id="b")]}
    )
    image().save(tmp_path / f"base{suffix}")
    mutspec.apply(plan, tmp_path / f"base{suffix}", output=tmp_path / f"mutant{suffix}")
    loaded = keras.models.load_model(tmp_path / f"mutant{suffix}")
    live = mutspec.apply(plan, image())
    for one, other in zip(loaded.get_weights(), live.get_weights(), strict=True):
        assert np.array_equal(one, other)
