"""The lines of a sweep in panels: four at most in one, as more are not told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mutspec.experiment.reports.curves import Curves, Line, label_of, ordered
from mutspec.experiment.reports.groups import Summary, setting_index

MOST_TOGETHER = 4
"""The lines that share a panel unless the caller chooses the panels."""
MOST_ASKED = 8
"""The lines that share a panel if the caller chooses the panels: the number of colours."""
MOST_PANELS = 20


@dataclass(frozen=True)
class Facets:
    """The lines of a sweep by panel.

    Arguments:
        panels: the title of each panel with its lines, which are labelled by what tells them apart within it.
        inner: the indices of the settings that tell the lines of a panel apart.
        left_out: what is said of lines that are not drawn.
    """

    panels: tuple[tuple[str, tuple[Line, ...]], ...]
    inner: tuple[int, ...]
    left_out: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of all lines, each once, in their order."""
        lines = [line for _, each in self.panels for line in each]
        return tuple(dict.fromkeys(line.label for line in ordered_lines(self, lines)))

    @property
    def are_small_multiples(self) -> bool:
        """Tells whether each panel has one line, with the others in grey."""
        return len(self.panels) > 1 and not self.inner


def ordered_lines(facets: Facets, lines: Sequence[Line]) -> Sequence[Line]:
    """Lines of several panels in the order of the first panel that has most of them."""
    most = max((each for _, each in facets.panels), key=len)
    return [*most, *lines]


def facets(summary: Summary, over: Curves, asked: str | None = None) -> Facets:
    """The lines of a sweep by panel.

    Up to four lines share a panel. More of them are divided by the setting that makes the fewest panels of at most four
    lines; if there is none, each line has a panel.

    Arguments:
        summary: the sweep.
        over: its lines.
        asked: the setting whose values are to have a panel each; None to choose.

    Raises:
        CallError: no such setting varies between the lines.
    """
    others = [index for index in range(len(summary.names)) if index != over.axis]
    if asked is not None:
        index = setting_index(summary, asked, others)
        found = _parted(summary, over, [index], others)
        return found if _most(found) <= MOST_ASKED else _cut(over, _parted(summary, over, others, others))
    if over.is_scatter or len(over.lines) <= MOST_TOGETHER:
        return Facets((("", over.lines),), tuple(others))
    single = [_parted(summary, over, [index], others) for index in others if len(others) > 1]
    fitting = [each for each in single if _most(each) <= MOST_TOGETHER and len(each.panels) <= MOST_PANELS]
    if fitting:
        return min(fitting, key=lambda each: len(each.panels))
    return _cut(over, _parted(summary, over, others, others))


def _most(found: Facets) -> int:
    return max(len(lines) for _, lines in found.panels)


def _parted(summary: Summary, over: Curves, outer: Sequence[int], others: Sequence[int]) -> Facets:
    """The lines with a panel for each combination of some settings."""
    inner = [index for index in others if index not in outer]
    panels: dict[str, list[Line]] = {}
    for line in over.lines:
        group = line.groups[0]
        label = label_of(summary, inner, group)
        panels.setdefault(label_of(summary, outer, group), []).append(Line(label, line.groups, line.x))
    first = ordered(summary, outer, [Line(title, lines[0].groups, ()) for title, lines in panels.items()])
    titles = [each.label for each in first]
    return Facets(tuple((title, ordered(summary, inner, panels[title])) for title in titles), tuple(inner))


def _cut(over: Curves, found: Facets) -> Facets:
    """As many panels as a page has room for: of ranked ones the most sensitive, of others some at equal distances."""
    panels = found.panels
    number = len(panels)
    if number <= MOST_PANELS:
        return found
    if all(title in over.ranks for title, _ in panels):
        panels = tuple(sorted(panels, key=lambda panel: over.ranks[panel[0]])[:MOST_PANELS])
        return Facets(panels, found.inner, (f"the most sensitive {MOST_PANELS} of {number} lines",))
    kept = sorted({round(place * (number - 1) / (MOST_PANELS - 1)) for place in range(MOST_PANELS)})
    return Facets(tuple(panels[index] for index in kept), found.inner, (f"{len(kept)} of {number} lines",))
