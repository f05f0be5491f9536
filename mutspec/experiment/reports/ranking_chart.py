"""The chart of a ranking: how much worse a model gets by place, the most sensitive first, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from mutspec.experiment.reports.axes import BEYOND, TICK_CHARACTERS, end_of, plain, reaches_beyond, ticks, with_ticks
from mutspec.experiment.reports.colours import PALETTE
from mutspec.experiment.reports.groups import Summary
from mutspec.experiment.reports.interval import Estimate
from mutspec.experiment.reports.marks import Area, Axis, Chart, Mark, Panel, Polyline, Tick
from mutspec.experiment.reports.sensitivity import Ranked, Sensitivity
from mutspec.experiment.reports.table import harm_label, title

MOST_PLACES = 40
ROW_INCHES = 0.24
LONGEST_WHISKER = 1.6
"""The longest whisker, in units of the longest bar: the interval of two seeds may be ten times as wide."""


def longest(harms: Iterable[Estimate]) -> float:
    """The value at the end of the axis of bars: that of the longest bar or whisker."""
    known = [harm for harm in harms if harm.mean is not None and math.isfinite(harm.mean)]
    most = max((harm.mean or 0.0 for harm in known), default=0.0)
    reach = max((harm.high for harm in known if harm.high is not None), default=most)
    return max(most, min(reach, LONGEST_WHISKER * most))


def ranking_chart(found: Sensitivity, summary: Summary) -> Chart | None:
    """A bar for each place, with a whisker for its interval; None if no mean is finite."""
    drawn = [each for each in found.ranking[:MOST_PLACES] if each.harm.mean is not None]
    finite = [each for each in drawn if math.isfinite(each.harm.mean or 0.0)]
    most = longest(each.harm for each in drawn)
    if not finite:
        return None
    size = (
        most if most > 0 else max(abs(each.harm.mean or 0.0) for each in finite) or (0.01 if summary.is_share else 1.0)
    )
    most = max(most, 0.05 * size)  # of a sweep that made no place worse, bars go to the left
    factor = 100 if summary.is_share else 1
    lows = [max(each.harm.low or 0.0, -0.3 * size) for each in finite]
    least = min(0.0, *lows, *(each.harm.mean or 0.0 for each in finite))
    names = tuple(Tick(place, end_of(each.value, 32)) for place, each in enumerate(drawn))
    room = max(10, TICK_CHARACTERS[1] - max(len(name.text) for name in names))
    axis = Axis(harm_label(found, summary), factor * least * 1.04, factor * most * 1.04)
    x = with_ticks(axis, lambda count: ticks(factor * least, factor * most, count), plain, room)
    marks = [mark for place, each in enumerate(drawn) for mark in _bar(each, place, factor, x.end)]
    beyond = any(reaches_beyond(each.harm, x.start / factor, x.end / factor) for each in finite)
    cut = [BEYOND.format("whiskers")] if beyond else []
    cut += [f"{len(drawn)} of {len(found.ranking)} rows"] if len(drawn) < len(found.ranking) else []
    return Chart(
        f"{title(summary)}: the most sensitive first",
        (*_notes(found), *cut),
        x,
        Axis("", len(drawn) - 0.5, -0.5, names),
        (Panel("", tuple(marks)),),
        height=ROW_INCHES * len(drawn) + 0.15,
        grid="x",
    )


def _bar(each: Ranked, place: int, factor: float, end: float) -> Iterator[Mark]:
    mean = each.harm.mean or 0.0
    length = factor * mean if math.isfinite(mean) else end  # what is not finite is beyond all that is
    yield Area(((0.0, place - 0.3), (length, place - 0.3), (length, place + 0.3), (0.0, place + 0.3)), PALETTE[0], 0.55)
    if each.harm.low is not None and each.harm.high is not None:
        low, high = factor * each.harm.low, factor * each.harm.high
        yield Polyline(((low, place), (high, place)), None, "interval")
        for at in (low, high):
            yield Polyline(((at, place - 0.14), (at, place + 0.14)), None, "interval")


def _notes(found: Sensitivity) -> Iterator[str]:
    over = [f"{found.compared} values of {found.over}"] if found.compared > 1 else []
    over += ["the seeds"] if any(each.harm.count > 1 for each in found.ranking) else []
    if over:
        yield f"bar: mean over {' and '.join(over)}"
    if any(each.harm.half_width is not None for each in found.ranking):
        yield "whisker: 95 % interval of it (Student)"
