"""Builds mutants of files in Keras, for plans that change the architecture and outputs that only Keras can write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mutspec.errors import Problem
from mutspec.execute.engine import Progress
from mutspec.execute.live import Applied, build_mutant
from mutspec.execute.loading import is_by_keras_2, model_of, refuse_what_is_gone
from mutspec.execute.prepare import Prepared, prepare
from mutspec.language.plan import Plan
from mutspec.lowering.base import Op, is_structural
from mutspec.model.files.archive import Archive
from mutspec.model.files.formats import FORMATS
from mutspec.model.live import LiveModel, read_live
from mutspec.model.loading import Loaded
from mutspec.model.spec import ModelSpec
from mutspec.structure.compile_state import with_compile_state


def in_keras(
    plan: Plan[Op],
    archive: Archive,
    inputs: Mapping[str, Archive],
    threads: int | None,
    on_progress: Progress | None,
    *,
    unsafe: bool = False,
    verify: bool = True,
) -> Applied:
    """Applies a plan to a model that Keras loads from a file.

    Raises:
        PlanError, ModelError, CheckError: as for `live.build_mutant`.
    """
    # Compiled for the file first, so that errors are reported before Keras is imported.
    prepared, loaded = compiled_for_keras(plan, archive, inputs, unsafe=unsafe, verify=verify)
    if loaded is None:
        loaded = model_of(archive, unsafe=unsafe, verify=verify)
        prepared = _for_loaded(prepared, read_live(loaded.model), unsafe=unsafe)
    archive.check_unchanged()
    done = build_mutant(prepared, unsafe=unsafe, verify=verify, threads=threads, on_progress=on_progress)
    return replace(done, report=done.report.with_warnings((*loaded.warnings, *will_be_of_keras_3(archive))))


def _for_loaded(prepared: Prepared, live: LiveModel, *, unsafe: bool) -> Prepared:
    """Returns a plan that is compiled for a file, for the model that Keras has loaded from it.

    The program stays as it is if file and model have the same layers and weights, so that the plan chooses what the
    dry-run says. Otherwise the plan is compiled again: a model may hold weights that its file does not have. The file
    also tells less about layers inside classes that Keras imports only while it loads a model.
    """
    program = prepared.program
    if _described(live.spec) != _described(program.before):
        return prepare(program.plan, live, prepared.inputs, unsafe=unsafe)
    config = program.config if program.is_structural else live.config
    # Keras may have revived only a part of what the file has, and a step may have made a model of another purpose.
    is_dropped = bool(prepared.model.config.get("compile_config")) and not program.config.get("compile_config")
    compiled = None if is_dropped else live.config.get("compile_config")
    config, lost = with_compile_state(config, compiled, program.output_change)
    warnings = tuple(dict.fromkeys((*program.warnings, *lost)))
    model = replace(live, spec=program.before)
    return Prepared(replace(program, config=config, warnings=warnings), model, prepared.inputs)


def _described(spec: ModelSpec) -> tuple[list[str], list[tuple[str, tuple[int, ...]]]]:
    """Returns the described layers, and the weights. Keras adds input layers that old files lack."""
    layers = [layer.path for layer in spec.layers if not layer.is_inner]
    return layers, [(tensor.path, tensor.shape) for tensor in spec.tensors]


def compiled_for_keras(
    plan: Plan[Op], archive: Archive, inputs: Mapping[str, Archive], *, unsafe: bool, verify: bool = True
) -> tuple[Prepared, Loaded | None]:
    """Compiles a plan for files from which Keras will build a mutant.

    Returns:
        The compiled plan, and the model that Keras had to load for that, if any.

    Raises:
        ModelError: the plan changes the structure of a model that no Keras 3 can build.
        PlanError: the plan does not fit the model.
    """
    if not is_structural(plan):
        return prepare(plan, archive, inputs, unsafe=unsafe), None
    refuse_what_is_gone(archive)
    if not (FORMATS[archive.kind].is_whole and _has_lora(archive.config)):
        return prepare(plan, archive, inputs, unsafe=unsafe), None
    # LoRA's adapters are not in the file, but Keras makes them again.
    loaded = model_of(archive, unsafe=unsafe, verify=verify)
    return prepare(plan, read_live(loaded.model), inputs, unsafe=unsafe), loaded


def will_be_of_keras_3(archive: Archive) -> tuple[Problem, ...]:
    """Returns the warning that a mutant has another version of Keras than its base, if Keras builds it."""
    if not is_by_keras_2(archive):
        return ()
    message = f"{archive.path.name} was written by Keras {archive.keras_version or 2}, and the mutant is Keras 3's"
    return (Problem(message, hint="Keras 2 does not load what Keras 3 writes", is_warning=True),)


def _has_lora(config: Any) -> bool:
    """Tells whether a serialised model has layers with LoRA."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            if value.get("lora_rank"):
                return True
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return False
