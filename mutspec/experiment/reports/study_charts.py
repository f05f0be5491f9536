"""The charts of a sweep that optimised: the best so far, the Pareto front, and parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from mutspec.experiment.metric_kinds import is_share
from mutspec.experiment.reports.axes import log_ticks, percent, plain, shortened, ticks, with_ticks
from mutspec.experiment.reports.colours import PALETTE, Colour, ramp
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.marks import Axis, Chart, Dots, Entry, Mark, Panel, Point, Polyline, Tick, Words
from mutspec.experiment.reports.study import MAXIMIZE, Study, StudyTrial
from mutspec.experiment.reports.table import metric_label, title
from mutspec.experiment.result_settings import as_number, shown
from mutspec.text.words import plural

MOST_PAIRS = 6
"""The pairs of objectives that are drawn."""
MOST_DIMENSIONS = 9
"""The upright axes that parallel coordinates have at most."""
STEPS = 5
"""The colours between the best trials and the worst."""


def study_charts(found: Study, summary: Summary) -> dict[str, Chart]:
    """The charts of a study by the names of their files; the front is there if there are several objectives."""
    made = {"best": _best(found), "front": _fronts(found), "parallel": _parallel(found)}
    return {name: replace(chart, title=f"{title(summary)}: {_TITLES[name]}") for name, chart in made.items() if chart}


_TITLES = {"best": "best so far", "front": "Pareto front", "parallel": "all trials"}
"""The ends of the pictures' titles."""
PAGE_HEADINGS = {"best": "Best so far", "front": "Pareto front", "parallel": "All trials"}
"""The headings above them on the page."""


def objective_label(found: Study, index: int) -> str:
    """An objective and its direction: `Loss, minimised`."""
    name, direction = list(found.directions.items())[index]
    return f"{shortened(metric_label(name), 40)}, {'maximised' if direction == MAXIMIZE else 'minimised'}"


def _tell(found: Study, trial: StudyTrial) -> str:
    """The words of a trial's dot under a pointer."""
    job = "" if trial.result.job.number is None else f" (job {trial.result.job.number})"
    given = [f"{name} = {shown(value)}" for name, value in trial.given.items()]
    values = [f"{name} {value:.6g}" for name, value in zip(found.directions, trial.values, strict=True)]
    return "\n".join([f"trial {trial.number}{job}", *given, *values])


def _axis(label: str, name: str, values: Sequence[float], characters: int | None) -> Axis:
    """The axis of an objective."""
    low, high = min(values), max(values)
    is_part = is_share(name, values)
    if low > 0 and high / low >= 300:
        start, end = math.log10(low), math.log10(high)
        axis = Axis(f"{label} (log scale)", start - 0.05 * (end - start), end + 0.05 * (end - start), (), "log")
        return with_ticks(axis, lambda most: log_ticks(low, high, most), plain, characters)
    span = max(high - low, 0.02 * abs(high)) or 1.0
    start, end = (low + high - 1.12 * span) / 2, (low + high + 1.12 * span) / 2
    written = percent if is_part else plain
    return with_ticks(Axis(label, start, end), lambda most: ticks(start, end, most), written, characters)


def _best(found: Study) -> Chart:
    """A panel for each objective: its value in each trial, and the best one until then as a staircase."""
    last = max(found.trials[-1].number, 1)
    x = with_ticks(
        Axis("Trial", -0.04 * last, 1.04 * last),
        lambda most: [value for value in ticks(0, last, most) if value == int(value)],
        plain,
        58,
    )
    panels = []
    numbers = [trial.number for trial in found.trials]
    for index, name in enumerate(found.directions):
        values = [trial.values[index] for trial in found.trials]
        dots = tuple(
            Dots(((trial.number, trial.values[index]),), PALETTE[0], _tell(found, trial)) for trial in found.trials
        )
        staircase = Polyline(_stairs(numbers, found.best_so_far(index)), PALETTE[1])
        y = _axis(objective_label(found, index), name, values, None)
        panels.append(Panel("", (*dots, staircase), y=y))
    legend = (Entry("trials", PALETTE[0], "dot"), Entry("best so far", PALETTE[1]))
    return Chart(
        "", _notes(found), x, panels[0].y or x, tuple(panels), 1, 2.0 if len(panels) > 1 else 2.9, legend=legend
    )


def _stairs(numbers: Sequence[int], best: Sequence[float]) -> tuple[Point, ...]:
    points: list[Point] = [(float(numbers[0]), best[0])]
    for number, value in zip(numbers[1:], best[1:], strict=True):
        points += [(float(number), points[-1][1]), (float(number), value)]
    return tuple(points)


def _fronts(found: Study) -> Chart | None:
    """The trials by each pair of objectives, with the front; None if there is one objective."""
    pairs = list(combinations(range(len(found.directions)), 2))
    if not pairs:
        return None
    names = list(found.directions)
    drawn = pairs[:MOST_PAIRS]
    columns = 1 if len(drawn) == 1 else 2
    on_front = {trial.number for trial in found.front}
    panels = []
    for one, other in drawn:

        def dots(
            trial: StudyTrial, colour: Colour, at: tuple[int, int] = (one, other), *, is_strong: bool = False
        ) -> Dots:
            point = (trial.values[at[0]], trial.values[at[1]])
            return Dots((point,), colour, _tell(found, trial), is_strong)

        marks: list[Mark] = [dots(trial, PALETTE[6]) for trial in found.trials if trial.number not in on_front]
        if len(names) == 2:  # of more objectives the front is not a line
            marks.append(Polyline(_front_line(found), PALETTE[1], "interval"))
        marks += [dots(trial, PALETTE[1], is_strong=True) for trial in found.front]
        x, y = (
            _axis(objective_label(found, index), names[index], [trial.values[index] for trial in found.trials], room)
            for index, room in ((one, 58 if columns == 1 else 26), (other, None))
        )
        panels.append(Panel("", tuple(marks), x, y))
    beaten = (Entry("other trials", PALETTE[6], "dot"),) if len(on_front) < len(found.trials) else ()
    legend = (Entry("Pareto front", PALETTE[1], "dot"), *beaten)
    cut = (f"{len(drawn)} of {len(pairs)} pairs of objectives",) if len(drawn) < len(pairs) else ()
    first = panels[0]
    assert first.x is not None
    assert first.y is not None
    notes = (*_notes(found), *cut)
    return Chart("", notes, first.x, first.y, tuple(panels), columns, 3.0 if columns == 1 else 1.9, legend=legend)


def _front_line(found: Study) -> tuple[Point, ...]:
    """The border of what was reached: between two trials of the front, each step is as bad as the worse of both."""
    points = sorted((trial.values[0], trial.values[1]) for trial in found.front)
    stairs: list[Point] = []
    for point in points:
        if stairs:
            left = stairs[-1]
            # To the right of a trial the first objective is worse if it is minimised, so the second stays as it is.
            stairs.append((left[0], point[1]) if _is_maximised(found) else (point[0], left[1]))
        stairs.append(point)
    return tuple(stairs)


def _parallel(found: Study) -> Chart | None:
    """An upright axis for each setting and objective, and a line across them for each trial."""
    settings = [(name, [trial.given[name] for trial in found.trials]) for name in found.names]
    settings = [(name, values) for name, values in settings if not any(value in (None, "") for value in values)]
    objectives = [
        (name, [trial.values[index] for trial in found.trials]) for index, name in enumerate(found.directions)
    ]
    kept = [*settings[: max(MOST_DIMENSIONS - len(objectives), 1)], *objectives]
    if len(kept) < 2:
        return None
    scales = [_Scale(values) for _, values in kept]
    indices = range(len(found.trials))
    order = sorted(indices, key=lambda index: found.trials[index].values[0], reverse=_is_maximised(found))
    colours = ramp(STEPS)
    marks: list[Mark] = [Polyline(((at, 0.0), (at, 1.0)), None, "context") for at in range(len(kept))]
    for place, index in reversed(list(enumerate(order))):  # the best ones on top
        parts = [scale.part(values[index]) for scale, (_, values) in zip(scales, kept, strict=True)]
        points = tuple((float(at), part) for at, part in enumerate(parts))
        colour = colours[STEPS * place // len(order)]
        marks.append(Polyline(points, colour, "interval", 0.85 if place < len(order) / STEPS else 0.45))
    for at, scale in enumerate(scales):
        marks += [Words((at, -0.07), scale.low), Words((at, 1.07), scale.high)]
    room = int(72 / len(kept) - 1)
    names = tuple(Tick(float(at), shortened(name, max(room, 6))) for at, (name, _) in enumerate(kept))
    left_out = len(settings) + len(objectives) - len(kept)
    cut = (f"{plural(left_out, 'setting')} not shown",) if left_out else ()
    first = objective_label(found, 0)
    legend = (Entry(f"best fifth: {first}", colours[0]), Entry("worst fifth", colours[-1]))
    x = Axis("", -0.5, len(kept) - 0.5, names)
    y = Axis("", -0.14, 1.14)
    return Chart("", (*_notes(found), *cut), x, y, (Panel("", tuple(marks)),), 1, 2.9, "", legend)


def _is_maximised(found: Study) -> bool:
    return next(iter(found.directions.values())) == MAXIMIZE


class _Scale:
    """Places from 0 to 1 for the values of a setting or an objective: numbers by size, names in their order."""

    def __init__(self, values: Sequence[Any]) -> None:
        numbers = [as_number(value) for value in values]
        known = [number for number in numbers if number is not None]
        self.names = [] if len(known) == len(numbers) else sorted({shown(value) for value in values})
        least, most = (min(known), max(known)) if known else (0.0, 1.0)
        self.is_log = not self.names and least > 0 and most / least >= 30
        self.ends = (math.log10(least), math.log10(most)) if self.is_log else (least, most)
        self.low, self.high = (
            (shortened(self.names[0], 12), shortened(self.names[-1], 12))
            if self.names
            else (f"{least:.3g}", f"{most:.3g}")
        )

    def part(self, value: Any) -> float:
        """The place of a value."""
        if self.names:
            return self.names.index(shown(value)) / max(len(self.names) - 1, 1)
        number = as_number(value) or 0.0
        unit = math.log10(number) if self.is_log else number
        return (unit - self.ends[0]) / (self.ends[1] - self.ends[0]) if self.ends[1] > self.ends[0] else 0.5


def _notes(found: Study) -> tuple[str, ...]:
    left_out = (f"{plural(found.left_out, 'job')} without a value left out",) if found.left_out else ()
    return (plural(len(found.trials), "trial"), *left_out)
