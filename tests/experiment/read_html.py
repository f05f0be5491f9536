"""A page as tests read it: its elements, and its tables as people see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Table:
    """A table by its caption, the texts in its cells, and the attributes of its head."""

    attributes: dict[str, str | None]
    caption: str = ""
    head: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)

    def column(self, name: str) -> list[str]:
        return [row[self.head.index(name)] for row in self.rows]


class Page(HTMLParser):
    """The elements of a page with their attributes, texts by element, and tables."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.tables: list[Table] = []
        self._path: list[str] = [""]
        self._into = ""
        self.feed(text)
        self.close()

    def table(self, caption: str) -> Table:
        (found,) = (table for table in self.tables if table.caption == caption)
        return found

    def said(self, *names: str) -> list[str]:
        """The texts in elements of these names."""
        return [text for name, text in self.texts if name in names]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._path.append(tag)
        if tag == "table":
            self.tables.append(Table(dict(attrs)))
        elif tag == "tr" and self._into == "tbody":
            self.tables[-1].rows.append([])
        elif tag == "td":
            self.tables[-1].rows[-1].append("")
        elif tag == "th":
            self.tables[-1].head.append("")
        if tag in ("thead", "tbody", "caption"):
            self._into = tag

    def handle_endtag(self, tag: str) -> None:
        while self._path.pop() != tag:  # cells and rows are not closed
            assert self._path, f"</{tag}> closes nothing"
        if tag in ("thead", "tbody", "caption"):
            self._into = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self._path[-1], data))
        if self._into == "caption":
            self.tables[-1].caption += data
        elif self._into == "thead" and self.tables[-1].head:
            self.tables[-1].head[-1] += data
        elif self._into == "tbody" and self.tables[-1].rows:
            self.tables[-1].rows[-1][-1] += data.strip("\n")
