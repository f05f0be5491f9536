"""Builds mutants of files in Keras, for plans that change the architecture and outputs that only Keras can write."""

from __future__ import annotations

from dataclasses import replace

from mutspec.execute.engine import Progress
from mutspec.execute.keras_2 import will_be_of_keras_3
from mutspec.execute.live import Applied, build_mutant
from mutspec.execute.loading import model_of
from mutspec.execute.prepare import Prepared, prepare
from mutspec.model.files.archive import Archive
from mutspec.model.live import LiveModel, read_live
from mutspec.model.loading import Loaded
from mutspec.model.spec import ModelSpec
from mutspec.structure.compile_state import with_compile_state


def in_keras(
    archive: Archive,
    prepared: Prepared,
    loaded: Loaded | None,
    threads: int | None,
    on_progress: Progress | None,
    *,
    unsafe: bool = False,
    verify: bool = True,
) -> Applied:
    """Applies a plan to a model that Keras loads from a file.

    Arguments:
        archive: the file.
        prepared: the plan, compiled for the file, so that errors are reported before Keras is imported.
        loaded: the model, if Keras had to load it for that.
        threads: as for `live.build_mutant`.
        on_progress: as for `live.build_mutant`.
        unsafe: as for `live.build_mutant`.
        verify: as for `live.build_mutant`.

    Raises:
        PlanError, ModelError, CheckError: as for `live.build_mutant`.
    """
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
        return prepare(program.plan, live, prepared.inputs, unsafe=unsafe, data=prepared.data)
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
