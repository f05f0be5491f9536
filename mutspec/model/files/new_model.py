"""Models that are about to be written: all that a file of one states, without the values of its weights.

Writers lay such a model out: they write a whole file in which the values are zeros, and tell where each of them lies.
What fills the values in knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mutspec.errors import Problem
from mutspec.model.files.archive import Archive, Extent, Member
from mutspec.model.saved_groups import SavedGroup
from mutspec.model.spec import TensorSpec


@dataclass(frozen=True)
class NewModel:
    """A model that is made of another one, and is about to be written.

    Arguments:
        base: the file of the other one.
        config: the serialised model.
        tensors: its weights.
        groups: where Keras saves these, in Keras's order.
        keras_version: the version of Keras that the file states.
        date_saved: the date that it states.
        state: what the file holds in addition to the model's weights: the optimizer's variables.
        warnings: what the mutant loses of the base.
        assets: the files that layers keep in addition to their weights, by their names in a `.keras` file: each is the
            one of a name in the base.
    """

    base: Archive
    config: Mapping[str, Any]
    tensors: tuple[TensorSpec, ...]
    groups: tuple[SavedGroup, ...]
    keras_version: str
    date_saved: str
    state: tuple[StateGroup, ...] = ()
    warnings: tuple[Problem, ...] = ()
    assets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NeedsKeras:
    """Keras has to build a model.

    Arguments:
        reason: why, as a sentence without its full stop.
        warnings: what the mutant loses of the base in its file.
    """

    reason: str
    warnings: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class StateGroup:
    """A group that is not of the model's layers.

    Arguments:
        path: the stored path of the object that saves it.
        name: the object's name.
        values: the values, in order.
    """

    path: str
    name: str
    values: tuple[KeptValue, ...]


@dataclass(frozen=True, slots=True)
class KeptValue:
    """A value that the engine does not compute.

    Arguments:
        shape, dtype: its shape and dtype.
        source: where it lies in the base; None for a new one.
        initial: the number that a new one holds in each entry.
        name: the name with which its path in Keras ends; empty if that is not known.
        weight: the path of the weight that it belongs to; empty if there is none.
    """

    shape: tuple[int, ...]
    dtype: str
    source: Extent | None
    initial: float = 0.0
    name: str = ""
    weight: str = ""


@dataclass(frozen=True)
class LaidOut:
    """A file whose values are zeros still.

    Arguments:
        extents: where each dataset lies, by its path in HDF5.
        places: where the values of each weight go, by the weight's path. Keras stores some weights twice.
        others: further values, each with where it goes.
        offset, size: the range of bytes that holds the HDF5 file.
        member: what the zip around it states of that range; None if the file itself is HDF5.
        bytes: the size of the whole file.
    """

    extents: Mapping[str, Extent]
    places: Mapping[str, tuple[Extent, ...]]
    others: tuple[tuple[KeptValue, Extent], ...]
    offset: int
    size: int
    member: Member | None
    bytes: int


def places_of(model: NewModel, extents: Mapping[str, Extent]) -> Mapping[str, tuple[Extent, ...]]:
    """Returns where the values of each weight go, from where the datasets lie."""
    places: dict[str, tuple[Extent, ...]] = {}
    for group in model.groups:
        for key, tensor in group.tensors.items():
            places[tensor.path] = (*places.get(tensor.path, ()), extents[f"{vars_of(group.path)}/{key}"])
    return places


def others_of(model: NewModel, extents: Mapping[str, Extent]) -> Iterator[tuple[KeptValue, Extent]]:
    """Yields the values that are not those of weights, each with where it goes."""
    for group in model.groups:
        for key, stored in group.others.items():
            source = model.base.stored[stored]
            yield KeptValue(source.shape, source.dtype, source), extents[f"{vars_of(group.path)}/{key}"]
    for state in model.state:
        for number, value in enumerate(state.values):
            yield value, extents[f"{vars_of(state.path)}/{number}"]


def vars_of(path: str) -> str:
    """Returns the path of the group in which Keras saves the variables of a layer or an optimizer."""
    return f"{path}/vars" if path else "vars"
