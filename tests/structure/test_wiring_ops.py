"""Chains, blocks, branches, copies, exchanges: equal to the same model built by hand in Keras."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError
from mutspec.execute import live as executor
from mutspec.model.live import read_live
from tests.zoo.play import assert_same_outputs, inputs_of, names, outputs, shared, weights

pytestmark = pytest.mark.filterwarnings("ignore:.*becomes a Functional")

SE = [
    {"name": "squeeze", "type": "GlobalAveragePooling2D", "keepdims": True},
    {"type": "Dense", "units": 2, "activation": "relu"},
    {"name": "gate", "type": "Dense", "units": "same", "activation": "sigmoid"},
    {"type": "Multiply", "of": ["input", "gate"]},
]


def applied(base: Any, *steps: dict[str, Any], **head: Any) -> Any:
    """A mutant, of which the dry-run has said everything: layers with classes and calls, and weights with shapes."""
    plan = mutspec.plan({"seed": 3, "steps": list(steps), **head})
    program = executor._prepare(plan, base, {}, executor.NonFinite.ERROR).program
    mutant = mutspec.apply(plan, base)
    said, spec = program.after, read_live(mutant).spec
    assert {each.path: (each.shape, each.dtype) for each in said.tensors} == {
        each.path: (each.shape, each.dtype) for each in spec.tensors
    }
    assert {each.path: each.class_name for each in said.layers} == {each.path: each.class_name for each in spec.layers}
    assert (said.class_name, said.name) == (spec.class_name, spec.name)
    return mutant


def refused(base: Any, *steps: dict[str, Any], **head: Any) -> str:
    with pytest.raises(PlanError) as caught:
        applied(base, *steps, **head)
    return str(caught.value)


def assert_same(mutant: Any, by_hand: Any, base: Any, relative: float = 1e-6) -> None:
    """Both predict the same for the inputs of the base model."""
    values = inputs_of(base)
    assert_same_outputs(outputs(by_hand, values), outputs(mutant, values), relative)


def assert_differs(mutant: Any, base: Any) -> None:
    values = inputs_of(base)
    pairs = zip(outputs(mutant, values), outputs(base, values), strict=True)
    assert max(np.abs(one - other).max() for one, other in pairs) > 1e-6


def residual(change: Callable[..., dict[str, Any]], mutant: Any) -> Any:
    """The residual model of the zoo, built by hand from the layers of a mutant. `change` gives tensors by name."""
    import keras

    layer = mutant.get_layer
    x = keras.Input((6, 6, 3))
    stem = layer("stem")(x)
    found = {"x": x, "stem": stem}
    y = change(layer, found)["y"]
    return keras.Model(x, layer("head")(layer("pool")(keras.ops.concatenate([keras.ops.relu(y), x], -1))))


# Chains and blocks.


def test_a_chain_stands_in_its_order() -> None:
    base = shared("residual")
    chain = [
        {"type": "Conv2D", "filters": 5, "kernel_size": 1},
        {"type": "Conv2D", "filters": "same", "kernel_size": 1},
    ]
    mutant = applied(base, {"op": "insert_layer", "id": "deep", "after": "norm", "layers": chain})
    assert names(mutant)[3:6] == ["norm", "deep_conv2d", "deep_conv2d_1"]

    def by_hand(layer, found):
        branch = layer("norm")(layer("branch")(found["stem"]))
        return {"y": found["stem"] + layer("deep_conv2d_1")(layer("deep_conv2d")(branch))}

    assert_same(mutant, residual(by_hand, mutant), base)
    assert_differs(mutant, base)


def test_a_block_is_a_graph_that_stands_on_a_place() -> None:
    import keras

    base = shared("residual")
    step = {"op": "insert_layer", "id": "se", "after": "norm", "layer": {"block": "se"}}
    mutant = applied(base, step, blocks={"se": SE})

    def by_hand(layer, found):
        norm = layer("norm")(layer("branch")(found["stem"]))
        gate = layer("gate")(layer("se_dense")(keras.ops.mean(norm, (1, 2), keepdims=True)))
        return {"y": found["stem"] + norm * gate}

    assert_same(mutant, residual(by_hand, mutant), base)
    assert mutant.get_layer("gate").units == 4


def test_a_block_after_several_layers_has_names_with_numbers() -> None:
    base = shared("residual")
    step = {"op": "insert_layer", "id": "se", "after": ["stem", "norm"], "layer": {"block": "se"}}
    mutant = applied(base, step, blocks={"se": SE})
    assert {"squeeze", "squeeze_1", "se_dense", "se_dense_1", "gate", "gate_1"} <= set(names(mutant))
    twice = applied(base, step, {**step, "id": "again"}, blocks={"se": SE})
    assert {"gate", "gate_1", "gate_2", "gate_3", "again_dense", "again_dense_1"} <= set(names(twice))


def test_a_block_of_one_layer_has_names_with_numbers_too() -> None:
    base = shared("residual")
    step = {"op": "insert_layer", "id": "new", "after": ["stem", "norm"], "layer": {"block": "one"}}
    assert {"pool_1", "pool_2"} <= set(names(applied(base, step, blocks={"one": [{"type": "ReLU", "name": "pool"}]})))
    assert {"new", "new_1"} <= set(names(applied(base, step, blocks={"one": [{"type": "ReLU"}]})))


def test_blocks_stand_in_chains_and_in_blocks_and_take_parameters() -> None:
    base = shared("residual")
    blocks = {
        "thin": [{"type": "Dense", "units": "${params.width}"}, {"type": "Dense", "units": "same"}],
        "gated": [{"name": "inner", "block": "thin"}, {"type": "Multiply", "of": ["input", "inner"]}],
    }
    step = {"op": "insert_layer", "id": "new", "after": "norm", "layers": [{"type": "ReLU"}, {"block": "gated"}]}
    mutant = applied(base, step, blocks=blocks, params={"width": 3})

    def by_hand(layer, found):
        start = layer("new_re_lu")(layer("norm")(layer("branch")(found["stem"])))
        return {"y": found["stem"] + start * layer("new_dense_1")(layer("new_dense")(start))}

    assert_same(mutant, residual(by_hand, mutant), base)
    assert mutant.get_layer("new_dense").units == 3


def test_a_chain_of_identities_changes_no_output() -> None:
    base = shared("residual")
    chain = [
        {"type": "Conv2D", "filters": "same", "kernel_size": 3, "padding": "same"},
        {"type": "BatchNormalization"},
        {"type": "ReLU"},
    ]
    mutant = applied(base, {"op": "insert_layer", "after": "relu", "layers": chain, "initialize": "identity"})
    assert len(mutant.layers) == len(base.layers) + 3
    assert_same(mutant, base, base)


def test_a_chain_on_a_shared_layer_stands_on_each_of_its_calls() -> None:
    base = shared("shared_layers")
    chain = [{"type": "Dense", "units": "same"}, {"type": "Dense", "units": "same"}]
    mutant = applied(base, {"op": "insert_layer", "id": "new", "after": "shared", "layers": chain})
    assert [len(mutant.get_layer(name)._inbound_nodes) for name in ("new_dense", "new_dense_1")] == [3, 3]
    (x,) = inputs_of(base)

    def all_three(value: Any) -> Any:
        for name in ("shared", "new_dense", "new_dense_1"):
            value = mutant.get_layer(name)(value)
        return value

    twice = all_three(all_three(x))
    wanted = [all_three(twice + twice), twice]
    for one, other in zip(outputs(mutant, [x]), wanted, strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-5, atol=1e-6)


def test_a_chain_in_a_nested_model_and_in_an_rnn() -> None:
    nested = shared("nested")
    chain = [{"type": "Dense", "units": 5}, {"type": "Dense", "units": "same"}]
    mutant = applied(nested, {"op": "insert_layer", "id": "new", "after": "encoder/dense_3", "layers": chain})
    assert {"new_dense", "new_dense_1"} <= set(names(mutant.get_layer("encoder")))
    rnn = shared("embedding_mask")
    insert = {"op": "insert_layer", "id": "new", "after": "embedding", "initialize": "identity"}
    same = applied(rnn, {**insert, "layers": [{"type": "Dense", "units": "same"}, {"type": "Dropout", "rate": 0.5}]})
    assert_same(same, rnn, rnn)


# Branches.


def test_with_makes_a_skip_connection() -> None:
    import keras

    base = shared("residual")
    step = {"op": "insert_layer", "id": "skip", "after": "relu", "with": "stem", "layer": {"type": "Subtract"}}
    mutant = applied(base, step)
    x = keras.Input((6, 6, 3))
    stem = base.get_layer("stem")(x)
    y = keras.ops.relu(stem + base.get_layer("norm")(base.get_layer("branch")(stem))) - stem
    z = base.get_layer("head")(base.get_layer("pool")(keras.ops.concatenate([y, x], -1)))
    assert_same(mutant, keras.Model(x, z), base)
    assert weights(mutant) == weights(base)


def test_with_takes_several_tensors() -> None:
    base = shared("residual")
    layer = {"type": "Average", "name": "all"}
    mutant = applied(base, {"op": "insert_layer", "before": "relu", "with": ["stem", "norm"], "layer": layer})

    def by_hand(layer, found):
        norm = layer("norm")(layer("branch")(found["stem"]))
        return {"y": ((found["stem"] + norm) + found["stem"] + norm) / 3}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_a_graph_calls_what_is_merged_in_with() -> None:
    base = shared("residual")
    gate = [
        {"name": "gate", "type": "Dense", "units": "same", "activation": "sigmoid", "of": "with"},
        {"type": "Multiply", "of": ["input", "gate"]},
    ]
    gated = applied(base, {"op": "insert_layer", "after": "norm", "with": "stem", "layers": gate})

    def by_hand(layer, found):
        return {"y": found["stem"] + layer("norm")(layer("branch")(found["stem"])) * layer("gate")(found["stem"])}

    assert_same(gated, residual(by_hand, gated), base)


def test_a_sequential_model_with_a_branch_becomes_functional() -> None:
    import keras

    base = shared("sequential")
    step = {"op": "insert_layer", "id": "skip", "after": "dropout", "with": "dense", "layer": {"type": "Add"}}
    with pytest.warns(
        mutspec.MutspecWarning, match="becomes a Functional model, because a Sequential one has no branches"
    ):
        mutant = applied(base, step)
    assert type(mutant) is keras.Model or type(mutant).__name__ == "Functional"
    layers = {layer.name: layer for layer in base.layers}
    x = keras.Input(base.input_shape[1:])
    y = x
    for name in list(layers)[: list(layers).index("dense") + 1]:
        y = layers[name](y)
    z = keras.layers.Add()([layers["dropout"](y), y])
    assert_same(mutant, keras.Model(x, layers[names(base)[-1]](z)), base)
    assert weights(mutant) == weights(base)


def test_a_sequential_model_in_a_model_becomes_functional_too() -> None:
    import keras

    inner = keras.Sequential(
        [keras.Input((3,)), *(keras.layers.Dense(4, name=name) for name in ("a", "b"))], name="head"
    )
    x = keras.Input((3,))
    base = keras.Model(x, keras.layers.ReLU()(inner(x)))
    chain = [{"name": "one", "type": "Dense", "units": "same"}, {"type": "Add", "of": ["one", "input"]}]
    mutant = applied(base, {"op": "insert_layer", "after": "head/a", "layers": chain})
    head = mutant.get_layer("head")
    assert type(head).__name__ == "Functional"
    a = inner.get_layer("a")(x)
    assert_same(mutant, keras.Model(x, keras.ops.relu(inner.get_layer("b")(head.get_layer("one")(a) + a))), base)


def test_a_branch_that_depends_on_its_own_place_is_refused() -> None:
    step = {"op": "insert_layer", "after": "stem", "with": "norm", "layer": {"type": "Add"}}
    assert "a loop" in refused(shared("residual"), step)


# Removal of groups.


def test_a_whole_block_is_removed_with_its_branches() -> None:
    base = shared("residual")
    mutant = applied(base, {"op": "remove_layer", "target": ["branch", "norm", "add"]})
    assert {"branch", "norm", "add"}.isdisjoint(names(mutant))
    assert_same(mutant, residual(lambda layer, found: {"y": found["stem"]}, mutant), base)


def test_a_chain_whose_inner_tensor_is_used_elsewhere_is_removed() -> None:
    import keras

    x = keras.Input((4,))
    a = keras.layers.ReLU(name="a")(x)
    b = keras.layers.Activation("tanh", name="b")(a)
    model = keras.Model(x, [keras.layers.Dense(2, name="left")(b), keras.layers.Dense(2, name="right")(a)])
    mutant = applied(model, {"op": "remove_layer", "target": ["a", "b"]})
    wanted = keras.Model(x, [model.get_layer("left")(x), model.get_layer("right")(x)])
    assert_same(mutant, wanted, model, 0)


@pytest.mark.parametrize("operation", [False, True])
def test_a_merge_keeps_some_of_its_inputs(operation: bool) -> None:
    import keras

    x = keras.Input((4,))
    branches = [keras.layers.Dense(3, name=name)(x) for name in ("a", "b", "c")]
    merged = keras.ops.concatenate(branches, -1) if operation else keras.layers.Concatenate(name="merge")(branches)
    model = keras.Model(x, keras.layers.ReLU(name="last")(merged))
    name = next(each.name for each in model.operations if "concat" in each.name or each.name == "merge")
    mutant = applied(model, {"op": "remove_layer", "target": name, "keep": ["c", "b"]})
    assert "a" not in names(mutant)
    both = keras.ops.relu(keras.ops.concatenate([model.get_layer(each)(x) for each in ("b", "c")], -1))
    assert_same(mutant, keras.Model(x, both), model, 0)


def test_a_group_that_two_tensors_enter_says_which() -> None:
    message = refused(shared("residual"), {"op": "remove_layer", "target": ["norm", "add"]})
    assert "what leaves the layers to remove, `add`, is made of 2 tensors that enter them: `stem`, `branch`" in message
    kept = applied(shared("residual"), {"op": "remove_layer", "target": ["norm", "add"], "keep": "stem"})
    assert {"norm", "add", "branch"}.isdisjoint(names(kept))


# Replacement by several layers.


@pytest.mark.parametrize("name", ["", "same", "other"])
def test_a_chain_takes_the_place_of_a_layer_and_keeps_its_weights(name: str) -> None:
    base = shared("residual")
    chain = [
        {"type": "Conv2D", "padding": "same"},
        {"type": "BatchNormalization", **({"name": name} if name else {})},
    ]
    step = {"op": "replace_layer", "id": "new", "target": "branch", "layers": chain, "keep_weights": True}
    mutant = applied(base, {**step, "inherit": True})
    last = "other" if name == "other" else "branch"
    assert names(mutant)[1:5] == ["stem", "new_conv2d", last, "norm"]
    np.testing.assert_array_equal(mutant.get_layer("new_conv2d").kernel, base.get_layer("branch").kernel)

    def by_hand(layer, found):
        return {"y": found["stem"] + layer("norm")(layer(last)(layer("new_conv2d")(found["stem"])))}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_a_block_takes_the_place_of_a_merge() -> None:
    base = shared("residual")
    graph = [{"name": "left", "type": "ReLU", "of": "input"}, {"type": "Maximum", "of": ["left", "with"]}]
    mutant = applied(base, {"op": "replace_layer", "id": "new", "target": "add", "layers": graph})

    def by_hand(layer, found):
        import keras

        norm = layer("norm")(layer("branch")(found["stem"]))
        return {"y": keras.ops.maximum(keras.ops.relu(found["stem"]), norm)}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_a_chain_takes_the_place_of_a_shared_layer_at_every_call() -> None:
    base = shared("shared_layers")
    chain = [{"type": "Dense", "units": 3}, {"type": "Dense", "units": "same"}]
    mutant = applied(base, {"op": "replace_layer", "id": "new", "target": "shared", "layers": chain})
    (x,) = inputs_of(base)

    def both(value: Any) -> Any:
        return mutant.get_layer("shared")(mutant.get_layer("new_dense")(value))

    twice = both(both(x))
    for one, other in zip(outputs(mutant, [x]), [both(twice + twice), twice], strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-5, atol=1e-6)


# Copies.


def test_a_copy_of_a_layer_has_weights_of_its_own_that_are_equal() -> None:
    base = shared("residual")
    copy = {"op": "duplicate_layers", "id": "copy", "target": "norm"}
    mutant = applied(base, copy, {"op": "scale", "target": "norm/gamma", "factor": 2.0})
    np.testing.assert_array_equal(mutant.get_layer("copy").gamma, base.get_layer("norm").gamma)
    np.testing.assert_array_equal(mutant.get_layer("norm").gamma, 2 * np.asarray(base.get_layer("norm").gamma))

    def by_hand(layer, found):
        return {"y": found["stem"] + layer("copy")(layer("norm")(layer("branch")(found["stem"])))}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_a_copy_of_a_block_goes_after_it_or_after_another_layer() -> None:
    import keras

    base = shared("residual")
    block = {"op": "duplicate_layers", "id": "copy", "target": ["branch", "norm", "add"]}
    mutant = applied(base, block)

    def residual_block(layer, value, prefix=""):
        return value + layer(f"{prefix}norm")(layer(f"{prefix}branch")(value))

    def by_hand(layer, found):
        return {"y": residual_block(layer, residual_block(layer, found["stem"]), "copy_")}

    assert_same(mutant, residual(by_hand, mutant), base)
    elsewhere = applied(base, {**block, "after": "relu"})
    layer = elsewhere.get_layer
    x = keras.Input((6, 6, 3))
    y = residual_block(layer, keras.ops.relu(residual_block(layer, layer("stem")(x))), "copy_")
    z = layer("head")(layer("pool")(keras.ops.concatenate([y, x], -1)))
    assert_same(elsewhere, keras.Model(x, z), base)


def test_a_copy_of_a_shared_layer_is_called_after_each_call() -> None:
    base = shared("shared_layers")
    other = {"op": "scale", "target": "copy", "factor": 3.0}  # so that the order of the calls matters
    mutant = applied(base, {"op": "duplicate_layers", "id": "copy", "target": "shared"}, other)
    (x,) = inputs_of(base)

    def both(value: Any) -> Any:
        return mutant.get_layer("copy")(mutant.get_layer("shared")(value))

    twice = both(both(x))
    for one, other in zip(outputs(mutant, [x]), [both(twice + twice), twice], strict=True):
        np.testing.assert_allclose(one, np.asarray(other), rtol=1e-5, atol=1e-6)


def test_a_copy_takes_the_tensors_that_do_not_come_from_its_place_as_the_layers_do() -> None:
    base = shared("residual")
    step = {"op": "duplicate_layers", "id": "copy", "target": "add"}
    assert "2 tensors enter `add`: `stem`, `norm`" in refused(base, step)
    mutant = applied(base, {**step, "input": "norm"})

    def by_hand(layer, found):
        stem = found["stem"]
        return {"y": stem + (stem + layer("norm")(layer("branch")(stem)))}

    assert_same(mutant, residual(by_hand, mutant), base)


@pytest.mark.parametrize(("name", "target"), [("called_twice", "inner"), ("transformer", "mha")])
def test_models_and_attention_are_copied_with_all_their_weights(name: str, target: str) -> None:
    base = shared(name)
    mutant = applied(base, {"op": "duplicate_layers", "id": "copy", "target": target})
    one, other = mutant.get_layer("copy"), base.get_layer(target)
    assert type(one) is type(other)
    for mine, theirs in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(mutant.weights) == len(base.weights) + len(other.weights)
    assert_differs(mutant, base)


# Exchanges.


def test_neighbours_exchange_their_places() -> None:
    base = shared("residual")
    mutant = applied(base, {"op": "swap_layers", "target": "branch", "other": "norm"})
    assert weights(mutant) != weights(base)  # the same, in the order of the model

    def by_hand(layer, found):
        return {"y": found["stem"] + layer("branch")(layer("norm")(found["stem"]))}

    assert_same(mutant, residual(by_hand, base), base)
    back = applied(mutant, {"op": "swap_layers", "target": "branch", "other": "norm"})
    assert weights(back) == weights(base)
    assert_same(back, base, base, 0)


def test_layers_exchange_their_places_at_a_distance_and_in_sequential_models() -> None:
    import keras

    layers = [
        keras.Input((6,)),
        *(keras.layers.Dense(6, activation=each, name=each) for each in ("relu", "tanh", "elu")),
    ]
    model = keras.Sequential([*layers, keras.layers.Dense(2, name="last")])
    mutant = applied(model, {"op": "swap_layers", "target": "elu", "other": "relu"})
    assert type(mutant) is keras.Sequential
    assert names(mutant) == ["elu", "tanh", "relu", "last"]
    by_hand = keras.Sequential([layers[0], layers[3], layers[2], layers[1], model.layers[-1]])
    assert_same(mutant, by_hand, model, 0)


def test_groups_exchange_their_places() -> None:
    base = shared("residual")
    step = {"op": "swap_layers", "target": "stem", "other": ["branch", "norm", "add"]}
    mutant = applied(
        base,
        {"op": "insert_layer", "id": "pre", "after": "stem", "layer": {"type": "Activation", "activation": "tanh"}},
        {**step, "target": "pre"},
    )

    def by_hand(layer, found):
        return {"y": layer("pre")(found["stem"] + layer("norm")(layer("branch")(found["stem"])))}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_shared_layers_exchange_all_their_calls() -> None:
    import keras

    x, y = keras.Input((4,), name="x"), keras.Input((4,), name="y")
    one, other = keras.layers.Dense(4, name="one"), keras.layers.Dense(4, activation="tanh", name="other")
    model = keras.Model([x, y], [other(one(x)), other(one(y))])
    mutant = applied(model, {"op": "swap_layers", "target": "one", "other": "other"})
    assert_same(mutant, keras.Model([x, y], [one(other(x)), one(other(y))]), model, 0)


# Rewiring.


def test_a_layer_takes_another_tensor_and_what_is_unused_is_removed() -> None:
    base = shared("residual")
    mutant = applied(base, {"op": "rewire", "target": "norm", "to": "stem"})
    assert "branch" not in names(mutant)

    def by_hand(layer, found):
        return {"y": found["stem"] + layer("norm")(found["stem"])}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_one_of_several_inputs_is_exchanged() -> None:
    base = shared("residual")
    mutant = applied(base, {"op": "rewire", "target": "add", "input": "stem", "to": "branch"})

    def by_hand(layer, found):
        branch = layer("branch")(found["stem"])
        return {"y": branch + layer("norm")(branch)}

    assert_same(mutant, residual(by_hand, mutant), base)


def test_a_sequential_model_that_is_rewired_stays_one() -> None:
    import keras

    layers = [keras.Input((6,)), *(keras.layers.Dense(6, name=each) for each in "abcd")]
    model = keras.Sequential(layers)
    mutant = applied(model, {"op": "rewire", "target": "d", "to": "b"})
    assert type(mutant) is keras.Sequential
    assert names(mutant) == ["a", "b", "d"]
    assert_same(mutant, keras.Sequential([*layers[:3], layers[4]]), model, 0)


def test_another_output_of_a_layer_is_named_by_its_number() -> None:
    import keras

    x = keras.Input((5, 3))
    everything, state, carry = keras.layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    dense = keras.layers.Dense(2, name="dense")
    model = keras.Model(x, [dense(state), keras.layers.Dense(2, name="other")(carry), everything])
    mutant = applied(model, {"op": "rewire", "target": "dense", "to": "lstm:2"})
    assert_same(mutant, keras.Model(x, [dense(carry), model.get_layer("other")(carry), everything]), model)
    assert "3 outputs" in refused(model, {"op": "rewire", "target": "dense", "to": "lstm"})
    assert "no output 7" in refused(model, {"op": "rewire", "target": "dense", "to": "lstm:7"})


def test_a_loop_and_a_shape_that_does_not_fit_are_refused() -> None:
    base = shared("residual")
    assert "a loop" in refused(base, {"op": "rewire", "target": "branch", "to": "norm"})
    message = refused(base, {"op": "rewire", "target": "branch", "to": "image"})
    assert "`branch` has a kernel" in message


# Names.


def test_all_layers_get_a_prefix_and_keep_everything() -> None:
    base = shared("residual")
    mutant = applied(base, {"op": "rename_layer", "target": "*", "to": "a_{name}"})
    assert names(mutant) == [f"a_{name}" for name in names(base)]
    assert weights(mutant) == weights(base)
    assert_same(mutant, base, base, 0)


def test_layers_at_all_depths_and_in_wrappers_get_a_prefix() -> None:
    for name in ("nested_twice_deep", "bidirectional", "operators"):
        base = shared(name)
        mutant = applied(base, {"op": "rename_layer", "target": "*", "to": "a_{name}"})
        assert all(each.startswith("a_") for each in names(mutant))
        assert weights(mutant) == weights(base)
        assert_same(mutant, base, base, 0)


def test_names_change_by_a_regular_expression() -> None:
    base = shared("residual")
    step = {"op": "rename_layer", "target": "re:s.*|b.*", "to": {"regex": "(.)(.*)", "with": r"\2_\1"}}
    assert {"tem_s", "ranch_b"} <= set(names(applied(base, step)))


def test_layers_may_exchange_their_names() -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), *(keras.layers.Dense(3, name=name) for name in ("a_b", "b_a"))])
    step = {"op": "rename_layer", "target": {"type": "Dense"}, "to": {"regex": "(.)_(.)", "with": r"\2_\1"}}
    mutant = applied(model, step)
    assert names(mutant) == ["b_a", "a_b"]
    assert weights(mutant) == weights(model)


def test_names_that_collide_are_refused_with_both() -> None:
    base = shared("residual")
    step = {"op": "rename_layer", "target": ["stem", "branch"], "to": {"regex": "(s)tem|branch", "with": "x"}}
    assert "`stem` and `branch` would both be called `x`" in refused(base, step)
    step = {"op": "rename_layer", "target": ["stem", "norm"], "to": {"regex": "stem|(nor)m", "with": r"pool\1"}}
    assert "`stem` would be called `pool`, as another layer" in refused(base, step)


def test_models_are_renamed_at_any_depth() -> None:
    base = shared("nested_twice_deep")
    steps = [
        {"op": "rename_model", "id": "outer", "to": "student"},
        {"op": "rename_model", "id": "inner", "model": "middle/inner", "to": "core"},
    ]
    mutant = applied(base, *steps)
    assert mutant.name == "student"
    assert mutant.get_layer("middle").get_layer("core").name == "core"
    assert_same(mutant, base, base, 0)


# In any order with steps on weights.


def test_weight_steps_before_and_after_find_their_layers() -> None:
    base = shared("residual")
    steps = [
        {"op": "scale", "id": "first", "target": "branch/kernel", "factor": 2.0},
        {"op": "swap_layers", "target": "branch", "other": "norm"},
        {"op": "duplicate_layers", "id": "copy", "target": "branch"},
        {"op": "scale", "id": "second", "target": "branch/kernel", "factor": 3.0},
        {"op": "rename_layer", "target": "copy", "to": "twin"},
        {"op": "scale", "id": "third", "target": "twin/kernel", "factor": 5.0},
    ]
    mutant = applied(base, *steps)
    kernel = np.asarray(base.get_layer("branch").kernel)
    np.testing.assert_array_equal(mutant.get_layer("branch").kernel, kernel * 2 * 3)
    np.testing.assert_array_equal(mutant.get_layer("twin").kernel, kernel * 2 * 5)


MULTIPLY = {"type": "Multiply", "of": ["input", "gate"]}
PLANS: dict[str, dict[str, Any]] = {
    "sequential": {
        "blocks": {"gated": [{"name": "gate", "type": "Dense", "units": "same", "of": "with"}, MULTIPLY]},
        "steps": [
            {"op": "insert_layer", "after": "dropout", "with": "dense", "layer": {"block": "gated"}},
            {"op": "rename_layer", "target": "*", "to": "a_{name}"},
        ],
    },
    "residual": {
        "blocks": {"gated": [{"name": "gate", "type": "Dense", "units": "same"}, MULTIPLY]},
        "steps": [
            {"op": "insert_layer", "after": ["stem", "norm"], "layer": {"block": "gated"}},
            {"op": "duplicate_layers", "id": "copy", "target": {"between": ["branch", "add"]}},
            {"op": "swap_layers", "target": "branch", "other": "copy_branch"},
        ],
    },
}


@pytest.mark.parametrize("name", PLANS)
def test_a_file_gets_what_a_live_model_gets(name: str, tmp_path: Path) -> None:
    import keras

    base, plan = shared(name), mutspec.plan(PLANS[name])
    base.save(tmp_path / "base.keras")
    mutspec.apply(plan, tmp_path / "base.keras", tmp_path / "mutant.keras")
    live = mutspec.apply(plan, base)
    assert mutspec.diff(tmp_path / "mutant.keras", live).identical
    assert_same(keras.saving.load_model(tmp_path / "mutant.keras"), live, base)
