"""Questions about models: what a target selects, how two models differ, where one comes from; and patches."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mutspec import arguments
from mutspec.api.given import (
    File,
    KerasModel,
    MutspecWarning,
    architecture_file,
    call_error,
    is_file,
    model_file,
    readable,
)

if TYPE_CHECKING:
    from mutspec.model.provenance import Provenance
    from mutspec.patches import PatchReport
    from mutspec.show.diff import DiffReport


def matching(
    model: File | KerasModel, target: str | Mapping[str, Any] | Sequence[Any], *, by: str = "layer"
) -> list[str]:
    """Lists the layers or tensors that a target selects in a model, in model order, as values for a sweep.

    A MutspecWarning names weights that are left out because their role is unknown.

    Arguments:
        model: a model file, for which TensorFlow is not needed, or a keras.Model.
        target: as in a plan: a name or path, a mapping, or a list of them.
        by: "layer" for the layers that own the selected weights, "tensor" for the weights.

    Returns:
        One target for each: its name, or a glob that matches only it, where the name has another meaning in a plan.

    Raises:
        PlanError: the target is invalid, or selects nothing.
        ModelError: the model cannot be read.

    Example:
        layers = mutspec.matching(model, {"type": "Conv2D"})
        mutspec.sweep(plan, model, data, {"params.layer": layers, "params.std": [0.5, 1]}, seeds=5)
    """
    from mutspec.experiment.jobs.matching import matching as names

    def warn(note: str) -> None:
        warnings.warn(note, MutspecWarning, stacklevel=4)

    return names(readable(model).spec, target, by, tell=warn)


def diff(
    before: File | KerasModel,
    after: File | KerasModel,
    *,
    architecture: File | None = None,
    verify: bool = True,
    patch: File | None = None,
    force: bool = False,
) -> DiffReport:
    """Compares two models of any structure and format: their layers, tensors and values. Printing it shows a table.

    It waits while another thread mutates one of them: see `mutated`.

    Arguments:
        before: a model file or a keras.Model.
        after: the same.
        architecture: a file with the architecture, for model files that hold only weights.
        verify: whether to check the checksums of files. A MutspecWarning is issued for one that is damaged.
        patch: a file to write, if the models differ, that turns one model file into the other: see `patch`.
        force: whether to replace that file if it exists.

    Raises:
        ModelError: a model cannot be read, or was changed while it was read.
        CallError: the call would wait forever for a model (see `mutated`); or a patch of a model in memory is wanted,
            or cannot be written.
    """
    from mutspec.compare.diff import diff as difference
    from mutspec.execute.verify import damages

    if patch is not None:
        _check_patch(patch, before, after, force=force)
    models = readable(before, architecture), readable(after, architecture)
    found = difference(*models)
    if patch is not None:
        from mutspec.patches import write_patch

        write_patch(*models, arguments.file_path(patch, "the patch"), force=force)  # type: ignore[arg-type]
    for problem in damages(models) if verify else ():
        warnings.warn(str(problem), MutspecWarning, stacklevel=2)
    return found


def _check_patch(patch: File, before: File | KerasModel, after: File | KerasModel, *, force: bool) -> None:
    from mutspec.patches import check_patch_output

    if not (is_file(before) and is_file(after)):
        raise call_error("`patch` needs two model files, and a model is in memory", "save it: model.save(path)")
    check_patch_output(arguments.file_path(patch, "the patch"), [model_file(before), model_file(after)], force=force)


def patch(
    model: File,
    patch: File,
    output: File,
    *,
    reverse: bool = False,
    architecture: File | None = None,
    force: bool = False,
    verify: bool = True,
    threads: int | None = None,
) -> PatchReport:
    """Applies a patch that `diff` wrote to a model file, and writes the other model. Printing the report shows it.

    Arguments:
        model: the file, which is never changed: the model that the patch was made from, under any name.
        patch: the patch.
        output: the file to write. It comes to be whole or not at all.
        reverse: whether to undo the patch.
        architecture: a file with the architecture, for a model file that holds only weights.
        force: whether to replace the output if it exists.
        verify: whether to check the checksum of the model's file.
        threads: how many blocks to compute at once; by default one for each processor, up to 8.

    Raises:
        CheckError: it is another model; the message says which weights differ.
        CallError: the output cannot be written.
        ModelError: a file cannot be read, is damaged, or was changed while it was read.
        EnvironmentProblem: the disk is full.

    Example:
        mutspec.diff("model.keras", "tuned.keras", patch="fix.safetensors")
        mutspec.patch("model.keras", "fix.safetensors", "again.keras")
    """
    from mutspec.patches import apply_patch

    arguments.check_count(threads, "threads")
    return apply_patch(
        model_file(model),
        arguments.file_path(patch, "the patch"),
        arguments.file_path(output, "the output"),
        reverse=reverse,
        architecture=architecture_file(architecture),
        force=force,
        verify=verify,
        threads=threads,
    )


def provenance(model: File) -> Provenance | None:
    """Returns where a mutant comes from: the plans that made it, the newest first, and the models they were applied to.

    What a file says of its provenance can be checked by making the model again: `mutspec provenance MODEL --replay
    BASE`.

    Arguments:
        model: a model file that `apply` wrote, or a copy of one. The file beside it, `MODEL.provenance.json`, is read
            if the format cannot hold a provenance.

    Returns:
        The provenance; None if the file has none.

    Raises:
        ModelError: the provenance is damaged, or the file cannot be read.

    Example:
        for generation in mutspec.provenance("mutant.keras").generations:
            print(generation.plan.name, generation.seed, generation.parameters)
    """
    from mutspec.model.files.opening import open_archive
    from mutspec.model.files.provenance_file import read_provenance

    return read_provenance(open_archive(model_file(model)).path)
