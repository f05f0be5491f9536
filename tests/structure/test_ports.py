"""Parts of models, and their inputs and outputs: the oracle is the same model, cut or called in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.execute.files import prepare_files
from mutspec.model.files.opening import open_archive
from tests.zoo.play import inputs_of, mutant_of, names, outputs, part, shared


def cut(name: str, *layers: str) -> list[np.ndarray]:
    """What layers of a model make, by a model that Keras cuts there."""
    return outputs(part(shared(name), *layers), inputs_of(shared(name)))


def predicted(name: str) -> list[np.ndarray]:
    return outputs(shared(name), inputs_of(shared(name)))


def equal(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_features_at_a_layer_are_what_keras_cuts_out() -> None:
    mutant = mutant_of(shared("residual"), {"op": "extract", "to": "add"})
    assert equal(outputs(mutant, inputs_of(mutant)), cut("residual", "add"))
    assert names(mutant) == ["image", "stem", "branch", "norm", "add"]


def test_features_at_several_layers_come_in_the_order_that_the_plan_has() -> None:
    mutant = mutant_of(shared("residual"), {"op": "extract", "outputs": ["add", "stem"]})
    assert equal(outputs(mutant, inputs_of(mutant)), cut("residual", "add", "stem"))


def test_outputs_by_key_make_a_model_that_returns_a_dictionary() -> None:
    mutant = mutant_of(shared("residual"), {"op": "extract", "outputs": {"late": "add", "early": "stem"}})
    assert set(mutant(inputs_of(mutant)[0])) == {"early", "late"}
    assert equal(outputs(mutant, inputs_of(mutant)), cut("residual", "stem", "add"))


def test_a_sequential_model_with_several_outputs_returns_all_of_them() -> None:
    layers = [layer.name for layer in shared("sequential").layers]
    with pytest.warns(mutspec.MutspecWarning, match="becomes a Functional model"):
        mutant = mutant_of(shared("sequential"), {"op": "extract", "to": [layers[0], layers[2]]})
    assert equal(outputs(mutant, inputs_of(mutant)), cut("sequential", layers[0], layers[2]))


def test_a_sequential_model_returns_a_dictionary_if_asked_to() -> None:
    first = shared("sequential").layers[0].name
    with pytest.warns(mutspec.MutspecWarning, match="becomes a Functional model"):
        mutant = mutant_of(shared("sequential"), {"op": "extract", "outputs": {"only": first}})
    assert set(mutant(inputs_of(mutant)[0])) == {"only"}


@pytest.mark.parametrize("name", ["residual", "depthwise"])
def test_outputs_that_are_not_in_the_part_are_refused(name: str) -> None:
    last = shared(name).layers[-1].name
    with pytest.raises(PlanError, match=f"no path leads from `{last}` to"):
        mutant_of(shared(name), {"op": "extract", "from": last, "to": "*"})


def test_without_the_first_layers_the_model_takes_what_they_made() -> None:
    mutant = mutant_of(shared("residual"), {"op": "extract", "from": "relu"})
    assert [each.name for each in mutant.inputs] == ["image", "relu_input"]  # `concat` takes the image, too
    given = [*inputs_of(shared("residual")), *cut("residual", "add")]
    assert equal(outputs(mutant, given), predicted("residual"))


def test_each_tensor_that_enters_the_part_is_an_input() -> None:
    mutant = mutant_of(shared("residual"), {"op": "extract", "from": "norm", "to": "relu"})
    assert [each.name for each in mutant.inputs] == ["norm_input", "add_input"]
    assert equal(outputs(mutant, cut("residual", "branch", "stem")), cut("residual", "relu"))


def test_a_part_of_a_sequential_model_is_sequential() -> None:
    import keras

    model = shared("sequential")
    mutant = mutant_of(model, {"op": "extract", "from": model.layers[1].name, "to": model.layers[-2].name})
    assert isinstance(mutant, keras.Sequential)
    assert names(mutant) == names(model)[1:-1]
    assert equal(outputs(mutant, cut("sequential", model.layers[0].name)), cut("sequential", model.layers[-2].name))


def test_a_block_of_a_model_in_the_model_becomes_the_model() -> None:
    inner = shared("nested").get_layer("encoder")
    first, last = names(inner)[1], names(inner)[-1]
    mutant = mutant_of(shared("nested"), {"op": "extract", "from": f"encoder/{first}", "to": f"encoder/{last}"})
    assert equal(outputs(mutant, inputs_of(inner)), outputs(inner, inputs_of(inner)))
    assert names(mutant)[1:] == names(inner)[1:]


def test_an_added_output_is_that_of_the_layer_and_the_others_stay() -> None:
    mutant = mutant_of(shared("residual"), {"op": "add_output", "target": "add"})
    assert equal(outputs(mutant, inputs_of(mutant)), [*predicted("residual"), *cut("residual", "add")])


def test_a_layer_in_models_in_the_model_becomes_an_output_of_each_of_them() -> None:
    import keras

    with pytest.warns(mutspec.MutspecWarning, match="becomes a Functional model"):
        mutant = mutant_of(shared("nested_twice_deep"), {"op": "add_output", "target": "middle/inner/dense"})
    middle = shared("nested_twice_deep").get_layer("middle")
    inner = middle.get_layer("inner")
    before = keras.Model(middle.input, middle.layers[1].output)
    given = inputs_of(shared("nested_twice_deep"))
    expected = inner.get_layer("dense")(before(given[0]))
    assert equal(outputs(mutant, given), [*predicted("nested_twice_deep"), np.asarray(expected, "float64")])


def test_the_exact_path_is_meant_where_one_layer_is_needed_and_inner_ones_have_its_name() -> None:
    import keras

    inner_input = keras.Input((3,))
    inner = keras.Model(inner_input, keras.layers.Dense(3, name="dense")(inner_input), name="inner")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="dense")(inner(inputs)))
    plan = mutspec.plan({"steps": [{"op": "extract", "outputs": ["dense", "inner"]}]})
    mutant = mutspec.apply(plan, model)
    found = outputs(mutant, inputs_of(model))
    assert equal(found, [*outputs(model, inputs_of(model)), *outputs(inner, inputs_of(model))])


def test_an_output_can_be_taken_away_with_the_layers_that_only_led_to_it() -> None:
    steps = ({"op": "add_output", "target": "add"}, {"op": "remove_output", "target": "head"})
    mutant = mutant_of(shared("residual"), *steps)
    assert equal(outputs(mutant, inputs_of(mutant)), cut("residual", "add"))
    assert names(mutant)[-1] == "add"


def test_a_model_that_returns_a_dictionary_gets_and_loses_outputs_by_key() -> None:
    trunk = shared("multiple_io").layers[3].name
    more = mutant_of(shared("multiple_io"), {"op": "add_output", "target": trunk, "key": "trunk"})
    given = inputs_of(more)
    assert set(more({"a": given[0], "b": given[1]})) == {"first", "second", "trunk"}
    fewer = mutant_of(shared("multiple_io"), {"op": "extract", "to": trunk})
    assert equal(outputs(fewer, inputs_of(fewer)), cut("multiple_io", trunk))


@pytest.mark.parametrize("step", ["join", "add_input"])
def test_ports_by_key_are_in_the_order_in_which_keras_reads_them_again(step: str, tmp_path: Path) -> None:
    model = shared("multiple_io")
    steps = {
        "join": {"op": "join", "source": "a:"},
        "add_input": {
            "op": "add_input",
            "name": "aa",
            "after": model.layers[3].name,
            "shape": [4],
            "layer": {"type": "Add"},
        },
    }
    plan = mutspec.plan({"inputs": {"a": {}} if step == "join" else {}, "steps": [steps[step]]})
    base, mutant = tmp_path / "base.keras", tmp_path / "mutant.keras"
    model.save(base)
    mutspec.apply(plan, base, mutant, inputs={"a": base} if step == "join" else {})
    in_memory = mutspec.apply(plan, model, inputs={"a": model} if step == "join" else {})
    assert mutspec.diff(mutant, in_memory).identical
    expected = prepare_files(plan, base, inputs={"a": base} if step == "join" else {}).program.after
    found = open_archive(mutant).spec
    assert (found.inputs, found.outputs) == (expected.inputs, expected.outputs)


def test_a_sequential_model_with_a_second_output_becomes_functional_and_says_so() -> None:
    name = shared("sequential").layers[1].name
    with pytest.warns(mutspec.MutspecWarning, match="becomes a Functional model"):
        mutant = mutant_of(shared("sequential"), {"op": "add_output", "target": name})
    assert type(mutant).__name__ == "Functional"
    assert equal(outputs(mutant, inputs_of(mutant)), [*predicted("sequential"), *cut("sequential", name)])


def test_a_new_input_is_merged_where_the_plan_says() -> None:
    step = {"op": "add_input", "name": "extra", "after": "stem", "shape": [6, 6, 4], "layer": {"type": "Add"}}
    mutant = mutant_of(shared("residual"), step)
    (image,) = inputs_of(shared("residual"))
    nothing = np.zeros((len(image), 6, 6, 4), "float32")
    assert equal(outputs(mutant, [image, nothing]), predicted("residual"))
    assert not equal(outputs(mutant, [image, nothing + 1]), predicted("residual"))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"op": "extract", "from": "head", "to": "stem"}, "no path leads from `head` to `stem`"),
        ({"op": "extract", "outputs": ["*"]}, "one layer is needed, but 9 match"),
        ({"op": "add_output", "target": "head"}, "an output of the model already"),
        ({"op": "add_output", "target": "stem", "key": "x"}, "does not return a dictionary"),
        ({"op": "remove_output", "target": "stem"}, "is not an output of the model"),
        ({"op": "remove_output", "target": "head"}, "would have no output"),
    ],
)
def test_what_cannot_be_is_refused(step: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        mutant_of(shared("residual"), step)
