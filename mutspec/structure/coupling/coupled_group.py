"""Groups of layers whose widths change together, as values: who is in one, why, and what becomes of its weights."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mutspec.structure.network import Network  # reports on weights alone do not load what edits architectures


class Role(StrEnum):
    """What a layer has to do with the units that change."""

    TARGET = "target"
    UNITS = "units"
    CHANNELS = "channels"
    INPUTS = "inputs"
    SHAPE = "shape"


@dataclass(frozen=True, slots=True)
class ResizedWeight:
    """A weight of a coupled layer: its path below the layer, and its shape before and after."""

    weight: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CoupledMember:
    """A layer that changes with others.

    Arguments:
        layer: its path.
        type: its class.
        role: what it has to do with the units that change.
        weights: its weights that get another shape.
    """

    layer: str
    type: str
    role: Role
    weights: tuple[ResizedWeight, ...]


@dataclass(frozen=True, slots=True)
class UnitChange:
    """The units of a target.

    Arguments:
        layer: its path.
        argument: the argument that counts them.
        before: their number before.
        after: their number after.
        indices: those that are removed; or, where some are added, the unit that each new one is a copy of.
    """

    layer: str
    argument: str
    before: int
    after: int
    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Join:
    """A layer that ties the units of several layers together, such as an Add: its path and class."""

    layer: str
    type: str


@dataclass(frozen=True, slots=True)
class Mixture:
    """A layer that computes with all channels together: its path, and what it does, as the rest of a sentence."""

    layer: str
    why: str


@dataclass(frozen=True, slots=True)
class CoupledGroup:
    """Layers that change together.

    Arguments:
        units: the targets among them.
        members: all of them, in the order in which they are called.
        joins: the layers because of which they are coupled.
        mixtures: the layers that compute with all of their channels together, so that they make something else now.
        network: the outermost network before the change.
    """

    units: tuple[UnitChange, ...]
    members: tuple[CoupledMember, ...]
    joins: tuple[Join, ...]
    mixtures: tuple[Mixture, ...]
    network: Network = field(compare=False, repr=False)

    @property
    def paths(self) -> tuple[str, ...]:
        """Its layers, and those because of which they are coupled, each once."""
        return tuple(dict.fromkeys([*(each.layer for each in self.members), *(each.layer for each in self.joins)]))

    def links(self) -> list[tuple[str, str]]:
        """Returns which of its layers come after which others, with none of them in between.

        Layers inside of a model in the outermost network stand where that model does.
        """
        outer = defaultdict(list)
        for path in self.paths:
            outer[path.partition("/")[0]].append(path)
        found: dict[tuple[str, str], None] = {}
        for name, starts in outer.items():
            found.update((pair, None) for pair in pairwise(starts))
            pending, seen = list(self.network.consumers(name)), set[str]()
            while pending:
                user = pending.pop()
                if user in outer:
                    found[starts[-1], outer[user][0]] = None
                elif user not in seen:
                    pending += self.network.consumers(user)
                seen.add(user)
        return list(found)
