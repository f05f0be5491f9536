"""The JSON document of a report, which `mutspec report --json` prints."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from mutspec.documents import Count, Number, as_json, document_schema
from mutspec.experiment.reports.groups import ResultGroup, Summary
from mutspec.experiment.reports.pareto import fronts
from mutspec.experiment.reports.sensitivity import Ranked, Sensitivity, sensitivity
from mutspec.experiment.result import Result

FORMAT_VERSION = 1


class GroupEntry(Struct, frozen=True):
    """The mutants that differ by their seed alone."""

    settings: Annotated[
        dict[str, Any],
        Meta(
            description="The values of the settings that differ between groups, by name; null where a job does not "
            "have one."
        ),
    ]
    seeds: Annotated[tuple[Count, ...], Meta(description="The seeds, in the order of the jobs.")]
    base: Annotated[Number | None, Meta(description="The base's value of the metric; null if it has none.")]
    mean: Annotated[
        Number | None, Meta(description="The mean of the metric over the seeds; null if it was not measured.")
    ]
    half_width: Annotated[
        Number | None,
        Meta(description="Half of the 95 % interval of the mean, by Student's t; null for one seed."),
    ]
    interval: Annotated[
        tuple[float, float] | None,
        Meta(
            description="The ends of the 95 % interval: of the mean, by Student's t; or of one seed's rate, by Wilson; "
            "null if there is none."
        ),
    ]
    drop: Annotated[Number | None, Meta(description="The base's value minus the mean; null if one of them is.")]
    agreement: Annotated[
        Number | None,
        Meta(
            description="The mean part of the choices in which the mutants say what the base says, over the seeds and "
            "over several outputs; null if it was not measured."
        ),
    ]
    sample_agreement: Annotated[
        Number | None,
        Meta(
            description="The mean part of the samples of which they do so in every choice; null if it was not measured."
        ),
    ]
    non_finite_outputs: Annotated[
        Count,
        Meta(description="How many numbers in the outputs are infinite or NaN, of all seeds together."),
    ]
    output_numbers: Annotated[
        Count | None,
        Meta(description="How many numbers the outputs have, of all seeds together; null if that is not known."),
    ]
    unchanged: Annotated[Count, Meta(description="The number of seeds with which the plan changed nothing.")]
    costs: Annotated[
        dict[str, Number],
        Meta(
            description="The mutants' `parameters`, and `multiply_adds` for one sample: means over the seeds; without "
            "what is not known."
        ),
    ]


class FrontEntry(Struct, frozen=True):
    """The Pareto front of the metric and a cost in which mutants differ from their base."""

    cost: Annotated[str, Meta(description="The cost.", examples=["multiply_adds"])]
    members: Annotated[
        tuple[Count | None, ...],
        Meta(
            description="The groups that neither another one nor the base beats in both, the cheapest first: their "
            "places among `groups`, from 0; null for the base."
        ),
    ]


class MapEntry(Struct, frozen=True):
    """A value of the setting, with what was measured at each scale."""

    value: Annotated[str, Meta(description="The setting's value.")]
    worse_by: Annotated[
        tuple[Number | None, ...],
        Meta(
            description="For each scale, how much worse the metric is: the mean over the seeds; null where nothing was "
            "measured."
        ),
    ]


class RankingEntry(Struct, frozen=True):
    """A value of the setting, with its rank."""

    value: Annotated[str, Meta(description="The setting's value.")]
    worse_by: Annotated[
        Number | None,
        Meta(
            description="How much worse the metric is: the mean over the scales that all values have, and over the "
            "seeds."
        ),
    ]
    half_width: Annotated[
        Number | None,
        Meta(description="Half of the 95 % interval of that mean, by Student's t; null for one seed."),
    ]
    seeds: Annotated[Annotated[int, Meta(ge=1)], Meta(description="The number of seeds that it is the mean of.")]
    best_rank: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="The best rank that comparing each pair of values at 95 % leaves open; null for one seed, or "
            "without a rank."
        ),
    ]
    worst_rank: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="The worst one.")]
    unchanged: Annotated[
        Count,
        Meta(
            description="The number of scales, of those that count, at which the plan changed nothing there, with any "
            "seed."
        ),
    ]
    is_ranked: Annotated[bool, Meta(description="Whether it changed something at one of them.")]


class SensitivityEntry(Struct, frozen=True):
    """The loss of the metric compared with the base, by a setting's values and by scale."""

    setting: Annotated[str, Meta(description="The setting that is not a number.", examples=["layer"])]
    over: Annotated[
        str | None,
        Meta(description="The number that varies; null if none does.", examples=["std"]),
    ]
    scales: Annotated[
        tuple[float | str, ...],
        Meta(description="Its values, ascending; one empty text if no number varies."),
    ]
    is_rise: Annotated[
        bool,
        Meta(description="Whether the metric is greater for a worse model, as a loss is; else it is smaller."),
    ]
    map: Annotated[tuple[MapEntry, ...], Meta(description="The setting's values in the order of the sweep.")]
    ranking: Annotated[
        tuple[RankingEntry, ...],
        Meta(
            description="The setting's values, the most sensitive first; last those where nothing was changed, which "
            "have no rank."
        ),
    ]


_Number = Annotated[Count | None, Meta(description="Its number in the sweep, from 0; null for a single run.")]
_Directory = Annotated[str, Meta(description="Its output folder, relative to the folder.")]
_Overrides = Annotated[tuple[str, ...], Meta(description="The overrides that the call or the sweep set.")]


class FailedEntry(Struct, frozen=True):
    """A job that failed."""

    number: _Number
    directory: _Directory
    overrides: _Overrides
    error: Annotated[str, Meta(description="Why it failed.")]


class RefusedEntry(Struct, frozen=True):
    """A job whose mutant fails a gate."""

    number: _Number
    directory: _Directory
    overrides: _Overrides
    gates: Annotated[tuple[str, ...], Meta(description="The gates that it fails, a sentence each.")]


class JobsEntry(Struct, frozen=True):
    """The numbers of jobs by how they ended."""

    total: Annotated[Count, Meta(description="The number of jobs, without those that left no result.")]
    failed: Annotated[tuple[FailedEntry, ...], Meta(description="The jobs that failed.")]
    refused: Annotated[
        tuple[RefusedEntry, ...], Meta(description="The jobs whose mutants do not hold to what is required.")
    ]
    unfinished: Annotated[
        tuple[str, ...],
        Meta(description="The folders of jobs that left no result, relative to the folder."),
    ]


class ReportDocument(Struct, frozen=True):
    """The findings of a run or a sweep: the output of `mutspec report --json`."""

    engine: Annotated[str, Meta(description="The engine's name and version.", examples=["mutspec 0.1.0"])]
    folder: Annotated[str, Meta(description="The folder of the run or sweep, as the call named it.")]
    metric: Annotated[
        str | None,
        Meta(description="The metric that is shown; null if nothing was evaluated.", examples=["accuracy"]),
    ]
    settings: Annotated[
        tuple[str, ...],
        Meta(
            description="The settings that differ between the jobs, but for seeds: parameters of the plan, `plan`, "
            "`model`, `data`, or other overrides.",
            examples=[["params.std"]],
        ),
    ]
    averaged: Annotated[
        tuple[str, ...],
        Meta(description="The settings over which means are taken for each seed, by `--average`."),
    ]
    groups: Annotated[
        tuple[GroupEntry, ...],
        Meta(
            description="The mutants by these settings, in the order of the jobs. The mutants of a group differ by "
            "their seed alone."
        ),
    ]
    sensitivity: Annotated[
        SensitivityEntry | None,
        Meta(
            description="Where the model is sensitive, if one setting that is not a number varies, such as the layer, "
            "and at most one number; else null."
        ),
    ]
    fronts: Annotated[
        tuple[FrontEntry, ...],
        Meta(description="The Pareto front of the metric and of each cost; empty if no plan changed the architecture."),
    ]
    jobs: JobsEntry
    files: Annotated[
        tuple[str, ...],
        Meta(
            description="The files that were written: results.csv, results.parquet if pyarrow is installed, the "
            "pictures, and report.html.",
            min_length=1,
        ),
    ]
    warnings: Annotated[tuple[str, ...], Meta(description="What the user should know, one sentence each.")]

    def to_json(self) -> dict[str, Any]:
        """Returns the document that `schemas/report.schema.json` describes."""
        return {"format_version": FORMAT_VERSION, **as_json(self)}


def report_schema() -> dict[str, Any]:
    """Returns `schemas/report.schema.json`."""
    return document_schema(ReportDocument, "mutspec report", FORMAT_VERSION)


def group_entries(summary: Summary) -> tuple[GroupEntry, ...]:
    """Returns an entry for each group of mutants."""
    return tuple(_group(group, summary.names) for group in summary.groups)


def _group(group: ResultGroup, names: tuple[str, ...]) -> GroupEntry:
    low, high = group.metric.low, group.metric.high
    return GroupEntry(
        settings=dict(zip(names, group.values, strict=True)),
        seeds=tuple(row.seed for row in group.rows),
        base=group.base,
        mean=group.metric.mean,
        half_width=group.metric.half_width,
        interval=None if low is None or high is None else (low, high),
        drop=group.drop,
        agreement=group.agreement.mean,
        sample_agreement=group.sample_agreement.mean,
        non_finite_outputs=group.non_finite_outputs,
        output_numbers=group.output_numbers,
        unchanged=group.unchanged,
        costs=dict(group.costs),
    )


def front_entries(summary: Summary) -> tuple[FrontEntry, ...]:
    """Returns the Pareto front of each cost that varies."""
    places: dict[int, int] = {id(group): place for place, group in enumerate(summary.groups)}
    return tuple(
        FrontEntry(front.cost, tuple(places.get(id(each.group)) for each in front.members)) for front in fronts(summary)
    )


def jobs_entry(summary: Summary, unfinished: tuple[str, ...]) -> JobsEntry:
    """Returns how the jobs ended.

    Arguments:
        summary: their results.
        unfinished: the folders of those that left none.
    """
    return JobsEntry(
        total=len(summary.results),
        failed=tuple(FailedEntry(*_job(result), error=result.error or "") for result in summary.failed),
        refused=tuple(
            RefusedEntry(*_job(result), gates=tuple(map(str, result.failed_gates))) for result in summary.refused
        ),
        unfinished=unfinished,
    )


def _job(result: Result) -> tuple[int | None, str, tuple[str, ...]]:
    return result.job.number, result.job.directory, result.job.overrides


def sensitivity_entry(summary: Summary) -> SensitivityEntry | None:
    """Returns where the model is sensitive; None if the sweep does not tell."""
    found: Sensitivity | None = sensitivity(summary)
    if found is None:
        return None
    return SensitivityEntry(
        setting=found.name,
        over=found.over or None,
        scales=found.scales,
        is_rise=found.is_rise,
        map=tuple(MapEntry(value, harms) for value, harms in found.harms.items()),
        ranking=tuple(map(_ranking, found.ranking)),
    )


def _ranking(each: Ranked) -> RankingEntry:
    best, worst = each.ranks or (None, None)
    return RankingEntry(
        value=each.value,
        worse_by=each.harm.mean,
        half_width=each.harm.half_width,
        seeds=each.harm.count,
        best_rank=best,
        worst_rank=worst,
        unchanged=each.unchanged,
        is_ranked=each.is_ranked,
    )
