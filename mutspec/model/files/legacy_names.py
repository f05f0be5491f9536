"""Reading weights in the form of Keras 2 by their names alone: `lstm/lstm_cell/kernel:0` is `lstm/kernel`.

Such a file names the layers and the weights of each, but no classes. Paths agree with those that an architecture gives,
but where only that tells them: the name of a layer in a TimeDistributed, whether a cell is an RNN's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mutspec.errors import ModelError
from mutspec.keras_facts.class_table import CLASSES
from mutspec.keras_facts.roles import Group
from mutspec.model.build import OWN
from mutspec.model.files.archive import Archive, Extent
from mutspec.model.files.legacy_file import OWN_WEIGHTS, LegacyWeights
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec

_GROUPS: Mapping[str, frozenset[Group]] = {
    role: frozenset(
        variable.group
        for facts in CLASSES.values()
        for variables in (facts.variables, *facts.quantized.values())
        for variable in variables
        if variable.role == role
    )
    for facts in CLASSES.values()
    for role in (variable.role for variables in (facts.variables, *facts.quantized.values()) for variable in variables)
}
"""The groups of the weights of each role, in the classes that have it."""

_FORMER_ROLES: Mapping[str, str] = {"sn_u": "vector_u"}
_CELL = re.compile(r"(lstm|gru|simple_rnn|peephole_lstm|conv_lstm\dd)_cell(_\d+)?")
"""The automatic names of cells, which the paths of recurrent layers do not show."""


def named_archive(path: Path, weights: LegacyWeights, version: str) -> Archive:
    """Reads weights by their names: a partial spec, in which the classes of layers are unknown.

    Raises:
        ModelError: two weights have one name.
    """
    layers: dict[str, LayerSpec] = {}
    tensors: list[TensorSpec] = []
    extents: dict[str, Extent] = {}
    for layer, names in weights.listed.items():
        for (owner, role), name in zip(_paths(layer, names), names, strict=True):
            extent = weights.extents.get(f"{layer}/{name}")
            if extent is None:
                message = f"{path} lists the weight '{layer}/{name}', but does not hold it"
                raise ModelError(message, hint="save the model again")
            tensor = f"{owner}/{role}"
            if tensor in extents:
                raise ModelError(
                    f"{path} has two weights that are called {tensor}",
                    hint="give the model's architecture: --architecture FILE",
                )
            for at in _with_owners(owner):
                layers.setdefault(at, LayerSpec(at, at.rpartition("/")[2], "", ()))
            extents[tensor] = extent
            tensors.append(_tensor(tensor, owner, role, extent))
    spec = ModelSpec("", "", tuple(layers.values()), tuple(tensors), is_partial=True)
    return Archive(path, version, spec, extents, None)


def _tensor(path: str, owner: str, role: str, extent: Extent) -> TensorSpec:
    groups = _GROUPS.get(role, frozenset())
    is_number = extent.dtype.startswith(("float", "bfloat", "complex"))
    group = next(iter(groups)) if len(groups) == 1 else Group.OTHER if is_number else Group.STATE
    return replace(TensorSpec(path, owner, role, group, extent.shape, extent.dtype), origin=path)


def _paths(layer: str, names: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yields the layer that owns each weight, and the weight's role."""
    split = [_split(layer, name) for name in names]
    separable = {owner for owner, role in split if role == "pointwise_kernel"}
    for number, (owner, role) in enumerate(split):
        if role == "depthwise_kernel" and owner not in separable:
            role = "kernel"
        yield owner, role if role in _GROUPS and layer != OWN_WEIGHTS else f"var{number}"


def _split(layer: str, name: str) -> tuple[str, str]:
    if layer == OWN_WEIGHTS:
        return OWN, ""
    *inner, last = name.split("/")
    last = last.partition(":")[0]
    role = _FORMER_ROLES.get(last, last)
    role = role if role in _GROUPS else re.sub(r"_\d+$", "", role)
    # Keras adds a number to a layer's name when it makes the layer a second time: `dense_1_1/kernel` is of `dense_1`.
    own = next(
        (at for at, each in enumerate(inner) if each == layer or re.fullmatch(rf"{re.escape(layer)}_\d+", each)), -1
    )
    return "/".join([layer, *(each for each in inner[own + 1 :] if not _CELL.fullmatch(each))]), role


def _with_owners(path: str) -> Iterator[str]:
    """Yields the paths of the layers that a path is in, and then the path itself."""
    parts = path.split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
