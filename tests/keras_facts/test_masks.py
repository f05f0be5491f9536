"""The table of masks says what the installed Keras does, for every layer class."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

from mutspec.keras_facts.masks import MASK_OPERATIONS, MaskRule, makes_mask, mask_parameters_of, mask_rule_of
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.spec import TensorRef
from mutspec.structure.mask_rules import Mask, MaskedCall, MaskOperation, output_masks
from tests.keras_facts.installed import layer_classes, own_name

pytestmark = pytest.mark.filterwarnings("ignore:.*does not support masking")

IMAGE, SOUND, VOLUME, WORDS, ROWS = (None, 8, 8, 3), (None, 6, 4), (None, 6, 8, 8, 3), (None, 6), (None, 4)
FILM, FILMS, PAIR = (None, 4, 6, 6, 3), (None, 4, 6, 6, 6, 3), (SOUND, SOUND)

CALLS: dict[str, tuple[dict[str, Any], tuple[Shape, ...]]] = {
    **dict.fromkeys(("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"), ({}, PAIR)),
    **dict.fromkeys(("AdditiveAttention", "Attention"), ({}, PAIR)),
    "Dot": ({"axes": 2}, PAIR),
    **dict.fromkeys(("AlphaDropout", "Dropout", "GaussianDropout", "SpatialDropout1D"), ({"rate": 0.5}, (SOUND,))),
    "SpatialDropout2D": ({"rate": 0.5}, (IMAGE,)),
    "SpatialDropout3D": ({"rate": 0.5}, (VOLUME,)),
    "GaussianNoise": ({"stddev": 0.5}, (SOUND,)),
    "Activation": ({"activation": "relu"}, (SOUND,)),
    "Dense": ({"units": 2}, (SOUND,)),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": [None, 3]}, (SOUND,)),
    "Embedding": ({"input_dim": 9, "output_dim": 3}, (WORDS,)),
    "ReversibleEmbedding": ({"input_dim": 9, "output_dim": 3}, (WORDS,)),
    **{f"Conv{rank}D": ({"filters": 2, "kernel_size": 2}, (at,)) for rank, at in enumerate((SOUND, IMAGE, VOLUME), 1)},
    **{
        f"Conv{rank}DTranspose": ({"filters": 2, "kernel_size": 2}, (at,))
        for rank, at in enumerate((SOUND, IMAGE, VOLUME), 1)
    },
    **{f"DepthwiseConv{rank}D": ({"kernel_size": 2}, (at,)) for rank, at in enumerate((SOUND, IMAGE), 1)},
    **{f"SeparableConv{rank}D": ({"filters": 2, "kernel_size": 2}, (at,)) for rank, at in enumerate((SOUND, IMAGE), 1)},
    **dict.fromkeys(("GRU", "LSTM", "SimpleRNN"), ({"units": 2}, (SOUND,))),
    "ConvLSTM1D": ({"filters": 2, "kernel_size": 2}, (IMAGE,)),
    "ConvLSTM2D": ({"filters": 2, "kernel_size": 2}, (FILM,)),
    "ConvLSTM3D": ({"filters": 2, "kernel_size": 2}, (FILMS,)),
    "RepeatVector": ({"n": 2}, (ROWS,)),
    "Permute": ({"dims": [2, 1]}, (SOUND,)),
    "Reshape": ({"target_shape": [24]}, (SOUND,)),
    "GroupNormalization": ({"groups": 2}, (SOUND,)),
    "Rescaling": ({"scale": 2.0}, (SOUND,)),
    "CategoryEncoding": ({"num_tokens": 9}, (WORDS,)),
    **{
        f"Adaptive{kind}Pooling{rank}D": ({"output_size": 2}, (at,))
        for kind in ("Average", "Max")
        for rank, at in enumerate((SOUND, IMAGE, VOLUME), 1)
    },
    **dict.fromkeys(("CenterCrop", "RandomCrop", "Resizing"), ({"height": 2, "width": 2}, (IMAGE,))),
    "Discretization": ({"bin_boundaries": [0.5]}, (SOUND,)),
    **{f"AveragePooling{rank}D": ({"pool_size": 2}, (at,)) for rank, at in enumerate((SOUND, IMAGE, VOLUME), 1)},
    "Equalization": ({}, (IMAGE,)),
    "RandomPerspective": ({"scale": 0.5}, (IMAGE,)),
    "RandomPosterization": ({"factor": 4}, (IMAGE,)),
    "RandomTranslation": ({"height_factor": 0.1, "width_factor": 0.1}, (IMAGE,)),
    "RandomZoom": ({"height_factor": 0.1}, (IMAGE,)),
}
"""Arguments of layers and the shapes that they are called on; otherwise none, and the first of `SHAPES` that works."""

SHAPES = (SOUND, IMAGE, VOLUME, WORDS)

WRAPPED: dict[str, Callable[[Any], Any]] = {
    "Bidirectional": lambda layers: layers.Bidirectional(layers.LSTM(2)),
    "TimeDistributed": lambda layers: layers.TimeDistributed(layers.Dense(2)),
    "SpectralNormalization": lambda layers: layers.SpectralNormalization(layers.Dense(2)),
    "RNN": lambda layers: layers.RNN(layers.GRUCell(2)),
    "Lambda": lambda layers: layers.Lambda(lambda x: x),
    "Pipeline": lambda layers: layers.Pipeline([layers.Rescaling(2.0)]),
    "GroupQueryAttention": lambda layers: layers.GroupQueryAttention(2, 4, 2),
    "MultiHeadAttention": lambda layers: layers.MultiHeadAttention(2, 2),
    "Normalization": lambda layers: layers.Normalization(mean=0.0, variance=1.0),
}

NOT_CALLED = frozenset(
    {
        "FlaxLayer", "GRUCell", "InputLayer", "JaxLayer", "LSTMCell", "Layer", "SimpleRNNCell", "StackedRNNCells",
        "TFSMLayer", "TorchModuleWrapper", "Wrapper", "HashedCrossing", "Hashing", "IntegerLookup", "StringLookup",
        "TextVectorization", "MelSpectrogram", "STFTSpectrogram", "MaxNumBoundingBoxes", "RandomRotation",
    }
)  # fmt: skip
"""Classes that Functional models do not call, that need other libraries or a vocabulary, or refuse masked sequences."""


def _classes() -> list[str]:
    return sorted({own_name(each) for each in layer_classes().values()})


def _made(name: str) -> Any:
    import keras

    if name in WRAPPED:
        return WRAPPED[name](keras.layers)
    config, _ = CALLS.get(name, ({}, ()))
    cls = next(each for each in layer_classes().values() if own_name(each) == name)
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    needed = {"factor": 0.5, "scale": [0.1, 0.2], "num_ops": 1} if name.startswith(("Random", "RandAug")) else {}
    return cls(**{**{key: value for key, value in needed.items() if key in parameters}, **config})


def _called(layer: Any, shapes: tuple[Shape, ...]) -> tuple[list[Any], list[Any], list[Any]]:
    """Calls a layer on masked inputs: the inputs, their masks, and the masks of the outputs."""
    import keras

    inputs = [keras.Input(batch_shape=shape, dtype="int32" if shape == WORDS else "float32") for shape in shapes]
    masks = [keras.Input(batch_shape=shape[:2], dtype="bool") for shape in shapes]
    for each, mask in zip(inputs, masks, strict=True):
        each._keras_mask = mask
    if type(layer).__name__ in ("MultiHeadAttention", "GroupedQueryAttention"):
        outputs = layer(inputs[0], inputs[0])
    else:
        outputs = layer(inputs[0] if len(inputs) == 1 else inputs)
    return inputs, masks, [getattr(each, "_keras_mask", None) for each in keras.tree.flatten(outputs)]


def _by_keras(layer: Any, shapes: tuple[Shape, ...]) -> list[Any]:
    """The masks of a layer's outputs as Keras computes them: trees of operations down to inputs and their masks."""
    inputs, masks, found = _called(layer, shapes)
    names = {id(each): f"x{number}" for number, each in enumerate(inputs)}
    names |= {id(each): f"m{number}" for number, each in enumerate(masks)}

    def tree(value: Any) -> Any:
        if id(value) in names:
            return names[id(value)]
        if hasattr(value, "_keras_history"):
            operation = value._keras_history.operation
            node = operation._inbound_nodes[value._keras_history.node_index]
            config = {key: each for key, each in operation.get_config().items() if key != "name"}
            return [type(operation).__name__, config, tuple(value.shape), tree(list(node.arguments.args))]
        return [tree(each) for each in value] if isinstance(value, list | tuple) else value

    return [tree(each) for each in found]


def _by_table(layer: Any, shapes: tuple[Shape, ...], outputs: int) -> list[Any]:
    """The same by the table."""
    import keras

    entry = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    inputs = tuple(TensorRef("x", number) for number in range(len(shapes)))
    masks = tuple(TensorRef("m", number) for number in range(len(shapes)))
    types = {ref: TensorType(shape) for ref, shape in zip(inputs, shapes, strict=True)}
    types |= {ref: TensorType(shape[:2], "bool") for ref, shape in zip(masks, shapes, strict=True)}
    rule = mask_rule_of(entry)
    assert rule is not None

    def tree(value: Mask | Any) -> Any:
        if isinstance(value, TensorRef):
            return f"{value.layer}{value.call}"
        if isinstance(value, MaskOperation):
            return [value.class_name, dict(value.config), value.shape, tree(list(value.arguments))]
        return [tree(each) for each in value] if isinstance(value, list | tuple) else value

    found = [tree(each) for each in output_masks(rule, MaskedCall(entry, inputs, masks, types, []))]
    return [*found, *[None] * (outputs - len(found))]


def _shapes_for(name: str) -> tuple[Shape, ...]:
    """The shapes of inputs that a layer can be called on."""
    if name in CALLS:
        return CALLS[name][1]
    for shape in SHAPES:
        try:
            _called(_made(name), (shape,))
        except Exception:  # any error of Keras says that the shape does not fit
            continue
        return (shape,)
    raise AssertionError(f"{name} cannot be called on any of the shapes")


@pytest.mark.parametrize("name", [each for each in _classes() if each not in NOT_CALLED])
def test_outputs_have_the_masks_that_keras_gives_them(name: str) -> None:
    shapes = _shapes_for(name)
    found = _by_keras(_made(name), shapes)
    assert _by_table(_made(name), shapes, len(found)) == found


@pytest.mark.parametrize("name", sorted(NOT_CALLED - {"InputLayer", "Layer", "Wrapper"}))
def test_classes_that_are_not_called_support_no_masks(name: str) -> None:
    cls = next(each for each in layer_classes().values() if own_name(each) == name)
    assert "supports_masking = True" not in inspect.getsource(cls)
    assert mask_rule_of({"module": "keras.layers", "class_name": name, "config": {}}) is MaskRule.DROPS


@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (lambda layers: layers.Masking(mask_value=3.0), (SOUND,)),
        (lambda layers: layers.Embedding(9, 2, mask_zero=True), (WORDS,)),
        (lambda layers: layers.ReversibleEmbedding(9, 2, mask_zero=True), (WORDS,)),
        (lambda layers: layers.Concatenate(axis=1), PAIR),
        (lambda layers: layers.Concatenate(axis=-1), (SOUND, SOUND, SOUND)),
        (lambda layers: layers.Concatenate(axis=1), (WORDS, WORDS)),
        (lambda layers: layers.Add(), (SOUND, SOUND, SOUND)),
        (lambda layers: layers.LSTM(2, return_sequences=True), (SOUND,)),
        (lambda layers: layers.GRU(2, return_state=True), (SOUND,)),
        (lambda layers: layers.LSTM(2, return_sequences=True, return_state=True), (SOUND,)),
        (lambda layers: layers.SimpleRNN(2, return_sequences=True, stateful=True), ((2, 6, 4),)),
        (lambda layers: layers.RNN([layers.GRUCell(2), layers.LSTMCell(2)], return_sequences=True), (SOUND,)),
        (lambda layers: layers.ConvLSTM1D(2, 2, return_sequences=True), (IMAGE,)),
        (lambda layers: layers.Bidirectional(layers.LSTM(2, return_sequences=True)), (SOUND,)),
        (lambda layers: layers.Bidirectional(layers.LSTM(2, return_sequences=True), merge_mode=None), (SOUND,)),
        (lambda layers: layers.Bidirectional(layers.GRU(2), merge_mode=None), (SOUND,)),
        (lambda layers: layers.Bidirectional(layers.GRU(2, return_sequences=True, return_state=True)), (SOUND,)),
        (lambda layers: layers.TimeDistributed(layers.LSTM(2)), (IMAGE,)),
        (lambda layers: layers.Attention(), (SOUND, SOUND, SOUND)),
    ],
)
def test_arguments_of_layers_decide_on_masks_as_in_keras(make: Any, shapes: tuple[Shape, ...]) -> None:
    import keras

    found = _by_keras(make(keras.layers), shapes)
    assert _by_table(make(keras.layers), shapes, len(found)) == found


@pytest.mark.parametrize("name", _classes())
def test_the_parameters_of_classes_that_take_masks_are_known(name: str) -> None:
    cls = next(each for each in layer_classes().values() if own_name(each) == name)
    names = [each for each in inspect.signature(cls.call).parameters if each != "self"]  # type: ignore[attr-defined]
    known = mask_parameters_of({"module": "keras.layers", "class_name": name, "config": {}})
    assert bool(known) == any(each == "mask" or each.endswith("_mask") for each in names if each != "use_causal_mask")
    assert list(known) == names[: len(known)]
    masks = [each for each in names if each.endswith("mask") and each != "use_causal_mask"]
    assert not known or set(masks) <= set(known)


def test_layers_that_make_masks_are_known() -> None:
    def entry(name: str, **config: Any) -> dict[str, Any]:
        return {"module": "keras.layers", "class_name": name, "config": config}

    makers = {each for each in _classes() if makes_mask(entry(each, mask_zero=True))}
    by_rule = (MaskRule.NOT_EQUAL_TO_VALUE, MaskRule.NOT_ZERO)
    assert makers == {each for each in _classes() if mask_rule_of(entry(each)) in by_rule} == {"Embedding", "Masking"}
    assert not makes_mask(entry("Embedding", mask_zero=False))


def test_the_operations_are_where_the_table_says() -> None:
    import importlib

    for name, module in MASK_OPERATIONS.items():
        assert hasattr(importlib.import_module(module), name)


def test_only_code_tells_what_a_layer_of_an_own_class_does() -> None:
    own = {"module": "mine", "class_name": "Mine", "registered_name": "mine>Mine", "config": {}}
    assert mask_rule_of(own) is None
    masks = {"module": "keras.layers", "class_name": "Lambda", "config": {"mask": {"class_name": "__lambda__"}}}
    assert mask_rule_of(masks) is None
