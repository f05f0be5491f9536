"""The report of a run or sweep, made from its `result.json` files alone: tables as files, pictures, a page, a text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mutspec.errors import CallError, EnvironmentProblem, Problem
from mutspec.experiment.reports.aggregate import FoundResults, find, first_line, write_csv
from mutspec.experiment.reports.averaging import SEED
from mutspec.experiment.reports.groups import NOT_AVERAGED, Summary, summarise
from mutspec.experiment.reports.page import web_page
from mutspec.experiment.reports.parquet import parquet_files
from mutspec.experiment.reports.plot import NoMatplotlib, pictures
from mutspec.experiment.reports.report_document import (
    ReportDocument,
    front_entries,
    group_entries,
    jobs_entry,
    sensitivity_entry,
)
from mutspec.experiment.reports.table import summary_text
from mutspec.experiment.result import FILE_NAME, write_whole
from mutspec.experiment.result_settings import is_scaled
from mutspec.language.files import called_like
from mutspec.text import words
from mutspec.text.layout import MOST_ROWS, Paint, sentence
from mutspec.version import engine

CSV_NAME = "results.csv"
HTML_NAME = "report.html"

_MOST_WARNINGS = 8
"""The number of warnings of jobs that are shown."""


@dataclass(frozen=True)
class SweepReport:
    """The result of a run or sweep, and the files that show it.

    Arguments:
        folder: where the results are.
        found: the results.
        summary: the results by what varies.
        files: what was written.
        warnings: what the user should know.
    """

    folder: Path
    found: FoundResults
    summary: Summary
    files: tuple[Path, ...]
    warnings: tuple[Problem, ...]

    def __str__(self) -> str:
        """The table, for people."""
        return self.text()

    def text(self, *, width: int = 80, styled: bool = False, most_rows: int | None = MOST_ROWS, hint: str = "") -> str:
        """The table, warnings, and where the files are.

        Arguments:
            width: of the page, in columns.
            styled: whether to use the colours of terminals.
            most_rows: how many rows of a table to show; None for all.
            hint: how to see the rows that are not shown.
        """
        blocks = [summary_text(self.summary, width=width, styled=styled, most_rows=most_rows, hint=hint)]
        if self.warnings:
            paint = Paint(styled)
            lines = [sentence(f"warning: {problem}", width=width - 2).splitlines() for problem in self.warnings]
            blocks.append(
                "\n".join(
                    "\n".join([paint(first, "yellow"), *(f"  {each}" for each in rest)]) for first, *rest in lines
                )
            )
        names = [path.name for path in self.files]
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        blocks.append(sentence(f"Wrote {listed} in {self.files[0].parent}", width=width))
        return "\n\n".join(blocks)

    def to_json(self) -> dict[str, Any]:
        """Returns the document that `schemas/report.schema.json` describes."""
        document = ReportDocument(
            engine=engine(),
            folder=str(self.folder),
            metric=self.summary.metric,
            settings=self.summary.names,
            averaged=self.summary.averaged,
            groups=group_entries(self.summary),
            sensitivity=sensitivity_entry(self.summary),
            fronts=front_entries(self.summary),
            jobs=jobs_entry(self.summary, tuple(self.found.unfinished)),
            files=tuple(map(str, self.files)),
            warnings=tuple(map(str, self.warnings)),
        )
        return document.to_json()


def write_report(
    folder: Path | str,
    *,
    metric: str | None = None,
    output: Path | str | None = None,
    facet: str | None = None,
    average: Sequence[str] = (),
    width: int = 80,
    styled: bool = False,
) -> str:
    """Writes the files of `make_report`, and returns what is in them.

    Arguments and errors are those of `make_report`.

    Returns:
        The table, warnings, and where the files are, as lines of a width, with the colours of terminals if `styled`.
    """
    made = make_report(folder, metric=metric, output=output, facet=facet, average=average)
    return made.text(width=width, styled=styled, hint=f"{HTML_NAME} has all")


def make_report(
    folder: Path | str,
    *,
    metric: str | None = None,
    output: Path | str | None = None,
    facet: str | None = None,
    average: Sequence[str] = (),
) -> SweepReport:
    """Reads the results below a folder, and writes results.csv and report.html.

    Beside them are the pictures if Matplotlib is there, and results.parquet if pyarrow is.

    Arguments:
        folder: of a run or a sweep.
        metric: the metric to show, or another measure that can be an objective, such as `agreement`; by default the
            objective of the jobs.
        output: the folder to write to, which is made if it is missing; by default `folder`.
        facet: the setting whose values have a panel of the picture each; None to choose.
        average: the settings over which means are taken, besides the seeds; `none` alone: not over the seeds either.

    Raises:
        CallError: there is no such folder, no result in it, or no such metric or setting.
        EnvironmentProblem: a file cannot be written.
    """
    folder, output = Path(folder), Path(folder if output is None else output)
    found = _found(folder)
    if output.exists() and not output.is_dir():
        raise CallError(f"the output {output} is a file", hint="give the name of a folder, which may be a new one")
    summary = summarise(found.results, metric, average or ([NOT_AVERAGED] if facet == SEED else ()))
    warnings = [
        *found.damaged,
        *_unfinished(found),
        *_joined(summary),
        *_conflicting(summary),
        *_in_vain(found),
        *_said_by_jobs(found),
    ]
    page = web_page(summary, warnings=list(map(str, warnings)), facet=facet)
    made = dict(parquet_files(found.results))
    try:
        made |= pictures(summary, facet)
    except NoMatplotlib as error:
        warnings += [replace(problem, is_warning=True) for problem in error.problems]
    made[HTML_NAME] = page  # which draws for itself and so does not miss Matplotlib
    try:
        write_csv(found.results, output / CSV_NAME)
        for name, data in made.items():
            write_whole(output / name, data)
    except EnvironmentProblem as error:
        hint = f"`mutspec report {folder} -o DIR` writes elsewhere"
        raise EnvironmentProblem([replace(problem, hint=hint) for problem in error.problems]) from error
    files = tuple(output / name for name in (CSV_NAME, *made))
    return SweepReport(folder, found, summary, files, tuple(warnings))


def _found(folder: Path) -> FoundResults:
    """Returns the results below a folder, at least one."""
    if folder.exists() and not folder.is_dir():
        hint = (
            f"name its folder: {folder.parent}"
            if folder.name == FILE_NAME
            else "name the output folder of `mutspec run`"
        )
        raise CallError(f"{folder} is a file, not the folder of a run or sweep", hint=hint)
    if not folder.exists():
        raise CallError(f"the folder {folder} does not exist", candidates=called_like(folder, Path.is_dir))
    found = find(folder)
    if not found.results:
        if found.damaged:
            raise CallError([replace(problem, is_warning=False) for problem in found.damaged])
        jobs = words.plural(len(found.unfinished), "job")
        hint = f"{jobs} there left none; run again" if found.unfinished else "name the output folder of `mutspec run`"
        raise CallError(f"there is no {FILE_NAME} in {folder} or below", hint=hint)
    return found


def _unfinished(found: FoundResults) -> Iterator[Problem]:
    if found.unfinished:
        shown = ", ".join(found.unfinished[:_MOST_WARNINGS])
        more = ", …" if len(found.unfinished) > _MOST_WARNINGS else ""
        yield Problem(f"{words.plural(len(found.unfinished), 'job')} left no result: {shown}{more}", is_warning=True)


def _joined(summary: Summary) -> Iterator[Problem]:
    """Yields the things that have several names and count as one."""
    for what, names in summary.joined:
        more = ", …" if len(names) > _MOST_WARNINGS else ""
        listed = ", ".join(f"`{name}`" for name in names[:_MOST_WARNINGS]) + more
        said = {"plan": "do the same", "data": "hold the same arrays"}.get(what, "hold the same weights")
        yield Problem(f"{listed} {said}, and count as one {_NOUNS.get(what, 'model')}", is_warning=True)


def _conflicting(summary: Summary) -> Iterator[Problem]:
    """Yields the differences between jobs that count as one; the table has the first one's values, or no base."""
    said = [clause for group in summary.groups for clause in group.conflicts]
    for clause in said[:_MOST_WARNINGS]:
        hint = "the same plan, model, data and metrics measured two things; the first one counts"
        yield Problem(clause, hint=hint, is_warning=True)
    if len(said) > _MOST_WARNINGS:
        yield Problem(f"and {len(said) - _MOST_WARNINGS} more values of which jobs say two things", is_warning=True)


_NOUNS = {"plan": "plan", "data": "data set"}


def _in_vain(found: FoundResults) -> Iterator[Problem]:
    """Yields what a sweep varied and its searches scaled, so that all jobs found the same."""
    given: dict[str, set[str]] = {}
    for result in found.results:
        for key, _, value in (override.partition("=") for override in result.job.overrides):
            if is_scaled(result, key):
                given.setdefault(key, set()).add(value)
    for key, values in given.items():
        if len(values) > 1:
            message = f"the searches scale {key.removeprefix('plan.')}, so that its {len(values)} values in the sweep"
            yield Problem(f"{message} make no difference; give it one, such as {key}=1", is_warning=True)


def _said_by_jobs(found: FoundResults) -> Iterator[Problem]:
    """Yields the warnings of jobs, each once."""
    said = Counter(text for result in found.results for text in dict.fromkeys(result.warnings))
    for text, number in list(said.items())[:_MOST_WARNINGS]:
        where = "" if number == len(found.results) else f" ({words.plural(number, 'job')})"
        yield Problem((first_line(text) or "").rstrip(".") + where, is_warning=True)
    if len(said) > _MOST_WARNINGS:
        yield Problem(f"and {len(said) - _MOST_WARNINGS} more, in the {FILE_NAME} of the jobs", is_warning=True)
