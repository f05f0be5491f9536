"""Decides whether mutspec writes the file of a mutant itself, or Keras has to build the mutant, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mutspec.execute.keras_2 import is_by_keras_2
from mutspec.keras_facts.classes import snake_case
from mutspec.keras_facts.written_version import WRITTEN_VERSION
from mutspec.lowering.compile import Program
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS, FileKind
from mutspec.model.files.keras_zip import date_saved_of
from mutspec.model.files.new_model import NewModel, StateGroup, vars_of
from mutspec.model.outline import outline_of
from mutspec.model.saved_groups import UnknownGroups, saved_groups

_COUNTERS = 2
"""The variables that an optimizer has before it is built: the iteration and the learning rate."""


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
    if not program.is_structural:
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
        groups = saved_groups(outline_of(program.config), program.after.tensors, stored)
    except UnknownGroups as error:
        return NeedsKeras(str(error))
    state = _state(program.config, base)
    if state is None:
        return NeedsKeras("the model's optimizer has a state for each weight")
    version = base.keras_version or WRITTEN_VERSION
    return NewModel(base, program.config, program.after.tensors, groups, version, date_saved_of(base.path), state)


def _has_more_in_memory(program: Program, base: Archive) -> str:
    """Returns what Keras makes of a file that is not in the mutant's configuration; empty if there is nothing."""
    if base.training is not None:
        return f"{base.path.name} states how the model was compiled in the form of Keras 2"
    if any(layer.config.get("lora_rank") for layer in program.after.layers):
        return "the model has adapters of LoRA"
    return ""


def _state(config: Mapping[str, Any], base: Archive) -> tuple[StateGroup, ...] | None:
    """Returns the optimizer's counters in the base; None if it has a state for each weight too."""
    compiled = config.get("compile_config")
    extents = {path: extent for path, extent in base.stored.items() if path.startswith("optimizer/")}
    if not compiled or not extents:
        return ()
    optimizer = compiled.get("optimizer")
    if (
        not optimizer
        or len(extents) > _COUNTERS
        or any(path.rpartition("/")[0] != vars_of("optimizer") for path in extents)
    ):
        return None
    named: Mapping[str, Any] = optimizer if isinstance(optimizer, Mapping) else {"class_name": optimizer}
    name = (named.get("config") or {}).get("name") or snake_case(str(named.get("class_name", "optimizer")))
    by_key = {path.rpartition("/")[2]: extent for path, extent in extents.items()}
    return (StateGroup("optimizer", str(name), by_key),)
