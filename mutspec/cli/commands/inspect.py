"""`mutspec inspect`: shows what is in a model file, and what a target chooses in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mutspec.cli.boundary import warn
from mutspec.cli.options import FILE, import_modules, import_option, json_option, limit_option
from mutspec.cli.report_options import architecture_option, verify_option
from mutspec.cli.stdout import is_styled, width, write, write_json
from mutspec.errors import PlanError

if TYPE_CHECKING:
    from mutspec.model.files.archive import Archive
    from mutspec.show.inspection import Digests, Inspection


@click.command("inspect")
@click.argument("model", type=FILE)
@click.option(
    "--select",
    "target",
    metavar="TARGET",
    help="Show what a target chooses: a name, a path, `re:…`, or a mapping as in a plan.",
)
@click.option(
    "--weights/--layers", "shows_weights", default=True, help="Show a row for each weight, or for each layer."
)
@click.option(
    "--digests",
    "shows_digests",
    is_flag=True,
    help="Show a line with a digest for each weight and each layer, to compare models by: for `git diff`.",
)
@import_option
@architecture_option
@verify_option
@limit_option
@json_option
def command(
    model: str,
    target: str | None,
    shows_weights: bool,
    shows_digests: bool,
    modules: tuple[str, ...],
    architecture: str | None,
    is_unverified: bool,
    as_json: bool,
) -> None:
    """List a model file's layers and weights: names as plans use them, classes, roles, groups, shapes.

    TensorFlow is not needed. Values are read for `--digests`, and to warn of weights that do not match the file's
    checksum. `--select` shows what a step with a target would choose. A file says little about layers inside your own
    classes; name the modules of the classes by --import to see them all.

    \b
    Examples:
      mutspec inspect model.keras
      mutspec inspect model.keras --layers
      mutspec inspect model.keras --select 'conv*'
      mutspec inspect model.keras --select '{type: Dense, weights: kernel, pick: {skip_last: 1}}'
      mutspec inspect model.keras --digests
      git config diff.mutspec.textconv 'mutspec inspect --digests'
      mutspec inspect epoch9.weights.h5 --architecture model.json
      mutspec inspect model.keras --import my_layers
    """  # noqa: D301
    from mutspec.execute.verify import damages
    from mutspec.model.files.formats import misnamed
    from mutspec.model.files.opening import open_archive
    from mutspec.model.files.unsupported import git_lfs_pointer

    if shows_digests and not as_json and (pointer := git_lfs_pointer(Path(model))) is not None:
        write(pointer.rstrip("\n"))  # git compares what it stores: an error would end its whole diff
        return
    import_modules(modules)
    archive = open_archive(Path(model), architecture=Path(architecture) if architecture else None)
    inspection = _inspect(archive, target)
    if shows_digests:
        inspection = replace(inspection, digests=_digests(inspection, weights=shows_weights))
    for problem in (*misnamed(archive), *(() if is_unverified else damages([archive]))):
        warn(problem)
    if as_json:
        write_json(inspection.to_json())
        return
    from mutspec.show.inspection import digests_text, inspect_text

    if inspection.digests is not None:
        write(digests_text(inspection, inspection.digests))
        return
    write(inspect_text(inspection, weights=shows_weights, width=width(), styled=is_styled()))


def _digests(inspection: Inspection, *, weights: bool) -> Digests:
    from mutspec.access.fingerprint import fingerprints_of_tensors
    from mutspec.recipes.model_meaning import layer_in_lock
    from mutspec.show.inspection import Digests

    chosen = {tensor.path for tensor in inspection.tensors}
    layers = {layer.path: layer_in_lock(layer) for layer in inspection.layers if not layer.is_inner}
    return Digests(fingerprints_of_tensors(inspection.archive, chosen) if weights else {}, layers)


def _inspect(archive: Archive, text: str | None) -> Inspection:
    from mutspec.language.target import load_target
    from mutspec.show.inspection import inspect

    if text is None:
        return inspect(archive)
    written = load_target(text, "--select")
    try:
        return inspect(archive, written.target, text)
    except PlanError as error:
        raise PlanError([written.placed(problem) for problem in error.problems]) from error
