"""`mutspec report`: makes the table and the pictures of a run or sweep."""

from __future__ import annotations

import click

from mutspec.cli.boundary import warn
from mutspec.cli.exit_codes import ExitCode
from mutspec.cli.options import FILE, json_option, quiet_option
from mutspec.cli.report_options import verbose_option
from mutspec.cli.stdout import is_styled, width, write, write_json


@click.command("report")
@click.argument("folder", metavar="DIR", type=FILE)
@click.option(
    "--metric",
    metavar="NAME",
    help="The measure to show: any that can be an objective. [default: the jobs' objective]",
)
@click.option(
    "--facet",
    metavar="SETTING",
    help="Draw a panel for each value of a setting, such as `model`. [default: up to four lines in a panel]",
)
@click.option(
    "--average",
    metavar="SETTING",
    multiple=True,
    help="Average over this setting too. Repeatable. `none`: do not average over seeds. [default: seed]",
)
@click.option("-o", "--output", type=FILE, metavar="DIR", help="Write to another folder.")
@json_option
@verbose_option
@quiet_option
def command(
    folder: str,
    metric: str | None,
    facet: str | None,
    average: tuple[str, ...],
    output: str | None,
    as_json: bool,
    is_verbose: bool,
    is_quiet: bool,
) -> int:
    """Show what a run or a sweep found, from the result.json files in its folder.

    Prints a table: means over the seeds with 95 % intervals, the drop from the base, and how often mutant and base
    agree. Writes results.csv (a row for each job and seed), report.html (one page to read or send), plot.png, plot.svg
    and plot.pdf. Neither the model nor TensorFlow is needed. The pictures need Matplotlib (pip install
    'mutspec[plot]'), and results.parquet needs pyarrow ('mutspec[parquet]'). If some results are damaged, the others
    are shown, and the exit code is 1.

    \b
    Examples:
      mutspec report runs/dense_noise
      mutspec report runs/dense_noise --metric loss
      mutspec report runs/layers --facet model --average layer
      mutspec report runs/dense_noise -o figures --quiet
      mutspec report runs/dense_noise --json
    """  # noqa: D301
    from mutspec.experiment.reports.report import make_report

    report = make_report(folder, metric=metric, output=output, facet=facet, average=average)
    if as_json:
        write_json(report.to_json())
    elif is_quiet:
        for problem in report.warnings:
            warn(problem)
    else:
        from mutspec.text.layout import MOST_ROWS

        most_rows = None if is_verbose else MOST_ROWS
        write(report.text(width=width(), styled=is_styled(), most_rows=most_rows, hint="--verbose shows all"))
    return ExitCode.CHECK_FAILED if report.found.damaged else ExitCode.DONE
