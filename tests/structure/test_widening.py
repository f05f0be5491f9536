"""Wider layers predict what they predicted before, on every kind of layer that has a rule, and by hand in NumPy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.structure.coupling.labels import MarkKind
from tests.structure import coupled_models
from tests.structure.coupling_of import Width, coupling_of_model, labels_of, widths_of
from tests.structure.coupling_of import drawn as coupling_drawn
from tests.zoo.play import assert_same_outputs, drawn, inputs_of, mutant_of, outputs, shared, weights


def widened(model: Any, target: Any, **keys: Any) -> Any:
    return mutant_of(model, {"op": "widen_layer", "target": target, **keys})


def network(shape: tuple[int, ...], build: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """A model of a function of the layers of Keras and the input."""

    def made() -> Any:
        import keras

        given = keras.Input(shape, name="image")
        return drawn(keras.Model(given, build(keras.layers, given)))

    return made


def residual(ly: Any, x: Any) -> Any:
    trunk = ly.BatchNormalization()(ly.Conv2D(6, 3, padding="same", name="stem")(x))
    branch = ly.Conv2D(6, 3, padding="same", name="branch")(ly.ReLU()(trunk))
    return ly.Dense(2)(ly.Flatten()(ly.Add(name="add")([trunk, branch])))


def depthwise(ly: Any, x: Any) -> Any:
    x = ly.Conv2D(4, 1, name="stem", activation="relu")(x)
    x = ly.PReLU(shared_axes=[1, 2])(ly.DepthwiseConv2D(3, depth_multiplier=2, name="deep")(x))
    return ly.Conv2D(3, 1)(ly.SeparableConv2D(5, 2, name="apart")(x))


def joined(ly: Any, x: Any) -> Any:
    one, two = ly.Conv2D(3, 1, name="one")(x), ly.Conv2D(4, 1, name="two")(x)
    x = ly.Concatenate()([one, two, one])
    return ly.Dense(2)(ly.Flatten()(ly.BatchNormalization()(x)))


def grouped(ly: Any, x: Any) -> Any:
    x = ly.Conv2D(8, 1, name="stem")(x)
    x = ly.Conv2D(12, 3, groups=4, name="groups", activation="tanh")(x)
    return ly.Conv2D(2, 1)(x)


def halved(ly: Any, x: Any) -> Any:
    x = ly.Conv2D(8, 1, name="stem")(x)
    x = ly.Conv2D(12, 3, groups=2, name="groups", activation="tanh")(x)
    return ly.Conv2D(2, 1)(x)


def squeezed(ly: Any, x: Any) -> Any:
    x = ly.Conv2D(6, 3, name="stem")(x)
    scale = ly.Dense(6, activation="sigmoid", name="up")(ly.Dense(3, name="down")(ly.GlobalAveragePooling2D()(x)))
    return ly.Dense(2)(ly.GlobalMaxPooling2D()(ly.Multiply()([x, ly.Reshape((1, 1, 6))(scale)])))


def operated(ly: Any, x: Any) -> Any:
    x = ly.Dense(6, name="stem")(x)
    left, right = x[..., :4], x[..., 4:]
    return ly.Dense(2)(ly.Dense(3, name="left")(left) + ly.Dense(3, name="right")(right) * 2.0)


def single(ly: Any, x: Any) -> Any:
    one, two = ly.Dense(1, name="one")(x), ly.Dense(1, name="two", activation="tanh")(x)
    return ly.Dense(2)(ly.Add()([one, two]) * np.array([0.5], "float32"))


def nested(ly: Any, x: Any) -> Any:
    import keras

    given = keras.Input((4, 4, 5))
    inner = keras.Model(given, ly.Conv2D(3, 2, name="conv")(given), name="inner")
    behind = keras.Sequential([ly.Conv2D(2, 1, name="last"), ly.Flatten()], name="behind")
    return ly.Dense(2)(behind(inner(ly.Conv2D(5, 1, name="stem")(x))))


MODELS: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "residual": (network((5, 5, 3), residual), ("stem", "branch", "*")),
    "depthwise": (network((5, 5, 3), depthwise), ("stem", "deep", "apart")),
    "joined": (network((3, 3, 2), joined), ("one", "two", "*")),
    "grouped": (network((4, 4, 3), grouped), ("stem", "groups", "*")),
    "halved": (network((4, 4, 3), halved), ("stem", "groups", "*")),
    "squeezed": (network((6, 6, 3), squeezed), ("stem", "up", "down")),
    "operated": (network((4,), operated), ("stem", "left", "right")),
    "single": (network((4,), single), ("one", "two", "*")),
    "nested": (network((4, 4, 3), nested), ("stem", "inner/conv", "behind/last")),
}
CASES = [(name, target) for name, (_, targets) in MODELS.items() for target in targets]


@cache
def model_of(name: str) -> Any:
    return MODELS[name][0]()


def _with_units(name: str, target: str) -> Any:
    """A target; of all layers those with units that are no output."""
    names = [each for each in MODELS[name][1] if each != "*"]
    return names[:2] if target == "*" else target


@pytest.mark.parametrize(
    ("name", "target", "method"),
    [*((*case, "net2wider") for case in CASES), *((*case, "zero_outgoing") for case in list(CASES)[::3])],
)
def test_a_wider_model_predicts_what_it_did(name: str, target: str, method: str) -> None:
    model = model_of(name)
    keys = {"factor": 1.5} if name != "grouped" else {"factor": 2.0}
    mutant = widened(model, _with_units(name, target), method=method, **keys)
    assert mutant.count_params() > model.count_params()
    given = inputs_of(model)
    assert_same_outputs(outputs(model, given), outputs(mutant, given), 1e-5)


def _free_widths(model: Any) -> tuple[dict[str, list[str]], list[Width]]:
    """The layers of a model with widths of their own, by the argument; and widths that are computed with together."""
    found = coupling_of_model(model)
    layers: dict[str, list[str]] = defaultdict(list)
    together, taken = [], set[int]()
    for width, mark in widths_of(found).items():
        groups = set(found.groups_of(labels_of(found, width)))
        kinds = {mark.kind for group in groups for mark in found.marks.get(group, ())}
        if mark is not None or groups & taken:
            continue
        if kinds & {MarkKind.MIXED, MarkKind.SUMMED}:
            together.append(width)
        else:
            layers[width[1]].append(width[0])
        taken |= groups
    return layers, together


def _argument(name: str) -> str:
    return "" if name == "channels" else name


STATED = {("statistics", "zero_outgoing")}
"""Models in which a layer states a value for each unit, of which new ones have none."""


FOLLOWED = sorted(set(coupled_models.names()) - {"strides"})  # of which all units must stay
METHODS = [
    *((name, "net2wider") for name in FOLLOWED),
    *((name, "zero_outgoing") for name in FOLLOWED[::3]),  # which needs less of a rule, so that a part is enough
]


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_recurrent_layers_attention_and_operations_follow(name: str, method: str) -> None:
    model = coupling_drawn(coupled_models.built(name))
    layers, together = _free_widths(model)
    given = inputs_of(model)
    before = outputs(model, given)
    steps = [
        {"id": f"{at}", "op": "widen_layer", "target": paths, "argument": _argument(argument), "factor": 1.5}
        for at, (argument, paths) in enumerate(layers.items())
    ]
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_states()
    if steps and (name, method) not in STATED:
        mutant = mutant_of(model, *({**step, "method": method} for step in steps))
        assert mutant.count_params() > model.count_params()
        assert_same_outputs(before, outputs(mutant, given), 1e-4)
    assert steps or together
    for path, argument in together[:1]:
        with pytest.raises(PlanError, match=r"would change predictions, because|are not units"):
            widened(model, path, argument=_argument(argument), factor=1.5, method=method)


@pytest.mark.parametrize("kind", ["channels_first", "channels_last"])
def test_the_rows_behind_a_flatten_are_shared_out_at_each_place(kind: str) -> None:
    import keras

    shape = (3, 2, 2) if kind == "channels_first" else (2, 2, 3)
    order = {"data_format": kind}
    model = keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.PReLU(),
            keras.layers.UpSampling2D(1, **order),
            keras.layers.Conv2D(3, 1, name="conv", **order),
            keras.layers.Flatten(**order),
            keras.layers.Dense(2, use_bias=False, name="out"),
        ]
    )
    rows = drawn(model).get_layer("out").kernel.numpy().reshape((2, 2, 3, 2))  # Flatten has channels last in both
    mutant = widened(model, "conv", copies=[1])
    found = mutant.get_layer("out").kernel.numpy().reshape((2, 2, 4, 2))
    half = rows[:, :, 1] / 2
    np.testing.assert_array_equal(found, np.stack([rows[:, :, 0], half, rows[:, :, 2], half], axis=2))
    kernel = model.get_layer("conv").kernel.numpy()
    np.testing.assert_array_equal(mutant.get_layer("conv").kernel.numpy(), kernel[..., [0, 1, 2, 1]])


def dense() -> Any:
    import keras

    layers = [keras.layers.Dense(4, "relu", name="hidden"), keras.layers.Dense(2, name="out")]
    return drawn(keras.Sequential([keras.Input((3,)), *layers]))


def test_given_copies_are_made_in_their_order() -> None:
    model = dense()
    kernel, bias, out, _ = (each.numpy() for each in model.weights)
    mutant = widened(model, "hidden", copies=[0, 3, 3])
    places = [0, 1, 2, 3, 0, 3, 3]
    np.testing.assert_array_equal(mutant.weights[0].numpy(), kernel[:, places])
    np.testing.assert_array_equal(mutant.weights[1].numpy(), bias[places])
    shares = np.array([2, 1, 1, 3, 2, 3, 3], "float32")[:, None]
    np.testing.assert_array_equal(mutant.weights[2].numpy(), out[places] / shares)


def test_no_unit_is_copied_twice_before_all_are_and_more_copies_begin_with_the_same() -> None:
    model = dense()
    few, many = (widened(model, "hidden", to=to).weights[0].numpy() for to in (6, 9))
    np.testing.assert_array_equal(many[:, :6], few)
    columns = [tuple(column) for column in many.T]
    assert sorted(columns.count(each) for each in set(columns)) == [2, 2, 2, 3]
    seeds = {widened(model, "hidden", to=6, seed=seed).weights[0].numpy().tobytes() for seed in range(6)}
    assert len(seeds) > 2


def test_a_renamed_layer_gets_the_same_copies() -> None:
    model = dense()
    rename = {"op": "rename_layer", "target": "hidden", "to": "other"}
    renamed = mutant_of(model, rename, {"op": "widen_layer", "id": "wider", "target": "other", "to": 6})
    assert weights(renamed) == weights(widened(model, "hidden", id="wider", to=6))


def test_noise_is_on_the_kernels_of_copies_alone_and_relative_to_their_deviation() -> None:
    import keras

    model = drawn(keras.Sequential([keras.Input((400,)), keras.layers.Dense(4, name="hidden"), keras.layers.Dense(2)]))
    kernel = model.weights[0].numpy()
    mutant = widened(model, "hidden", copies=[1, 2], noise=0.1)
    found = mutant.weights[0].numpy()
    np.testing.assert_array_equal(found[:, :4], kernel)
    noise = (found[:, 4:] - kernel[:, [1, 2]]) / kernel.std()
    assert 0.09 < noise.std() < 0.11
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.2
    np.testing.assert_array_equal(mutant.weights[1].numpy()[4:], model.weights[1].numpy()[[1, 2]])


def test_zero_outgoing_draws_new_units_and_reads_them_with_zeros() -> None:
    model = dense()
    mutant = widened(model, "hidden", to=6, method="zero_outgoing")
    kernel, bias, out, _ = (each.numpy() for each in mutant.weights)
    np.testing.assert_array_equal(kernel[:, :4], model.weights[0].numpy())
    assert len(np.unique(kernel[:, 4:])) == 6
    assert not bias[4:].any()
    assert not out[4:].any()
    np.testing.assert_array_equal(out[:4], model.weights[2].numpy())


def test_random_units_are_drawn_on_both_sides_and_nothing_is_claimed() -> None:
    model = dense()
    step = {"op": "widen_layer", "target": "hidden", "to": 6, "method": "random"}
    mutant = mutant_of(model, step)
    assert len(np.unique(mutant.weights[2].numpy()[4:])) == 4
    assert mutspec.plan({"steps": [step]}).steps[0].claim() is None


def test_layers_that_are_added_up_get_the_same_copies() -> None:
    model = model_of("residual")
    mutant = widened(model, "branch", copies=[2, 0])
    for name in ("stem", "branch"):
        kernel = model.get_layer(name).kernel.numpy()
        axes = kernel[..., [*range(6), 2, 0]]
        if name == "branch":  # reads the trunk, which is wider too
            axes = axes[:, :, [*range(6), 2, 0]] / np.array([2, 1, 2, 1, 1, 1, 2, 2], "float32")[:, None]
        np.testing.assert_array_equal(mutant.get_layer(name).kernel.numpy(), axes)


def test_a_copy_comes_from_the_part_of_a_split_axis_that_it_goes_to() -> None:
    model = model_of("operated")
    with pytest.raises(PlanError, match="unit 1 of `stem` cannot be copied after its last one"):
        widened(model, "stem", copies=[1])
    mutant = widened(model, "stem", copies=[4])
    assert mutant.get_layer("right").kernel.shape == (3, 3)


@pytest.mark.parametrize("op", ["remove_neurons", "mask_neurons"])
def test_a_slice_that_counts_from_the_end_keeps_its_units(op: str) -> None:
    import keras

    given = keras.Input((3,))
    units = keras.layers.Dense(6, name="units")(given)
    model = drawn(keras.Model(given, keras.layers.Dense(2, name="out")(units[:, -2:])))
    mutant = mutant_of(model, {"op": op, "target": "units", "indices": [5]})
    values = inputs_of(model)
    kernel, bias, out, last = (each.numpy() for each in model.weights)
    wanted = (values[0] @ kernel[:, 4] + bias[4])[:, None] * out[0] + last
    np.testing.assert_allclose(outputs(mutant, values)[0], wanted, rtol=1e-5, atol=1e-6)


def test_int8_layers_are_read_with_zeros() -> None:
    model = shared("quantized_int8")
    with pytest.raises(PlanError, match="because `dense` rounds its inputs by the largest of them"):
        widened(model, "dense_1", factor=1.5)
    with pytest.raises(PlanError, match="so that it cannot be divided") as caught:
        widened(model, "dense_1", factor=1.5, approximate=True)
    assert "zero_outgoing" in str(caught.value.problems[0].hint)
    given = inputs_of(model)
    mutant = widened(model, "dense_1", factor=1.5, method="zero_outgoing", approximate=True)
    assert_same_outputs(outputs(model, given), outputs(mutant, given), 0.05)


def wide_and_deep(ly: Any, x: Any) -> Any:
    deep = ly.Dense(1, name="deep")(ly.Dense(3, activation="relu")(x))
    return ly.Activation("sigmoid")(ly.Add(name="add")([ly.Dense(1, name="wide")(x), deep]))


def scaled(ly: Any, x: Any) -> Any:
    return ly.Dense(2)(2.0 * (-ly.Dense(1, name="one")(x)) + 1.0)


@pytest.mark.parametrize("method", ["net2wider", "zero_outgoing"])
def test_a_single_unit_is_widened_through_sums_and_operations(method: str) -> None:
    model = network((4,), scaled)()
    mutant = widened(model, "one", to=3, method=method)
    assert mutant.get_layer("one").units == 3
    given = inputs_of(model)
    assert_same_outputs(outputs(model, given), outputs(mutant, given))


REFUSED: dict[str, tuple[Callable[[], Any], dict[str, Any], str, str]] = {
    "an output": (dense, {"target": "out", "to": 9}, "they are an output of the model", "resize_output"),
    "a single output that is a sum": (
        network((4,), wide_and_deep), {"target": "wide", "to": 2}, "they are an output of the model", "resize_output"),
    "fewer": (dense, {"target": "hidden", "to": 3}, "`hidden` has 4 units already", "remove_neurons"),
    "as many": (dense, {"target": "hidden", "to": 4}, "`hidden` has 4 units already", "leave the step out"),
    "a factor too small": (dense, {"target": "hidden", "factor": 1.1}, "as many after rounding", "raise it"),
    "an infinite factor": (dense, {"target": "hidden", "factor": float("inf")}, "`factor` is infinite", "such as 1.5"),
    "more than an axis can have": (
        dense, {"target": "hidden", "factor": 1e30}, "the limit `extent`", "--limit"),
    "a factor of 1": (dense, {"target": "hidden", "factor": 1.0}, "does not make a layer wider", "above 1"),
    "nothing": (dense, {"target": "hidden"}, "needs a number of units", "to: 64"),
    "two amounts": (dense, {"target": "hidden", "to": 9, "factor": 2.0}, "cannot be used together", "keep one"),
    "a copy of none": (dense, {"target": "hidden", "copies": [7]}, "index 7 is outside `hidden`", "0 to 3"),
    "copies of no values": (
        dense, {"target": "hidden", "copies": [1], "method": "random"}, "does not make", "net2wider"),
    "no units": (MODELS["residual"][0], {"target": "add", "to": 9}, "has no units of its own", "name layers with"),
    "an input": (
        lambda: shared("depthwise"), {"target": "depthwise_conv2d", "to": 9}, "an input of the model", "set_input"),
    "a barrier": (lambda: shared("custom_layer"), {"target": "dense", "to": 99}, "because `gate`", "declare the axes"),
    "a sum of products": (
        lambda: shared("siamese"), {"target": "encoder/dense", "to": 9}, "`dot` sums", "approximate"),
    "uneven groups": (MODELS["grouped"][0], {"target": "groups", "to": 14}, "coupled in groups of 3", "15"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_widened_is_named_with_the_way_on(what: str) -> None:
    model, keys, message, hint = REFUSED[what]
    with pytest.raises(PlanError) as caught:
        widened(model(), **keys)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert hint in problem.hint


def test_statistics_of_all_units_are_accepted_where_the_step_says_so_and_then_nothing_is_claimed() -> None:
    import keras

    layers = [keras.layers.Dense(6, name="hidden"), keras.layers.LayerNormalization(name="norm"), keras.layers.Dense(2)]
    model = drawn(keras.Sequential([keras.Input((3,)), *layers]))
    for method in ("net2wider", "zero_outgoing"):
        with pytest.raises(PlanError, match="because `norm` computes the mean and variance"):
            widened(model, "hidden", to=8, method=method)
    step = {"op": "widen_layer", "target": "hidden", "to": 12, "approximate": True}
    assert mutspec.plan({"steps": [step]}).steps[0].claim() is None
    mutant = mutant_of(model, step)  # twice all units have the same mean and variance
    given = inputs_of(model)
    assert_same_outputs(outputs(model, given), outputs(mutant, given), 1e-4)


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_from_file_to_file_it_is_the_mutant_in_memory(suffix: str, tmp_path: Path) -> None:
    import keras

    model, base, out = model_of("residual"), tmp_path / f"base{suffix}", tmp_path / f"out{suffix}"
    model.save(tmp_path / "base.keras")
    if suffix == ".weights.h5":
        model.save_weights(base)
    elif suffix == ".h5":
        model.save(base)
    plan = mutspec.plan(
        {"seed": 3, "steps": [{"op": "widen_layer", "target": ["stem", "branch"], "to": 9, "noise": 0.01}]}
    )
    live = mutspec.apply(plan, model)
    if suffix == ".weights.h5":
        mutspec.apply(plan, base, out, architecture=tmp_path / "base.keras")
        loaded = keras.models.clone_model(live)
        loaded.load_weights(out)
    else:
        mutspec.apply(plan, base, out)
        loaded = keras.saving.load_model(out)
    assert weights(loaded) == weights(live)
    assert weights(mutspec.apply(plan, model)) == weights(live)


def test_half_precision_is_divided_in_float32_and_rounded_once() -> None:
    import keras

    layers = [
        keras.layers.Dense(4, name="hidden", dtype="bfloat16"),
        keras.layers.Dense(2, name="out", dtype="bfloat16"),
    ]
    model = drawn(keras.Sequential([keras.Input((3,), dtype="bfloat16"), *layers]))
    rows = keras.ops.convert_to_numpy(keras.ops.cast(model.weights[2], "float32"))
    mutant = widened(model, "hidden", copies=[1, 1])
    found = mutant.weights[2]
    wanted = keras.ops.cast(rows[[1]] / np.float32(3), "bfloat16")
    assert np.array_equal(np.asarray(found)[[1]], np.asarray(wanted))
