"""Sweeps and breaking points from Python: in this process, with one base model and no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from operator import index
from pathlib import Path
from statistics import fmean
from typing import Any

from msgspec import structs

from mutspec.access.digests import weights_digest
from mutspec.access.model_lock import hold
from mutspec.arguments import file_path
from mutspec.errors import CallError, Place
from mutspec.experiment.data.loading import checked
from mutspec.experiment.evaluation.measures import check_measures
from mutspec.experiment.gates import Gate
from mutspec.experiment.job_inputs import model_content
from mutspec.experiment.job_settings import EvaluateSettings, Search, objective_names
from mutspec.experiment.reports.aggregate import find, rows_table
from mutspec.experiment.reports.groups import summarise
from mutspec.experiment.reports.interval import estimate
from mutspec.experiment.reports.report import SweepReport, make_report
from mutspec.experiment.reports.summary import result_text
from mutspec.experiment.reports.table import summary_text
from mutspec.experiment.result import BREAKING_POINT, JobInfo, Result, Row
from mutspec.experiment.result_differences import differences
from mutspec.experiment.search.breaking_points import breaking_points
from mutspec.experiment.search.scaled_number import scaled_number
from mutspec.experiment.session import opened
from mutspec.experiment.trial import Trials, result_of
from mutspec.language import Plan
from mutspec.lowering.base import Op
from mutspec.model.live import read_live
from mutspec.text import words

Progress = Callable[[int, int], None]
"""Told about the mutants that are done, and the mutants in all."""


@dataclass(frozen=True)
class Sweep:
    """The results of a sweep. Printing it shows the table that `mutspec run -m` ends with.

    Arguments:
        results: a result for each combination of values, with a row for each seed.
    """

    results: tuple[Result, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The tidy table, as `results.csv` has it: a mapping for each mutant, for `pandas.DataFrame(sweep.rows)`."""
        table = rows_table(self.results)
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

    def __str__(self) -> str:
        """The table, for people."""
        return self.table()

    def table(self, metric: str | None = None, *, width: int = 80) -> str:
        """The table of a measure, by default the objective.

        Raises:
            CallError: no result has it.
        """
        return summary_text(summarise(self.results, metric), width=width, most_rows=None)

    def write(self, folder: str | Path, *, force: bool = False) -> SweepReport:
        """Writes what `mutspec run -m` writes: `result.json` for each job in a folder, and the report.

        Arguments:
            folder: which is made if it is missing.
            force: whether results of other sweeps that are there may be replaced and joined.

        Raises:
            CallError: results of another sweep are there, or the folder is not a path.
            EnvironmentProblem: a file cannot be written.
        """
        path = file_path(folder, "the folder", of="a folder")
        if not force:
            _refuse_others(path, self.results)
        for result in self.results:
            result.write(path / result.job.directory)
        return make_report(path)


def _refuse_others(folder: Path, results: Iterable[Result]) -> None:
    """Refuses a folder with results of other plans, models, data or values than those that are to be written.

    Raises:
        CallError: it has such results.
    """
    own = {result.job.directory: result for result in results}
    others = {}
    for known in find(folder).results if folder.is_dir() else ():
        wanted = own.get(known.job.directory)
        said = ["this sweep has no such job"] if wanted is None else list(differences(known, wanted))
        if known.error is None and said:
            others[known.job.directory] = "; ".join(said)
    if others:
        first, said_of_first = next(iter(others.items()))
        more = f" and {words.plural(len(others) - 1, 'more job')}" if len(others) > 1 else ""
        message = f"the folder has the results of another sweep: {said_of_first} (job {first}{more})"
        place = Place(str(folder), 0, 0, 0)
        raise CallError(message, place=place, hint="write elsewhere, or give force=True to replace and join them")


@dataclass(frozen=True)
class BreakingPoint:
    """The scales at which mutants break, seed by seed. Printing it shows what `mutspec run mode=breaking_point` shows.

    Arguments:
        result: with a row for each seed, about the mutant at its breaking point.
    """

    result: Result

    @property
    def by_seed(self) -> dict[int, float]:
        """The breaking point of each seed; infinite where the mutant holds at the greatest scale."""
        return {row.seed: row.breaking_point for row in self.result.rows if row.breaking_point is not None}

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return fmean(self.by_seed.values())

    @property
    def half_width(self) -> float | None:
        """The 95 % interval is mean ± half_width; None for one seed, or if a breaking point is infinite."""
        return estimate(self.by_seed.values()).half_width

    def __str__(self) -> str:
        """The result, for people."""
        return result_text(self.result)


def breaking_point(
    plan: Plan[Op],
    model: Any,
    data: tuple[Any, Any],
    search: Search,
    *,
    seeds: int | Iterable[int],
    inputs: Mapping[str, Any],
    settings: EvaluateSettings,
    unsafe: bool = False,
    verify: bool = True,
    on_progress: Progress | None = None,
) -> BreakingPoint:
    """See `mutspec.breaking_point`; `settings` are those of the group `evaluate`."""
    check_measures(settings)
    plans = [plan.with_(seed=seed) for seed in _numbers(plan, seeds)]
    try:
        scaled_number(plan, search)
        with hold(mutates=(model,), reads=inputs.values()):
            session = opened(model, checked(data, "data", "data"), settings, unsafe=unsafe)
            trials = Trials(session, found=[BREAKING_POINT], verify=verify)
            found = breaking_points(trials, plans, inputs, search, model.name, on_progress)
            return BreakingPoint(_known_by(found, trials, inputs))
    except CallError as error:
        raise CallError([replace(problem, path=()) for problem in error.problems]) from None


def _numbers(plan: Plan[Op], seeds: int | Iterable[int]) -> tuple[int, ...]:
    """The seeds that a call names, each once, or counts from the plan's own on."""
    if isinstance(seeds, Iterable):
        numbers = tuple(dict.fromkeys(map(_plain, seeds)))
    else:
        try:
            numbers = tuple(range(plan.seed, plan.seed + index(seeds)))
        except TypeError:
            raise CallError(f"`seeds` is {seeds!r}", hint="give how many there are, or list them") from None
    if not numbers:
        raise CallError("no seeds are given", hint="give how many there are, or list them")
    return numbers


def sweep(
    plan: Plan[Op],
    model: Any,
    data: tuple[Any, Any],
    values: Mapping[str, Iterable[Any]],
    *,
    seeds: int | Iterable[int],
    inputs: Mapping[str, Any],
    settings: EvaluateSettings,
    unsafe: bool = False,
    verify: bool = True,
    require: Iterable[Gate] = (),
    objective: str | None = None,
    on_progress: Progress | None = None,
) -> Sweep:
    """See `mutspec.sweep`; `settings` are those of the group `evaluate`."""
    check_measures(settings)
    numbers = _numbers(plan, seeds)
    jobs = list(_combinations(values))
    for given in [*jobs, *({"seed": seed} for seed in numbers)]:
        plan.overridden(given)  # a mistake is told before the first mutant is made
    with hold(mutates=(model,), reads=inputs.values()):  # from the base's evaluation to the last mutant
        session = opened(model, checked(data, "data", "data"), settings, unsafe=unsafe)
        trials = Trials(session, require, objective_names(objective), verify=verify)
        return Sweep(tuple(_results(trials, plan, jobs, numbers, inputs, on_progress)))


def _results(
    trials: Trials,
    plan: Plan[Op],
    jobs: Sequence[Mapping[str, Any]],
    numbers: Sequence[int],
    inputs: Mapping[str, Any],
    on_progress: Progress | None,
) -> Iterator[Result]:
    """Yields a result for each job, with a row for each seed."""
    for number, given in enumerate(jobs):
        rows: list[Row] = []
        warnings: list[str] = []
        plans = [plan.overridden({**given, "seed": seed}) for seed in numbers]
        for one in plans:
            with trials.mutant(one, inputs) as trial:
                rows.append(trial.row)
                warnings += [str(problem) for problem in trial.report.warnings]
            if on_progress is not None:
                on_progress(number * len(numbers) + len(rows), len(jobs) * len(numbers))
        found = result_of(plans[0], trials.shared.model.name, trial.report.structure_digest, rows, warnings, plan)
        overrides = tuple(f"plan.{key}={words.flow(value)}" for key, value in given.items())
        judged = _known_by(trials.judged(found), trials, inputs)
        yield structs.replace(judged, job=JobInfo(number, overrides, str(number)))


def _known_by(result: Result, trials: Trials, inputs: Mapping[str, Any]) -> Result:
    """Returns the result with the digests of base and inputs."""
    digests = {name: _weights(each) for name, each in inputs.items()}
    model = structs.replace(result.model, weights_digest=trials.shared.weights_digest)
    return structs.replace(result, model=model, inputs=digests)


def _weights(model: Any) -> str:
    """The digest of the weights of an input: a file, or a live model."""
    is_file = isinstance(model, str | Path)
    return model_content(str(model)).weights if is_file else weights_digest(read_live(model))


def _combinations(values: Mapping[str, Iterable[Any]]) -> Iterator[dict[str, Any]]:
    """Yields all combinations in Hydra's order: the last key's values change first."""
    listed = []
    for key, each in values.items():
        if isinstance(each, str) or not isinstance(each, Iterable):
            raise CallError(f"`{key}` is swept over {each!r}, which is not a list of values", hint=f"write [{each!r}]")
        listed.append(list(each))
        if not listed[-1]:
            raise CallError(f"`{key}` is swept over no values, so the sweep has no jobs")
    for combination in product(*listed):
        yield {key: _plain(value) for key, value in zip(values, combination, strict=True)}


def _plain(value: Any) -> Any:
    """A NumPy number as Python's own."""
    return value.item() if hasattr(value, "item") else value
