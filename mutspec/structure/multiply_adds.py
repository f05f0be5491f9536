"""The multiply–adds that a network makes for one sample, estimated without Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.classes import is_keras_class, plain_class_name
from mutspec.keras_facts.layer_call import LayerCall
from mutspec.keras_facts.multiply_adds import CountedCall, UncountedError, count_of, is_free
from mutspec.keras_facts.tensor_types import Shape, TensorType
from mutspec.model.limits import current_limits
from mutspec.model.outline import is_operation, join
from mutspec.model.spec import TensorRef
from mutspec.structure.flow import Flow
from mutspec.structure.network import Entry, Network, refs
from mutspec.structure.network_config import called, is_network, network_of
from mutspec.structure.shape_rules import TableOracle, arguments_of


@dataclass(frozen=True, slots=True)
class MultiplyAdds:
    """The multiply–adds of a network for one sample.

    Arguments:
        count: how many they are; None if that is not known.
        unknown: why it is not known, with the name of the layer; else empty.
    """

    count: int | None
    unknown: str = ""


def multiply_adds(network: Network) -> MultiplyAdds:
    """Estimates the multiply–adds of a network for one sample. Each call of a shared layer counts.

    What counts, `keras_facts/multiply_adds.py` says. Keras is never asked: a layer that only Keras knows is named.
    """
    try:
        return MultiplyAdds(_Count(Flow(TableOracle(), lambda path: {})).of(network))
    except _UnknownCountError as error:
        return MultiplyAdds(None, str(error))
    except (ModelError, EnvironmentProblem) as error:
        return MultiplyAdds(None, error.problems[0].message)


class _UnknownCountError(Exception):
    """Raised where the multiply–adds of a layer are not known. The message says which layer it is, and why."""


@dataclass(frozen=True, slots=True)
class _Count:
    """Counts the multiply–adds of layers.

    Arguments:
        flow: finds types that the network does not have.
        depth: how many layers the counted ones are in.
    """

    flow: Flow
    depth: int = 1

    def of(self, network: Network, owner: str = "") -> int:
        """Counts all calls in a network."""
        return sum(
            self._call(network, name, number, owner)
            for name in network.layers
            for number in range(len(network.calls[name]))
        )

    def _call(self, network: Network, name: str, number: int, owner: str) -> int:
        layer, path = network.layers[name], join(owner, name)
        if not isinstance(layer, Network) and _is_free(layer):
            return 0
        types = {ref: self.flow.type_of(network, ref, owner) for ref in network.uses[name][number]}
        inputs = tuple(types[ref] for ref in network.uses[name][number])
        if isinstance(layer, Network):
            return self.of(self.flow.called_on(layer, path, inputs), path)
        with_call = called(layer, network.calls[name][number], types)
        output = TensorRef(name, number)
        return self._entry(with_call, path, inputs, lambda: self.flow.type_of(network, output, owner).shape)

    def _entry(self, entry: Entry, path: str, inputs: tuple[TensorType, ...], output: Callable[[], Shape]) -> int:
        """Counts a call of a layer that is not a model."""
        class_name = plain_class_name(entry)
        call = LayerCall(path, class_name, entry.get("config") or {}, inputs, arguments_of(entry, inputs))
        try:
            if not is_keras_class(entry) or not inputs:
                raise UncountedError("is of a class whose multiply–adds are not known")
            counted = CountedCall(call, output, lambda part, shape: self._part(part, path, shape))
            return count_of(counted, is_operation=is_operation(entry))
        except UncountedError as error:
            raise _UnknownCountError(f"`{path}` ({class_name}) {error}") from None

    def _part(self, entry: Entry, path: str, shape: Shape) -> int:
        """Counts a layer in a layer, called on a tensor of a shape."""
        current_limits().check("layer_depth", self.depth, "layers in layers", is_counted=False)
        inner = _Count(self.flow, self.depth + 1)
        tensor = TensorType(shape)
        if is_network(entry):
            model = network_of(entry)
            model = model.with_layers(model.layers, {**dict.fromkeys(refs(model.inputs), tensor), **model.types})
            return inner.of(self.flow.called_on(model, path, (tensor,)), path)
        if _is_free(entry):
            return 0
        return inner._entry(entry, path, (tensor,), lambda: self.flow.oracle(entry, (tensor,)).outputs[0].shape)


def _is_free(entry: Entry) -> bool:
    return is_keras_class(entry) and is_free(plain_class_name(entry), is_operation=is_operation(entry))
