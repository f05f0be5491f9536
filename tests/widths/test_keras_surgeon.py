"""What the tests of keras-surgeon do, said as plans: their 39 tests and 152 cases, on models of Keras 3.

Its tests, without their prefix `test_`, and where they are here:

| keras-surgeon | cases | here |
|---|---|---|
| `rebuild_submodel` | 1 | `test_edits_of_layers`: a model that is rebuilt, in functional form, is the same |
| `delete_channels_rec_1` | 1 | `test_deleted_units_of_a_compiled_model` |
| `delete_channels_` + `conv2d_conv2d`, `conv2d_conv2d_small_shape`, `conv2d_conv2d_next_layer`, `flatten` | 19 | `test_deleted_channels` |
| `delete_channels_` + `maxpooling`, `cropping`, `upsampling`, `zeropadding`, `averagepooling` + `1d`, `2d`, `3d`; `globalaveragepooling` + `1d`, `2d` | 84 | the same |
| `delete_channels_` + `merge_concatenate`, `merge_others`, `advanced_activations`, `noise`, `batchnormalization` | 30 | the same; where one test of theirs loops over layers, each layer is a case |
| `delete_channels_` + `simplernn`, `gru`, `lstm` | 9 | the same |
| `delete_layer`, `delete_layer_reuse`, `delete_layer_same_layer_outputs`, `replace_layer`, `insert_layer` | 5 | `test_edits_of_layers` |
| `delete_channels_downstream_sharing` | 1 | the same. Both inputs of a shared layer meet the same rows of its kernel, so that their two jobs are one step |
| `delete_all_channels_in_branch`, `delete_all_channels_in_long_branch` | 2 | the same. A layer without channels cannot be, so the plan removes the merge, and with it the branch |

Theirs compare the weights of one layer; these compare all weights. Keras 3 has no ThresholdedReLU: ReLU has a
`threshold`. Of `test_utils.py`, which tests functions that users do not call, what they see is the list of layers that
read a layer, behind its activation too: `test_the_layers_that_read_units_are_named`. It has a mean over batches, to rank
channels by their activations; mutspec ranks by weights.
"""

# ruff: noqa: E501 (rows of the table)

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import mutspec
from tests.effort import share
from tests.widths.networks import step
from tests.zoo.play import drawn

Weights = dict[str, list[np.ndarray]]
FORMATS = ("channels_first", "channels_last")
INDICES = ([0], [-1], [1, 2])
FILTERS = 3
SIZES = {1: (11,), 2: (8, 9), 3: (7, 8, 6)}
"""Images that are large enough to be cropped after a convolution."""


# The layers between a convolution and the Dense that reads it


def _spatial(kind: str, rank: int, form: str) -> Any:
    size = {
        "MaxPooling": (2, 3, 2), "AveragePooling": (3, 2, 2), "Cropping": (1, 2, 1), "UpSampling": (2, 3, 2),
        "ZeroPadding": (2, 3, 2),
    }[kind][:rank]  # fmt: skip
    if rank == 1:
        return getattr(layers, f"{kind}1D")(size[0])
    return getattr(layers, f"{kind}{rank}D")(size, data_format=form)


def _axis(form: str) -> int:
    return 1 if form == "channels_first" else -1


PLANAR: dict[str, Callable[[str], Any]] = {
    "LeakyReLU": lambda form: layers.LeakyReLU(),
    "ELU": lambda form: layers.ELU(),
    "ThresholdedReLU": lambda form: layers.ReLU(threshold=1.0),
    "ReLU": lambda form: layers.ReLU(),
    "GaussianNoise": lambda form: layers.GaussianNoise(0.5),
    "GaussianDropout": lambda form: layers.GaussianDropout(0.5),
    "AlphaDropout": lambda form: layers.AlphaDropout(0.5),
    "BatchNormalization": lambda form: layers.BatchNormalization(axis=_axis(form), name="norm"),
}
MERGES: dict[str, Callable[[str], Any]] = {
    **{kind: lambda form, kind=kind: getattr(layers, kind)() for kind in ("Add", "Multiply", "Average", "Maximum")},
    "Concatenate": lambda form: layers.Concatenate(axis=_axis(form)),
}
SPATIAL = ("MaxPooling", "Cropping", "UpSampling", "ZeroPadding", "AveragePooling")


def _image(rank: int, form: str) -> Any:
    return keras.Input((2, *SIZES[rank]) if form == "channels_first" else (*SIZES[rank], 2))


def _convolution(rank: int, form: str, name: str, **given: Any) -> Any:
    convolution = getattr(layers, f"Conv{rank}D")
    return convolution(FILTERS, 3 if rank < 3 else (3, 3, 2), data_format=form, name=name, **given)


def _read_by_dense(inputs: Any, tensor: Any) -> Any:
    flat = layers.Flatten()(tensor) if len(tensor.shape) > 2 else tensor
    return keras.Model(inputs, layers.Dense(5, name="dense")(flat))


def _with_layer(rank: int, form: str, layer: Any) -> Any:
    image = _image(rank, form)
    made = _convolution(rank, form, "conv")(image)
    return _read_by_dense(image, made if layer is None else layer(made))


def _with_merge(form: str, merge: Any) -> Any:
    images = [_image(2, form), _image(2, form)]
    made = [_convolution(2, form, name)(image) for name, image in zip(("conv", "other"), images, strict=True)]
    return _read_by_dense(images, merge(made))


def _two_convolutions(form: str, size: int, padding: str) -> Any:
    image = keras.Input((1, size, size) if form == "channels_first" else (size, size, 1))
    made = _convolution(2, form, "conv", padding=padding)(image)
    made = layers.Flatten()(_convolution(2, form, "next", padding=padding)(made))
    return keras.Model(image, layers.Dense(1, name="last")(layers.Dense(3, name="dense")(made)))


def _recurrent(kind: str) -> Any:
    sequence = keras.Input((6, 4))
    made = getattr(layers, kind)(9, return_sequences=True, name="recurrent")(sequence)
    return keras.Model(sequence, layers.Dense(5, name="dense")(layers.GRU(4, name="next")(made)))


# What is left of weights: independent of mutspec, by np.delete alone


def _without(weights: Weights, name: str, gone: list[int], axis: int = -1) -> None:
    """Removes filters of a convolution, with their biases."""
    kernel, bias = weights[name]
    weights[name] = [np.delete(kernel, gone, axis), np.delete(bias, gone)]


def _rows_gone(weights: Weights, name: str, gone: list[int], channels: int, form: str) -> None:
    """Removes the rows of a Dense layer that read some channels of a flattened image."""
    kernel, bias = weights[name]
    is_first, outputs = form == "channels_first", kernel.shape[1]
    places = kernel.reshape(channels, -1, outputs) if is_first else kernel.reshape(-1, channels, outputs)
    weights[name] = [np.delete(places, gone, 0 if is_first else 1).reshape(-1, outputs), bias]


def _of_layer(weights: Weights, gone: list[int], form: str) -> None:
    _without(weights, "conv", gone)
    _rows_gone(weights, "dense", gone, FILTERS, form)
    if "norm" in weights:
        weights["norm"] = [np.delete(each, gone) for each in weights["norm"]]


def _of_merge(weights: Weights, gone: list[int], form: str) -> None:
    _of_layer(weights, gone, form)
    _without(weights, "other", gone)


def _of_concatenate(weights: Weights, gone: list[int], form: str) -> None:
    _without(weights, "conv", gone)
    _rows_gone(weights, "dense", gone, 2 * FILTERS, form)


def _of_next_convolution(weights: Weights, gone: list[int], form: str) -> None:
    _without(weights, "conv", gone)
    kernel, bias = weights["next"]
    weights["next"] = [np.delete(kernel, gone, axis=2), bias]


def _of_recurrent(weights: Weights, gone: list[int], form: str) -> None:
    def by_gate(value: np.ndarray) -> np.ndarray:
        gates = value.reshape(*value.shape[:-1], -1, 9)
        return np.delete(gates, gone, -1).reshape(*value.shape[:-1], -1)

    kernel, recurrent, bias = weights["recurrent"]
    weights["recurrent"] = [by_gate(kernel), np.delete(by_gate(recurrent), gone, 0), by_gate(bias)]
    weights["next"] = [np.delete(weights["next"][0], gone, 0), *weights["next"][1:]]


# The cases


@dataclass(frozen=True)
class Case:
    """A model, the units that are deleted, and what is left.

    Arguments:
        test: the test of keras-surgeon.
        layer: which of the layers that this test loops over; empty if it does not.
        build: makes the model.
        form: the data format; empty for layers that have none, and theirs is not varied.
        indices: the units.
        expected: changes weights into those that are left.
    """

    test: str
    layer: str
    build: Callable[[], Any]
    form: str
    indices: tuple[int, ...]
    expected: Callable[[Weights, list[int], str], None]

    def __str__(self) -> str:
        return "-".join(filter(None, (self.test, self.layer, self.form, str(list(self.indices)))))


def _cases() -> Iterator[Case]:
    def varied(test: str, build: Callable[[str], Any], expected: Any, layer: str = "", forms: Any = FORMATS) -> Any:
        for form in forms:
            model = cache(lambda form=form: drawn(build(form or "channels_last")))
            for indices in INDICES:
                yield Case(test, layer, model, form, tuple(indices), expected)

    for test in ("conv2d_conv2d", "conv2d_conv2d_next_layer"):
        yield from varied(test, lambda form: _two_convolutions(form, 7, "valid"), _of_next_convolution)
    small = cache(lambda: drawn(_two_convolutions("channels_last", 2, "same")))
    yield Case("conv2d_conv2d_small_shape", "", small, "", (0,), _of_next_convolution)
    yield from varied("flatten", lambda form: _with_layer(2, form, None), _of_layer)
    for rank in SIZES:
        forms = ("",) if rank == 1 else FORMATS
        for kind in SPATIAL:
            build = _spatial_model(kind, rank)
            yield from varied(f"{kind.lower()}{rank}d", build, _of_layer, forms=forms)
    yield from varied(
        "globalaveragepooling1d",
        lambda form: _with_layer(1, form, layers.GlobalAveragePooling1D()),
        _of_layer,
        forms=("",),
    )
    yield from varied(
        "globalaveragepooling2d",
        lambda form: _with_layer(2, form, layers.GlobalAveragePooling2D(data_format=form)),
        _of_layer,
    )
    for kind, merge in MERGES.items():
        build = _merge_model(merge)
        if kind == "Concatenate":
            yield from varied("merge_concatenate", build, _of_concatenate)
        else:
            yield from varied("merge_others", build, _of_merge, kind)
    tests = {
        "noise": ("GaussianNoise", "GaussianDropout", "AlphaDropout"),
        "batchnormalization": ("BatchNormalization",),
    }
    of_layer = {kind: test for test, kinds in tests.items() for kind in kinds}
    for kind, layer in PLANAR.items():
        name = kind if kind != "BatchNormalization" else ""
        yield from varied(of_layer.get(kind, "advanced_activations"), _planar_model(layer), _of_layer, name)
    for kind in ("SimpleRNN", "GRU", "LSTM"):
        yield from varied(kind.lower(), lambda form, kind=kind: _recurrent(kind), _of_recurrent, forms=("",))


def _spatial_model(kind: str, rank: int) -> Callable[[str], Any]:
    return lambda form: _with_layer(rank, form, _spatial(kind, rank, form))


def _merge_model(merge: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda form: _with_merge(form, merge(form))


def _planar_model(layer: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda form: _with_layer(2, form, layer(form))


CASES = list(_cases())


def _weights(model: Any) -> Weights:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def _mutant(model: Any, *steps: dict[str, Any]) -> Any:
    return mutspec.apply(mutspec.plan({"steps": list(steps)}), model)


def _assert_equal(found: Weights, expected: Weights) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        for one, other in zip(found[name], values, strict=True):
            assert np.array_equal(one, other), name


@pytest.mark.parametrize("case", share(CASES, 3), ids=str)  # of three lists of units each
def test_deleted_channels(case: Case) -> None:
    model = case.build()
    expected = _weights(model)
    name = next(iter(expected))
    units = FILTERS if name == "conv" else 9
    case.expected(expected, [index % units for index in case.indices], case.form)
    _assert_equal(_weights(_mutant(model, step(name, indices=list(case.indices)))), expected)


@pytest.mark.parametrize("form", FORMATS)
def test_several_jobs_are_steps_of_one_plan(form: str) -> None:
    model = drawn(_with_merge(form, MERGES["Concatenate"](form)))
    expected = _weights(model)
    _without(expected, "conv", [0])
    _without(expected, "other", [1, 2])
    _rows_gone(expected, "dense", [0, FILTERS + 1, FILTERS + 2], 2 * FILTERS, form)
    jobs = [step("conv", indices=[0], id="one"), step("other", indices=[-1, 1], id="two")]
    _assert_equal(_weights(_mutant(model, *jobs)), expected)


def test_deleted_units_of_a_compiled_model() -> None:
    inputs = keras.Input((784,))
    x = layers.Dense(64, "relu", name="first")(inputs)
    x = layers.Dense(64, "relu", name="second")(x)
    model = keras.Model(inputs, layers.Dense(10, "softmax", name="last")(x))
    model.compile("rmsprop", "categorical_crossentropy", metrics=["accuracy"])
    mutant = _mutant(model, step("second", indices=[0]))
    expected = _weights(model)
    _without(expected, "second", [0])
    expected["last"][0] = np.delete(expected["last"][0], 0, axis=0)
    _assert_equal(_weights(mutant), expected)
    assert mutant.loss == "categorical_crossentropy"


# Layers that are deleted, inserted, replaced


def _chained(inputs: Any, *chain: Any) -> Any:
    for layer in chain:
        inputs = layer(inputs)
    return inputs


def _dense(name: str, units: int = 3) -> Any:
    return layers.Dense(units, name=name, kernel_initializer="ones")


def _conv(name: str, filters: int, size: int = 3) -> Any:
    return layers.Conv2D(filters, size, name=name)


def _lenet(form: type) -> Any:
    chain = [
        _conv("conv_1", 2),
        _conv("conv_2", 2),
        layers.Flatten(name="flat"),
        _dense("dense_1", 2),
        _dense("dense_2", 10),
    ]
    if form is keras.Sequential:
        return keras.Sequential([keras.Input((8, 8, 1), name="image"), *chain])
    image = keras.Input((8, 8, 1), name="image")
    return keras.Model(image, _chained(image, *chain))


def _long(*, is_deleted: bool) -> Any:
    image = keras.Input((7, 7, 1), name="image")
    dense = [_dense(f"dense_{number}") for number in (1, 2, 3) if not (is_deleted and number == 2)]
    chain = [_conv("conv_1", 3), _conv("conv_2", 3), layers.Flatten(name="flat"), *dense, _dense("dense_4", 1)]
    return keras.Model(image, _chained(image, *chain))


def _reused(*, is_deleted: bool) -> Any:
    inputs = keras.Input((3,), name="values")
    one, shared, other, last = (_dense(f"dense_{number}") for number in (1, 2, 3, 4))
    return keras.Model(
        inputs, _chained(inputs, *([one, other, last] if is_deleted else [one, shared, other, shared, last]))
    )


def _two_outputs(*, is_deleted: bool) -> Any:
    inputs = keras.Input((10,), name="values")
    one, two, three, last = _dense("dense_1"), _dense("dense_2"), _dense("dense_3"), _dense("dense_4", 1)
    x = one(inputs)
    y = two(x)
    return keras.Model(inputs, [last(x if is_deleted else three(x)), last(y)])


def _chain(*names: str) -> Any:
    image = keras.Input((7, 7, 1), name="image")
    return keras.Model(image, _chained(image, *(_dense(name) for name in names), _dense("dense_4", 1)))


def _sharing(units: int) -> Any:
    inputs = keras.Input((5,), name="values")
    one, two, shared = _dense("dense_1", units), _dense("dense_2", units), _dense("dense_3")
    return keras.Model(inputs, [shared(one(inputs)), shared(two(inputs))])


def _branches(*names: str) -> Any:
    image = keras.Input((20, 20, 3), name="image")
    filters = {"conv_1": 2, "conv_3": 4}
    other = _conv("conv_2", 3)(image)
    if not names:
        return keras.Model(image, other)
    branch = _chained(image, *(_conv(name, filters[name], 1 if name == "conv_3" else 3) for name in names))
    return keras.Model(image, layers.Concatenate(name="cat_1")([branch, other]))


NEW = {"type": "Dense", "units": 3, "name": "dense_3", "kernel_initializer": "ones"}
EDITS: dict[str, tuple[Callable[[], Any], dict[str, Any], Callable[[], Any]]] = {
    "rebuild_submodel": (
        lambda: _lenet(keras.Sequential),
        {"op": "convert", "to": "functional"},
        lambda: _lenet(keras.Model),
    ),
    "delete_layer": (
        lambda: _long(is_deleted=False),
        {"op": "remove_layer", "target": "dense_2"},
        lambda: _long(is_deleted=True),
    ),
    "delete_layer_reuse": (
        lambda: _reused(is_deleted=False),
        {"op": "remove_layer", "target": "dense_2"},
        lambda: _reused(is_deleted=True),
    ),
    "delete_layer_same_layer_outputs": (
        lambda: _two_outputs(is_deleted=False),
        {"op": "remove_layer", "target": "dense_3"},
        lambda: _two_outputs(is_deleted=True),
    ),
    "replace_layer": (
        lambda: _chain("dense_1", "dense_2"),
        {"op": "replace_layer", "target": "dense_2", "layer": NEW},
        lambda: _chain("dense_1", "dense_3"),
    ),
    "insert_layer": (
        lambda: _chain("dense_1", "dense_2"),
        {"op": "insert_layer", "before": "dense_4", "layer": NEW},
        lambda: _chain("dense_1", "dense_2", "dense_3"),
    ),
    "delete_channels_downstream_sharing": (
        lambda: _sharing(4),
        step("dense_1", indices=[0]),
        lambda: _sharing(3),
    ),
    "delete_all_channels_in_branch": (
        lambda: _branches("conv_1"),
        {"op": "remove_layer", "target": "cat_1", "keep": "conv_2"},
        lambda: _branches(),
    ),
    "delete_all_channels_in_long_branch": (
        lambda: _branches("conv_1", "conv_3"),
        {"op": "remove_layer", "target": "cat_1", "keep": "conv_2"},
        lambda: _branches(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_edits_of_layers(name: str) -> None:
    build, edit, expected = EDITS[name]
    base, by_hand = build(), expected()
    mutant = _mutant(base, edit)
    assert _config(mutant) == _config(by_hand)
    left = _weights(by_hand)
    for path in left.keys() & _weights(base).keys():
        left[path] = base.get_layer(path).get_weights()
    if name == "delete_channels_downstream_sharing":
        for path in ("dense_1", "dense_2"):
            _without(left, path, [0])
        left["dense_3"][0] = np.delete(left["dense_3"][0], 0, axis=0)
    _assert_equal(_weights(mutant), left)


def _config(model: Any) -> dict[str, Any]:
    """The config without the model's own name, as JSON has it."""
    config: dict[str, Any] = json.loads(json.dumps(model.get_config()))
    return {key: value for key, value in config.items() if key != "name"}


def test_the_layers_that_read_units_are_named() -> None:
    image = keras.Input((28, 28, 1))
    conv_1 = [_conv("conv_1", 2), layers.Activation("relu", name="act_1"), layers.MaxPooling2D(name="pool_1")]
    conv_2 = [_conv("conv_2", 2), layers.Activation("relu", name="act_2"), layers.MaxPooling2D(name="pool_2")]
    made = _chained(image, *conv_1, *conv_2, layers.Flatten(name="flat_1"))
    model = keras.Model(image, [_dense("dense_1")(made), _dense("dense_2")(made)])
    for target, readers in {"conv_1": ["conv_2"], "conv_2": ["dense_1", "dense_2"]}.items():
        (group,) = mutspec.dry_run(mutspec.plan({"steps": [step(target, indices=[0])]}), model).steps[0].coupled
        assert [member.layer for member in group.members] == [target, *readers]


def test_there_are_as_many_cases_as_keras_surgeon_has() -> None:
    channels = {(case.test, case.form, case.indices) for case in CASES}
    tests = {case.test for case in CASES}
    rec_1 = 1
    assert len(tests) + len(EDITS) + rec_1 == 39
    assert len(channels) + len(EDITS) + rec_1 == 152
    assert len(CASES) == 200 - len(EDITS) - rec_1
