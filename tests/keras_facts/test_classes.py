"""The class table is compared with Keras itself."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from mutspec.keras_facts.class_names import (
    ALIASES,
    FORGETS_FROZEN,
    MODELS,
    STORED_NAMES,
    TAKES_LIST,
    TAKES_TRAINING,
    UNKNOWN,
    WEIGHTLESS,
)
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.classes import ancestry_of, snake_case

TABLES = (CLASSES, WEIGHTLESS, UNKNOWN, MODELS)


def _public_layers() -> dict[str, type]:
    import keras

    layers = {
        name: value
        for name, value in vars(keras.layers).items()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }
    return {name: value for name, value in layers.items() if _current_name(value) == name}


def _current_name(layer_class: type) -> str:
    """The name that Keras writes into configs."""
    import keras

    if layer_class.__name__ in STORED_NAMES.values():
        return ALIASES[layer_class.__name__]
    return keras.saving.get_registered_name(layer_class).rpartition(">")[2]


def test_every_public_layer_is_in_one_table() -> None:
    missing = [name for name in _public_layers() if sum(name in table for table in TABLES) != 1]
    assert missing == [], "each class belongs into one table of mutspec/keras_facts: class_table.py or class_names.py"


def test_ancestries_are_the_public_bases_in_keras() -> None:
    public = _public_layers()
    classes = set(public.values())
    for name, layer_class in public.items():
        expected = [_current_name(base) for base in layer_class.__mro__ if base in classes]
        assert list(ancestry_of({"class_name": name, "module": "keras.layers"})) == expected


def test_the_classes_whose_call_takes_training_are_those_of_keras() -> None:
    known = {name: each for name, each in _public_layers().items() if name in {*CLASSES, *WEIGHTLESS} - {"Lambda"}}
    takes_it = {name for name, each in known.items() if "training" in inspect.signature(each.call).parameters}
    assert takes_it == TAKES_TRAINING & known.keys()


def test_the_classes_that_take_a_list_are_those_that_merge_or_attend() -> None:
    from keras.src.layers.merging.base_merge import Merge

    merging = {name for name, each in _public_layers().items() if issubclass(each, Merge)}
    assert merging | {"AdditiveAttention", "Attention"} == TAKES_LIST


FROZEN: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    **{f"ConvLSTM{count}D": ({"filters": 2, "kernel_size": 1}, (2, *[3] * count, 2)) for count in (1, 2, 3)},
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN"), ({"units": 2}, (3, 2))),
    "MultiHeadAttention": ({"num_heads": 1, "key_dim": 2}, (3, 2)),
    "GroupQueryAttention": ({"head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1}, (3, 2)),
    "Dense": ({"units": 2}, (3, 2)),
}


@pytest.mark.parametrize("name", FROZEN)
def test_some_classes_forget_that_they_are_frozen(name: str) -> None:
    import keras

    arguments, shape = FROZEN[name]
    layer = getattr(keras.layers, name)(**arguments, trainable=False)
    inputs = keras.Input(shape)
    layer(inputs, inputs) if name.endswith("Attention") else layer(inputs)
    assert any(each.trainable for each in layer.weights) == (name in FORGETS_FROZEN)


def test_a_users_own_class_stands_alone() -> None:
    assert ancestry_of({"class_name": "Dense", "module": "my_package.layers"}) == ("Dense",)
    assert ancestry_of({"class_name": "mine>Dense"}) == ("Dense",)
    assert ancestry_of({"class_name": "Dense", "module": "keras_hub.layers"}) == ("Dense",)


def test_stored_names_are_snake_cased_as_keras_does() -> None:
    from keras.src.utils.naming import to_snake_case

    for table in TABLES:
        for name in table:
            assert snake_case(name) == to_snake_case(name)


@pytest.mark.parametrize("name", sorted({"Dropout", "RandomFlip", "GaussianNoise", "AlphaDropout"}))
def test_weightless_layers_with_seeds_store_nothing(name: str) -> None:
    import keras

    from mutspec.model.live import read_live

    options = {"seed": 1} if name == "RandomFlip" else {"rate": 0.5} if name != "GaussianNoise" else {"stddev": 0.5}
    model = keras.Sequential([keras.Input((4, 4, 1)), getattr(keras.layers, name)(**options)])
    assert model.variables
    assert read_live(model).spec.tensors == ()


def test_untied_embeddings_and_spectrograms_are_in_the_table_too() -> None:
    import keras

    from mutspec.model.live import read_live

    tokens = keras.Input((4,), dtype="int32")
    model = keras.Model(tokens, keras.layers.ReversibleEmbedding(5, 3, tie_weights=False, name="table")(tokens))
    assert [tensor.role for tensor in read_live(model).spec.tensors] == ["embeddings", "reverse_embeddings"]
    sound = keras.Input((64, 1))
    for mode, roles in (("log", ["real_kernel", "imag_kernel"]), ("imag", ["imag_kernel"])):
        layer = keras.layers.STFTSpectrogram(mode=mode, frame_length=8, frame_step=4)
        assert [tensor.role for tensor in read_live(keras.Model(sound, layer(sound))).spec.tensors] == roles
