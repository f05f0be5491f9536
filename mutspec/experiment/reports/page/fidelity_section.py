"""The fidelity of mutants to their base: agreement, divergence, deviation, and flips by class as a table of shades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from mutspec.experiment.reports.aggregate import natural
from mutspec.experiment.reports.groups import AGREEMENT, SAMPLE_AGREEMENT, ResultGroup, Summary
from mutspec.experiment.reports.interval import estimate
from mutspec.experiment.reports.page.markup import Markup, element, join, shaded, table
from mutspec.experiment.reports.table import decimals, metric_label
from mutspec.experiment.result import AGREEMENTS, FIDELITY
from mutspec.experiment.result_settings import labels
from mutspec.text import words

_MOST_CLASSES = 20
_MOST_OUTPUTS = 6


def fidelity(summary: Summary) -> Markup:
    """Means over the seeds of what was measured against the base's outputs."""
    measures = [
        name
        for name in FIDELITY
        if any(_mean(group, name) is not None for group in summary.groups)
        and (name != SAMPLE_AGREEMENT or summary.tells_samples)
    ]
    classes, note = _classes(summary)
    if not (classes or summary.outputs) and measures in ([], [AGREEMENT]):  # the table of groups says it
        return Markup()
    flips = [_flips(group) for group in summary.groups]
    most = max((number for each in flips for name, number in each.items() if name in classes), default=0)
    columns: list[tuple[str, bool, Callable[[int, ResultGroup], object]]] = [
        *_settings(summary),
        *((metric_label(name), True, _measure(name, summary)) for name in measures),
        *(
            (f"{metric_label(name)}, {output}", True, _measure(name, summary, output))
            for output in summary.outputs[:_MOST_OUTPUTS]
            for name in measures
            if name != SAMPLE_AGREEMENT
        ),
        *((_class(name, summary), True, _flip(name, flips, most)) for name in classes),
    ]
    rows = [[cell(index, group) for _, _, cell in columns] for index, group in enumerate(summary.groups)]
    made = table(
        [said for said, _, _ in columns],
        rows,
        numbers=[is_number for _, is_number, _ in columns],
        caption="Mutants held against their base's outputs, means over the seeds",
        class_="shaded" if classes else None,
    )
    return join([made, element("p", note, class_="note")])


def _settings(summary: Summary) -> list[tuple[str, bool, Callable[[int, ResultGroup], object]]]:
    def value_of(index: int) -> Callable[[int, ResultGroup], object]:
        return lambda _, group: summary.written(summary.names[index], group.values[index])

    if not summary.names:
        return [("", False, lambda _, group: "mutant")]
    return [
        (label, is_number, value_of(index))
        for index, (label, is_number) in enumerate(zip(labels(summary.names), summary.are_numbers, strict=True))
    ]


def _mean(group: ResultGroup, name: str, output: str | None = None) -> float | None:
    measured = [row if output is None else row.by_output.get(output) for row in group.rows]
    values = [getattr(each, name, None) for each in measured]
    return estimate([value for value in values if value is not None]).mean


def _class(name: str, summary: Summary) -> str:
    """A class, and how many choices of the base are of it, if it is the same base everywhere."""
    counts = {result.classes.get(name) for result in summary.results if result.classes}
    count = counts.pop() if len(counts) == 1 else None
    return name if count is None else f"{name} (of {words.count(count)})"


def _measure(name: str, summary: Summary, output: str | None = None) -> Callable[[int, ResultGroup], object]:
    percent = f".{decimals(summary.results)}%"

    def cell(_: int, group: ResultGroup) -> str:
        mean = _mean(group, name, output)
        return "" if mean is None else f"{mean:{percent if name in AGREEMENTS else '.3g'}}"

    return cell


def _flips(group: ResultGroup) -> dict[str, float]:
    """Returns the number of choices that changed, by the class that the base had chosen; the mean over the seeds."""
    counted = [row.flips for row in group.rows if row.flips is not None]
    total: Counter[str] = Counter()
    for flips in counted:
        total.update(flips)
    return {name: number / len(counted) for name, number in total.items()}


def _flip(name: str, flips: Sequence[dict[str, float]], most: float) -> Callable[[int, ResultGroup], object]:
    """A number on a ground that is darker the greater it is."""

    def cell(index: int, group: ResultGroup) -> object:
        if all(row.flips is None for row in group.rows):
            return ""
        number = flips[index].get(name, 0.0)
        return shaded(f"{number:.3g}", number, most)

    return cell


def _classes(summary: Summary) -> tuple[list[str], str]:
    """The classes that have columns: those with most flips if there are many; and what the columns are."""
    total: Counter[str] = Counter()
    for group in summary.groups:
        total.update(_flips(group))
    kept = [name for name, number in total.most_common(_MOST_CLASSES) if number]
    said = "Means over the seeds."
    if len(summary.outputs) > 1:
        said += " What names no output is the mean over the outputs; a sample agrees if all of its choices do."
    if kept:
        said += " Columns named after classes: how many of the base's choices of that class, of which there are as many"
        said += " as it says, the mutant changed"
        said += f"; {len(kept)} classes of {len(total)}, those with most." if len(kept) < len(total) else "."
    return sorted(kept, key=natural), said
