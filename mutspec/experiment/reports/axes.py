"""What every picture of a sweep shares: how far its axes reach, where their ticks are, and what is said beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mutspec.experiment.reports.groups import Group, Summary
from mutspec.experiment.reports.table import metric_label
from mutspec.experiment.result import BREAKING_POINT
from mutspec.language.visible import in_one_line

MOST_LINES = 8
MOST_CATEGORIES = 40
TICK_ROOM = 0.07
"""The part of an axis that a tick's number needs."""

SCALE_NOTES = {"linear": "", "log": " (log scale)", "symlog": " (log scale and 0)"}
"""What follows the name of what is on the x-axis."""


@dataclass(frozen=True)
class Extent:
    """From where to where the metric's axis goes, and whether it is logarithmic."""

    low: float
    high: float
    is_log: bool


def value_extent(summary: Summary, groups: Sequence[Group], *, is_upright: bool) -> Extent:
    """The extent of the metric's axis: all dots and the base, and of a band as much as leaves them room.

    It is logarithmic where the values ask for it: a loss can grow without bound.
    """
    bases = [group.base for group in groups if group.base is not None]
    values = [value for group in groups for value in group.measured] + bases
    values = [value for value in values if math.isfinite(value)]
    low, high = min(values), max(values)
    if not summary.is_share and low > 0 and high / low >= 300:
        return Extent(low / (high / low) ** 0.06, high * (high / low) ** 0.08, is_log=True)
    span = max(high - low, 0.04 if summary.is_share else 0.02 * abs(high) or 1.0)
    high = (low + high + span) / 2  # equal values are not looked at through a magnifying glass
    high = min(high, 1.0) if summary.is_share else high
    low = high - span
    ends = [
        (group.metric.mean - group.metric.half_width, group.metric.mean + group.metric.half_width)
        for group in groups
        if group.metric.mean is not None and group.metric.half_width is not None
    ]
    lowest = max(min([low, *(end[0] for end in ends)]), low - 0.3 * span) - 0.06 * span
    highest = min(max([high, *(end[1] for end in ends)]), high + 0.3 * span) + 0.09 * span
    if summary.is_share:
        lowest, highest = 0.0 if low < 0.2 else max(lowest, 0.0), min(highest, 1.06 if is_upright else 1.03)
    return Extent(lowest, highest, is_log=False)


def band_opacity(lines: int) -> float:
    """How opaque each band is: where many lie over one another, lines and dots have to be seen through them."""
    return 0.16 * min(1.0, 3 / lines)


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within an extent, at most so many: multiples of 1, 2, 2.5 or 5 times a power of ten."""
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


def marks(groups: Sequence[Group], mean: str) -> list[str]:
    """What the marks of a picture mean."""
    notes = ["dots: seeds" if any(len(group.measured) > 1 for group in groups) else "dots: mutants"]
    if any(len(group.measured) > 1 for group in groups) and mean:
        notes.append(f"{mean}: mean")
    if any(group.metric.half_width is not None for group in groups) and mean:
        notes.append("band: 95 % interval of the mean")
    return notes


def value_label(summary: Summary, *, is_log: bool) -> str:
    """What to write at the metric's axis."""
    label = shortened(metric_label(summary.metric or ""), 40)
    keys = {result.breaking.key for result in summary.results if result.breaking}
    if summary.metric == BREAKING_POINT and len(keys) == 1:
        label = f"{label}, {shortened(keys.pop(), 40)}"
    samples = {result.samples for result in summary.results if result.samples}
    if summary.is_share:
        return f"{label} (percent of {samples.pop():,} samples)" if len(samples) == 1 else f"{label} (percent)"
    return f"{label} (log scale)" if is_log else label
