"""Implicit masks follow from the edited graph by Keras's own rules; masks that the author passed stay."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mutspec
from mutspec.model.outline import is_operation
from mutspec.model.spec import TensorRef
from mutspec.structure.edits import rename, without_unused
from mutspec.structure.masks import with_implicit_masks, without_implicit_masks
from mutspec.structure.network import Network
from mutspec.structure.network_config import entry_of, network_of
from tests.structure.masked_models import (
    INNER,
    LAST,
    chain,
    layer,
    padded,
    tokens,
    with_weights_of,
    written,
)
from tests.zoo.play import outputs, shared

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not support masking"),  # Keras says where it drops a mask
    pytest.mark.filterwarnings("ignore:.*acts in training only"),
]

Step = dict[str, Any]


def _network(model: Any) -> Network:
    import keras

    return network_of(json.loads(json.dumps(keras.saving.serialize_keras_object(model))))


def _mutant(model: Any, *steps: Step) -> Any:
    return mutspec.apply(mutspec.plan({"seed": 3, "steps": list(steps)}), model)


def _masks(network: Network) -> dict[str, Any]:
    """The masks that each call is given, as what computes them: operations, down to tensors of layers."""

    def computed(value: Any) -> Any:
        if isinstance(value, TensorRef):
            entry = network.layers[value.layer]
            if isinstance(entry, Network) or not is_operation(entry):
                return value
            config = {key: item for key, item in entry["config"].items() if key != "name"}
            return (entry["class_name"], config, computed(network.calls[value.layer][value.call]["args"]))
        return [computed(item) for item in value] if isinstance(value, list | tuple) else value

    found: dict[str, Any] = {}
    for name, entry in network.layers.items():
        if isinstance(entry, Network):
            found |= {f"{name}/{below}": mask for below, mask in _masks(entry).items()}
        if isinstance(entry, Network) or not is_operation(entry):
            kwargs = [call["kwargs"] for call in network.calls[name]]
            found[name] = [{key: computed(each[key]) for key in each if key.endswith("mask")} for each in kwargs]
    return found


def _operations(network: Network) -> set[str]:
    return {name for name, each in network.layers.items() if not isinstance(each, Network) and is_operation(each)}


def _assert_like(mutant: Any, by_hand: Any) -> None:
    """Asserts that a mutant predicts what a model built by hand with its weights predicts, and has the same masks."""
    x = padded(by_hand)
    for one, other in zip(outputs(mutant, x), outputs(with_weights_of(by_hand, mutant), x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert _masks(_network(mutant)) == _masks(_network(by_hand))


# Models of many kinds, for laws.


def _many_kinds() -> Any:
    """Layers that make, merge, pass and drop masks, and calls of which Keras writes no masks."""
    import keras

    layers = keras.layers
    floats, words = keras.Input((5, 3)), keras.Input((5,), dtype="int32")
    masked, embedded = layers.Masking()(floats), layers.Embedding(10, 3, mask_zero=True)(words)
    added = layers.Add()([masked, embedded])
    merged = [
        added,
        layers.Multiply()([masked, embedded, added]),
        layers.Concatenate()([masked, embedded, floats]),
        layers.Concatenate(axis=1)([masked, embedded]),
        layers.Attention()([masked, embedded]),
        layers.AdditiveAttention()([masked, floats, embedded]),
        layers.MultiHeadAttention(2, 3)(masked, embedded, use_causal_mask=True),
        layers.Subtract()([masked, floats]),
        layers.Bidirectional(layers.GRU(2, return_sequences=True))(masked),
        layers.SpatialDropout1D(0.1)(layers.BatchNormalization()(masked)),
    ]
    states = [layers.Dense(2)(layers.Flatten()(floats))] * 2
    ends = [
        layers.GlobalAveragePooling1D()(layers.TimeDistributed(layers.Dense(3))(masked)),
        layers.LSTM(2)(masked, initial_state=states),
        *layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode=None)(masked),
    ]
    return keras.Model([floats, words], [*(layers.LSTM(2)(each) for each in merged), *ends])


def _shared_layers() -> Any:
    """A layer that makes a mask, called twice, and a masked layer that is called on both."""
    import keras

    one, other = keras.Input((5, 3)), keras.Input((5, 3))
    masking, last = keras.layers.Masking(), keras.layers.LSTM(2)
    masks = [masking(one), masking(other)]
    return keras.Model([one, other], [last(masks[0]), last(masks[1]), last(keras.layers.Average()(masks))])


def _nested() -> Any:
    """Models that are called on masked tensors, with masks of their own, two deep and as a Sequential."""
    import keras

    layers = keras.layers
    inputs = keras.Input((5, 3))
    deepest = keras.Input((5, 3))
    deep = keras.Model(deepest, layers.LSTM(3, return_sequences=True)(layers.Masking()(deepest)), name="deep")
    middle = keras.Input((5, 3))
    inner = keras.Model(middle, layers.GRU(3, return_sequences=True)(deep(layers.Masking()(middle))), name="inner")
    pair = keras.Input((5, 3)), keras.Input((5, 3))
    merging = keras.Model(list(pair), layers.SimpleRNN(2)(layers.Add()(list(pair))), name="merging")
    chained = keras.Sequential([keras.Input((5, 3)), layers.Masking(), layers.LSTM(2)], name="chained")
    masked = layers.Masking()(inputs)
    return keras.Model(inputs, [inner(masked), chained(masked), merging([masked, inputs])])


def _authors() -> Any:
    """Masks that the author passed: from an input, by hand, by operations, and one that Keras made, used otherwise."""
    import keras

    layers, ops = keras.layers, keras.ops
    inputs, mask = keras.Input((5, 3)), keras.Input((5,), dtype="bool")
    masked = layers.Masking()(inputs)
    made = masked._keras_mask
    ends = [
        layers.LSTM(2)(inputs, mask=mask),
        layers.LSTM(2)(masked, mask=mask),
        layers.GRU(2)(inputs, mask=layers.Masking(mask_value=1.0).compute_mask(inputs)),
        layers.GRU(2)(layers.Conv1D(3, 2, padding="same")(masked), mask=made),
        layers.GRU(2)(inputs, mask=ops.logical_and(mask, made)),
        layers.LSTM(2)(masked),
        layers.MultiHeadAttention(1, 2)(inputs, inputs, value_mask=mask),
        layers.MultiHeadAttention(1, 2)(masked, inputs, attention_mask=ops.expand_dims(mask, 1)),
        ops.cast(made, "float32"),
    ]
    return keras.Model([inputs, mask], ends)


def _mixed_precision() -> Any:
    """A layer that casts what it is called on: into this call, Keras writes no mask."""
    import keras

    inputs = keras.Input((5, 3))
    x = keras.layers.LSTM(3, return_sequences=True, dtype="mixed_float16")(keras.layers.Masking()(inputs))
    return keras.Model(inputs, keras.layers.LSTM(2, dtype="mixed_float16")(x))


MODELS: dict[str, Callable[[], Any]] = {
    "many kinds": _many_kinds,
    "shared layers": _shared_layers,
    "nested": _nested,
    "authors": _authors,
    "mixed precision": _mixed_precision,
    "zoo": lambda: shared("embedding_mask"),
    "transformer": lambda: shared("transformer"),
}


@cache
def _built(name: str) -> Any:
    import keras

    keras.backend.clear_session(free_memory=False)  # names as in a new process
    return MODELS[name]()


@pytest.mark.parametrize("name", MODELS)
def test_masks_that_are_taken_out_come_back_as_they_were(name: str) -> None:
    network = _network(_built(name))
    again = with_implicit_masks(without_implicit_masks(network))
    assert (again.layers, again.calls, again.types) == (network.layers, network.calls, network.types)
    assert (again.inputs, again.outputs) == (network.inputs, network.outputs)


@pytest.mark.parametrize("name", MODELS)
def test_masks_are_taken_out_once(name: str) -> None:
    network = without_implicit_masks(_network(_built(name)))
    assert without_implicit_masks(network) is network


@pytest.mark.parametrize("name", ["many kinds", "shared layers", "nested", "zoo"])
def test_a_network_without_implicit_masks_has_no_operations_for_them(name: str) -> None:
    def checked(network: Network) -> None:
        assert not _operations(network)
        for each in network.layers.values():
            if isinstance(each, Network):
                checked(each)

    checked(without_implicit_masks(_network(_built(name))))


@pytest.mark.parametrize("name", ["residual", "nested", "multiple_io", "attentions", "sequential"])
def test_a_model_without_masks_stays_the_same_object(name: str) -> None:
    network = _network(shared(name))
    assert without_implicit_masks(network) is network
    assert with_implicit_masks(network) is network


def test_operations_have_the_names_and_modules_that_keras_gives_them() -> None:
    network = _network(_built("many kinds"))
    again = with_implicit_masks(_forgotten(without_implicit_masks(network)))
    assert _masks(again) == _masks(network)
    found = {name: again.layers[name] for name in _operations(again)}
    kept = {(each["class_name"], each["module"], each["registered_name"]) for each in found.values()}
    assert kept == {
        (network.layers[name]["class_name"], network.layers[name]["module"], network.layers[name]["registered_name"])
        for name in _operations(network)
    }
    assert {"not_equal", "not_equal_1", "any", "logical_or"} <= found.keys()
    assert {"concatenate_1", "concatenate_3"} <= found.keys()  # layers have the names between


def _forgotten(network: Network) -> Network:
    """A network that does not know which names its operations had."""
    calls = {
        name: tuple({"args": call["args"], "kwargs": call["kwargs"]} for call in calls)
        for name, calls in network.calls.items()
    }
    return network.changed(calls=calls)


@pytest.mark.parametrize("name", ["many kinds", "nested", "authors"])
def test_keras_builds_the_same_masks_from_a_network(name: str) -> None:
    import keras

    base = _built(name)
    network = with_implicit_masks(_forgotten(without_implicit_masks(_network(base))))
    again = keras.saving.deserialize_keras_object(entry_of(network))
    again.set_weights(base.get_weights())
    x = padded(base)
    for one, other in zip(outputs(again, x), outputs(base, x), strict=True):
        np.testing.assert_array_equal(one, other)
    assert _masks(_network(again)) == _masks(_network(base))


def test_masks_that_the_author_passed_are_not_implicit() -> None:
    network = without_implicit_masks(_network(_built("authors")))
    assert "not_equal" in network.layers  # the author has used the mask that Keras made
    masks = _masks(network)
    assert [each for calls in masks.values() for each in calls if each.get("mask", True) is None] == [{"mask": None}]


def test_deep_models_take_time_in_proportion_to_their_depth() -> None:
    # Each residual block merges a mask with itself, so that the masks as trees would have 2^300 operations.
    import keras

    inputs = keras.Input((5, 3))
    x = keras.layers.Masking(name="masking")(inputs)
    model = keras.Model(inputs, keras.layers.LSTM(2, name="last")(keras.layers.Add(name="add0")([x, x])))
    network = _network(model)
    block, calls = network.layers["add0"], {}
    layers = {
        f"add{number}": {**block, "config": {**block["config"], "name": f"add{number}"}} for number in range(1, 300)
    }
    for number in range(1, 300):
        before = TensorRef(f"add{number - 1}")
        calls[f"add{number}"] = ({"args": [[before, before]], "kwargs": {}},)
    calls["last"] = ({"args": [TensorRef("add299")], "kwargs": {"mask": None}},)
    deep = without_implicit_masks(network).changed(layers=layers, calls=calls, after="add0")
    masked = with_implicit_masks(deep)
    assert len(_operations(masked)) == 302
    assert with_implicit_masks(without_implicit_masks(masked)) == masked


# Edits of chains, against models that are built by hand.


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        (("masking", "lstm", "last"), {"op": "remove_layer", "target": "masking"}, ("lstm", "last")),
        (("masking", "lstm", "last"), {"op": "remove_layer", "target": "lstm"}, ("masking", "last")),
        (("masking", "both", "average"), {"op": "remove_layer", "target": "both"}, ("masking", "average")),
        (("masking", "each", "gates"), {"op": "remove_layer", "target": "each"}, ("masking", "gates")),
        (("masking", "same", "last"), {"op": "remove_layer", "target": "same"}, ("masking", "last")),
        (("dense", "tens", "rnn", "average"), {"op": "remove_layer", "target": "tens"}, ("dense", "rnn", "average")),
        (("masking", "tens", "last"), {"op": "remove_layer", "target": "tens"}, ("masking", "last")),
        (("masking", "tens", "last"), {"op": "remove_layer", "target": "masking"}, ("tens", "last")),
    ],
)
def test_a_removed_layer_takes_its_part_in_masks_with_it(before: Any, step: Step, after: Any) -> None:
    _assert_like(_mutant(chain(*before), step), chain(*after))


@pytest.mark.parametrize(
    "name",
    ["conv", "same", "pool", "dropout", "batch", "norm", "lstm", "gru", "rnn", "both", "each", "masking"],
)
def test_an_inserted_layer_passes_or_drops_the_mask_as_in_keras(name: str) -> None:
    step = {"op": "insert_layer", "before": "last", "layer": {**written(name), "name": f"{name}9"}}
    mutant = _mutant(tokens("lstm", "last"), step)
    _assert_like(mutant, tokens("lstm", f"{name}9", "last"))


@pytest.mark.parametrize(
    ("before", "target", "name"),
    [
        (("masking", "lstm", "last"), "masking", "dropout"),
        (("masking", "lstm", "last"), "lstm", "gru"),
        (("masking", "lstm", "last"), "lstm", "same"),
        (("masking", "same", "last"), "same", "rnn"),
        (("masking", "lstm", "last"), "last", "average"),
        (("dense", "lstm", "average"), "dense", "masking"),
        (("masking", "lstm", "average"), "masking", "tens"),
    ],
)
def test_a_replaced_layer_makes_passes_or_drops_the_mask_as_in_keras(before: Any, target: str, name: str) -> None:
    step = {"op": "replace_layer", "target": target, "layer": {**written(name), "name": f"{name}9"}}
    by_hand = chain(*(f"{name}9" if each == target else each for each in before))
    _assert_like(_mutant(chain(*before), step), by_hand)


def test_an_embedding_that_masks_no_longer() -> None:
    new = {"type": "Embedding", "input_dim": 5, "output_dim": 3, "name": "embedding"}
    step = {"op": "replace_layer", "target": "embedding", "layer": new, "keep_weights": True}
    _assert_like(_mutant(tokens("lstm", "last"), step), tokens("lstm", "last", masks=False))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_chains_of_any_layers_have_the_masks_of_the_chain_built_by_hand(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(INNER), min_size=1, max_size=5))
    before = [f"{kind}{number}" for number, kind in enumerate(kinds)]
    last = data.draw(st.sampled_from(LAST))
    at = data.draw(st.integers(0, len(before) - 1))
    after = list(before)
    if data.draw(st.booleans()):
        new = f"{data.draw(st.sampled_from(INNER))}9"
        after.insert(at, new)
        step = {"op": "insert_layer", "before": before[at], "layer": {**written(new), "name": new}}
    else:
        del after[at]
        step = {"op": "remove_layer", "target": before[at]}
    assert _masks(_edited(chain(*before, last), step)) == _masks(_network(chain(*after, last)))


def _edited(model: Any, *steps: Step) -> Network:
    """The network of a mutant, which is not built."""
    from mutspec.lowering.compile import compile_plan
    from mutspec.model.live import read_live
    from mutspec.model.live.oracle import KerasOracle
    from mutspec.structure.shape_rules import TableOracle

    live = read_live(model)
    plan = mutspec.plan({"steps": list(steps)})
    return network_of(compile_plan(plan, live.spec, {}, config=live.config, oracle=TableOracle(KerasOracle())).config)


# Edits of other graphs, against models that are built by hand.


def _two(merge: str, *, left: bool = True, right: bool = True, end: str = "last") -> Any:
    """A layer that merges two sequences, of which either may be masked."""
    import keras

    layers = keras.layers
    one, other = keras.Input((8, 3), name="one"), keras.Input((8, 3), name="other")
    x = layers.Masking(name="left")(one) if left else one
    y = layers.Masking(mask_value=10.0, name="right")(other) if right else other
    merged = {
        "add": lambda: layers.Add(name="merge")([x, y]),
        "join": lambda: layers.Concatenate(name="merge")([x, y]),
        "follow": lambda: layers.Concatenate(axis=1, name="merge")([x, y]),
        "dot": lambda: layers.Attention(name="merge")([x, y]),
        "additive": lambda: layers.AdditiveAttention(name="merge")([x, y]),
        "heads": lambda: layers.MultiHeadAttention(2, 2, name="merge")(x, y),
        "causal": lambda: layers.MultiHeadAttention(2, 2, name="merge")(x, y, use_causal_mask=True),
    }
    return keras.Model([one, other], layer(end)(merged[merge]()))


@pytest.mark.parametrize("gone", ["left", "right"])
@pytest.mark.parametrize("merge", ["add", "join", "follow", "dot", "additive", "heads", "causal"])
def test_a_merge_gets_the_masks_that_are_left(merge: str, gone: str) -> None:
    mutant = _mutant(_two(merge), {"op": "remove_layer", "target": gone})
    _assert_like(mutant, _two(merge, **{gone: False}))


@pytest.mark.parametrize("merge", ["add", "join", "dot"])
def test_a_merge_gets_the_mask_of_a_new_layer(merge: str) -> None:
    masking = {"type": "Masking", "mask_value": 10.0, "name": "right"}
    mutant = _mutant(_two(merge, right=False), {"op": "insert_layer", "after": "other", "layer": masking})
    _assert_like(mutant, _two(merge))


def _around(inner: Callable[[Any], Any], *, masked: bool = True, masked_inside: bool = False) -> Any:
    """A model whose mask enters a nested model, which the recurrent layers in it get only when it predicts."""
    import keras

    layers = keras.layers
    port = keras.Input((8, 3), name="port")
    inside = inner(layers.Masking(mask_value=10.0, name="inside")(port) if masked_inside else port)
    nested = keras.Model(port, layers.LSTM(3, return_sequences=True, name="encode")(inside), name="nested")
    inputs = keras.Input((8, 3), name="source")
    x = layers.Masking(name="masking")(inputs) if masked else inputs
    return keras.Model(inputs, layers.LSTM(2, name="last")(nested(x)))


def test_masks_enter_a_nested_model_as_long_as_they_are_made() -> None:
    mutant = _mutant(_around(lambda x: x), {"op": "remove_layer", "target": "masking"})
    _assert_like(mutant, _around(lambda x: x, masked=False))


def test_a_layer_inside_a_nested_model_drops_the_mask_that_enters_it() -> None:
    step = {"op": "insert_layer", "before": "nested/encode", "layer": {**written("conv"), "name": "conv"}}
    _assert_like(_mutant(_around(lambda x: x), step), _around(lambda x: layer("conv")(x)))


def test_a_nested_model_has_masks_of_its_own() -> None:
    mutant = _mutant(_around(lambda x: x, masked_inside=True), {"op": "remove_layer", "target": "nested/inside"})
    _assert_like(mutant, _around(lambda x: x))
    masking = {"type": "Masking", "mask_value": 10.0, "name": "inside"}
    mutant = _mutant(_around(lambda x: x), {"op": "insert_layer", "before": "nested/encode", "layer": masking})
    _assert_like(mutant, _around(lambda x: x, masked_inside=True))


def test_sequential_models_take_and_drop_masks() -> None:
    import keras

    def chained(*names: str) -> Any:
        model = keras.Sequential([keras.Input((8, 3)), *map(layer, names)])
        inputs = keras.Input((8, 3), name="source")
        return keras.Model(inputs, model(layer("masking")(inputs))), model

    base, _ = chained("lstm", "last")
    step = {"op": "insert_layer", "before": "sequential*/last", "layer": {**written("same"), "name": "same"}}
    mutant = _mutant(base, step)
    by_hand, inside = chained("lstm", "same", "last")
    inside.set_weights(mutant.layers[-1].get_weights())
    x = padded(base)
    np.testing.assert_allclose(outputs(mutant, x)[0], outputs(by_hand, x)[0], rtol=1e-5, atol=1e-6)


# Masks that the author passed.


def _passed(kind: str, *names: str, masked: bool = True) -> Any:
    """A chain whose last layer gets a mask from its author."""
    import keras

    ops = keras.ops
    inputs, given = keras.Input((8, 3), name="source"), keras.Input((8,), dtype="bool", name="given")
    x = layer("masking")(inputs) if masked else inputs
    mask = {
        "input": lambda: given,
        "by hand": lambda: keras.layers.Masking(mask_value=10.0).compute_mask(inputs),
        "operations": lambda: ops.logical_and(given, ops.any(ops.greater(inputs, 0.7), axis=-1)),
    }[kind]()
    for name in names:
        x = layer(name)(x)
    return keras.Model([inputs, given], layer("last")(x, mask=mask))


@pytest.mark.parametrize("kind", ["input", "by hand", "operations"])
def test_a_mask_that_the_author_passed_stays(kind: str) -> None:
    removed = _mutant(_passed(kind, "lstm"), {"op": "remove_layer", "target": "masking"})
    _assert_like(removed, _passed(kind, "lstm", masked=False))
    inserted = _mutant(
        _passed(kind, "lstm"), {"op": "insert_layer", "before": "last", "layer": {**written("same"), "name": "same"}}
    )
    _assert_like(inserted, _passed(kind, "lstm", "same"))


def test_a_mask_that_the_author_passed_stays_for_another_recurrent_layer_alone() -> None:
    base = _passed("by hand", "lstm")
    gates = _mutant(base, {"op": "replace_layer", "target": "last", "layer": {**written("gates"), "name": "gates"}})
    assert _masks(_network(gates))["gates"] == _masks(_network(base))["last"]
    dense = _mutant(base, {"op": "replace_layer", "target": "last", "layer": {**written("dense"), "name": "dense"}})
    assert sum(type(each).__name__ == "NotEqual" for each in base.operations) == 2
    assert sum(type(each).__name__ == "NotEqual" for each in dense.operations) == 1  # that of the Masking is left


def test_a_mask_from_a_removed_layer_comes_from_its_input() -> None:
    import keras

    def built(*, scaled: bool) -> Any:
        inputs = keras.Input((8, 3), name="source")
        x = keras.layers.Rescaling(2.0, name="scale")(inputs) if scaled else inputs
        return keras.Model(inputs, layer("last")(inputs, mask=keras.ops.any(keras.ops.greater(x, 1.5), axis=-1)))

    _assert_like(_mutant(built(scaled=True), {"op": "remove_layer", "target": "scale"}), built(scaled=False))


# Classes of the user's own.


def _of_own_class(*, passes: bool, masked: bool = True, convolved: bool = False) -> Any:
    import keras

    @keras.saving.register_keras_serializable("masks", name=f"Own{passes}")
    class Own(keras.layers.Layer):
        def __init__(self, **keys: Any) -> None:
            super().__init__(**keys)
            self.supports_masking = passes

        def call(self, inputs: Any) -> Any:
            return inputs * 2

        def get_config(self) -> dict[str, Any]:
            return {"name": self.name}

    inputs = keras.Input((8, 3), name="source")
    x = layer("masking")(inputs) if masked else inputs
    x = layer("same")(x) if convolved else x
    return keras.Model(inputs, layer("last")(Own(name="second")(Own(name="first")(x))))


@pytest.mark.parametrize("passes", [True, False])
def test_a_layer_of_an_own_class_goes_on_passing_or_dropping_masks(passes: bool) -> None:
    base = _of_own_class(passes=passes)
    unmasked, convolved = _of_own_class(passes=passes, masked=False), _of_own_class(passes=passes, convolved=True)
    _assert_like(_mutant(base, {"op": "remove_layer", "target": "masking"}), unmasked)
    step = {"op": "insert_layer", "before": "first", "layer": {**written("same"), "name": "same"}}
    _assert_like(_mutant(base, step), convolved)
    kept = _mutant(base, {"op": "insert_layer", "before": "last", "layer": {**written("dropout"), "name": "dropout"}})
    assert _masks(_network(kept))["last"] == _masks(_network(base))["last"]


def test_keras_finds_the_mask_that_a_new_layer_of_an_own_class_passes() -> None:
    for passes in (True, False):
        by_hand = _of_own_class(passes=passes)
        own = {"class_name": f"masks>Own{passes}", "config": {}}
        steps = [{"op": "insert_layer", "id": name, "before": "last", "layer": own} for name in ("first", "second")]
        mutant = _mutant(chain("masking", "last"), *steps)
        x = padded(by_hand)
        expected = outputs(with_weights_of(by_hand, mutant), x)[0]
        np.testing.assert_allclose(outputs(mutant, x)[0], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("masks", [True, False])
def test_an_embedding_may_begin_and_end_to_mask_by_its_argument(masks: bool) -> None:
    network = without_implicit_masks(_network(tokens("lstm", "last", masks=not masks)))
    entry = network.layers["embedding"]
    assert not isinstance(entry, Network)
    other = network.with_layers(
        {**network.layers, "embedding": {**entry, "config": {**entry["config"], "mask_zero": masks}}}
    )
    assert _masks(with_implicit_masks(other)) == _masks(_network(tokens("lstm", "last", masks=masks)))


def test_a_new_layer_is_called_as_keras_writes_it() -> None:
    step = {"op": "insert_layer", "before": "last", "layer": {**written("lstm"), "name": "new"}}
    found = _edited(chain("masking", "last"), step)
    assert found.calls["new"][0]["kwargs"].keys() == {"training", "mask"}
    assert found.calls["new"][0]["kwargs"] == found.calls["last"][0]["kwargs"]


# Files.


@pytest.mark.parametrize(
    ("build", "step"),
    [
        (lambda: chain("masking", "lstm", "last"), {"op": "remove_layer", "target": "masking"}),
        (lambda: tokens("last"), {"op": "insert_layer", "before": "last", "layer": {**written("conv"), "name": "new"}}),
        (lambda: tokens("last"), {"op": "insert_layer", "before": "last", "layer": {**written("rnn"), "name": "new"}}),
        (lambda: chain("dense", "last"), {"op": "insert_layer", "before": "last", "layer": {"type": "Masking"}}),
        (lambda: _two("join"), {"op": "remove_layer", "target": "right"}),
        (lambda: _passed("by hand", "lstm"), {"op": "remove_layer", "target": "masking"}),
        (lambda: chain("masking", "lstm", "last"), {"op": "rename_layer", "target": "lstm", "to": "other"}),
    ],
)
def test_a_diff_of_files_shows_what_the_dry_run_says(tmp_path: Path, build: Any, step: Step) -> None:
    path, mutant = tmp_path / "base.keras", tmp_path / "mutant.keras"
    build().save(path)
    plan = mutspec.plan({"steps": [{**step, "id": "step"}]})
    report = mutspec.dry_run(plan, path).to_json()
    expected = _sorted(report["layers"])
    for kind in ("added", "removed"):
        told = [each["layer"] for each in report["steps"][0]["layers"] if each["edit"] == kind]
        renamed = {"lstm", "other"}  # which are one layer for a step, and two for a comparison of models
        assert sorted(told) == [each["layer"] for each in expected[kind] if each["layer"] not in renamed]
    assert _sorted(mutspec.apply(plan, path, mutant).to_json()["layers"]) == expected
    assert _sorted(mutspec.diff(path, mutant).to_json()["layers"]) == expected


def _sorted(layers: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    return {kind: sorted(each, key=lambda layer: layer["layer"]) for kind, each in layers.items()}


def test_operations_keep_their_names() -> None:
    import keras

    for _ in range(3):
        keras.layers.Masking().compute_mask(keras.Input((8, 3)))  # Keras counts on in a process
    base = chain("masking", "lstm", "last")
    names = {each.name for each in base.operations}
    assert "any" not in names
    mutant = _mutant(base, {"op": "remove_layer", "target": "lstm"})
    assert {each.name for each in mutant.operations} == names - {"lstm"}


def test_a_new_layer_may_have_the_name_of_an_operation() -> None:
    base = chain("masking", "lstm", "last")
    (name,) = (each.name for each in base.operations if type(each).__name__ == "Any")
    mutant = _mutant(base, {"op": "insert_layer", "before": "last", "layer": {**written("norm"), "name": name}})
    assert type(mutant.get_layer(name)).__name__ == "LayerNormalization"
    x = padded(base)
    assert np.abs(outputs(mutant, x)[0]).max() > 0


def test_files_of_versions_that_wrote_no_masks_are_edited_like_others(tmp_path: Path) -> None:
    # Until Keras 3.8, only the calls of nested models had masks in the config.
    network = without_implicit_masks(_network(tokens("lstm", "last")))
    calls = {name: tuple({"args": call["args"], "kwargs": {}} for call in each) for name, each in network.calls.items()}
    again = with_implicit_masks(network.changed(calls=calls))
    assert {name: each[0] for name, each in _masks(again).items() if each and each[0]} == {
        name: each[0] for name, each in _masks(_network(tokens("lstm", "last"))).items() if each and each[0]
    }


def test_a_mask_that_the_version_of_the_file_did_not_write_stays_unwritten() -> None:
    # Keras 3.3 found no mask for what Concatenate makes; Keras 3.15 finds one when the model is called.
    network = _network(_two("join"))
    calls = {"last": ({**network.calls["last"][0], "kwargs": {"training": False, "mask": None}},)}
    unmasked = without_implicit_masks(without_unused(network.changed(calls=calls), _operations(network)))
    assert not _operations(with_implicit_masks(unmasked))
    renamed = rename(unmasked, "left", "other_left")
    assert not _operations(with_implicit_masks(renamed))
    assert without_implicit_masks(unmasked) is unmasked


def test_a_region_of_a_masked_model_is_grafted_with_its_masks() -> None:
    base, other = chain("dense", "last"), chain("masking", "lstm", "gates")
    region = {"between": ["masking", "lstm"]}
    step = {"op": "graft", "source": "other:", "region": region, "after": "dense", "names": "{name}"}
    mutant = mutspec.apply(mutspec.plan({"inputs": {"other": {}}, "steps": [step]}), base, inputs={"other": other})
    _assert_like(mutant, chain("dense", "masking", "lstm", "last"))
