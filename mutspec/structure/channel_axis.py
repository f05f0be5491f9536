"""Where an input of a model has its channels."""

from __future__ import annotations

from mutspec.keras_facts.data_formats import FIRST
from mutspec.structure.network import Network, refs

_REARRANGES = frozenset({"Permute", "Reshape", "Flatten", "Transpose", "Swapaxes", "Moveaxis"})
"""Classes after which the channels are elsewhere."""


def is_channels_first(network: Network, name: str) -> bool:
    """Returns whether the first layers with a data format that an input reaches have their channels first.

    Arguments:
        network: the network.
        name: the layer whose output is asked about, such as an InputLayer; or the empty name of a Sequential's input.
    """
    seen, pending = set[str](), [name]
    while pending:
        for user in network.consumers(pending.pop()):
            layer = network.layers[user]
            if user in seen:
                continue
            seen.add(user)
            if isinstance(layer, Network):
                if any(is_channels_first(layer, ref.layer) for ref in refs([layer.inputs])):
                    return True
            elif "data_format" in layer["config"] and layer["class_name"] != "Flatten":
                if layer["config"]["data_format"] == FIRST:
                    return True
            elif layer["class_name"] not in _REARRANGES:
                pending.append(user)
    return False
