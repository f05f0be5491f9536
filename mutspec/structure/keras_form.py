"""A network as Keras itself would serialise it, had it built the model and saved it.

It differs from a file that Keras 3.15 writes in this:

- Arguments that Keras 3.6 refuses are left out where the network does not state them: those of `NEWER_THAN_3_6` in
  `keras_facts/written_configs.py`.
- There is no `shared_object_id`. It says which objects were one object in a process, and its numbers are memory
  addresses. Keras makes an object of its own for each layer that lacks it.
- A class of the user's own has no `build_config`, unless the layer is called on the shapes that it was built for in the
  base. Keras builds its layers when it calls them.

A layer whose config is complete keeps it. So a layer that no edit touches has the config that its file has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.classes import is_keras_class, plain_class_name
from mutspec.keras_facts.dtypes import policy_of
from mutspec.keras_facts.masks import mask_parameters_of
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.keras_facts.written_configs import TRAINING_BY_DEFAULT
from mutspec.keras_facts.written_values import INPUT_CONFIG, NotInTablesError, written_config, written_policy
from mutspec.model.outline import is_operation, join
from mutspec.model.shapes import ShapeOracle
from mutspec.model.spec import TensorRef
from mutspec.structure.build_configs import built, shapes_given
from mutspec.structure.flow import Flow
from mutspec.structure.keras_order import keras_order
from mutspec.structure.network import (
    SEQUENTIAL_INPUT,
    Arguments,
    Entry,
    Network,
    chain,
    is_functional,
    mapped,
    refs,
    unique_name,
)
from mutspec.structure.network_config import is_network, network_of, serialised_tensor
from mutspec.structure.shape_rules import TableOracle

_KEYS = ("module", "class_name", "config", "registered_name")
"""The keys of a serialised object, in Keras's order."""


class UnwritableError(Exception):
    """Raised if a network has layers that only Keras can serialise.

    Arguments:
        layers: what is not in the tables, by the path of the layer.
    """

    def __init__(self, layers: Mapping[str, str]) -> None:
        super().__init__(", ".join(f"`{path}`: {what}" for path, what in layers.items()))
        self.layers = layers


def keras_form(
    network: Network, oracle: ShapeOracle | None = None, kept: Mapping[str, Entry] = MappingProxyType({})
) -> dict[str, Any]:
    """Returns the serialised model as Keras writes it into config.json.

    Arguments:
        network: the model, with its implicit masks.
        oracle: finds the output shapes of layers where the network does not know them; by default a table.
        kept: what the base states besides the config, for layers of classes in no table, by path.

    Raises:
        UnwritableError: only Keras can serialise some layers.
    """
    writer = _Writer(oracle or TableOracle(), kept)
    entry = writer.model(network, "")
    if writer.problems:
        raise UnwritableError(writer.problems)
    return entry


class _Writer:
    """Serialises networks, and collects what it cannot."""

    def __init__(self, oracle: ShapeOracle, kept: Mapping[str, Entry]) -> None:
        self.problems: dict[str, str] = {}
        self._kept = kept
        self._flow = Flow(oracle, lambda _: {})
        self._untyped: set[tuple[str, TensorRef]] = set()

    def model(self, network: Network, path: str) -> dict[str, Any]:
        """Returns a serialised model."""
        config = {"name": network.name, "trainable": True, **network.entry["config"]}
        if network.is_sequential:
            written = self._sequential(network, config, path)
            shape = written.get("build_input_shape")
        else:
            written, shape = self._functional(network, config, path), None
        compiled = network.entry.get("compile_config") or {}
        built_for = {"input_shape": shape}
        return {**_object(network.entry), "config": written, "build_config": built_for, "compile_config": compiled}

    def _sequential(self, network: Network, config: Entry, path: str) -> dict[str, Any]:
        names, start = chain(network), next(refs(network.inputs))
        layers = [self._called_layer(network, name, path) for name in names]
        if start == SEQUENTIAL_INPUT and start in network.types:
            layers.insert(0, _input_layer(network, names, network.types[start]))
        written = {**config, "dtype": written_policy(config.get("dtype")), "layers": layers}
        shape = self._type(network, start, path)
        return written if shape is None else {**written, "build_input_shape": list(shape.shape)}

    def _functional(self, network: Network, config: Entry, path: str) -> dict[str, Any]:
        order = keras_order(network)
        numbers = {
            (name, old): new for name, calls in order.calls.items() for new, old in enumerate(calls) if old != new
        }

        def renumbered(ref: TensorRef) -> TensorRef:
            """Returns a tensor by the number that its call has among those that lead to an output."""
            return replace(ref, call=numbers.get((ref.layer, ref.call), ref.call))

        def tensor(ref: TensorRef) -> dict[str, Any]:
            return serialised_tensor(renumbered(ref), self._type(network, ref, path))

        def output(ref: TensorRef) -> list[Any]:
            # In the outputs, Keras counts the calls of a nested Functional model from 1, because call 0 created it.
            layer, at = network.layers[ref.layer], renumbered(ref)
            return [at.layer, at.call + int(is_functional(layer)), at.output]

        layers = []
        for name in order.layers:
            calls = [network.calls[name][number] for number in order.calls[name]]
            nodes = [mapped(self._with_implied(network, name, call, path), tensor) for call in calls]
            layers.append({**self._called_layer(network, name, path), "name": name, "inbound_nodes": nodes})
        return {
            **config,
            "layers": layers,
            "input_layers": mapped(network.inputs, lambda ref: [ref.layer, ref.call, ref.output]),
            "output_layers": mapped(network.outputs, output),
        }

    def _called_layer(self, network: Network, name: str, owner: str) -> dict[str, Any]:
        """Returns a layer of a network, built for its first call."""
        path, layer = join(owner, name), network.layers[name]
        if isinstance(layer, Network):
            return self.model(layer, path)
        if path in self._kept:
            return {**_object(layer), "config": layer.get("config") or {}, **self._kept[path]}
        if not is_keras_class(layer) or is_operation(layer) or not network.calls[name]:
            return self._layer(layer, path)

        def shape_of(ref: TensorRef) -> list[int | None]:
            found = self._type(network, ref, owner)
            return [] if found is None else list(found.shape)

        given = shapes_given(plain_class_name(layer), network.calls[name][0], shape_of)
        return dict(built(self._layer(layer, path), given))

    def _layer(self, entry: Entry, path: str) -> dict[str, Any]:
        """Returns a serialised layer, and the layers that are its arguments, with complete configs."""
        if is_network(entry):
            return self.model(network_of(entry), path)
        config = entry.get("config") or {}
        if is_operation(entry):
            return {**_object(entry), "config": config}
        try:
            if is_keras_class(entry):
                config = written_config(plain_class_name(entry), config, lambda inner: self._layer(inner, path))
            elif "trainable" not in config:
                raise NotInTablesError(f"the arguments of the class {entry['class_name']}")
        except NotInTablesError as error:
            self.problems.setdefault(path, str(error))
        return {**_object(entry), "config": config}

    def _with_implied(self, network: Network, name: str, call: Arguments, owner: str) -> Arguments:
        """Returns a call with the arguments that Keras adds to one that is given a single tensor and nothing else.

        In `Layer.__call__`, these arguments get into the recorded call only if Keras need not convert the given ones.
        """
        layer, arguments = network.layers[name], call["args"]
        if call.get("kwargs") or len(arguments) != 1:
            return call
        if isinstance(layer, Network):
            is_converted = layer.is_sequential and not self._has_dtype(network, arguments[0], _dtype_of(layer), owner)
            return call if is_converted else {**call, "kwargs": {"mask": mapped(arguments[0], lambda _: None)}}
        class_name = plain_class_name(layer)
        if not isinstance(arguments[0], TensorRef) or not is_keras_class(layer) or is_operation(layer):
            return call
        implied: dict[str, Any] = {}
        if class_name in TRAINING_BY_DEFAULT:
            implied["training"] = TRAINING_BY_DEFAULT[class_name]
        if "mask" in mask_parameters_of(layer):
            implied["mask"] = None
        policy = policy_of(layer["config"].get("dtype"))
        computes = policy.compute if policy is not None else "float32"
        if not implied or not (
            class_name in _CONVERTS_NOTHING or self._has_dtype(network, arguments[0], computes, owner)
        ):
            return call
        return {**call, "kwargs": implied}

    def _has_dtype(self, network: Network, ref: Arguments, dtype: str, owner: str) -> bool:
        found = self._type(network, ref, owner) if isinstance(ref, TensorRef) else None
        return found is not None and found.dtype == dtype

    def _type(self, network: Network, ref: TensorRef, owner: str) -> TensorType | None:
        """Returns the type of a tensor; if only Keras knows it, it is a problem of the layer that makes the tensor."""
        if ref == SEQUENTIAL_INPUT and ref not in network.types:
            self.problems.setdefault(owner or network.name, "the shape of its input")
            return None
        if (owner, ref) in self._untyped:
            return None
        try:
            return self._flow.type_of(network, ref, owner)
        except (ModelError, EnvironmentProblem):
            self._untyped.add((owner, ref))
        inputs = [self._type(network, each, owner) for each in network.uses[ref.layer][ref.call]]
        if None not in inputs:  # a layer after one whose outputs are unknown is not to blame
            self.problems.setdefault(join(owner, ref.layer), "the shapes that it outputs")
        return None


_CONVERTS_NOTHING = frozenset({"RandomCrop", "RandomFlip"})
"""Classes that take tensors of any dtype."""


def _dtype_of(network: Network) -> str:
    start = next(refs(network.inputs))
    return network.types[start].dtype if start in network.types else "float32"


def _object(entry: Entry) -> dict[str, Any]:
    return {key: entry.get(key) for key in _KEYS}


def _input_layer(network: Network, names: tuple[str, ...], found: TensorType) -> dict[str, Any]:
    """Returns the InputLayer that Keras puts before the first layer of a Sequential model when it builds it."""
    first = network.layers[names[0]] if names else None
    policy = policy_of(first["config"].get("dtype")) if first is not None and not isinstance(first, Network) else None
    config = {
        "batch_shape": list(found.shape),
        **INPUT_CONFIG,
        "dtype": policy.compute if policy is not None else found.dtype,
        "name": unique_name("input_layer", names),
    }
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}
