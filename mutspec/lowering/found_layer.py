"""A layer that a structural step has found, where the edits before have left it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mutspec.errors import PlanError
from mutspec.keras_facts.classes import plain_class_name
from mutspec.model.outline import join
from mutspec.model.spec import TensorRef
from mutspec.structure.network import Arguments, Entry, Network

LEAVE_OUT = "leave it out of the target, with `not:` if a pattern matches it"


@dataclass(frozen=True, slots=True)
class FoundLayer:
    """A layer that a step has found, and the model that calls it, as the steps and edits before have left them.

    Arguments:
        path: its path.
        owner: the path of the model that calls it; empty for the outermost.
        name: its name in that model.
        network: that model, taken apart.
        key: the key of the step that names it, for errors.
    """

    path: str
    owner: str
    name: str
    network: Network
    key: str

    @property
    def entry(self) -> Entry | Network:
        """The serialised layer; of a model in the model its network."""
        return self.network.layers[self.name]

    @property
    def serialised(self) -> Entry:
        """The serialised layer; of a model without the layers in it."""
        return self.entry.entry if isinstance(self.entry, Network) else self.entry

    @property
    def config(self) -> Mapping[str, Any]:
        """Its config."""
        return dict(self.serialised["config"])

    @property
    def class_name(self) -> str:
        """Keras's current name of its class."""
        return plain_class_name(self.serialised)

    @property
    def calls(self) -> tuple[Arguments, ...]:
        """The arguments of each of its calls; an input has none."""
        return self.network.calls[self.name]

    def written(self) -> dict[str, Any]:
        """Returns the layer as a step writes one, without its name, for another like it.

        Raises:
            PlanError: it is a model.
        """
        entry = self.entry
        if isinstance(entry, Network):
            message = f"`{self.path}` is a model, and not a single layer"
            raise PlanError(message, path=(self.key,), hint="name layers in it")
        kept = {key: value for key, value in entry.items() if key in ("module", "class_name", "registered_name")}
        return {**kept, "config": {key: value for key, value in entry["config"].items() if key != "name"}}

    def output(self, call: int = 0, number: int = 0) -> TensorRef:
        """Returns one of its outputs, of one of its calls."""
        return TensorRef(self.name, call, number)

    def neighbour(self, name: str) -> FoundLayer:
        """Returns another layer of the same model, by its name there."""
        return replace(self, path=join(self.owner, name), name=name)

    def refuse_input(self, reason: str) -> None:
        """Refuses an input of the model.

        Arguments:
            reason: why the step cannot have one, as the end of a sentence: "which stays".

        Raises:
            PlanError: the layer is one.
        """
        if not self.calls:
            message = f"`{self.path}` is an input of the model, {reason}"
            raise PlanError(message, path=(self.key,), hint=LEAVE_OUT)
