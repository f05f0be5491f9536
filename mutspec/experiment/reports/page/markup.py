"""Makes HTML from values. Text that is not markup already is escaped, so a user's names cannot become markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from mutspec.text.visible import in_lines

MOST_ROWS = 24
"""A table of more rows has a height of its own."""
SHADES = 9
"""The number of backgrounds that the page's style sheet has for numbers."""


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def text(value: object) -> str:
    """A value as HTML: markup as it is, all else escaped, with control characters written out."""
    return value if isinstance(value, Markup) else escape(in_lines(str(value)), quote=False)


def join(parts: Iterable[object]) -> Markup:
    """Parts one after another."""
    return Markup("".join(map(text, parts)))


def element(name: str, /, *content: object, **attributes: object) -> Markup:
    """An element. Attributes that are None or False are left out; `class_` is `class`, `aria_label` `aria-label`."""
    return Markup(f"<{name}{_attributes(attributes)}>{join(content)}</{name}>")


def empty(name: str, /, **attributes: object) -> Markup:
    """An element that cannot have content."""
    return Markup(f"<{name}{_attributes(attributes)}>")


def _attributes(attributes: dict[str, object]) -> str:
    return "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(in_lines(str(value)))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )


def table(
    titles: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers: Sequence[bool],
    caption: str,
    bold_first: bool = False,
    most_rows: int = MOST_ROWS,
    **attributes: object,
) -> Markup:
    """A table in a region that scrolls where the page is narrow.

    Cells and rows are not closed, as HTML allows: there may be a hundred thousand of them. For the same reason columns
    of numbers carry no class.

    Arguments:
        titles: of the columns.
        rows: their cells.
        numbers: which columns are numbers.
        caption: what the table is, for those who do not see it.
        bold_first: whether the first row is another kind than the rest.
        most_rows: how many rows there may be before the table has a height of its own.
        attributes: of the table.
    """
    opening = ["<td>" if is_number else "<td class=t>" for is_number in numbers]
    lines = ["".join(start + text(cell) for start, cell in zip(opening, row, strict=True)) for row in rows]
    body = "\n".join(f"<tr>{line}" for line in lines)
    if bold_first:
        body = body.replace("<tr>", "<tr class=base>", 1)
    head = join(
        element("th", title, scope="col", class_=None if is_number else "t")
        for title, is_number in zip(titles, numbers, strict=True)
    )
    made = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", element("tr", head)),
        Markup(f"\n<tbody>\n{body}\n</tbody>"),
        **attributes,
    )
    kind = "scroll tall" if len(lines) > most_rows else "scroll"
    return element("div", made, class_=kind, role="region", tabindex=0, aria_label=caption)


def shaded(said: str, size: float, most: float) -> object:
    """A number on a ground that is darker the greater it is; what is not finite is on the darkest."""
    if not math.isfinite(size):
        return element("span", said, class_=f"h{SHADES}")
    shade = math.ceil(SHADES * size / most) if most else 0
    return element("span", said, class_=f"h{shade}") if shade > 0 else said


def intervals_apart(
    titles: Sequence[str], numbers: Sequence[bool], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[bool], list[list[str]]]:
    """Columns and rows with means apart from their intervals, so that both are aligned."""
    titles, numbers = list(titles), list(numbers)
    split = next((index for index in range(len(titles)) if any("±" in row[index] for row in rows)), None)
    if split is None:
        return titles, numbers, [[cell.strip() for cell in row] for row in rows]
    titles.insert(split + 1, "±")
    numbers.insert(split + 1, True)
    apart = ([*row[:split], *row[split].partition("±")[::2], *row[split + 1 :]] for row in rows)
    return titles, numbers, [[cell.strip() for cell in row] for row in apart]
