"""Decides whether mutspec writes the file of a mutant itself, or Keras has to build the mutant, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mutspec.errors import Problem
from mutspec.execute.keras_2 import is_by_keras_2
from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.lowering.compile import Program
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.new_model import KeptValue, NewModel, StateGroup, vars_of
from mutspec.model.optimizer_state import new_state, reset_warning, why_lost
from mutspec.model.outline import Outline, outline_of
from mutspec.model.saved_groups import UnknownGroups, saved_groups, trained_weights
from mutspec.model.spec import TensorSpec
from mutspec.structure.keras_form import UnwritableError, keras_form


@dataclass(frozen=True)
class NeedsKeras:
    """Keras has to build a mutant; `reason` says why, as a sentence without its full stop."""

    reason: str


def new_file(program: Program, base: Archive, kind: FileKind) -> NewModel | NeedsKeras | None:
    """Returns the model that the file of a mutant is to hold, or why only Keras can write that file.

    Arguments:
        program: a plan, compiled for a file.
        base: the file.
        kind: the kind of file to write.

    Returns:
        None if the file begins as a copy of the base, as weights alone change.
    """
    own = FORMATS[kind]
    if program.network is None:
        return None if kind in FORMATS[base.kind].becomes else NeedsKeras(f"only Keras makes {own.title} of this model")
    if own.writer is None or own.writer.lay_out is None:
        return NeedsKeras(f"only Keras makes {own.title}")
    if is_by_keras_2(base):
        return NeedsKeras(f"Keras 2 wrote {base.path.name}")
    if reason := _has_more_in_memory(program, base):
        return NeedsKeras(reason)
    made = (*base.extents, *program.graph.created)
    unmade = next((tensor for tensor in program.after.tensors if tensor.origin not in made), None)
    if unmade is not None:
        return NeedsKeras(f"only Keras knows the first value of `{unmade.path}`")
    stored = {path: extent.dataset for path, extent in base.extents.items()} if base.stored else {}
    try:
        compiled = program.config.get("compile_config") or {}  # which Keras writes for a model that is not compiled
        config = {**keras_form(program.network), "compile_config": compiled}
    except UnwritableError as error:
        path, what = next(iter(error.layers.items()))
        return NeedsKeras(f"only Keras knows {what} of `{path}`")
    outline = outline_of(config)
    try:
        groups = saved_groups(outline, program.after.tensors, stored)
    except UnknownGroups as error:
        return NeedsKeras(str(error))
    state = _state(config, program.after.tensors, base, outline)
    if state is None:
        return NeedsKeras("only Keras knows the state of the model's optimizer")
    version, date = base.keras_version or WRITTEN_VERSION, date_saved_of(base.path)
    return NewModel(base, config, program.after.tensors, groups, version, date, *state)


def _has_more_in_memory(program: Program, base: Archive) -> str:
    """Returns what Keras makes of a file that is not in the mutant's configuration; empty if there is nothing."""
    if base.training is not None:
        return f"{base.path.name} states how the model was compiled in the form of Keras 2"
    if any(layer.config.get("lora_rank") for layer in program.after.layers):
        return "the model has adapters of LoRA"
    return ""


def _state(
    config: Mapping[str, Any], tensors: tuple[TensorSpec, ...], base: Archive, outline: Outline
) -> tuple[tuple[StateGroup, ...], tuple[Problem, ...]] | None:
    """Returns the optimizer's state in the mutant, and a warning if some is lost; None if only Keras knows it."""
    compiled = config.get("compile_config")
    extents = {path: extent for path, extent in base.stored.items() if path.startswith("optimizer/")}
    if not compiled or not extents:
        return (), ()
    keys = [f"{vars_of('optimizer')}/{number}" for number in range(len(extents))]
    before = trained_weights(outline_of(base.config), base.spec.tensors)
    after = trained_weights(outline, tensors)
    if before is None or after is None or set(keys) != extents.keys():
        return None
    optimizer, stored = compiled.get("optimizer"), [extents[key] for key in keys]
    made = new_state(optimizer, [(extent.shape, extent.dtype) for extent in stored], before, after)
    if made is None:
        return None
    values = tuple(
        KeptValue(each.shape, each.dtype, None if each.source is None else stored[each.source], each.initial)
        for each in made.values
    )
    name = optimizer["config"].get("name") or snake_case(optimizer["class_name"])
    lost = why_lost(made.lost, after, frozenset(base.extents))
    return (StateGroup("optimizer", str(name), values),), tuple(reset_warning(lost, len(after)))
