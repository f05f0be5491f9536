"""Layers of classes that are in no table and that a plan keeps: what a file states of them besides their config.

Keras writes the shapes for which it built a layer (`build_config`), and a class may write anything else there. Only its
code knows what that is for other shapes, so it is kept for the same ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.keras_facts.object_names import POLICIES
from mutspec.keras_facts.tensor_types import TensorType
from mutspec.model.calls import name_of_entry
from mutspec.model.outline import join
from mutspec.structure.edits import level
from mutspec.structure.flow import Flow
from mutspec.structure.network import Entry, Network
from mutspec.structure.network_config import is_network, network_of
from mutspec.structure.shape_rules import TableOracle

_STATED = ("build_config", "compile_config")
"""The keys of a serialised layer that are neither its class nor its config."""

_OTHER_OBJECTS = frozenset({"constraints", "initializers", "regularizers"})
"""The modules of objects that layers share without an effect. Keras writes dtype policies from `keras` itself."""


def stated_besides(base: Entry, network: Network, origins: Mapping[str, str]) -> Mapping[str, Entry]:
    """Returns what the base states of kept layers besides their configs, by their paths in the mutant.

    Layers that are called on other shapes than in the base are left out.

    Arguments:
        base: the serialised base.
        network: the mutant.
        origins: the path in the base of each kept layer, by its path in the mutant.
    """
    if not origins:
        return {}
    entries, before, flow = dict(_entries(base, "")), network_of(base), Flow(TableOracle(), lambda _: {})
    return {
        path: {key: entries[old][key] for key in _STATED if key in entries[old]}
        for path, old in origins.items()
        if old in entries and _inputs(flow, network, path) == _inputs(flow, before, old) is not None
    }


def sharing_layers(base: Entry) -> frozenset[str]:
    """Returns the paths of the layers that have a layer in their config that the base has elsewhere too.

    Keras knows such a layer by the id of the object, and a file that is written from a network has no ids.

    Arguments:
        base: the serialised base.
    """
    entries = dict(_entries(base, ""))
    within = {path: frozenset(_ids(each["config"])) for path, each in entries.items() if not is_network(each)}
    own = (each["shared_object_id"] for each in entries.values() if "shared_object_id" in each)
    holders = Counter(chain(own, *within.values()))
    return frozenset(path for path, ids in within.items() if any(holders[each] > 1 for each in ids))


def _ids(value: Any) -> Iterator[Any]:
    """Yields the ids of the layers in a config."""
    if isinstance(value, Mapping):
        if "shared_object_id" in value and _is_layer(value):
            yield value["shared_object_id"]
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _ids(each)


def _is_layer(value: Entry) -> bool:
    modules = str(value.get("module")).split(".")
    return value.get("class_name") not in POLICIES and not _OTHER_OBJECTS.intersection(modules)


def _entries(model: Entry, owner: str) -> Iterator[tuple[str, Entry]]:
    for entry in (model.get("config") or {}).get("layers") or ():
        path = join(owner, name_of_entry(entry))
        yield path, entry
        if isinstance((entry.get("config") or {}).get("layers"), list):
            yield from _entries(entry, path)


def _inputs(flow: Flow, network: Network, path: str) -> list[TensorType] | None:
    """Returns the types that the first call of a layer is given; None if they are not known."""
    owner, _, name = path.rpartition("/")
    inside = level(network, owner)
    if inside is None or not inside.calls.get(name):
        return None
    try:
        return [flow.type_of(inside, ref, owner) for ref in inside.uses[name][0]]
    except (ModelError, EnvironmentProblem):
        return None
