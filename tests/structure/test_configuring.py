"""Arguments are set in place, at any depth, unless a shape or a weight would change; then it is said which."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

import mutspec
from mutspec.errors import PlanError


@pytest.fixture(scope="module")
def recurrent() -> keras.Model:
    """A Functional model with layers in layers."""
    keras.backend.clear_session(free_memory=False)  # the stack of cells has an automatic name
    keras.utils.set_random_seed(7)
    layers = keras.layers
    x = keras.Input((6, 4), batch_size=2, name="rows")
    y = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="lstm"), name="both")(x)
    y = layers.TimeDistributed(layers.Dense(5, activation="relu", name="dense"), name="each")(y)
    y = layers.RNN([layers.GRUCell(3, name="gru"), layers.LSTMCell(4, name="cell")], name="stack")(y)
    y = layers.SpectralNormalization(layers.Dense(4, name="inner"), name="spectral")(y)
    return keras.Model(x, layers.Dense(2, name="last")(y), name="recurrent")


@pytest.fixture(scope="module")
def mixed() -> keras.Model:
    """A Functional model with attention, normalisation, convolution and a model in the model."""
    keras.utils.set_random_seed(8)
    layers = keras.layers
    x = keras.Input((8, 4), name="rows")
    y = layers.MultiHeadAttention(2, 3, dropout=0.1, name="attention")(x, x)
    y = layers.Conv1D(6, 3, padding="same", name="conv")(layers.Add(name="plus")([x, y]))
    y = layers.BatchNormalization(name="norm")(layers.SpatialDropout1D(0.2, name="spatial")(y))
    inner = keras.Sequential([keras.Input((8, 6)), layers.GRU(3, name="gru")], name="inner")
    return keras.Model(x, layers.Dense(2, name="last")(inner(y)) + 1.0, name="mixed")


def configured(model: keras.Model, target: Any, **changes: Any) -> keras.Model:
    step = {"op": "configure_layer", "target": target, "set": changes}
    return mutspec.apply(mutspec.plan({"steps": [step]}), model)


def equal_weights(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(first, second) for first, second in pairs)


# Layers in layers


IN_LAYERS: dict[str, tuple[str, dict[str, Any], Callable[[Any], Any], Any]] = {
    "a direction": (
        "both/forward_lstm",
        {"dropout": 0.3},
        lambda model: (model.get_layer("both").forward_layer.dropout, model.get_layer("both").backward_layer.dropout),
        (0.3, 0.0),
    ),
    "the other direction": (
        "both/backward_lstm",
        {"activation": "relu"},
        lambda model: [
            getattr(model.get_layer("both"), f"{each}_layer").activation.__name__ for each in ("forward", "backward")
        ],
        ["tanh", "relu"],
    ),
    "a layer at each time": (
        "each/dense",
        {"activation": "elu"},
        lambda model: model.get_layer("each").layer.activation.__name__,
        "elu",
    ),
    "a cell": (
        "stack/stacked_rnn_cells/gru",
        {"recurrent_regularizer": {"type": "L2", "l2": 0.5}},
        lambda model: keras.regularizers.serialize(model.get_layer("stack").cell.cells[0].recurrent_regularizer),
        keras.regularizers.serialize(keras.regularizers.L2(0.5)),
    ),
    "a normalised layer": (
        "spectral/inner",
        {"kernel_constraint": "unit_norm"},
        lambda model: type(model.get_layer("spectral").layer.kernel_constraint).__name__,
        "UnitNorm",
    ),
}


@pytest.mark.parametrize("case", IN_LAYERS)
def test_a_layer_in_a_layer_is_named_by_its_path(case: str, recurrent: keras.Model) -> None:
    target, changes, found, expected = IN_LAYERS[case]
    mutant = configured(recurrent, target, **changes)
    assert found(mutant) == expected
    assert found(recurrent) != expected
    assert equal_weights(mutant, recurrent)


@pytest.mark.parametrize("case", IN_LAYERS)
def test_the_report_names_the_layer_and_a_diff_finds_the_same(case: str, recurrent: keras.Model) -> None:
    target, changes, _, _ = IN_LAYERS[case]
    plan = mutspec.plan({"steps": [{"op": "configure_layer", "target": target, "set": changes}]})
    told = [each.layer for each in mutspec.dry_run(plan, recurrent).structure.changed]
    found = mutspec.diff(recurrent, mutspec.apply(plan, recurrent)).structure
    assert told == [target] == [each.layer for each in found.changed]


def test_a_pattern_reaches_layers_at_all_depths(recurrent: keras.Model) -> None:
    mutant = configured(recurrent, {"type": ["LSTM", "LSTMCell"]}, unit_forget_bias=False)
    both = mutant.get_layer("both")
    cells = (both.forward_layer, both.backward_layer, mutant.get_layer("stack").cell.cells[1])
    assert [each.unit_forget_bias for each in cells] == [False] * 3


def test_predictions_change_as_keras_changes_them(recurrent: keras.Model) -> None:
    mutant = configured(recurrent, "each/dense", activation="tanh")
    by_hand = keras.models.clone_model(recurrent)
    by_hand.set_weights(recurrent.get_weights())
    by_hand.get_layer("each").layer.activation = keras.activations.tanh
    x = np.random.default_rng(0).standard_normal((2, 6, 4)).astype("float32")
    np.testing.assert_allclose(mutant(x), by_hand(x), rtol=1e-6)


NEW = {"type": "Bidirectional", "layer": {"type": "LSTM", "units": 2, "return_sequences": True}, "name": "new"}


@pytest.mark.parametrize(("target", "expected"), [("forward", (0.25, 0.25)), ("backward", (0.0, 0.25))])
def test_a_backward_layer_that_is_not_stated_follows_the_forward_one_until_it_is_named(
    target: str, expected: tuple[float, float], recurrent: keras.Model
) -> None:
    """A plan states one layer of a Bidirectional, of which Keras makes the other one."""
    steps = [
        {"op": "insert_layer", "id": "a", "after": "rows", "layer": NEW},
        {"op": "configure_layer", "id": "b", "target": f"new/{target}_lstm", "set": {"dropout": 0.25}},
    ]
    new = mutspec.apply(mutspec.plan({"steps": steps}), recurrent).get_layer("new")
    assert (new.forward_layer.dropout, new.backward_layer.dropout) == expected
    assert (new.forward_layer.go_backwards, new.backward_layer.go_backwards) == (False, True)
    assert (new.forward_layer.name, new.backward_layer.name) == ("forward_lstm", "backward_lstm")


def test_both_layers_of_a_bidirectional_are_changed_at_once(recurrent: keras.Model) -> None:
    """Keras refuses a Bidirectional of which only one layer keeps its state."""
    both = configured(recurrent, "both/*", stateful=True).get_layer("both")
    assert both.stateful
    assert both.forward_layer.stateful
    with pytest.raises(PlanError, match=r"the same value for attribute.*name both layers in it: `both/\*`"):
        configured(recurrent, "both/forward_lstm", stateful=True)
    with pytest.raises(PlanError, match="should have different `go_backwards`"):
        configured(recurrent, "both/forward_lstm", go_backwards=True)


def test_an_argument_of_a_wrapper_that_its_layer_has_is_told_with_the_layer(recurrent: keras.Model) -> None:
    with pytest.raises(PlanError, match="name `each/dense`, which has it"):
        configured(recurrent, "each", activation="elu")
    with pytest.raises(PlanError, match="name `both/forward_lstm` or `both/backward_lstm`, which has it"):
        configured(recurrent, "both", dropout=0.5)


def test_a_layer_that_another_makes_by_itself_is_refused_with_its_owner(mixed: keras.Model) -> None:
    with pytest.raises(PlanError, match=r"`attention/query` is made by `attention` \(MultiHeadAttention\) itself"):
        configured(mixed, "attention/query", trainable=False)


# What changes no shape


ALLOWED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a state that is kept": ("recurrent", "stack", {"stateful": True}),
    "an unrolled loop": ("recurrent", "stack", {"unroll": True}),
    "an unrolled GRU in a model": ("mixed", "inner/gru", {"unroll": True}),
    "a backward GRU": ("mixed", "inner/gru", {"go_backwards": True}),
    "another axis": ("mixed", "norm", {"momentum": 0.5, "epsilon": 0.1}),
    "a wider padding that changes nothing": ("mixed", "conv", {"padding": "causal"}),
    "a dilation": ("mixed", "conv", {"dilation_rate": 2}),
    "the dropout of attention": ("mixed", "attention", {"dropout": 0.5, "seed": 3}),
    "regularizers": ("mixed", "conv", {"kernel_regularizer": "l2", "bias_constraint": "non_neg", "trainable": False}),
    "a fused kernel": ("mixed", "inner/gru", {"use_cudnn": False}),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_changes_no_shape_is_set(case: str, request: pytest.FixtureRequest) -> None:
    name, target, changes = ALLOWED[case]
    model = request.getfixturevalue(name)
    mutant = configured(model, target, **changes)
    layer = mutant
    for part in target.split("/"):
        layer = layer.get_layer(part)
    for key, value in changes.items():
        assert getattr(layer, key, None) is not None
        if isinstance(value, bool | float):
            assert getattr(layer, key) == value
    assert equal_weights(mutant, model)
    x = np.zeros((2, *model.input_shape[1:]), "float32")
    assert mutant(x).shape == model(x).shape


REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "units": ("mixed", "last", {"units": 5}, "`units: 5` changes the kernel of `last` from 3×2 to 3×5"),
    "filters": ("mixed", "conv", {"filters": 8}, "`filters: 8` changes the kernel of `conv` from 3×4×6 to 3×4×8"),
    "a bias that goes": ("mixed", "conv", {"use_bias": False}, "`use_bias: false` removes the bias of `conv`"),
    "a scale that goes": ("mixed", "norm", {"scale": False}, "`scale: false` removes the gamma of `norm`"),
    "weights that come": ("mixed", "norm", {"renorm": True}, "adds the weight `moving_stddev` to `norm`"),
    "another axis": ("mixed", "norm", {"axis": 1}, "changes the gamma of `norm` from 6 to 8"),
    "an output": (
        "mixed",
        "inner/gru",
        {"return_sequences": True},
        r"changes the output of `inner/gru` from \(None, 3\) float32 to \(None, 8, 3\) float32",
    ),
    "one bias": ("mixed", "inner/gru", {"reset_after": False}, "changes the bias of `inner/gru` from 2×9 to 9"),
    "a padding": ("mixed", "conv", {"padding": "valid"}, r"from \(None, 8, 6\) float32 to \(None, 6, 6\) float32"),
    "a state of an unknown batch": ("mixed", "inner/gru", {"stateful": True}, "needs a known batch size"),
    "a wrapped width": ("recurrent", "each/dense", {"units": 6}, "changes the dense/kernel of `each` from 6×5 to 6×6"),
    "a cell's width": (
        "recurrent",
        "stack/stacked_rnn_cells/cell",
        {"units": 6},
        "changes the stacked_rnn_cells/cell/kernel of `stack` from 3×16 to 3×24",
    ),
    "heads": ("mixed", "attention", {"num_heads": 3}, "changes the query/kernel of `attention` from 4×2×3 to 4×3×3"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_changes_a_shape_is_refused_with_what_would_change(case: str, request: pytest.FixtureRequest) -> None:
    name, target, changes, words = REFUSED[case]
    with pytest.raises(PlanError, match=words) as caught:
        configured(request.getfixturevalue(name), target, **changes)
    assert caught.value.problems[0].path == ("steps", 0, "set", *changes)


def test_of_several_arguments_the_one_that_changes_something_is_named(mixed: keras.Model) -> None:
    with pytest.raises(PlanError) as caught:
        configured(mixed, "conv", activation="relu", dilation_rate=1, filters=7)
    assert caught.value.problems[0].path == ("steps", 0, "set", "filters")


def test_arguments_that_together_change_nothing_are_set() -> None:
    shorter = keras.Sequential([keras.Input((1, 2)), keras.layers.AveragePooling1D(1, strides=1, name="pool")])
    pool = configured(shorter, "pool", padding="same", strides=3).layers[0]
    assert (pool.padding, pool.strides) in (("same", (3,)), ("same", 3))


def test_masks_follow_an_embedding_that_is_told_to_mask() -> None:
    keras.utils.set_random_seed(9)
    tokens = keras.Input((5,), dtype="int32")

    def built(mask_zero: bool) -> keras.Model:
        table = keras.layers.Embedding(9, 3, mask_zero=mask_zero, name="table")
        return keras.Model(tokens, keras.layers.LSTM(2, name="lstm")(table(tokens)))

    plain, masked = built(False), built(True)
    masked.set_weights(plain.get_weights())
    x = np.array([[1, 2, 0, 0, 0], [3, 4, 5, 6, 0]])
    assert np.abs(plain.predict(x, verbose=0) - masked.predict(x, verbose=0)).max() > 1e-3
    on, off = configured(plain, "table", mask_zero=True), configured(masked, "table", mask_zero=False)
    np.testing.assert_allclose(on.predict(x, verbose=0), masked.predict(x, verbose=0), rtol=1e-5)
    np.testing.assert_allclose(off.predict(x, verbose=0), plain.predict(x, verbose=0), rtol=1e-5)


# The user's own classes


@keras.saving.register_keras_serializable("configuring")
class Power(keras.layers.Layer):
    """A layer of a user's own with an argument that changes its weight, and one that does not."""

    def __init__(self, exponent: float = 1.0, width: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exponent, self.width = exponent, width

    def build(self, shape: Any) -> None:
        self.factor = self.add_weight(shape=(self.width,), name="factor")

    def call(self, x: Any) -> Any:
        return keras.ops.power(x, self.exponent) * keras.ops.sum(self.factor)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "exponent": self.exponent, "width": self.width}


def test_arguments_of_a_users_own_class_are_set_by_what_keras_makes_of_them() -> None:
    model = keras.Sequential([keras.Input((3,)), Power(name="power")])
    assert configured(model, "power", exponent=2.0).layers[0].exponent == 2.0
    assert not configured(model, "power", trainable=False).layers[0].trainable
    with pytest.raises(PlanError, match="`width: 3` changes the var0 of `power` from 2 to 3"):
        configured(model, "power", width=3)
    with pytest.raises(PlanError, match="a Power has no argument `exponnt`") as caught:
        configured(model, "power", exponnt=3)
    assert caught.value.problems[0].candidates == ("exponent",)


# Freezing


def trained(model: keras.Model) -> list[int]:
    """The numbers of the weights that are trained."""
    own = [id(each) for each in model.trainable_weights]
    return [number for number, each in enumerate(model.weights) if id(each) in own]


def test_a_pattern_freezes_all_layers_whatever_it_takes_in(recurrent: keras.Model, mixed: keras.Model) -> None:
    for model in (recurrent, mixed):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mutspec.MutspecWarning)
            frozen = configured(model, {"type": "*"}, trainable=False)
        assert trained(frozen) == []
        assert equal_weights(frozen, model)
        assert trained(configured(frozen, {"type": "*"}, trainable=True)) == trained(model)


def test_the_first_layers_are_frozen_by_number(mixed: keras.Model) -> None:
    with pytest.warns(mutspec.MutspecWarning, match="Keras trains it again when it loads it from a file"):
        frozen = configured(mixed, {"type": "*", "pick": {"first": 3}}, trainable=False)
    assert not frozen.get_layer("attention").trainable_weights
    assert trained(frozen) == trained(mixed)[len(mixed.get_layer("attention").weights) :]


def test_what_is_frozen_stays_so_when_another_layer_is_edited(mixed: keras.Model) -> None:
    frozen = keras.models.clone_model(mixed)
    frozen.get_layer("attention").trainable = False
    mutant = configured(frozen, "norm", momentum=0.5)
    assert trained(mutant) == trained(frozen)
    assert trained(mutant) != trained(mixed)


@pytest.mark.parametrize("name", ["both", "each", "stack", "spectral"])
def test_a_wrapper_passes_it_on_to_the_layers_in_it_as_in_keras(name: str, recurrent: keras.Model) -> None:
    ours = configured(recurrent, name, trainable=False)
    theirs = keras.models.clone_model(recurrent)
    theirs.get_layer(name).trainable = False
    assert trained(ours) == trained(theirs)

    def stated(layer: Any) -> list[Any]:
        return [each.trainable for each in layer._flatten_layers()]

    assert stated(ours.get_layer(name)) == stated(theirs.get_layer(name))
    assert trained(configured(ours, name, trainable=True)) == trained(recurrent)


def test_a_layer_in_a_wrapper_is_frozen_alone(recurrent: keras.Model) -> None:
    frozen = configured(recurrent, "both/backward_lstm", trainable=False)
    both = frozen.get_layer("both")
    assert both.forward_layer.trainable_weights
    assert not both.backward_layer.trainable_weights


def test_what_was_set_is_saved_and_loaded(recurrent: keras.Model, tmp_path: Any) -> None:
    recurrent.save(tmp_path / "base.keras")
    steps = [
        {"op": "configure_layer", "id": "a", "target": "both/backward_lstm", "set": {"activation": "relu"}},
        {"op": "configure_layer", "id": "b", "target": "stack/stacked_rnn_cells/*", "set": {"trainable": False}},
    ]
    mutspec.apply(mutspec.plan({"steps": steps}), tmp_path / "base.keras", tmp_path / "out.keras")
    loaded = keras.saving.load_model(tmp_path / "out.keras")
    assert loaded.get_layer("both").backward_layer.activation is keras.activations.relu
    assert loaded.get_layer("both").forward_layer.activation is keras.activations.tanh
    assert not loaded.get_layer("stack").trainable_weights
    assert equal_weights(loaded, recurrent)
