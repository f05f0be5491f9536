"""All results below a folder, and the tidy table of them: a row for each job and seed."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from operator import attrgetter
from pathlib import Path
from typing import Any

from msgspec import structs

from mutspec.errors import CallError, Place, Problem
from mutspec.experiment.labels import labelled
from mutspec.experiment.metric_kinds import COSTS
from mutspec.experiment.result import BREAKING_POINT, FIDELITY, FILE_NAME, OutputRow, Result, Row, read, write_whole
from mutspec.experiment.result_settings import PARAMETER, varying
from mutspec.text import words

__all__ = ["FoundResults", "collect", "find", "first_line", "metric_names", "rows_table", "varying", "write_csv"]


@dataclass(frozen=True)
class FoundResults:
    """The results below a folder.

    Arguments:
        results: the results, by the call, the number of the job, and the overrides; each job's directory is relative
            to the folder, wherever the job ran.
        damaged: a warning for each file that cannot be read.
        unfinished: the folders of jobs that left no result.
    """

    results: tuple[Result, ...]
    damaged: tuple[Problem, ...] = ()
    unfinished: tuple[str, ...] = ()


def collect(folder: Path | str) -> tuple[Result, ...]:
    """All results below the folder of a run or sweep, in a stable order. What cannot be read is passed over."""
    return find(folder).results


def find(folder: Path | str) -> FoundResults:
    """All results below the folder of a run or sweep, and what should have been one."""
    folder = Path(folder)
    results: list[Result] = []
    damaged: list[Problem] = []
    unfinished: list[str] = []

    def unreadable(error: OSError) -> None:
        place = Place(str(error.filename), 0, 0, 0)
        damaged.append(Problem(f"the folder cannot be read: {error.strerror}", place, is_warning=True))

    for name, folders, files in os.walk(folder, onerror=unreadable):
        directory = Path(name).relative_to(folder).as_posix()
        if FILE_NAME in (*files, *folders):  # a folder of that name is told as such
            try:
                result = read(Path(name) / FILE_NAME)
                results.append(structs.replace(result, job=structs.replace(result.job, directory=directory)))
            except CallError as error:
                damaged += [replace(problem, is_warning=True) for problem in error.problems]
        elif ".hydra" in folders:  # Hydra writes it before a job begins
            unfinished.append(directory)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
    rounds = rounds_of(results)
    results.sort(key=lambda result: _order(result, rounds))
    damaged.sort(key=lambda problem: natural(problem.place.file if problem.place else ""))
    return FoundResults(tuple(results), tuple(damaged), tuple(sorted(unfinished, key=natural)))


def rounds_of(results: Iterable[Result]) -> dict[str, int]:
    """Returns for each call the round that it belongs to, from 0, in the order in which calls began.

    A call that goes on with a sweep numbers its jobs as the sweep does, so that both are one round. A call that adds
    trials to a study numbers them from 0 again: that begins a round.
    """
    numbers: dict[str, set[int]] = {}
    for result in results:
        if result.job.number is not None:
            numbers.setdefault(result.job.call, set()).add(result.job.number)
    rounds: dict[str, int] = {}
    taken: set[int] = set()
    for call in sorted(numbers):
        begins = bool(taken & numbers[call])
        taken = numbers[call] if begins else taken | numbers[call]
        rounds[call] = max(rounds.values(), default=0) + begins
    return rounds


def _order(result: Result, rounds: Mapping[str, int]) -> tuple[Any, ...]:
    job = result.job
    at = (
        0 if job.number is None else rounds[job.call]
    )  # single runs are calls of their own, and are read by what they set
    return (job.number is None, at, job.number or 0, natural(" ".join(job.overrides)), natural(job.directory))


_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", re.IGNORECASE)


def natural(text: str) -> tuple[str | float, ...]:
    """A key that sorts texts by the numbers in them: `std=2` before `std=10`, `1e-3` before `0.01`."""
    parts = _NUMBER.split(text)
    return tuple(float(part) if number % 2 else part for number, part in enumerate(parts))


def metric_names(results: Iterable[Result]) -> tuple[str, ...]:
    """The names of all metrics, in the order in which results have them."""
    return tuple(
        dict.fromkeys(
            name for result in results for each in (result.base, *(row.metrics for row in result.rows)) for name in each
        )
    )


_ROW_COLUMNS = (
    *(*FIDELITY, "non_finite_outputs", "output_numbers", "touched", "changed", "changed_nothing", *COSTS, "seconds"),
)
_SEARCH_COLUMNS = (BREAKING_POINT, "holds_at", "evaluations")
"""The columns of results among which are some of searches for breaking points."""


_DIGESTS = {
    "effect_digest": "plan.effect_digest",
    "weights_digest": "model.weights_digest",
    "data_digest": "data.digest",
    "evaluate_digest": "evaluate_digest",
}
"""The last columns, and where results have them. They tell which rows are of the same plan, but for its seed, of the
same model and data, and evaluated by the same metrics."""


@dataclass(frozen=True)
class RowsTable:
    """A tidy table: the names of its columns, and its rows. None stands where there is no value."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def rows_table(results: Sequence[Result]) -> RowsTable:
    """One row for each job and seed; a job without rows, a failed one, has one too.

    Columns whose names are not fixed have a prefix, so that nothing can collide: `params.std`, `metrics.accuracy`,
    `base.accuracy`, `drop.accuracy`, and of models with several outputs `agreement.<output>`. Settings that are no
    parameters and differ between jobs are called as the override that makes them. `plan`, `model` and `data` are
    labels, and differ where the digests do: the last columns.
    """
    told = labelled(results)
    results, given = told.results, told.given
    metrics = metric_names(results)
    parameters = list(dict.fromkeys(name for each in given for name in each if name.startswith(PARAMETER)))
    fixed = ("plan", "model", "data")
    of_rows = (*(_SEARCH_COLUMNS if any(result.breaking for result in results) else ()), *_ROW_COLUMNS)
    outputs = [
        (measure, name)
        for name in dict.fromkeys(name for result in results for row in result.rows for name in row.by_output)
        for measure in OutputRow.__struct_fields__
    ]
    others = [name for name in varying(results, given) if name not in fixed and name not in parameters]
    columns = (
        *("job", "directory", "plan", "model", "data", "seed"),
        *(*parameters, *others),
        *(f"{kind}.{name}" for kind in ("metrics", "base", "drop") for name in metrics),
        *of_rows,
        *(f"{measure}.{name}" for measure, name in outputs),
        *(f"base_{name}" for name in COSTS),
        *("failed_gates", "error"),
        *_DIGESTS,
    )
    return RowsTable(
        columns,
        tuple(
            (
                *(result.job.number, result.job.directory, *(each.get(name) or None for name in fixed)),
                row.seed if row is not None else None,
                *(each.get(name) for name in (*parameters, *others)),
                *((row.metrics if row is not None else {}).get(name) for name in metrics),
                *(result.base.get(name) for name in metrics),
                *((row.drop if row is not None else {}).get(name) for name in metrics),
                *(getattr(row, name) if row is not None else None for name in of_rows),
                *(getattr((row.by_output if row else {}).get(name), measure, None) for measure, name in outputs),
                *(getattr(result.model, name) for name in COSTS),
                "; ".join(map(str, result.failed_gates)) or None,
                first_line(result.error),
                *(attrgetter(place)(result) or None for place in _DIGESTS.values()),
            )
            for result, each in zip(results, given, strict=True)
            for row in _rows(result)
        ),
    )


def _rows(result: Result) -> Iterator[Row | None]:
    yield from result.rows or (None,)


def first_line(error: str | None) -> str | None:
    """The first line of an error that says something."""
    return None if error is None else next((line.strip() for line in error.splitlines() if line.strip()), "")


def write_csv(results: Sequence[Result], path: Path) -> None:
    r"""Writes the tidy table as UTF-8 with `\n`. Numbers read back exactly; what has no value is empty.

    A text that a spreadsheet would take for a formula has a `'` in front of it, and so has one that begins with a `'`:
    to read texts back exactly, take one `'` off.

    Raises:
        EnvironmentProblem: it cannot be written.
    """
    table = rows_table(results)
    lines = [_line(map(_text, table.columns)), *(_line(map(_cell, row)) for row in table.rows)]
    write_whole(path, "".join(lines).encode("utf-8", errors="backslashreplace"))


def _line(cells: Iterable[Any]) -> str:
    r"""A line of the table. The csv module puts a cell with a `\r` in quotes only where lines end with one."""
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(cells)
    return f"{text.getvalue()[:-2]}\n"


def _cell(value: Any) -> Any:
    """Returns a value for the csv module: numbers in their shortest exact form, lists as in a plan."""
    if isinstance(value, str):
        return _text(value)
    return words.flow(value) if isinstance(value, bool | list | dict) else value


_FORMULA = re.compile(r"\s*[=+\-@＝＋－＠]|[\t\r\n']")
"""First characters of a text that a spreadsheet would compute or interpret."""
_SIGNED_NUMBER = re.compile(r"[+-](\d+\.?\d*|\.\d+)(e[+-]?\d+)?%?|[+-]inf", re.ASCII | re.IGNORECASE)


def _text(text: str) -> str:
    """A text as a cell that stays a text."""
    return f"'{text}" if _FORMULA.match(text) and not _SIGNED_NUMBER.fullmatch(text) else text
