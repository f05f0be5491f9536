"""`mutspec patch`: applies a patch to a model file, or undoes it."""

from __future__ import annotations

from pathlib import Path

import click

from mutspec.cli.options import (
    FILE,
    force_option,
    json_option,
    limit_option,
    quiet_option,
    threads_option,
)
from mutspec.cli.progress import progress
from mutspec.cli.report_options import architecture_option, verbose_option, verify_option
from mutspec.cli.stdout import is_styled, width, write, write_json


@click.command("patch")
@click.argument("model", type=FILE)
@click.argument("patch", type=FILE)
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="OUT", help="The file to write: .keras, .h5, .weights.h5, …"
)
@click.option(
    "--reverse", is_flag=True, help="Undo the patch: MODEL is the model after, and OUT becomes the one before."
)
@architecture_option
@force_option
@verify_option
@limit_option
@threads_option("compute")
@json_option
@verbose_option
@quiet_option
def command(
    model: str,
    patch: str,
    output: str,
    reverse: bool,
    architecture: str | None,
    force: bool,
    is_unverified: bool,
    threads: int | None,
    as_json: bool,
    is_verbose: bool,
    is_quiet: bool,
) -> None:
    """Apply a patch that `mutspec diff A B --patch PATCH` made to MODEL, and write the other model.

    MODEL has to be the model that the patch was made from, to the bit: it is known by its fingerprint. It may be
    another file of it, with another name or in another format. For another model the exit code is 1, the message says
    which weights differ, and nothing is written. The output has the fingerprint that the patch promises. TensorFlow is
    not needed.

    \b
    Examples:
      mutspec diff model.keras tuned.keras --patch fix.safetensors
      mutspec patch model.keras fix.safetensors -o tuned.keras
      mutspec patch tuned.keras fix.safetensors --reverse -o model.keras
    """  # noqa: D301
    from mutspec.execute.output import telling_written
    from mutspec.patches import apply_patch

    with progress(f"Applying {Path(patch).name}", is_quiet=is_quiet) as advance:
        report = apply_patch(
            Path(model),
            Path(patch),
            Path(output),
            reverse=reverse,
            architecture=Path(architecture) if architecture else None,
            force=force,
            verify=not is_unverified,
            threads=threads,
            on_progress=advance,
        )
    with telling_written(Path(output)):
        if as_json:
            write_json(report.to_json())
        elif not is_quiet:
            from mutspec.patches.report import patch_text
            from mutspec.text.layout import MOST_ROWS, Page, Paint

            page = Page(width(), Paint(is_styled()), None if is_verbose else MOST_ROWS, "--verbose shows all")
            write(patch_text(report, page))
