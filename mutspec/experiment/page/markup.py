"""HTML from values: whatever is no markup already is escaped, so that no name of a user can become any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from mutspec.language.visible import in_lines

MOST_ROWS = 24
"""A table of more rows has a height of its own."""


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
    kind = "scroll tall" if len(lines) > MOST_ROWS else "scroll"
    return element("div", made, class_=kind, role="region", tabindex=0, aria_label=caption)
