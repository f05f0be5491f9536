"""`mutspec diff`: shows what differs between two model files."""

from __future__ import annotations

from pathlib import Path

import click

from mutspec.cli.boundary import warn
from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import FILE, limit_option, quiet_option
from mutspec.cli.progress import progress
from mutspec.cli.report_options import architecture_option, format_options, verbose_option, verify_option
from mutspec.cli.stdout import is_styled, width, write, write_json


@click.command("diff")
@click.argument("before", metavar="A", type=FILE)
@click.argument("after", metavar="B", type=FILE)
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="The number of threads that compare. [default: up to 8]"
)
@architecture_option
@verify_option
@limit_option
@format_options("text", "markdown", "json")
@verbose_option
@quiet_option
def command(
    before: str,
    after: str,
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

    \b
    Examples:
      mutspec diff model.keras mutant.keras
      mutspec diff model.keras model.h5 --quiet && echo the same
      mutspec diff model.keras mutant.keras --json
      mutspec diff before.weights.h5 after.weights.h5 --architecture model.json
    """  # noqa: D301
    from mutspec.compare.diff import diff
    from mutspec.execute.files import open_both
    from mutspec.execute.verify import damages

    archives = open_both(Path(before), Path(after), Path(architecture) if architecture else None)
    with progress("Comparing", is_quiet=is_quiet) as advance:
        result = diff(*archives, on_progress=advance, threads=threads)
    for problem in () if is_unverified else damages(archives):
        warn(problem)
    code = ExitCode.DONE if result.identical else ExitCode.CHECK_FAILED
    if output_format == "json":
        write_json(result.to_json())
    elif is_quiet:
        return code
    elif output_format == "markdown":
        from mutspec.show.markdown import diff_markdown

        write(diff_markdown(result, before=before, after=after))
    else:
        from mutspec.show.diff import diff_text
        from mutspec.text.layout import MOST_ROWS

        most_rows = None if is_verbose else MOST_ROWS
        page = {"width": width(), "styled": is_styled(), "most_rows": most_rows, "hint": "--verbose shows all"}
        write(diff_text(result, before=before, after=after, **page))  # type: ignore[arg-type]
    return code
