"""Lookup of a model's layers and tensors by name, path, class and role. Sets are bits of integers, in model order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from msgspec import UNSET, UnsetType

from mutspec.errors import DocumentPath, PlanError
from mutspec.language.types import ArgumentValue, Patterns
from mutspec.model._arguments import LayerArguments
from mutspec.model._bits import members, union
from mutspec.model._patterns import BadPattern, NameTable
from mutspec.model._places import Located, Places
from mutspec.model.spec import ModelSpec

_NOTHING_BUT_WILDCARDS = frozenset({"*", "**", ".*", ".+", "[^/]*", "[^/]+"})


@dataclass(frozen=True, slots=True)
class Claim:
    """The layers and tensors that match a claim about layers.

    Arguments:
        layers: the layers that match.
        below: the tensors of these layers and of all layers below them.
        named: tensors that match as full paths.
        loose: tensors that match as full paths without their role, as for `dense/*`.
    """

    layers: int = 0
    below: int = 0
    named: int = 0
    loose: int = 0

    def __bool__(self) -> bool:
        return bool(self.layers or self.named or self.loose)

    def __or__(self, other: Claim) -> Claim:
        return Claim(
            self.layers | other.layers, self.below | other.below, self.named | other.named, self.loose | other.loose
        )


def patterns(value: Patterns | UnsetType) -> tuple[str, ...]:
    """Returns a key's patterns as a tuple, for a single pattern and for a list."""
    if value is UNSET:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def pattern_path(key: str, value: Patterns | UnsetType, number: int) -> DocumentPath:
    """Returns the path of a key's pattern in a selector."""
    return (key,) if isinstance(value, str) else (key, number)


class ModelIndex:
    """The lookup tables of one spec.

    Arguments:
        spec: the model.
    """

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.all_layers = (1 << len(spec.layers)) - 1
        self.all_tensors = (1 << len(spec.tensors)) - 1
        self._claims: dict[tuple[object, ...], Claim] = {}
        self._weights: dict[str, int] = {}
        position = {layer.path: number for number, layer in enumerate(spec.layers)}
        self._layer_at = {
            **{alias: number for number, layer in enumerate(spec.layers) for alias in layer.aliases},
            **position,
        }
        self._ancestors = [
            self._ancestors_of((layer.path, *layer.aliases), number) if "/" in layer.path or layer.aliases else ()
            for number, layer in enumerate(spec.layers)
        ]
        self._owner = [self._layer_at.get(tensor.layer, -1) for tensor in spec.tensors]
        self.owned = [0] * len(spec.layers)
        self._held = [0] * len(spec.layers)
        for number, (tensor, owner) in enumerate(zip(spec.tensors, self._owner, strict=True)):
            holders = {self._layer_at.get(alias.rpartition("/")[0], -1) for alias in tensor.aliases} | {owner}
            for holder in holders - {-1}:
                for layer in (holder, *self._ancestors[holder]):
                    self._held[layer] |= 1 << number
            if owner >= 0:
                self.owned[owner] |= 1 << number

    def _ancestors_of(self, paths: Iterable[str], itself: int) -> tuple[int, ...]:
        """Returns the layers around a layer, innermost first, along its path and then along its aliases."""
        found: dict[int, None] = {}
        for path in paths:
            while path := path.rpartition("/")[0]:
                if path in self._layer_at:
                    found[self._layer_at[path]] = None
        return tuple(number for number in found if number != itself)

    @cached_property
    def layer_names(self) -> NameTable:
        """The layers by their own names."""
        return _table(
            (name, number)
            for number, layer in enumerate(self.spec.layers)
            for name in {layer.name, *(alias.rpartition("/")[2] for alias in layer.aliases)}
        )

    @cached_property
    def layer_paths(self) -> NameTable:
        """The layers by their paths and aliases."""
        return NameTable({path: 1 << number for path, number in self._layer_at.items()})

    @cached_property
    def tensor_paths(self) -> NameTable:
        """The tensors by all of their paths."""
        return _table((path, number) for number, tensor in enumerate(self.spec.tensors) for path in tensor.names)

    @cached_property
    def classes(self) -> NameTable:
        """The layers by their classes and base classes."""
        return _table(
            (name, number)
            for number, layer in enumerate(self.spec.layers)
            for name in {layer.class_name, *layer.ancestry}
            if name
        )

    @cached_property
    def roles(self) -> NameTable:
        """The tensors by role."""
        return _table((tensor.role, number) for number, tensor in enumerate(self.spec.tensors))

    @cached_property
    def groups(self) -> Mapping[str, int]:
        """The tensors by group, without groups that the model does not have."""
        masks: dict[str, int] = defaultdict(int)
        for number, tensor in enumerate(self.spec.tensors):
            masks[tensor.group.value] |= 1 << number
        return dict(masks)

    def below(self, layers: int) -> int:
        """Returns the tensors of these layers and of all layers below them."""
        found = 0
        for held in members(self._held, layers):
            found |= held
        return found

    def owners(self, tensors: int) -> list[int]:
        """Returns the numbers of the layers that own at least one of these tensors, in model order."""
        return sorted(set(members(self._owner, tensors)) - {-1})

    def holders(self, tensors: int) -> int:
        """Returns the layers that hold at least one of these tensors, at any depth."""
        return sum(1 << number for number, held in enumerate(self._held) if held & tensors)

    def innermost(self, layer: int, among: int) -> int:
        """Returns the innermost of some layers that is a layer or holds it; the layer itself if there is none."""
        if among >> layer & 1:
            return layer
        return next((holder for holder in self._ancestors[layer] if among >> holder & 1), layer)

    @cached_property
    def arguments(self) -> LayerArguments:
        """The arguments of the layers."""
        return LayerArguments(self.spec.layers)

    @cached_property
    def places(self) -> Places:
        """The places of the layers in the model's graphs."""
        return Places(self.spec, self._layer_at)

    def claim(
        self, name: Patterns | UnsetType, regex: Patterns | UnsetType, type: Patterns | UnsetType
    ) -> Claim | None:
        """Returns the matches of all claims of a selector about layers; None if it makes none.

        Raises:
            PlanError: a pattern is not valid.
        """
        key = (name, regex, type)
        if key not in self._claims:
            combined: Claim | None = None
            for kind, value in (("name", name), ("regex", regex), ("type", type)):
                if value is UNSET:
                    continue
                claim = Claim()
                for number, pattern in enumerate(patterns(value)):
                    claim |= self.fits(kind, pattern, pattern_path(kind, value, number))
                combined = claim if combined is None else self.both(combined, claim)
            if combined is None:
                return None
            self._claims[key] = combined
        return self._claims[key]

    def having(self, arguments: Mapping[str, ArgumentValue]) -> Claim:
        """Returns the layers that have all of these arguments.

        Raises:
            PlanError: a value is of a kind that the argument never has.
        """
        layers = self.all_layers
        for argument, value in arguments.items():
            try:
                layers &= self.arguments.fitting(argument, value)
            except PlanError as error:
                raise PlanError(problem.below("where", argument) for problem in error.problems) from None
        return Claim(layers, self.below(layers))

    def placed(self, claim: Claim | None, place: Located) -> Claim:
        """Returns the part of a claim that has a place; without a claim, the nodes that have it."""
        if claim is None:
            return Claim(place.layers, self.below(place.layers))
        layers, owned = claim.layers & place.within, union(members(self.owned, place.within))
        return Claim(layers, self.below(layers), claim.named & owned, claim.loose & owned)

    def both(self, one: Claim, other: Claim) -> Claim:
        """Returns what both claims match."""
        layers = one.layers & other.layers
        reached, reached_by_other = one.below | one.loose, other.below | other.loose
        return Claim(
            layers,
            self.below(layers),
            one.named & (other.named | reached_by_other) | reached & other.named,
            one.loose & reached_by_other | one.below & other.loose,
        )

    def fits(self, kind: str, pattern: str, path: DocumentPath) -> Claim:
        """Returns the matches of one pattern of `name`, `regex` or `type`.

        Raises:
            PlanError: the pattern at `path` is not valid.
        """
        key = (kind, pattern)
        if key not in self._claims:
            try:
                self._claims[key] = self._fits(kind, pattern)
            except BadPattern as error:
                noun = "regular expression" if kind == "regex" else "glob"
                raise PlanError(f"`{pattern}` is not a valid {noun}: {error}", path=path) from None
        return self._claims[key]

    def _fits(self, kind: str, pattern: str) -> Claim:
        def find(table: NameTable) -> int:
            return table.regex(pattern) if kind == "regex" else table.glob(pattern)

        if kind == "type":
            layers = find(self.classes)
        else:
            layers = find(self.layer_paths if "/" in pattern else self.layer_names)
        if layers or kind == "type" or "/" not in pattern:
            return Claim(layers, self.below(layers))
        tensors = find(self.tensor_paths)
        return Claim(loose=tensors) if pattern.rpartition("/")[2] in _NOTHING_BUT_WILDCARDS else Claim(named=tensors)

    def weights(self, value: Patterns) -> int:
        """Returns the tensors of a role or group, or whose role matches a glob.

        Raises:
            PlanError: a glob is not valid.
        """
        found = 0
        for number, pattern in enumerate(patterns(value)):
            if pattern not in self._weights:
                try:
                    self._weights[pattern] = self.roles.glob(pattern) | self.groups.get(pattern, 0)
                except BadPattern as error:
                    path = pattern_path("weights", value, number)
                    raise PlanError(f"`{pattern}` is not a valid glob: {error}", path=path) from None
            found |= self._weights[pattern]
        return found


def _table(entries: Iterable[tuple[str, int]]) -> NameTable:
    masks: dict[str, int] = defaultdict(int)
    for name, number in entries:
        masks[name] |= 1 << number
    return NameTable(dict(masks))
