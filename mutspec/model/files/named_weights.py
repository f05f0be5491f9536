"""Weights that are stored under names, as in safetensors: matched with a model, or taken as they are named.

With an architecture, each name is the canonical path of a weight. Without one, the last part of a name is the role, and
what comes before it is the layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutspec.errors import ModelError, nearest
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.roles import Group
from mutspec.model.build import OWN, Build, build_from_outline
from mutspec.model.files.archive import Extent
from mutspec.model.outline import Outline, OutlineNode, join, outline_of
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

_MOST_NAMED = 3


@dataclass(frozen=True)
class Matched:
    """A spec, and where its tensors lie.

    Arguments:
        spec: the model, or only its tensors.
        extents: where each tensor lies, by canonical path.
        stored: the same by the path at which Keras 3 stores it; empty without an architecture.
        names: the layers' names by their paths in `stored`.
    """

    spec: ModelSpec
    extents: Mapping[str, Extent]
    stored: Mapping[str, Extent]
    names: Mapping[str, str]


def matched(extents: Mapping[str, Extent], config: Mapping[str, Any] | None, path: Path) -> Matched:
    """Matches weights, whose names are canonical paths, with their model.

    Arguments:
        extents: where they lie, by name.
        config: the serialised model; None if it is not known.
        path: the file.

    Raises:
        ModelError: the weights are not the model's; or two have one name.
    """
    if config is None:
        return Matched(_partial(extents), extents, {}, {})
    outline = outline_of(config)
    places = places_of(outline)
    strange = [name for name in extents if name not in places]
    if strange:
        more = f" and {len(strange) - _MOST_NAMED} more" if len(strange) > _MOST_NAMED else ""
        raise ModelError(
            f"{path} holds weights that the architecture does not have: {', '.join(strange[:_MOST_NAMED])}{more}",
            hint="is it the architecture of another model?",
            candidates=nearest(strange[0], places),
        )
    stored = {places[name].stored: extent for name, extent in extents.items()}
    build: Build = build_from_outline(outline, {at: (each.shape, each.dtype) for at, each in stored.items()})
    names = {each.group: each.layer for each in places.values()}
    found = {tensor: stored[at] for tensor, at in build.stored.items()}
    return Matched(build.spec, found, stored, names)


@dataclass(frozen=True, slots=True)
class WeightSlot:
    """The path at which Keras 3 stores a weight, and the name of its layer."""

    stored: str
    layer: str

    @property
    def group(self) -> str:
        """The path of its layer."""
        return self.stored.rpartition("/")[0].removesuffix("vars").rstrip("/")


def places_of(outline: Outline) -> Mapping[str, WeightSlot]:
    """Returns each weight that a model can have, by its canonical path."""
    return dict(_places(outline))


def _places(outline: Outline) -> Iterator[tuple[str, WeightSlot]]:
    pending: list[tuple[OutlineNode, str]] = [(outline.root, "")]
    while pending:
        node, stored = pending.pop()
        own = node.path or OWN
        for index, variable in enumerate(node.variables or ()):
            if not variable.copy_of:
                at = join(stored, join("vars", str(index)))
                yield join(own, variable.role), WeightSlot(at, node.name)
        pending += [(child, join(stored, child.stored[0])) for child in node.children]


def _groups() -> Mapping[str, Group]:
    """Returns the group of a role, if it is the same in all of Keras's classes."""
    found: dict[str, set[Group]] = {}
    for facts in CLASSES.values():
        for variable in facts.variables:
            found.setdefault(variable.role, set()).add(variable.group)
    return {role: groups.pop() for role, groups in found.items() if len(groups) == 1}


def _partial(extents: Mapping[str, Extent]) -> ModelSpec:
    """Returns the tensors under their own names: `layer/role`, or `layer.role`."""
    groups = _groups()
    layers: dict[str, LayerSpec] = {}
    tensors = []
    for name, extent in extents.items():
        layer, role = _layer_and_role(name)
        layers.setdefault(layer, LayerSpec(layer, layer.rpartition("/")[2], "", ()))
        is_number = extent.dtype.startswith(("float", "bfloat", "complex"))
        group = groups.get(role, Group.OTHER) if is_number else Group.STATE
        tensors.append(TensorSpec(name, layer, role, group, extent.shape, extent.dtype, None, origin=name))
    return ModelSpec("", "", tuple(layers.values()), tuple(tensors), is_partial=True)


def _layer_and_role(name: str) -> tuple[str, str]:
    for sign in "/.":
        layer, found, role = name.rpartition(sign)
        if found and layer and role:
            return layer, role
    return OWN, name
