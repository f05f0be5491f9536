"""Sweeps that optimised: the best trials, or those on the Pareto front."""

from __future__ import annotations

from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.page.markup import Markup, element, join, table
from mutspec.experiment.reports.study import MAXIMIZE, study
from mutspec.experiment.reports.table import job_name
from mutspec.experiment.result_settings import as_number, shown

_MOST_BEST = 10


def optimisation(summary: Summary) -> Markup:
    """The best trials as a table; nothing if the sweeper did not optimise."""
    found = study(summary)
    if found is None:
        return Markup()
    has_several = len(found.directions) > 1
    is_maximised = next(iter(found.directions.values())) == MAXIMIZE
    ranked = sorted(found.trials, key=lambda trial: trial.values[0], reverse=is_maximised)
    best = found.front if has_several else ranked[:_MOST_BEST]
    caption = "Trials that no other one beats in all objectives" if has_several else "The best trials"
    titles = ["Trial", "Job", *found.names, *found.directions]
    rows = [
        [
            trial.number,
            job_name(trial.result, summary),
            *(shown(trial.given[name]) for name in found.names),
            *(f"{value:.6g}" for value in trial.values),
        ]
        for trial in best
    ]
    numbers = [all(as_number(trial.given[name]) is not None for trial in best) for name in found.names]
    made = table(titles, rows, numbers=[True, True, *numbers, *[True] * len(found.directions)], caption=caption)
    return join([element("h3", f"{caption} ({len(best):,} of {len(found.trials):,})"), made])
