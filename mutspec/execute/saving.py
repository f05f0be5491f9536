"""Writes a live model as a file, whole or absent. The same model always gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mutspec.errors import EnvironmentProblem, ModelError
from mutspec.execute.both_outputs import OutputProvenance
from mutspec.execute.hooks import NO_HOOKS, Hooks
from mutspec.execute.output import replacing
from mutspec.execute.output_kind import kind_of_name
from mutspec.model.files.formats import FORMATS
from mutspec.model.live import first_operation
from mutspec.model.live.keras_errors import first_line


def save_model(
    model: Any,
    output: Path,
    *,
    force: bool,
    date_saved: str = "",
    inputs: Iterable[Path] = (),
    provenance: OutputProvenance | None = None,
    hooks: Hooks = NO_HOOKS,
) -> None:
    """Writes a Keras model as a file of the kind that its name asks for.

    Arguments:
        model: the keras.Model.
        output: the file. It is written whole or not at all.
        force: whether to replace it if it exists.
        date_saved: the date that the file states. It is that of the base, so that a rerun gives the same bytes.
        inputs: the files that the model was made of.
        provenance: what the output and the file beside it say of where it comes from; by default nothing.
        hooks: looks at the finished file.

    Raises:
        CallError: the name does not ask for a kind, or the file exists.
        ModelError: Keras cannot save the model in that kind, or not load it again.
        EnvironmentProblem: the disk is full.
    """
    kind = kind_of_name(output)
    writer = FORMATS[kind].writer
    assert writer is not None
    assert writer.save is not None  # `kind_of_output` refuses what Keras does not save
    if not writer.keeps_operations and (operation := first_operation(model)):
        raise ModelError(
            f"the mutant cannot be saved as {kind}: `{operation}` is an operation between layers, or part of a mask, "
            f"and Keras does not load it from such a file",
            hint="name the output .keras",
        )
    provenance = provenance or OutputProvenance(kind)
    beside, check = provenance.beside(output), hooks.after(writer.check)
    options: dict[str, Any] = {"check": check, "is_kept": hooks.keeps_output, "sidecar": beside}
    with replacing(output, force=force, inputs=inputs, **options) as (descriptor, _):
        try:
            writer.save(model, descriptor, output.parent, date_saved)
            provenance.finish(descriptor)
        except (OSError, EnvironmentProblem):
            raise
        except Exception as error:  # Keras raises whatever its layers raise
            raise ModelError(
                f"Keras cannot save the mutant as {kind}: {first_line(error)}", hint="save it as .keras"
            ) from error
