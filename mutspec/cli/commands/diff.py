"""`mutspec diff`: shows what differs between two model files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mutspec.cli.boundary import warn
from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import (
    FILE,
    force_option,
    limit_option,
    quiet_option,
    threads_option,
)
from mutspec.cli.progress import progress
from mutspec.cli.report_options import architecture_option, format_options, verbose_option, verify_option
from mutspec.cli.stdout import is_styled, width, write, write_json
from mutspec.errors import Problem

if TYPE_CHECKING:
    from mutspec.model.files.archive import Archive
    from mutspec.patches import PatchSummary
    from mutspec.show.diff import DiffReport


@click.command("diff")
@click.argument("before", metavar="A", type=FILE)
@click.argument("after", metavar="B", type=FILE)
@threads_option("compare")
@click.option(
    "--patch",
    type=FILE,
    metavar="FILE",
    help="If they differ, write what turns A into B and back: a .safetensors file.",
)
@force_option
@architecture_option
@verify_option
@limit_option
@format_options("text", "markdown", "json")
@verbose_option
@quiet_option
def command(
    before: str,
    after: str,
    patch: str | None,
    force: bool,
    architecture: str | None,
    threads: int | None,
    is_unverified: bool,
    output_format: str,
    is_verbose: bool,
    is_quiet: bool,
) -> ExitCode:
    """Compare two model files: layers, weights, and how far apart their values are. B is compared with A.

    The files may be of different kinds and structures; weights are matched by their paths. Layers and weights that only
    B has are marked +, those that only A has -, those that differ ~. The exit code is 0 if nothing differs, 1 if
    something does, 2 if a file cannot be read. A file whose weights do not match its checksum gives a warning.

    A patch holds only what differs. `mutspec patch A FILE -o OUT` makes B of A.

    \b
    Examples:
      mutspec diff model.keras mutant.keras
      mutspec diff model.keras model.h5 --quiet && echo the same
      mutspec diff model.keras mutant.keras --json
      mutspec diff model.keras tuned.keras --patch fix.safetensors
      mutspec diff before.weights.h5 after.weights.h5 --architecture model.json
    """  # noqa: D301
    from mutspec.compare.diff import diff
    from mutspec.execute.files import open_both
    from mutspec.execute.verify import damages

    if force and patch is None:
        raise click.UsageError("--force is for the file that --patch writes; leave it out, or give --patch FILE")
    layout = Path(architecture) if architecture else None
    if patch is not None:
        from mutspec.patches import check_patch_output

        check_patch_output(Path(patch), [Path(before), Path(after), *([layout] if layout else [])], force=force)
    archives = open_both(Path(before), Path(after), layout)
    with progress("Comparing", is_quiet=is_quiet) as advance:
        result = diff(*archives, on_progress=advance, threads=threads)
    for problem in () if is_unverified else damages(archives):
        warn(problem)
    code = ExitCode.DONE if result.identical else ExitCode.CHECK_FAILED
    with _patched(archives, patch, force=force, threads=threads, is_quiet=is_quiet) as written:
        _show(result, before, after, output_format, is_verbose=is_verbose, is_quiet=is_quiet)
        if written is not None and output_format == "text" and not is_quiet:
            write("\n" + written.sentence())
    return code


@contextmanager
def _patched(
    archives: tuple[Archive, Archive], patch: str | None, *, force: bool, threads: int | None, is_quiet: bool
) -> Iterator[PatchSummary | None]:
    """Writes a patch, if one is wanted and there is something to write, and yields what it holds."""
    if patch is None:
        yield None
        return
    from mutspec.execute.output import telling_written
    from mutspec.patches import write_patch

    with progress("Writing the patch", is_quiet=is_quiet) as advance:
        written = write_patch(*archives, Path(patch), force=force, threads=threads, on_progress=advance)
    if written is None:
        yield None
        warn(Problem(f"{patch} was not written: the models are the same", is_warning=True))
        return
    with telling_written(written.path):
        yield written


def _show(result: DiffReport, before: str, after: str, output_format: str, *, is_verbose: bool, is_quiet: bool) -> None:
    """Prints a difference."""
    if output_format == "json":
        write_json(result.to_json())
    elif is_quiet:
        return
    elif output_format == "markdown":
        from mutspec.show.markdown import diff_markdown

        write(diff_markdown(result, before=before, after=after))
    else:
        from mutspec.show.diff import diff_text
        from mutspec.text.layout import MOST_ROWS

        most_rows = None if is_verbose else MOST_ROWS
        page = {"width": width(), "styled": is_styled(), "most_rows": most_rows, "hint": "--verbose shows all"}
        write(diff_text(result, before=before, after=after, **page))  # type: ignore[arg-type]
