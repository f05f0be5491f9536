"""Layers that move into models, out of them, and between models: the oracle is what the models predicted before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mutspec.errors import PlanError
from tests.zoo.play import fresh, inputs_of, mutant_of, names, outputs, predict_the_same, shared

BLOCK = ["branch", "norm", "add"]


def test_a_block_that_is_nested_predicts_the_same_and_keeps_its_weights() -> None:
    model = shared("residual")
    mutant = mutant_of(model, {"op": "nest_layers", "target": BLOCK, "name": "block"})
    assert predict_the_same(mutant, model)
    assert names(mutant.get_layer("block")) == ["block_input", *BLOCK]
    assert "branch" not in names(mutant)


def test_what_was_nested_can_be_put_in_its_place_again() -> None:
    model = shared("residual")
    steps = {"op": "nest_layers", "target": BLOCK, "name": "block"}, {"op": "inline_model", "target": "block"}
    mutant = mutant_of(model, *steps)
    assert predict_the_same(mutant, model)
    assert sorted(names(mutant)) == sorted(names(model))


@pytest.mark.filterwarnings("ignore:.*becomes a Functional model")
@pytest.mark.parametrize("name", ["nested", "nested_twice_deep"])
def test_all_models_in_a_model_can_be_put_in_their_places(name: str) -> None:
    model = shared(name)
    step = {"op": "inline_model", "target": {"type": ["Functional", "Sequential"]}, "names": "{model}_{name}"}
    mutant = mutant_of(model, step)
    assert predict_the_same(mutant, model)
    assert not any(hasattr(layer, "layers") for layer in mutant.layers)


def test_a_frozen_backbone_called_for_inference_stays_so_when_it_is_put_in_its_place() -> None:
    import keras

    inner_input = keras.Input((4,))
    inner = keras.Model(inner_input, keras.layers.BatchNormalization(name="norm")(inner_input), name="backbone")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(inner(inputs, training=False)))
    mutant = mutant_of(model, {"op": "inline_model", "target": "backbone"})
    given = np.random.default_rng(0).random((8, 4)).astype("float32")
    assert np.array_equal(mutant(given, training=True), model(given, training=True))


def test_steps_on_weights_draw_the_same_after_layers_have_moved() -> None:
    model = shared("residual")
    noise = {"op": "gaussian_noise", "target": {"name": "branch"}, "std": 0.1}
    plain = mutant_of(model, noise)
    moved = mutant_of(model, {"op": "nest_layers", "target": BLOCK, "name": "block"}, noise)
    kernel = moved.get_layer("block").get_layer("branch").kernel
    assert np.array_equal(kernel, plain.get_layer("branch").kernel)


def test_an_ensemble_predicts_the_mean_of_its_members() -> None:
    model, other = shared("residual"), fresh("residual")
    for weight in other.weights:
        weight.assign(weight * 0.5)
    mutant = mutant_of(model, {"op": "join", "source": "second:", "layer": {"type": "Average"}}, second=other)
    given = inputs_of(model)
    expected = (outputs(model, given)[0] + outputs(other, given)[0]) / 2
    assert np.allclose(outputs(mutant, given)[0], expected, atol=1e-6)


def test_joined_models_can_have_inputs_and_outputs_of_their_own() -> None:
    model, other = shared("residual"), shared("sequential_deferred")
    mutant = mutant_of(model, {"op": "join", "source": "second:", "inputs": "separate"}, second=other)
    first, second = inputs_of(model), inputs_of(other)
    found = outputs(mutant, [*first, *second])
    assert np.array_equal(found[0], outputs(model, first)[0])
    assert np.array_equal(found[1], outputs(other, second)[0])


def test_several_models_may_be_joined_on_inputs_and_with_outputs_of_their_own() -> None:
    model, other, third = shared("residual"), shared("sequential_deferred"), shared("gru")
    step = {"op": "join", "source": ["second:", "third:"], "inputs": "separate"}
    mutant = mutant_of(model, step, second=other, third=third)
    given = [inputs_of(each) for each in (model, other, third)]
    found = outputs(mutant, [each for every in given for each in every])
    for one, each, values in zip(found, (model, other, third), given, strict=True):
        assert np.array_equal(one, outputs(each, values)[0])


def test_a_graft_is_the_other_models_layers_with_their_weights() -> None:
    model, other = shared("residual"), fresh("residual")
    for weight in other.weights:
        weight.assign(weight * 0.5)
    step = {"op": "graft", "source": "teacher:", "region": BLOCK, "after": "add"}
    mutant = mutant_of(model, step, teacher=other)
    import keras

    given = inputs_of(model)[0]
    at = keras.Model(model.input, model.get_layer("add").output)(given)
    block = keras.Model(other.get_layer("stem").output, other.get_layer("add").output)
    expected = model.get_layer("concat")([model.get_layer("relu")(block(at)), given])
    expected = model.get_layer("head")(model.get_layer("pool")(expected))
    assert np.array_equal(mutant(given), expected)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"op": "nest_layers", "target": ["branch", "add"]}, "`norm` stands between the layers"),
        ({"op": "nest_layers", "target": ["image", "stem"]}, "is an input of the model, and stays outside"),
        ({"op": "inline_model", "target": "add"}, "is not a model of layers and calls"),
        ({"op": "graft", "source": "other:", "region": ["branch", "norm", "relu"], "after": "add"}, "take 2 tensors"),
        ({"op": "graft", "source": "other:", "region": "image", "after": "add"}, "is an input of the model"),
        ({"op": "join", "source": ["other:", "other:"]}, "the input `other` is named twice"),
        ({"op": "join", "source": []}, "`source` names no input"),
        ({"op": "join", "source": ["other:", "branch"]}, "`source: branch` is not an input as a whole"),
        ({"op": "join", "source": "other:", "names": "x"}, "gives all layers one name"),
        ({"op": "join", "source": "other:", "names": "{name}"}, "the model has a layer of this name"),
        ({"op": "join", "source": "other:", "names": "{nam}_x"}, "knows no"),
    ],
)
def test_what_cannot_be_is_refused(step: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        mutant_of(shared("residual"), step, **({"other": shared("residual")} if "source" in step else {}))


def test_models_of_other_inputs_cannot_share_them() -> None:
    with pytest.raises(PlanError, match="say `inputs: separate`"):
        mutant_of(shared("residual"), {"op": "join", "source": "other:"}, other=shared("nested"))
