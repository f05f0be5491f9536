"""Gives mutants their provenance: what made them is recorded, and put into the output or beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET

from mutspec.access.digests import data_digest
from mutspec.access.fingerprint import fingerprint
from mutspec.errors import CallError, ModelError, Problem
from mutspec.execute.both_outputs import OutputProvenance
from mutspec.graph.streams import STREAM_VERSION
from mutspec.language.head import LANGUAGE_VERSION
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FileKind
from mutspec.model.files.provenance_file import (
    COMMENT_BYTES,
    has_other_comment,
    is_of_other_file,
    read_provenance,
)
from mutspec.model.limits import current_limits
from mutspec.model.provenance import (
    MOST_BYTES,
    Generation,
    ModelIdentity,
    PlanRecord,
    Provenance,
    Versions,
    written,
)
from mutspec.version import __version__

_FILE_BYTES = 100
"""The most bytes that a side-car has for what its model's file is, which is known when that is finished."""


def output_provenance(
    plan: Plan[Op],
    archive: Archive,
    inputs: Mapping[str, Archive],
    kind: FileKind,
    *,
    is_wanted: bool,
    is_by_keras: bool,
    data: Any = None,
) -> OutputProvenance:
    """Records what is about to make an output. It costs one read of the weights of all models.

    Arguments:
        plan: the plan.
        archive: the model file that it is applied to.
        inputs: the other model files, by name.
        kind: the kind of file that is written.
        is_wanted: whether the output is to have a provenance.
        is_by_keras: whether Keras builds the mutant.
        data: what the model is called on, for steps that rank by activation.

    Raises:
        ModelError: a model cannot be read.
        CallError: the plan is too large to be kept.
    """
    if not is_wanted:
        return OutputProvenance(kind)
    parent, warnings = _provenance_of(archive.path)
    made = generation(plan, archive, inputs, kind, is_by_keras=is_by_keras, data=data)
    provenance = Provenance((made,)) if parent is None else parent.before(made)
    if kind is FileKind.KERAS and not (archive.kind is FileKind.KERAS and has_other_comment(archive.path)):
        comment = written(provenance, COMMENT_BYTES)
        if len(comment) <= COMMENT_BYTES:
            return OutputProvenance(kind, comment=comment, warnings=warnings)
    size = len(written(provenance, MOST_BYTES)) + _FILE_BYTES
    if size >= current_limits().config_bytes:
        raise CallError(
            f"the plan is too large to be kept with the mutant: {size:,} bytes as JSON",
            hint="--no-provenance leaves it out",
        )
    return OutputProvenance(kind, sidecar=provenance, warnings=warnings)


def generation(
    plan: Plan[Op],
    archive: Archive,
    inputs: Mapping[str, Archive],
    kind: FileKind,
    *,
    is_by_keras: bool,
    data: Any = None,
) -> Generation:
    """Returns the record of one mutation. The arguments are those of `output_provenance`."""
    reads_data = any(step.reads_data for step in plan.steps)
    return Generation(
        plan=PlanRecord(plan.name, plan.digest, dict(plan.document)),
        parent=identity(archive),
        inputs={name: identity(each) for name, each in sorted(inputs.items())},
        data=data_digest(data) if reads_data else UNSET,
        kind=kind.value,
        versions=Versions(
            __version__,
            LANGUAGE_VERSION,
            STREAM_VERSION,
            np.__version__,
            _keras_version() if is_by_keras or reads_data else UNSET,
        ),
    )


def identity(archive: Archive) -> ModelIdentity:
    """Returns what a model is, at the cost of one read of its weights."""
    found = fingerprint(archive)
    return ModelIdentity(found.structure, found.digest)


def _provenance_of(model: Path) -> tuple[Provenance | None, tuple[Problem, ...]]:
    """Returns the provenance of a model to be mutated. A damaged one, or another file's, is none, with a warning."""
    try:
        provenance = read_provenance(model)
        if provenance is None or not is_of_other_file(provenance, model):
            return provenance, ()
        reason = f"the provenance beside {model} was written for another file"
    except ModelError as error:
        reason = error.problems[0].message
    return None, (Problem(f"{reason}; so the mutant's provenance begins with this plan", is_warning=True),)


def _keras_version() -> str:
    from mutspec.model.live import import_keras

    return str(import_keras().__version__)
