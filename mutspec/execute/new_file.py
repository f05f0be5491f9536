"""Decides whether mutspec writes the file of a mutant itself, or Keras has to build the mutant, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from mutspec.errors import Problem
from mutspec.execute.keras_2 import is_by_keras_2
from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.optimizers import optimizer_name, unknown_optimizer
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.lowering.compile import Program
from mutspec.lowering.origins import why_not_kept
from mutspec.model.files.archive import Archive
from mutspec.model.files.assets import ASSETS, assets_of, leads_elsewhere
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.legacy_file import legacy_state
from mutspec.model.files.legacy_groups import legacy_groups, state_names
from mutspec.model.files.new_model import KeptValue, NeedsKeras, NewModel, StateGroup
from mutspec.model.old_configs import other_functions
from mutspec.model.old_operations import readable_by
from mutspec.model.opaque_layers import StoredLayer, opaque_layers
from mutspec.model.outline import around, is_within, outline_of
from mutspec.model.saved_groups import SavedGroup, UnknownGroups, saved_groups
from mutspec.model.spec import TensorSpec
from mutspec.structure.kept_layers import sharing_layers, stated_besides
from mutspec.structure.keras_form import UnwritableError, keras_form
from mutspec.structure.opaque_training import trained_by
from mutspec.structure.optimizer_state import UnknownStateError, carried_state, trained_weights


def new_file(program: Program, base: Archive, kind: FileKind) -> NewModel | NeedsKeras:
    """Returns the model that a new file is to hold, of which the base is not the beginning; or why Keras must write it.

    Arguments:
        program: a plan, compiled for a file.
        base: the file.
        kind: the kind of file to write.
    """
    own = FORMATS[kind]
    if program.network is None:
        return NeedsKeras(f"only Keras makes {own.title} of this model")
    if own.writer is None or own.writer.lay_out is None:
        return NeedsKeras(f"only Keras makes {own.title}")
    if not own.writer.keeps_operations and (operation := _first_operation(program)):
        return NeedsKeras(f"`{operation}` is an operation between layers")
    if reason := _has_more_in_memory(program, base):
        return NeedsKeras(reason)
    made = (*base.extents, *program.graph.created)
    unmade = next((tensor for tensor in program.after.tensors if tensor.origin not in made), None)
    if unmade is not None:
        return NeedsKeras(f"only Keras knows the first value of `{unmade.path}`")
    origins = {layer.path: layer.origin for layer in program.after.layers if layer.origin}
    kept = stated_besides(base.config, program.network, origins)
    version = WRITTEN_VERSION if is_by_keras_2(base) else base.keras_version or WRITTEN_VERSION
    stored = {path: extent.dataset for path, extent in base.extents.items()} if base.stored else {}
    try:
        compiled = program.config.get("compile_config") or {}  # which Keras writes for a model that is not compiled
        config = {**readable_by(version, keras_form(program.network, kept=kept)), "compile_config": compiled}
    except UnwritableError as error:
        path, what = next(iter(error.layers.items()))
        return NeedsKeras(f"only Keras knows {what} of `{path}`")
    outline = outline_of(config)
    try:
        state = state_for(config, program.after.tensors, why_not_kept(program), base, origins)
        if own.writer.is_by_layer:
            groups = legacy_groups(outline, program.after.tensors, _weightless(base, origins))
            for each in state[0][:1]:
                state_names(groups, each.name, each.values)
        else:
            groups = saved_groups(outline, program.after.tensors, stored, _stored_layers(base, origins))
    except UnknownGroups as error:
        return NeedsKeras(str(error))
    except UnknownStateError as error:
        return NeedsKeras(f"only Keras knows {error}")
    date = date_saved_of(base.path)
    assets = _assets(base, groups)
    if elsewhere := next(filter(leads_elsewhere, assets.values()), ""):
        return NeedsKeras(f"the file has an asset `{elsewhere}`")
    return NewModel(base, config, program.after.tensors, groups, version, date, *state, assets)


def _stored_layers(base: Archive, origins: Mapping[str, str]) -> Mapping[str, StoredLayer]:
    """Returns what the base holds of the layers that the mutant keeps, by their paths in the mutant.

    Raises:
        UnknownGroups: only Keras can carry over what it holds of one.
    """
    if not origins or is_by_keras_2(base):
        return {}
    stored = {path: (extent.shape, extent.dtype) for path, extent in base.stored.items()}
    found = opaque_layers(outline_of(base.config).root, stored, base.names)
    kept = {path: found[old] for path, old in origins.items() if old in found}
    sharing = sharing_layers(base.config)
    if shared := next((path for path in kept if origins[path] in sharing), ""):
        raise UnknownGroups(f"`{shared}` shares a layer with another one, and mutspec does not know its class")
    with_files = _owners(assets_of(base), {layer.path for layer in kept.values()}).values()
    for path, layer in kept.items():
        states_none = base.spec.layer_by_path[origins[path]].config.get("vocabulary", "") is None
        if states_none and layer.path not in with_files:  # a file of weights, or an `.h5` file, lacks it
            raise UnknownGroups(f"{base.path.name} does not have the vocabulary of `{path}`")
    return kept


def _weightless(base: Archive, origins: Mapping[str, str]) -> frozenset[str]:
    """Returns the paths of the layers that the mutant keeps and of which the base holds nothing but a config."""
    layers = _stored_layers(base, origins)
    with_files = _owners(assets_of(base), {layer.path for layer in layers.values()}) if layers else {}
    return frozenset(path for path, each in layers.items() if not each.values and each.path not in with_files.values())


def _owners(assets: Iterable[str], layers: Collection[str]) -> dict[str, str]:
    """Returns the stored path of the layer that each asset is of, by the asset's name."""
    return {name: owner for name in assets if (owner := around(name.removeprefix(ASSETS), layers))}


def _assets(base: Archive, groups: Sequence[SavedGroup]) -> Mapping[str, str]:
    """Returns the assets of the layers that the mutant keeps: the names that they get, and those in the base."""
    moved = {group.source: group.path for group in groups if group.source}
    owners = _owners(assets_of(base), moved) if moved else {}
    return {f"{ASSETS}{moved[at]}{name.removeprefix(ASSETS + at)}": name for name, at in owners.items()}


def will_not_train(program: Program, base: Archive, kind: FileKind) -> tuple[Problem, ...]:
    """Returns the warning that a mutant must be compiled again before it is trained, if its base must not.

    When Keras loads an `.h5` file, it builds the optimizer for `model._trainable_variables`, which are none
    (`legacy_h5_format.py`).

    Arguments:
        program: a plan, compiled for a file.
        base: the file.
        kind: the kind of file to write.
    """
    config = program.config if program.is_structural else base.config
    if kind is not FileKind.LEGACY_H5 or base.kind is kind or not (config.get("compile_config") or {}).get("optimizer"):
        return ()
    message = "when Keras loads a compiled .h5 file, the optimizer knows no weights and has lost its state"
    return (Problem(message, hint="compile it again before you train it, or name the output .keras", is_warning=True),)


def _first_operation(program: Program) -> str:
    """Returns the path of an operation between layers; empty if there is none."""
    return next((layer.path for layer in program.after.layers if "Operation" in layer.ancestry), "")


def _has_more_in_memory(program: Program, base: Archive) -> str:
    """Returns what Keras makes of a file that is not in the mutant's configuration; empty if there is nothing."""
    is_compiled = base.training is not None or bool(base.config.get("compile_config"))
    if is_by_keras_2(base) and is_compiled:
        return f"Keras 2 compiled the model in {base.path.name}"
    if is_by_keras_2(base) and other_functions(base.config):
        return f"Keras 2 wrote {base.path.name}, and a function in it is another one in Keras 3"
    if base.training is not None and "compile_config" not in base.config:
        return f"only Keras knows how {base.path.name} says that the model was compiled"
    if any(layer.config.get("lora_rank") for layer in program.after.layers):
        return "the model has adapters of LoRA"
    return ""


def state_for(
    config: Mapping[str, Any],
    tensors: Sequence[TensorSpec],
    reasons: Mapping[str, str],
    base: Archive,
    origins: Mapping[str, str],
) -> tuple[tuple[StateGroup, ...], tuple[Problem, ...]]:
    """Returns the optimizer's state in the mutant, and a warning if some is lost.

    Arguments:
        config: the serialised mutant.
        tensors: all its weights. Those that are the base's have its paths as their origins.
        reasons: what a warning says of each of the others, by path: see `why_not_kept`.
        base: the file.
        origins: the paths in the base of the layers that it keeps and whose classes are in no table, by their own.

    Raises:
        UnknownStateError: only Keras knows it.
    """
    optimizer = config["compile_config"].get("optimizer")
    if not config["compile_config"]:
        return (), ()
    known = legacy_state(base.path) if base.training is not None else base.stored
    stored = {path: extent for path, extent in known.items() if path.startswith("optimizer/")}
    if not (optimizer or stored):
        return (), ()
    shapes = {path: extent.shape for path, extent in stored.items()}
    before, opaque = _trained_in_base(base, optimizer, shapes)
    carried = {path: [replace(each, layer=path) for each in opaque[old]] for path, old in origins.items()}
    after = _trained(config, {tensor.path: tensor for tensor in tensors}, carried)
    kept = {tensor.path: tensor for tensor in (*base.spec.tensors, *chain(*opaque.values()))}
    state = carried_state(optimizer, before, after, kept, tensors, shapes, reasons)
    values: dict[str, list[KeptValue]] = defaultdict(list)
    for each in state.variables:
        source = stored[each.source] if each.source else None
        group = each.path.rpartition("/vars/")[0]
        values[group].append(KeptValue(each.shape, each.dtype, source, each.first, each.name, each.weight))
    groups = [StateGroup(path, _name_of(optimizer, path), tuple(some)) for path, some in values.items()]
    return tuple(groups), state.warnings


def _trained_in_base(
    base: Archive, optimizer: Any, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[list[TensorSpec], Mapping[str, Sequence[TensorSpec]]]:
    """Returns the weights that the base trains, and those of them that layers train whose classes are in no table."""
    tensors = base.spec.tensors
    weights = {
        layer.path: [tensor for tensor in tensors if is_within(tensor.layer, layer.path)]
        for layer in base.spec.layers
        if layer.origin
    }
    by_path = {tensor.path: tensor for tensor in tensors}
    if not any(weights.values()):
        nothing: Mapping[str, Sequence[TensorSpec]] = dict.fromkeys(weights, ())
        return _trained(base.config, by_path, nothing), nothing
    if unknown := unknown_optimizer(optimizer):
        raise UnknownStateError(f"the variables of the optimizer {unknown}")
    trained = [by_path.get(path, path) for path in trained_weights(base.config, {path: [path] for path in weights})]
    opaque = trained_by(trained, weights, optimizer, shapes)
    if opaque is None:
        layer = base.spec.layer_by_path[next(path for path, each in weights.items() if each)]
        raise UnknownStateError(f"the weights that a {layer.class_name} trains")
    return _trained(base.config, by_path, opaque), opaque


def _trained(
    config: Mapping[str, Any], tensors: Mapping[str, TensorSpec], opaque: Mapping[str, Sequence[TensorSpec]]
) -> list[TensorSpec]:
    paths = trained_weights(config, {layer: [each.path for each in some] for layer, some in opaque.items()})
    known = {**tensors, **{each.path: each for some in opaque.values() for each in some}}
    if any(path not in known for path in paths):
        raise UnknownStateError("the weights that the model trains")
    return [known[path] for path in paths]


def _name_of(optimizer: Any, path: str) -> str:
    """Returns the name of an optimizer, or of the one in it, by the path of its group."""
    config = optimizer.get("config") or {} if isinstance(optimizer, Mapping) else {}
    if path != "optimizer":
        return _name_of(config.get("inner_optimizer"), path.replace("/inner_optimizer", "", 1))
    return str(config.get("name") or snake_case(optimizer_name(optimizer)))
