"""How the file of a model is laid out: read from a model for a patch, and made into a new file from one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from mutspec.errors import ModelError, Problem
from mutspec.execute.keras_2 import is_by_keras_2
from mutspec.execute.new_file import state_for
from mutspec.keras_facts.roles import Group
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.model.config import check_config
from mutspec.model.files.archive import Archive
from mutspec.model.files.arrays import numpy_dtype
from mutspec.model.files.assets import assets_of, leads_elsewhere, read_asset
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.legacy_groups import legacy_groups, state_names
from mutspec.model.files.new_model import NewModel, StateGroup
from mutspec.model.lost_state import NEW
from mutspec.model.opaque_layers import StoredLayer, opaque_layers
from mutspec.model.outline import Outline, OutlineNode, outline_of
from mutspec.model.saved_groups import SavedGroup, UnknownGroups, saved_groups
from mutspec.model.spec import TensorSpec
from mutspec.model.stored import NOT_THE_MODELS
from mutspec.patches.document import ModelLayout, StoredTensor, StoredValue
from mutspec.patches.values import place_of_other
from mutspec.structure.optimizer_state import UnknownStateError

_NOT_TRAINED = "compile it again before you train it"


def layout_of(archive: Archive, other: Archive | None = None) -> ModelLayout:
    """Returns how a model file is laid out.

    Arguments:
        archive: the file.
        other: the other model of the patch, which has the same files of layers; by default the file itself.

    Raises:
        ModelError: the two models keep different files with their layers.
    """
    stored_at = {extent: path for path, extent in archive.stored.items()}
    tensors = tuple(
        StoredTensor(
            tensor.path,
            tensor.layer,
            tensor.role,
            tensor.shape,
            tensor.dtype,
            stored_at.get(archive.extents[tensor.path], ""),
        )
        for tensor in archive.spec.tensors
    )
    others = {path: StoredValue(archive.stored[path].shape, archive.stored[path].dtype) for path in _others(archive)}
    config = dict(archive.config) if archive.config else None
    version = WRITTEN_VERSION if is_by_keras_2(archive) else archive.keras_version or WRITTEN_VERSION
    assets = _assets(archive, other or archive)
    return ModelLayout(version, config, tensors, others, dict(archive.names), assets)


def _others(archive: Archive) -> Iterator[str]:
    """Yields the paths of stored values that are not weights, and that are written again.

    Those that training leaves are not, and neither are seeds: Keras draws new ones. What a layer of a class in no table
    stores belongs to it, and so does all that a file of weights alone stores.
    """
    places = {each for path in archive.extents for each in (archive.extents[path], *archive.copies.get(path, ()))}
    belongs = {path for layer in _opaque(archive).values() for path in layer.values} if archive.config else None
    for path, extent in archive.stored.items():
        is_of_model = path.partition("/")[0] not in NOT_THE_MODELS and (belongs is None or path in belongs)
        if is_of_model and extent not in places and _are_numbers(extent.dtype):
            yield path


def _are_numbers(dtype: str) -> bool:
    try:
        numpy_dtype(dtype)
    except ModelError:
        return False
    return True


def _opaque(archive: Archive) -> Mapping[str, StoredLayer]:
    stored = {path: (extent.shape, extent.dtype) for path, extent in archive.stored.items()}
    return opaque_layers(outline_of(archive.config).root, stored, archive.names)


def _assets(archive: Archive, other: Archive) -> dict[str, str]:
    """Returns the files that layers keep, each with the name of the same file in the other model.

    Raises:
        ModelError: the other model does not have one.
    """
    own, others = _asset_digests(archive), _asset_digests(other) if other is not archive else None
    if others is None:
        return {name: name for name in own}
    by_digest = {digest: name for name, digest in others.items()}
    found: dict[str, str] = {}
    for name, digest in own.items():
        if digest not in by_digest:
            raise ModelError(
                f"{archive.path} keeps a file `{name}` with a layer, which {other.path} does not have",
                hint="a patch holds weights and the architecture, and no vocabularies",
            )
        found[name] = name if others.get(name) == digest else by_digest[digest]
    return found


def _asset_digests(archive: Archive) -> dict[str, str]:
    digests = {}
    for name in assets_of(archive):
        digest = sha256()
        for block in read_asset(archive, name):
            digest.update(block)
        digests[name] = digest.hexdigest()
    return digests


def check_same_assets(before: Archive, after: Archive) -> None:
    """Refuses two models of one structure whose layers keep different files, which a patch would not change.

    Raises:
        ModelError: they do.
    """
    if all(FORMATS[each.kind].kind in _WITH_ASSETS for each in (before, after)):
        _assets(after, before)
        _assets(before, after)


_WITH_ASSETS = (FileKind.KERAS, FileKind.KERAS_FOLDER)


@dataclass(frozen=True)
class Target:
    """A model that is to be written: its layout, and for each weight that the patched model has, its path there."""

    layout: ModelLayout
    origins: Mapping[str, str]

    def tensors(self) -> tuple[TensorSpec, ...]:
        """Returns the weights. The origin of one that is kept is its path in the patched model."""
        return tuple(
            TensorSpec(
                each.path,
                each.layer,
                each.role,
                Group.OTHER,
                tuple(each.shape),
                each.dtype,
                origin=self.origins.get(each.path, f"\0{each.path}"),
            )
            for each in self.layout.tensors
        )


def new_model(target: Target, base: Archive, kind: FileKind, shown: str) -> NewModel:
    """Returns a model with an architecture, to be laid out as a file.

    Arguments:
        target: the model.
        base: the model that is patched. Its optimizer's state is kept where the weights are the same.
        kind: the kind of file, which `lay_out` writes.
        shown: the name of the patch, for errors.

    Returns:
        The model. Its `base` has places that stand for the stored values of the layout that are not weights.

    Raises:
        ModelError: the layout is not one of a model, or only Keras knows where such a file keeps a weight.
    """
    layout = target.layout
    assert layout.config is not None
    config = {**layout.config, "compile_config": layout.config.get("compile_config") or {}}
    check_config(config, f"the configuration in {shown}")
    outline = outline_of(config)
    tensors = target.tensors()
    others = {path: place_of_other(path, value.shape, value.dtype) for path, value in layout.others.items()}
    kept = _kept_layers(layout, outline)
    writer = FORMATS[kind].writer
    assert writer is not None
    operation = _first_operation(outline.root)
    if operation and not writer.keeps_operations:
        raise ModelError(
            f"`{operation}` is an operation between layers, which Keras does not load from {FORMATS[kind].title}",
            hint="name the output .keras",
        )
    groups: tuple[SavedGroup, ...]
    try:
        if writer.is_by_layer:
            weightless = [path for path, layer in kept.items() if not layer.values]
            groups = legacy_groups(outline, tensors, weightless)
        else:
            stored = {each.origin: at.stored for each, at in zip(tensors, layout.tensors, strict=True) if at.stored}
            groups = saved_groups(outline, tensors, stored, kept)
    except UnknownGroups as error:
        if writer.is_by_layer or not all(each.stored for each in layout.tensors):
            raise ModelError(
                f"only Keras knows how to write {FORMATS[kind].title} of the patched model: {error}",
                hint="name the output .keras" if writer.is_by_layer else "make the patch of two .keras files",
            ) from None
        groups = tuple(_as_stored(layout, tensors))
    state, warnings = _state(config, tensors, kept, base)
    if state and writer.is_by_layer:
        try:
            state_names(groups, state[0].name, state[0].values)
        except UnknownGroups:
            state, warnings = (), (_without_state(),)
    if lost := next(filter(leads_elsewhere, (*layout.assets, *layout.assets.values())), ""):
        raise ModelError(f"{shown} has a file of a layer `{lost}`, outside of the model", hint="the patch is not safe")
    present = frozenset(assets_of(base))
    if missing := next((name for name in layout.assets.values() if name not in present), ""):
        raise ModelError(
            f"{base.path} does not have the file `{missing}` of a layer, which the patched model needs",
            hint="apply the patch to the .keras file that it was made from",
        )
    return NewModel(
        replace(base, stored=others),
        config,
        tensors,
        groups,
        layout.keras_version,
        date_saved_of(base.path),
        state,
        warnings,
        dict(layout.assets),
    )


def _kept_layers(layout: ModelLayout, outline: Outline) -> Mapping[str, StoredLayer]:
    stored = {each.stored: (tuple(each.shape), each.dtype) for each in layout.tensors if each.stored}
    stored |= {path: (tuple(value.shape), value.dtype) for path, value in layout.others.items()}
    return opaque_layers(outline.root, stored, layout.names)


def _as_stored(layout: ModelLayout, tensors: Iterable[TensorSpec]) -> Iterator[SavedGroup]:
    """Yields the groups of a file that the other file had, for models whose class is in no table."""
    groups: dict[str, tuple[dict[str, TensorSpec], dict[str, str]]] = {}
    for tensor, at in zip(tensors, layout.tensors, strict=True):
        groups.setdefault(_group(at.stored), ({}, {}))[0][at.stored.rpartition("/")[2]] = tensor
    for path in layout.others:
        groups.setdefault(_group(path), ({}, {}))[1][path.rpartition("/")[2]] = path
    for path in layout.names:
        groups.setdefault(path, ({}, {}))
    for path, (own, others) in groups.items():
        yield SavedGroup(path, layout.names.get(path, ""), own, others)


def _group(path: str) -> str:
    return path.rpartition("/")[0].removesuffix("vars").rstrip("/")


def _first_operation(node: OutlineNode) -> str:
    if "Operation" in node.ancestry:
        return node.path
    return next(filter(None, map(_first_operation, node.children)), "")


def _state(
    config: Mapping[str, object], tensors: tuple[TensorSpec, ...], kept: Mapping[str, StoredLayer], base: Archive
) -> tuple[tuple[StateGroup, ...], tuple[Problem, ...]]:
    """Returns the state of the base's optimizer, as far as the patched model has the same optimizer and weights."""
    compiled = config["compile_config"]
    if not compiled or not isinstance(compiled, Mapping):
        return (), ()
    optimizer, own = compiled.get("optimizer"), base.config.get("compile_config") or {}
    is_same = bool(optimizer) and own.get("optimizer") == optimizer
    layers = {layer.path: layer.path for layer in base.spec.layers if layer.origin and layer.path in kept}
    if not is_same or is_by_keras_2(base) or len(layers) < len(kept):
        return (), (_without_state(),)
    known = {tensor.path for tensor in base.spec.tensors}
    reasons = {tensor.path: NEW for tensor in tensors if tensor.origin not in known}
    if any(count > 1 for count in Counter(tensor.origin for tensor in tensors).values()):
        return (), (_without_state(),)
    try:
        return state_for(config, tensors, reasons, base, layers)
    except (UnknownStateError, ModelError):
        return (), (_without_state(),)


def _without_state() -> Problem:
    return Problem("the output has no state of the optimizer", hint=_NOT_TRAINED, is_warning=True)
