"""Means over more than the seeds: what jobs measured that differ by some settings alone, as the rows of one.

For each seed the mean over all values of these settings is one value, as jobs of one seed are not independent. Where
there is one seed, the values themselves are the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from statistics import fmean
from typing import Any

from msgspec.structs import replace

from mutspec.experiment.labels import Given
from mutspec.experiment.metric_kinds import COSTS
from mutspec.experiment.result import FIDELITY, Result, Row
from mutspec.experiment.result_settings import PARAMETER

SEED = "seed"
"""The name of seeds where they are a setting."""


def by_seed(known: Iterable[tuple[Result, Given]]) -> list[tuple[Result, Given]]:
    """Returns results with one seed each, which is among what each was given, so that seeds are not averaged."""
    return [
        (replace(result, rows=(row,)), {**given, PARAMETER + SEED: row.seed})
        for result, given in known
        for row in result.rows
    ]


def mean_rows(by_value: Mapping[Any, Mapping[int, Row]]) -> tuple[Row, ...]:
    """The rows of jobs that differ by some settings alone: the mean over the values of these, for each seed.

    A seed that not all values have is left out. Where all values have one seed, each of them is a row.

    Arguments:
        by_value: for each combination of values, the rows by seed.
    """
    each = list(by_value.values())
    if len(each) == 1:
        return tuple(each[0].values())
    seeds = list(dict.fromkeys(seed for rows in each for seed in rows))
    if len(seeds) == 1:
        return tuple(replace(rows[seeds[0]], seed=number) for number, rows in enumerate(each))
    return tuple(_mean([rows[seed] for rows in each]) for seed in seeds if all(seed in rows for rows in each))


def _mean(rows: Sequence[Row]) -> Row:
    """The mean of rows of one seed; of what each of them has."""

    def mean(read: Callable[[Row], float | None]) -> float | None:
        values = [value for row in rows if (value := read(row)) is not None]
        return fmean(values) if len(values) == len(rows) else None

    def means(read: Callable[[Row], dict[str, float]]) -> dict[str, float]:
        known = [name for name in read(rows[0]) if all(name in read(row) for row in rows)]
        return {name: fmean(read(row)[name] for row in rows) for name in known}

    numbers_of_outputs = [row.output_numbers for row in rows]
    numbers: dict[str, Any] = {name: mean(attrgetter(name)) for name in (*FIDELITY, *_SEARCHED, *COSTS)}
    return replace(
        rows[0],
        metrics=means(lambda row: row.metrics),
        drop=means(lambda row: row.drop),
        non_finite_outputs=sum(row.non_finite_outputs for row in rows),
        output_numbers=None if None in numbers_of_outputs else sum(filter(None, numbers_of_outputs)),
        changed_nothing=all(row.is_unchanged for row in rows),
        flips=None,
        by_output={},
        **numbers,
    )


_SEARCHED = ("breaking_point", "holds_at")
