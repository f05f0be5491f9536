"""The order of layers is Keras's, whatever the order of the list in a config."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from mutspec.model.spec import TensorRef
from mutspec.structure.keras_order import keras_order
from mutspec.structure.network import Network
from mutspec.structure.network_config import network_of
from tests.structure.real_networks import whole
from tests.zoo.play import shared

GRAPHS = (
    *("embedding_mask", "frozen", "called_twice", "multiple_io", "multiple_io_lists", "nested", "nested_twice_deep"),
    *("operators", "residual", "shared_layers", "siamese", "initial_state", "attentions", "transformer"),
)


def network_of_model(model: Any) -> Network:
    import keras

    return network_of(json.loads(json.dumps(keras.saving.serialize_keras_object(model))))


def shuffled(network: Network, seed: int) -> Network:
    names = list(network.layers)
    random.Random(seed).shuffle(names)
    layers, calls = ({name: each[name] for name in names} for each in (network.layers, network.calls))
    return replace(network, layers=layers, calls=calls)


def graphs(model: Any, network: Network) -> Iterator[tuple[Any, Network]]:
    """The Functional models in a model, each with its network."""
    if not network.is_sequential:
        yield model, network
    for name, layer in network.layers.items():
        if isinstance(layer, Network):
            yield from graphs(model.get_layer(name), layer)


def assert_order(model: Any, network: Network) -> None:
    for graph, each in graphs(model, network):
        names = [operation.name for operation in graph.operations]
        assert list(keras_order(each).layers) == names
        assert list(keras_order(shuffled(each, len(names))).layers) == names


@pytest.mark.parametrize("name", GRAPHS)
def test_the_order_is_that_of_keras(name: str) -> None:
    model = shared(name)
    assert_order(model, network_of_model(model))


@pytest.mark.parametrize("name", ["ResNet50", "EfficientNetB0"])
def test_the_order_of_a_network_that_people_use_is_that_of_keras(name: str) -> None:
    model = whole(name)
    assert_order(model, network_of_model(model))


def graph_of_chance(seed: int) -> Any:
    """A graph with branches that meet, layers that are called several times, unused inputs, and outputs by name."""
    import keras

    chance = random.Random(seed)
    inputs = [keras.Input((4,), name=f"in_{number}") for number in range(3)]
    several = [keras.layers.Dense(4, name=f"several_{number}") for number in range(3)]
    tensors = inputs[:2]
    for number in range(14):
        kind, x = chance.random(), chance.choice(tensors)
        if kind < 0.3:
            tensors.append(chance.choice(several)(x))
        elif kind < 0.5:
            tensors.append(keras.layers.Add(name=f"add_{number}")([x, chance.choice(tensors)]))
        elif kind < 0.6:
            tensors.append(keras.ops.where(condition=x > 0.0, x1=x, x2=chance.choice(tensors)))
        else:
            tensors.append(keras.layers.Dense(4, name=f"dense_{number}")(x))
    return keras.Model(inputs, {f"out_{name}": chance.choice(tensors[2:]) for name in "cab"})


@pytest.mark.parametrize("seed", range(12))
def test_the_order_of_a_graph_of_chance_is_that_of_keras(seed: int) -> None:
    model = graph_of_chance(seed)
    assert_order(model, network_of_model(model))


def test_a_call_that_leads_to_no_output_is_left_out() -> None:
    import keras

    x = keras.Input((4,), name="x")
    dense = keras.layers.Dense(4, name="dense")
    model = keras.Model(x, [dense(x), keras.layers.ReLU(name="relu")(dense(dense(x)))])
    network = network_of_model(model)
    order = keras_order(replace(network, outputs=network.outputs[1]))
    assert order.calls == {"x": (), "dense": (1, 2), "relu": (0,)}


def test_a_chain_of_any_length_has_an_order() -> None:
    names = [f"layer_{number}" for number in range(5000)]
    calls: dict[str, Any] = {name: ({"args": [TensorRef(before)], "kwargs": {}},) for before, name in pairwise(names)}
    layers = {name: {"class_name": "ReLU", "config": {}} for name in names}
    network = Network({"config": {}}, layers, {"layer_0": (), **calls}, TensorRef(names[0]), TensorRef(names[-1]))
    assert list(keras_order(shuffled(network, 1)).layers) == names
