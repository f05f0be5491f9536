"""The axes of charts: how far they reach, where their ticks are, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from mutspec.experiment.metric_kinds import DROP
from mutspec.experiment.reports.groups import ResultGroup, Summary
from mutspec.experiment.reports.interval import Estimate
from mutspec.experiment.reports.marks import Axis, Spacing, Tick
from mutspec.experiment.reports.table import metric_label
from mutspec.experiment.result import BREAKING_POINT
from mutspec.experiment.result_settings import PERCENT
from mutspec.text.visible import in_one_line

SPACING_NOTES: dict[Spacing, str] = {"linear": "", "log": " (log scale)", "symlog": " (log scale and 0)"}
"""Notes after the label of an axis."""
TICK_CHARACTERS = {1: 58, 2: 30, 3: 20, 4: 15}
"""The characters of ticks that fit side by side below a panel, by the number of columns."""
_WHOLE_STEPS = (1, 2, 4, 5, 8, 10, 16, 20, 25, 32, 50, 64, 100)


@dataclass(frozen=True)
class AxisExtent:
    """From where to where the metric's axis goes, and whether it is logarithmic."""

    low: float
    high: float
    is_log: bool


BEYOND = "{} that end at the frame go on beyond it"
"""A note on intervals of which not all is seen."""


def reaches_beyond(estimate: Estimate, start: float, end: float) -> bool:
    """Tells whether an interval is cut off at the ends of an axis."""
    low, high = estimate.low, estimate.high
    return low is not None and high is not None and (low < start or high > end)


def value_extent(summary: Summary, groups: Sequence[ResultGroup]) -> AxisExtent:
    """The extent of the metric's axis: all dots and the base, and of an interval as much as leaves them room.

    It is logarithmic where the values ask for it: a loss can grow without bound.
    """
    bases = [group.base for group in groups if group.base is not None]
    values = [value for group in groups for value in group.measured] + bases
    values = [value for value in values if math.isfinite(value)]
    low, high = min(values), max(values)
    if not summary.is_share and low > 0 and high / low >= 300:
        return AxisExtent(low / (high / low) ** 0.05, high * (high / low) ** 0.05, is_log=True)
    span = max(high - low, 0.04 if summary.is_share else 0.02 * abs(high) or 1.0)
    high = (low + high + span) / 2  # equal values are not looked at through a magnifying glass
    high = min(high, 1.0) if summary.is_share else high
    low = high - span
    ends = [
        (group.metric.low, group.metric.high)
        for group in groups
        if group.metric.low is not None and group.metric.high is not None
    ]
    rates = [end for group in groups for end in group.metric.binomial or ()]  # which are never very wide
    lowest = min(max(min([low, *(end[0] for end in ends)]), low - 0.3 * span), *rates, low) - 0.05 * span
    highest = max(min(max([high, *(end[1] for end in ends)]), high + 0.3 * span), *rates, high) + 0.05 * span
    if summary.is_share and not (summary.metric or "").startswith(DROP):
        lowest, highest = -0.01 if low < 0.2 else max(lowest, -0.01), min(highest, 1.02)
    return AxisExtent(lowest, highest, is_log=False)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Returns at most `most` round numbers within an extent: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    size = 10.0 ** math.floor(math.log10((high - low) / most))
    steps = [size * factor for factor in (1, 2, 2.5, 5, 10)]
    step = next((each for each in steps if math.floor(high / each) - math.ceil(low / each) < most), 2 * steps[-1])
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Powers of ten within an extent; where there are less than three, 2 and 5 times them too."""
    powers = [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    decades = [each for each in powers if low <= each <= high]
    if len(decades) < 3:
        return [factor * each for each in powers for factor in (1, 2, 5) if low <= factor * each <= high]
    return decades[:: math.ceil(len(decades) / most)]


def shortened(text: str, length: int) -> str:
    """A text in one line, cut to a length."""
    text = in_one_line(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def value_axis(summary: Summary, groups: Sequence[ResultGroup], characters: int | None = None) -> Axis:
    """The metric's axis.

    Arguments:
        summary: whose metric it is.
        groups: those that are drawn.
        characters: how many fit side by side below the axis; None if it is upright.
    """
    extent = value_extent(summary, groups)
    label = value_label(summary, is_log=extent.is_log)
    if extent.is_log:
        axis = Axis(label, math.log10(extent.low), math.log10(extent.high), spacing="log")
        return with_ticks(axis, lambda most: log_ticks(extent.low, extent.high, most), plain, characters)

    def round_numbers(most: int) -> list[float]:
        found = ticks(extent.low, extent.high, most)
        least = -1 if (summary.metric or "").startswith(DROP) else 0
        return [value for value in found if least <= value <= 1 + 1e-9] if summary.is_share else found

    written = percent if summary.is_share else plain
    return with_ticks(Axis(label, extent.low, extent.high), round_numbers, written, characters)


def with_ticks(
    axis: Axis, chosen: Callable[[int], Sequence[float]], written: Callable[[float], str], characters: int | None
) -> Axis:
    """An axis with its ticks: as many as have room.

    Arguments:
        axis: without ticks.
        chosen: from how many there may be to values.
        written: how a value is written.
        characters: how many fit side by side below the axis; None if it is upright.
    """
    for most in (7,) if characters is None else (9, 8, 7, 6, 5, 4, 3, 2):
        made = replace(axis, ticks=tuple(Tick(value, written(value)) for value in chosen(most)))
        if characters is None or have_room(made, characters):
            return made
    return made


def have_room(axis: Axis, characters: int) -> bool:
    """Tells whether ticks stand apart where this number of characters fits below the axis."""
    return all(
        characters * abs(axis.part(right.at) - axis.part(left.at)) >= (len(left.text) + len(right.text)) / 2 + 1.4
        for left, right in pairwise(axis.ticks)
    )


def whole_ticks(values: Sequence[float], most: int) -> list[float]:
    """Some of a list of whole numbers at equal distances, at most this number of them."""
    step = next((each for each in _WHOLE_STEPS if len(values) / each <= most), len(values))
    return list(values[::step])


def plain(value: float) -> str:
    """A number at an axis."""
    return f"{value:.6g}"


def percent(value: float) -> str:
    """A part at an axis, in percent."""
    return f"{round(100 * value, 8):g}%"


def end_of(text: str, length: int) -> str:
    """A text in one line, cut to a length: of a path the end is kept, as its layers differ there."""
    if "/" not in text:
        return shortened(text, length)
    text = shortened(text, 10 * length)
    return text if len(text) <= length else f"…{text[1 - length :]}"


def value_label(summary: Summary, *, is_log: bool) -> str:
    """Returns the label of the metric's axis."""
    label = shortened(metric_label(summary.metric or ""), 40)
    keys = {result.breaking.key for result in summary.results if result.breaking}
    if summary.metric == BREAKING_POINT and len(keys) == 1:
        name = keys.pop()
        unit = summary.units.get(name, summary.units.get(f"plan.{name}", PERCENT))
        label = f"{label}, {shortened(name, 40)}" + ("" if unit == PERCENT else f" ({unit})")
    samples = {result.data.samples for result in summary.results if result.data.samples}
    if summary.is_share:
        return f"{label} (percent of {samples.pop():,} samples)" if len(samples) == 1 else f"{label} (percent)"
    return f"{label} (log scale)" if is_log else label
