"""Models without some of their units predict what they predict with zeros in their place."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from mutspec.errors import PlanError
from mutspec.structure.coupling.labels import MarkKind
from tests.structure import coupled_models
from tests.structure.coupling_of import (
    Width,
    coupling_of_model,
    difference,
    drawn,
    mixed_in,
    pruned_and_masked,
    widths_of,
)
from tests.widths.networks import OF_THE_ZOO
from tests.zoo import ZOO
from tests.zoo.play import fresh, inputs_of, mutant_of, outputs

MIXED: dict[str, set[str]] = {
    "masks": {"embed.input_dim"},
    "masked_steps": {"positive.units", "ones.units"},
    "unscaled_attention": {"q.units", "k.units"},
    "sums": {"z.units", "sigmoid.units"},
    "whole_numbers": {"embed.input_dim", "last.units"},
    "adapters": {"embed.input_dim"},
    "normalized": {"group.filters", "layer.filters", "rms.filters", "softmax.filters", "logits.filters"},
    "transformer": {
        "tokens.output_dim",
        "tokens.input_dim",
        "places.output_dim",
        "places.input_dim",
        "attend.output_shape",
        "down.units",
    },
}  # fmt: skip
"""The widths of which fewer give something else than zeros."""

STAYS: dict[str, dict[str, str]] = {
    "higher_heads": {"wide.output_shape": "flatten"},
    "strides": {"every_second.units": "get_item", "one.units": "get_item_2"},
    "opaque": {"for_colours.filters": "colours"},
    "mixer": {"back.units": "add"},
    "constants": {"scaled.units": "multiply_1", "projected.units": "matmul"},
}
"""The widths that must stay, and the layer because of which; but for outputs of the model."""

UNKNOWN: dict[str, set[str]] = {"opaque": {"colours"}}
"""The layers of which nobody knows how their axes are related."""


def shown(width: Width) -> str:
    return ".".join(width)


@pytest.mark.parametrize("name", coupled_models.names())
def test_a_pruned_model_predicts_what_the_masked_one_does(name: str) -> None:
    model = drawn(coupled_models.built(name))
    found = coupling_of_model(model)
    marks = widths_of(found)
    assert found.unknown.keys() == UNKNOWN.get(name, set())
    barriers = {shown(width): mark.layer for width, mark in marks.items() if mark and mark.kind is not MarkKind.OUTPUT}
    assert barriers == STAYS.get(name, {})
    free = [width for width, mark in marks.items() if mark is None]
    assert {shown(width) for width in free if mixed_in(found, width)} == MIXED.get(name, set())
    exact = [width for width in free if not mixed_in(found, width)]
    assert exact or barriers
    assert_pruned_equals_masked(model, exact, has_state=name == "stateful")


def assert_pruned_equals_masked(model: Any, widths: list[Width], *, has_state: bool = False) -> None:
    """Without one unit of each layer a model predicts what it does with zeros, which is not what it did before."""
    together = defaultdict(list)
    for path, argument in widths:
        together[argument].append(path)
    before = None if has_state else outputs(model, inputs_of(model))  # a call would change the state
    for argument, paths in together.items():
        predicted, masked, _ = pruned_and_masked(model, target=paths, argument=argument, count=1)
        assert difference(predicted, masked) < 1e-4
        if before is not None:
            assert difference(predicted, masked) < difference(masked, before) / 10


NOT_EDITABLE = {"subclassed", "shared_with_nested", "shared_everywhere"}
"""Models of the zoo that structural steps refuse."""

WITHOUT_EFFECT = {"embedding_mask"}
"""Models of which some units have no effect on the outputs."""


# Of the others, `tests/widths` draws from all layers.
@pytest.mark.parametrize("name", sorted(ZOO.keys() - NOT_EDITABLE - set(OF_THE_ZOO)))
def test_a_model_of_the_zoo_predicts_the_same_pruned_and_masked_or_says_what_is_in_the_way(name: str) -> None:
    model = drawn(fresh(name))
    found = coupling_of_model(model)
    marks = widths_of(found)
    assert all(mark.why for mark in marks.values() if mark is not None)
    exact = [width for width, mark in marks.items() if mark is None and not mixed_in(found, width)]
    assert_pruned_equals_masked(model, exact, has_state=name in WITHOUT_EFFECT)
    assert found.unknown.keys() == OPAQUE.get(name, set())


OPAQUE = {
    "custom_layer": {"gate", "small"},
    "nested_custom": {"mine"},
    "preprocessing": {"integer_lookup"},
}
"""The layers of the zoo of which nobody knows how their axes are related."""


def test_the_kernels_of_a_recurrent_layer_lose_the_entries_of_all_gates() -> None:
    model = drawn(coupled_models.built("sequences"))
    _, _, pruned = pruned_and_masked(model, target=["gru", "lstm"], indices=[1])
    for name, gates in (("gru", 3), ("lstm", 4)):
        cell, old = pruned.get_layer(name).cell, model.get_layer(name).cell
        gone = [gate * 4 + 1 for gate in range(gates)]
        assert cell.kernel.shape[1] == 3 * gates
        if name == "gru":  # the units before the other go, too
            np.testing.assert_array_equal(cell.kernel, np.delete(old.kernel.numpy(), gone, axis=1))
        recurrent = np.delete(np.delete(old.recurrent_kernel.numpy(), gone, axis=1), 1, axis=0)
        np.testing.assert_array_equal(cell.recurrent_kernel, recurrent)
    np.testing.assert_array_equal(
        pruned.get_layer("gru").cell.bias, np.delete(model.get_layer("gru").cell.bias.numpy(), [1, 5, 9], axis=1)
    )


def test_a_bidirectional_loses_the_same_units_in_both_directions_and_its_reader_both_halves() -> None:
    model = drawn(coupled_models.built("masks"))
    _, _, pruned = pruned_and_masked(model, target="both", indices=[2])
    head = model.get_layer("head").kernel.numpy()
    np.testing.assert_array_equal(pruned.get_layer("head").kernel, np.delete(head, [2, 5], axis=0))
    both = pruned.get_layer("both")
    assert (both.forward_layer.cell.units, both.backward_layer.cell.units) == (2, 2)


def test_fewer_dimensions_of_a_head_are_paid_for_in_the_query() -> None:
    model = drawn(coupled_models.built("heads"))
    _, _, pruned = pruned_and_masked(model, target="plain", argument="key_dim", indices=[0])
    query, key = (
        model.get_layer("plain").query_dense.kernel.numpy(),
        model.get_layer("plain").key_dense.kernel.numpy(),
    )
    expected = query[:, :, 1:] * np.sqrt(3 / 4).astype("float32")
    np.testing.assert_allclose(pruned.get_layer("plain").query_dense.kernel, expected, rtol=1e-6)
    np.testing.assert_array_equal(pruned.get_layer("plain").key_dense.kernel, key[:, :, 1:])
    assert pruned.get_layer("plain").get_config()["value_dim"] == 4


def test_a_group_of_query_heads_goes_with_its_key_and_value() -> None:
    model = drawn(coupled_models.built("grouped_heads"))
    _, _, pruned = pruned_and_masked(model, target="groups", argument="num_key_value_heads", indices=[0])
    old, new = (each.get_layer("groups") for each in (model, pruned))
    np.testing.assert_array_equal(new._query_dense.kernel, old._query_dense.kernel[:, 2:])
    np.testing.assert_array_equal(new._value_dense.kernel, old._value_dense.kernel[:, 1:])
    np.testing.assert_array_equal(new._output_dense.kernel, old._output_dense.kernel[2:])
    assert (new.num_query_heads, new.num_key_value_heads) == (2, 1)


def test_the_means_of_a_normalization_follow_where_they_are_arguments() -> None:
    model = drawn(coupled_models.built("statistics"))
    _, _, pruned = pruned_and_masked(model, target="arguments", indices=[1, 2])
    config = pruned.get_layer("given").get_config()
    np.testing.assert_allclose([config["mean"], config["variance"]], [[0.1, 0.4], [1.0, 4.0]])


def test_the_scales_of_int8_kernels_follow() -> None:
    model = drawn(coupled_models.built("whole_numbers"))
    _, _, pruned = pruned_and_masked(model, target="dense", indices=[3])
    old, new = (each.get_layer("dense") for each in (model, pruned))
    np.testing.assert_array_equal(new.kernel_scale, old.kernel_scale[:3])
    np.testing.assert_array_equal(new._kernel, old._kernel[:, :3])


def test_channels_first_are_followed_through_all_layers_of_images() -> None:
    import keras

    layers = keras.layers
    first = {"data_format": "channels_first"}
    x = inputs = keras.Input((3, 6, 6))
    x = layers.Conv2D(4, 2, name="conv", **first)(x)
    x = layers.BatchNormalization(axis=1, name="norm")(x)
    x = layers.ZeroPadding2D(1, **first)(layers.UpSampling2D(2, **first)(layers.MaxPooling2D(2, **first)(x)))
    x = layers.DepthwiseConv2D(2, name="depthwise", **first)(layers.SpatialDropout2D(0.1, **first)(x))
    x = layers.Flatten(**first)(x)
    model = drawn(keras.Model(inputs, layers.Dense(2, name="head")(x)))
    pruned = mutant_of(model, {"op": "remove_neurons", "target": "conv", "indices": [1]})
    expected = np.delete(model.get_layer("head").kernel.numpy().reshape(5, 5, 4, 2), 1, axis=2).reshape(-1, 2)
    np.testing.assert_array_equal(pruned.get_layer("head").kernel, expected)  # Flatten moves the channels to the end
    np.testing.assert_array_equal(pruned.get_layer("norm").gamma, np.delete(model.get_layer("norm").gamma.numpy(), 1))
    kernel = np.delete(model.get_layer("depthwise").kernel.numpy(), 1, axis=2)
    np.testing.assert_array_equal(pruned.get_layer("depthwise").kernel, kernel)
    assert pruned.get_layer("conv").filters == 3


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("strides", "every_second", "because `get_item` takes entries at a distance"),
        ("strides", "one", "because `get_item_2` takes one entry of this axis"),
        ("constants", "scaled", "because `multiply_1` combines this axis with one that has no channels"),
        ("constants", "projected", "because `matmul` sums over an axis of which only one tensor has channels"),
        ("opaque", "for_colours", "because `colours` works on the three channels of colours"),
        ("mixer", "back", "because `add` combines this axis with one that has no channels"),
        ("higher_heads", "wide", "because `flatten` merges this axis with one of other channels"),
    ],
)
def test_a_refusal_names_the_barrier(name: str, target: str, reason: str) -> None:
    argument = {"argument": "output_shape"} if name == "higher_heads" else {}
    with pytest.raises(PlanError) as caught:
        mutant_of(coupled_models.built(name), {"op": "remove_neurons", "target": target, "count": 1, **argument})
    assert reason in str(caught.value)


def test_code_in_a_model_is_a_barrier() -> None:
    import keras

    inputs = keras.Input((4,))
    x = keras.layers.Lambda(lambda x: x * 2.0, name="code", output_shape=(4,))(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    with pytest.raises(PlanError, match="because `code` runs code, of which nobody knows"):
        mutant_of(model, {"op": "remove_neurons", "target": "dense", "count": 1})
