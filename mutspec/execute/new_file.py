"""Decides whether mutspec writes the file of a mutant itself, or Keras has to build the mutant, and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from mutspec.errors import Problem
from mutspec.execute.keras_2 import is_by_keras_2
from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.optimizers import optimizer_name
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.lowering.compile import Program
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.legacy_file import legacy_state
from mutspec.model.files.legacy_groups import legacy_groups, state_names
from mutspec.model.files.new_model import KeptValue, NeedsKeras, NewModel, StateGroup
from mutspec.model.old_configs import other_functions
from mutspec.model.old_operations import readable_by
from mutspec.model.outline import outline_of
from mutspec.model.saved_groups import UnknownGroups, saved_groups
from mutspec.model.spec import TensorSpec
from mutspec.structure.keras_form import UnwritableError, keras_form
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
    version = WRITTEN_VERSION if is_by_keras_2(base) else base.keras_version or WRITTEN_VERSION
    stored = {path: extent.dataset for path, extent in base.extents.items()} if base.stored else {}
    try:
        compiled = program.config.get("compile_config") or {}  # which Keras writes for a model that is not compiled
        config = {**readable_by(version, keras_form(program.network)), "compile_config": compiled}
    except UnwritableError as error:
        path, what = next(iter(error.layers.items()))
        return NeedsKeras(f"only Keras knows {what} of `{path}`")
    outline = outline_of(config)
    try:
        state = _state(config, program.after.tensors, base)
        if own.writer.is_by_layer:
            groups = legacy_groups(outline, program.after.tensors)
            for each in state[0][:1]:
                state_names(groups, each.name, each.values)
        else:
            groups = saved_groups(outline, program.after.tensors, stored)
    except UnknownGroups as error:
        return NeedsKeras(str(error))
    except UnknownStateError as error:
        return NeedsKeras(f"only Keras knows {error}")
    date = date_saved_of(base.path)
    return NewModel(base, config, program.after.tensors, groups, version, date, *state)


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


def _state(
    config: Mapping[str, Any], tensors: Sequence[TensorSpec], base: Archive
) -> tuple[tuple[StateGroup, ...], tuple[Problem, ...]]:
    """Returns the optimizer's state in the mutant, and a warning if some is lost.

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
    kept = {tensor.path: tensor for tensor in base.spec.tensors}
    state = carried_state(
        optimizer,
        _trained(base.config, kept),
        _trained(config, {tensor.path: tensor for tensor in tensors}),
        kept,
        {path: extent.shape for path, extent in stored.items()},
    )
    values: dict[str, list[KeptValue]] = defaultdict(list)
    for each in state.variables:
        source = stored[each.source] if each.source else None
        group = each.path.rpartition("/vars/")[0]
        values[group].append(KeptValue(each.shape, each.dtype, source, each.first, each.name, each.weight))
    groups = [StateGroup(path, _name_of(optimizer, path), tuple(some)) for path, some in values.items()]
    return tuple(groups), state.warnings


def _trained(config: Mapping[str, Any], tensors: Mapping[str, TensorSpec]) -> list[TensorSpec]:
    paths = trained_weights(config)
    if any(path not in tensors for path in paths):
        raise UnknownStateError("the weights that the model trains")
    return [tensors[path] for path in paths]


def _name_of(optimizer: Any, path: str) -> str:
    """Returns the name of an optimizer, or of the one in it, by the path of its group."""
    config = optimizer.get("config") or {} if isinstance(optimizer, Mapping) else {}
    if path != "optimizer":
        return _name_of(config.get("inner_optimizer"), path.replace("/inner_optimizer", "", 1))
    return str(config.get("name") or snake_case(optimizer_name(optimizer)))
