"""The table at the end of a sweep: a row for each combination of what varies, its seeds as a mean with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mutspec.experiment.metric_kinds import DROP, MULTIPLY_ADDS, grows_when_worse
from mutspec.experiment.reports.aggregate import first_line
from mutspec.experiment.reports.groups import AGREEMENT, SAMPLE_AGREEMENT, ResultGroup, Summary
from mutspec.experiment.reports.interval import Estimate, wilson_interval
from mutspec.experiment.reports.sensitivity import Ranked, Sensitivity, sensitivity
from mutspec.experiment.result import Result
from mutspec.experiment.result_settings import PERCENT, key, labels
from mutspec.text import words
from mutspec.text.layout import MOST_ROWS, Column, Page, Paint, Style, paragraph, sentence, table

CHANGED_NOTHING = "Changed nothing"
"""The title of the column that says of how many seeds, or where, the plan changed nothing."""

BAND_NOTE = "±: 95 % interval of the mean over the seeds (Student's t)"

RATE_NOTE = "95 % interval: of the rate, of this number of samples (Wilson); it says nothing of other seeds"

HELD_NOTE = "Gates held, in brackets: 95 % interval of that rate (Wilson)"

_NOUNS = ("layer", "model", "tensor")
"""Settings of which several are called by their plural."""

_MANY_SAMPLES = 5000
"""From here on a sample is worth less than 0.02 points of a percentage, and these get a second decimal."""


def summary_text(
    summary: Summary, *, width: int = 80, styled: bool = False, most_rows: int | None = MOST_ROWS, hint: str = ""
) -> str:
    """A sweep, or a single run, for people: a head, the table, the jobs that failed.

    Arguments:
        summary: the sweep by what varies in it.
        width: of the page, in columns.
        styled: whether to use the colours of terminals.
        most_rows: how many rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """
    page = Page(width, Paint(styled), most_rows, hint)
    blocks = [_head(summary, page)]
    if summary.groups:
        blocks.append(_groups(summary, page))
    if (found := sensitivity(summary)) and found.ranking:
        blocks.append(_ranking(found, summary, page))
    if summary.refused:
        blocks.append(_refused(summary, page))
    if summary.failed:
        blocks.append(_failed(summary, page))
    return "\n\n".join(blocks)


def title(summary: Summary) -> str:
    """The plan and the model, or how many there are."""
    results = [each for each in summary.results if each.rows] or summary.results
    plans = _distinct(result.plan.name for result in results)
    models = _distinct(result.model.path for result in results)
    return " on ".join(
        name(each[0]) if len(each) == 1 else f"{len(each)} {noun}"
        for each, noun, name in ((plans, "plans", str), (models, "models", _file_name))
        if each
    )


def setting_label(summary: Summary, index: int) -> str:
    """A setting that varies, with its unit: `std, × std of the weight`."""
    name = labels(summary.names)[index]
    unit = summary.units.get(summary.names[index], PERCENT)
    return name if unit == PERCENT else f"{name}, {unit}"  # percent stands at each tick


def worsening(summary: Summary) -> str:
    """The change of the metric when a model gets worse: a loss or an error rises, all else drops."""
    return "Rise" if grows_when_worse(summary.metric or "") else "Drop"


def drop_label(summary: Summary) -> str:
    """Returns the title of the column of drops."""
    return f"{worsening(summary)}, points" if summary.is_share else worsening(summary)


def worse_by(drop: float | None, summary: Summary) -> float | None:
    """The amount by which a mutant is worse than its base: its drop, or its rise if the metric is an error."""
    return drop if drop is None or not grows_when_worse(summary.metric or "") else -drop


def _file_name(path: str) -> str:
    return Path(path).name


def metric_label(metric: str) -> str:
    """Returns the name of a metric for the head of a column or an axis."""
    if metric.startswith(DROP):
        return f"Drop of {metric.removeprefix(DROP).replace('_', ' ')}"
    if metric == MULTIPLY_ADDS:
        return "Multiply–adds"
    first, *rest = metric.split("_")
    if first in _ABBREVIATIONS:
        return " ".join([first.upper(), *rest])
    text = metric.replace("_", " ")
    return text[:1].upper() + text[1:]


_ABBREVIATIONS = ("auc", "mae", "mape", "mse", "msle", "rmse")
"""Names of metrics, or their first words, that are written in capitals."""


def facts(summary: Summary) -> list[str]:
    """Returns the size of a sweep: jobs, values of each setting that varies, seeds, samples, seconds."""
    found = [words.plural(len(summary.results), "job")]
    for index, (name, label) in enumerate(zip(summary.names, labels(summary.names), strict=True)):
        values = len({key(group.values[index]) for group in summary.groups if group.values[index] not in (None, "")})
        if values and name not in ("plan", "model", "data"):  # the head and the samples say how many there are
            found.append(f"{words.plural(values, 'value')} of {label}")
    seeds = sorted({len(group.rows) for group in summary.groups})
    if seeds:
        noun = "seed" if summary.replicates == "seeds" else "value"
        number = words.plural(seeds[0], noun) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} {noun}s"
        found.append(number + (" each" if len(summary.groups) > 1 else ""))
    found += [f"averaged over {name}" for name in summary.averaged]
    evaluated = [result for result in summary.results if result.data.samples]
    if data := _distinct(result.data.name for result in evaluated):
        samples = sorted({result.data.samples for result in evaluated})
        number = (
            words.plural(samples[0], "sample") if len(samples) == 1 else f"{samples[0]:,} to {samples[-1]:,} samples"
        )
        found.append(f"{number} of {_file_name(data[0])}" if len(data) == 1 else f"{len(data)} data sets")
    if seeds:
        found.append(f"{sum(row.seconds for result in summary.results for row in result.rows):.3g} s")
    return found


def _distinct(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name]


def _head(summary: Summary, page: Page) -> str:
    lines = sentence(title(summary) or "No plan", width=page.width).splitlines()
    return "\n".join([*(page.paint(line, "bold") for line in lines), paragraph(facts(summary), width=page.width)])


def _groups(summary: Summary, page: Page) -> str:
    columns, rows = group_table(summary)
    styles: list[Style] = ["bold" if row[0] == "base" else "" for row in rows[: page.most_rows]]
    text = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, styles=styles)
    lines = [text, *page.more(len(rows), 0)]
    notes = (line for note in interval_notes(summary) for line in sentence(note, width=page.width).splitlines())
    return "\n".join([*lines, *(page.paint(line, "dim") for line in notes)])


def interval_notes(summary: Summary) -> list[str]:
    """Notes on the intervals of the table."""
    are_seeds = summary.replicates == "seeds"
    over = "" if are_seeds else f"±: 95 % interval of the mean over {summary.replicates} (Student's t)"
    has_means = any(group.metric.half_width is not None for group in summary.groups)
    has_rates = any(group.metric.binomial is not None for group in summary.groups)
    has_held = any(len(group.gates) > 1 for group in summary.groups)
    notes = {over or BAND_NOTE: has_means, RATE_NOTE: has_rates, HELD_NOTE: has_held}
    return [note for note, is_needed in notes.items() if is_needed]


def group_table(summary: Summary) -> tuple[list[Column], list[list[str]]]:
    """The columns of the table, but those that would be empty, and its rows, of which the first is the base's."""
    columns = [*_setting_columns(summary), *_measure_columns(summary)]
    rows = list(_rows(summary))
    kept = [
        0,
        *(index for index in range(1, len(columns)) if any(row[index].strip(f"{words.NOTHING} ") for row in rows)),
    ]
    return [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _setting_columns(summary: Summary) -> Iterator[Column]:
    if not summary.names:
        yield Column("")
    for label, is_number in zip(labels(summary.names), summary.are_numbers, strict=True):
        yield Column(label, is_number=is_number, folds=not is_number)


def _measure_columns(summary: Summary) -> list[Column]:
    """The columns of numbers, in the order of `_measures`."""
    metric = metric_label(summary.metric or "")
    number = "Seeds" if summary.replicates == "seeds" else "Values"
    agreements = ["Agreement", "Sample agreement"]
    titles = [
        number,
        "Base",
        metric,
        "95 % interval",
        drop_label(summary),
        *agreements,
        "Non-finite outputs",
        CHANGED_NOTHING,
    ]
    titles += ["Gates held", *(metric_label(name) for name in _shown_costs(summary))]
    titles += [] if summary.metric else ["Touched", "Changed"]
    return [Column(each, is_number=True) for each in titles]


def _rows(summary: Summary) -> Iterator[list[str]]:
    numbers = Numbers(summary)
    if summary.base is not None:
        settings = max(1, len(summary.names))
        costs = [_cost(summary.groups[0].base_costs, name) for name in _shown_costs(summary)]
        after = ["", *[""] * (len(_measure_columns(summary)) - 4 - len(costs)), *costs]
        yield ["base", *[""] * (settings - 1), "", "", numbers.mean(Estimate(1, summary.base, None)), *after]
    for group in summary.groups:
        values = [summary.written(*each) for each in zip(summary.names, group.values, strict=True)] or ["mutant"]
        yield [*values, *_measures(group, summary, numbers)]


def _measures(group: ResultGroup, summary: Summary, numbers: Numbers) -> Iterator[str]:
    yield words.count(len(group.rows))
    yield numbers.number(group.base) if summary.base_varies else ""
    yield numbers.mean(group.metric)
    yield numbers.interval(group.metric)
    yield numbers.drop(worse_by(group.drop, summary))
    yield "" if summary.metric == AGREEMENT else numbers.part(group.agreement.mean)
    is_shown = summary.tells_samples and summary.metric != SAMPLE_AGREEMENT
    yield numbers.part(group.sample_agreement.mean) if is_shown else ""
    any_non_finite = any(each.non_finite_outputs for each in summary.groups)
    yield words.part_of(group.non_finite_outputs, group.output_numbers) if any_non_finite else ""
    yield words.part_of(group.unchanged, len(group.rows)) if group.unchanged else ""
    yield _held(group.gates)
    yield from (_cost(group.costs, name) for name in _shown_costs(summary))
    if summary.metric is None:
        yield _extent(row.touched for row in group.rows)
        yield _extent(row.changed for row in group.rows if row.changed is not None)


def _shown_costs(summary: Summary) -> list[str]:
    """Returns the costs that have columns: those that vary, but for what the table is about."""
    return [name for name in summary.varying_costs if name != summary.metric]


def _cost(costs: Mapping[str, float], name: str) -> str:
    return words.si(round(costs[name])) if name in costs else ""


def _held(gates: Sequence[bool]) -> str:
    """The number of jobs that hold to what is required, and of several the interval of that rate."""
    if not gates:
        return ""
    said = f"{sum(gates)} of {len(gates)}"
    if len(gates) == 1:
        return said
    return f"{said} ({'–'.join(f'{end:.0%}' for end in wilson_interval(sum(gates), len(gates)))})"


def _extent(counts: Iterable[int]) -> str:
    """Counts of several seeds: one if they are equal, else the least and the greatest."""
    found = sorted(set(counts))
    return "–".join(words.count(each) for each in dict.fromkeys([found[0], found[-1]])) if found else ""


def _ranking(found: Sensitivity, summary: Summary, page: Page) -> str:
    columns, rows = ranking_table(found, summary)
    text = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint)
    notes = sentence(ranking_note(found), width=page.width).splitlines()
    what = words.plural(len(rows), found.name) if found.name in _NOUNS else f"{len(rows)} values of {found.name}"
    heading = page.paint(f"{what}, the most sensitive first", "bold")
    return "\n".join([heading, text, *page.more(len(rows), 0), *(page.paint(note, "dim") for note in notes)])


def ranking_table(found: Sensitivity, summary: Summary) -> tuple[list[Column], list[list[str]]]:
    """The columns and rows of a ranking; what seeds leave open of it is left out where there is one seed."""
    numbers = Numbers(summary, [each.harm for each in found.ranking])
    has_ranks = any(each.ranks for each in found.ranking)
    has_still = any(each.unchanged for each in found.ranking)
    columns = [
        Column("Rank", is_number=True),
        Column(found.name, folds=True),
        Column(f"{found.word}, points" if summary.is_share else found.word, is_number=True),
        *([Column("May be", is_number=True)] if has_ranks else []),
        *([Column(CHANGED_NOTHING)] if has_still else []),
    ]
    rows = []
    for number, each in enumerate(found.ranking, start=1):
        ranks = "–".join(map(str, dict.fromkeys(each.ranks))) if each.ranks else words.NOTHING
        rank = str(number) if each.is_ranked else words.NOTHING
        still = [_still(each, found)] if has_still else []
        rows.append([rank, each.value, numbers.harm(each.harm), *([ranks] if has_ranks else []), *still])
    return columns, rows


def _still(one: Ranked, found: Sensitivity) -> str:
    """The mark of a place that was not changed."""
    if not one.unchanged:
        return ""
    is_some = one.is_ranked and found.compared > 1
    return f"at {one.unchanged} of {words.plural(found.compared, 'value')} of {found.over}" if is_some else "anywhere"


def harm_label(found: Sensitivity, summary: Summary) -> str:
    """Returns the name of the measure of a place: `Drop of accuracy in points`."""
    return f"{found.word} of {(summary.metric or '').replace('_', ' ')}{' in points' if summary.is_share else ''}"


def ranking_note(found: Sensitivity) -> str:
    """Returns an explanation of the columns of a ranking."""
    over = f"the mean over {words.plural(found.compared, 'value')} of {found.over}" if found.compared > 1 else ""
    parts = [f"{found.word}: {over}" if over else ""]
    if found.compared < len(found.scales):
        parts.append(f"{len(found.scales) - found.compared} more were not measured for each {found.name}")
    if any(each.ranks for each in found.ranking):
        parts.append("May be: the ranks that comparing each pair at 95 % leaves open")
    if any(not each.is_ranked for each in found.ranking):
        parts.append("where the plan changed nothing, there is no rank")
    return "; ".join(filter(None, parts))


class Numbers:
    """Returns the format of a sweep's metric, so that its digits align."""

    def __init__(self, summary: Summary, harms: Sequence[Estimate] = ()) -> None:
        self.is_share = summary.is_share
        self.decimals = decimals(summary.results)
        means = [summary.base, *(group.metric.mean for group in summary.groups)]
        self.places = places([abs(value) for value in means if value and math.isfinite(value)])
        halves = [self._half(group.metric) for group in summary.groups]
        self.room = max(map(len, halves), default=0)
        self.harm_room = max((len(self.drop(each.half_width)) for each in harms), default=0)

    def part(self, value: float | None) -> str:
        """A part of choices or samples; nothing if it is not known."""
        return "" if value is None else f"{value:.{self.decimals}%}"

    def number(self, value: float | None) -> str:
        """A value of the metric."""
        if value is None:
            return words.NOTHING
        return f"{value:.{self.decimals}%}" if self.is_share else self._plain(value)

    def mean(self, estimate: Estimate) -> str:
        """A mean, ± half of its interval."""
        half = self._half(estimate)
        spread = f" ± {half.rjust(self.room)}" if half else " " * (self.room + 3 if self.room else 0)
        return self.number(estimate.mean) + spread

    def interval(self, estimate: Estimate) -> str:
        """The interval of a rate; nothing if there is none."""
        if estimate.binomial is None:
            return ""
        return "–".join(map(self.number, estimate.binomial))

    def drop(self, value: float | None) -> str:
        """A drop, of shares in points of a percentage."""
        if value is None:
            return words.NOTHING
        return f"{round(100 * value, self.decimals) + 0.0:.{self.decimals}f}" if self.is_share else self._plain(value)

    def harm(self, estimate: Estimate) -> str:
        """A mean of drops, ± half of its interval."""
        half = "" if estimate.half_width is None else f" ± {self.drop(estimate.half_width).rjust(self.harm_room)}"
        return self.drop(estimate.mean) + half

    def _half(self, estimate: Estimate) -> str:
        return "" if estimate.half_width is None else self.number(estimate.half_width)

    def _plain(self, value: float) -> str:
        return f"{value:.4g}" if self.places is None else f"{round(value, self.places) + 0.0:.{self.places}f}"


def decimals(results: Iterable[Result]) -> int:
    """With how many decimals percentages of the samples are written."""
    return 2 if max((each.data.samples for each in results), default=0) >= _MANY_SAMPLES else 1


def places(sizes: Sequence[float]) -> int | None:
    """Decimals with which the smallest of some sizes has three digits; None if sizes are too far apart for that."""
    if not sizes or max(sizes) >= 1e5 * min(sizes) or max(sizes) >= 1e7:
        return None
    return min(max(2 - math.floor(math.log10(min(sizes))), 0), 6)


def _refused(summary: Summary, page: Page) -> str:
    """The jobs whose mutants fail gates, and by how much."""
    results = summary.refused
    heading = f"{words.plural(len(results), 'job')} failed a gate"
    said = ["; ".join(map(str, result.failed_gates)) for result in results]
    return _jobs(summary, results, heading, "Gate", said, page)


def _failed(summary: Summary, page: Page) -> str:
    results = summary.failed
    heading = f"{words.plural(len(results), 'job')} failed"
    return _jobs(summary, results, heading, "Error", [first_line(result.error) or "" for result in results], page)


def overrides(result: Result) -> str:
    """Returns the settings of a job from the call or the sweep, without those of running and of gates."""
    return " ".join(
        each for each in result.job.overrides if not each.startswith(("hydra", "require=", "strict_gates="))
    )


def job_name(result: Result, summary: Summary) -> str:
    """Returns the name of a job in tables: its number, or its folder if jobs of several calls share numbers."""
    if not summary.has_job_numbers:
        return result.job.directory
    return words.NOTHING if result.job.number is None else str(result.job.number)


def _jobs(
    summary: Summary, results: Sequence[Result], heading: str, title: str, said: Sequence[str], page: Page
) -> str:
    """A table of jobs, and what is said about each."""
    has_numbers = summary.has_job_numbers
    columns = [
        Column("Job", is_number=has_numbers, folds=not has_numbers),
        Column("Overrides", folds=True),
        Column(title, folds=True),
    ]
    rows = [
        [job_name(result, summary), overrides(result), text]
        for result, text in list(zip(results, said, strict=True))[: page.most_rows]
    ]
    shown_table = table(columns, rows, width=page.width, paint=page.paint)
    return "\n".join([page.paint(heading, "red"), shown_table, *page.more(len(results), 0)])
