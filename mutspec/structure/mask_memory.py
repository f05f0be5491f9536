"""What the calls of a network without implicit masks remember of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.structure.mask_propagation import Masks, Site
from mutspec.structure.network import Arguments, Network

MEMORY = "implicit_masks"
"""The key of a call, in a network without implicit masks, for what was there. So it goes with the call through all
edits, and afterwards masks that no edit has changed are written as they were.

- `names`: the classes and names of the operations that computed the masks of its outputs.
- `passes`: whether a layer of a class of the user's own passed its mask on.
- `written`: the parameters that had an implicit mask.
- `unwritten`: those that had None, although there is a mask: what Concatenate makes had none in Keras 3.3. Keras finds
  it when the model is called.
"""


def memory_of(call: Arguments) -> Mapping[str, Any]:
    """Returns what a call remembers of implicit masks."""
    return call.get(MEMORY, {}) if isinstance(call, Mapping) else {}


def all_calls(network: Network) -> Iterator[tuple[Site, Arguments]]:
    """Returns all calls of a network with their arguments."""
    return (((name, number), call) for name, calls in network.calls.items() for number, call in enumerate(calls))


def masks_in(masks: Masks) -> list[Any]:
    """Returns what is in a structure of masks."""
    if isinstance(masks, Mapping):
        masks = list(masks.values())
    return [each for item in masks for each in masks_in(item)] if isinstance(masks, list | tuple) else [masks]
