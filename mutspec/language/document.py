"""YAML text → a tree with source positions.

The tree is built from the parser's events rather than by PyYAML's composer: that one recurses (deep nesting crashes
it), stops at an undefined alias, and knows neither duplicate keys nor bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from mutspec.errors import Place, PlanError, Problem
from mutspec.language.files import about, source_of
from mutspec.language.nodes import MAX_DEPTH, Node, Scalar, Sequence, Source, SourceSpan, Table
from mutspec.language.scalars import UnreadableNumberError, scalar_value, surprising_number
from mutspec.language.traps import LOADER, Trap, find_trap, quote_special

MAX_ALIASED = 100_000
"""The most values that all aliases of a document together may stand for."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Document:
    """A parsed document: its tree, its source, and warnings about what is allowed but surprising."""

    root: Node
    source: Source
    warnings: tuple[Problem, ...] = ()


def parse(text: str, name: str = "plan", *, may_be_null: bool = False, title: str = "a plan") -> Document:
    """Parses a text that holds one YAML document.

    Arguments:
        text: the YAML.
        name: the name of the text in error messages, usually its file's.
        may_be_null: whether an empty text is the value null, as in an override, rather than an empty plan.
        title: what messages call the document.

    Raises:
        PlanError: with every mistake in the YAML. Only a syntax error hides what comes after it.
    """
    text = text.removeprefix("\ufeff")
    source = source_of(text, name)
    refuse_unprintable(text, source, title)
    builder = _Builder(source, title)
    try:
        for event in yaml.parse(text, Loader=LOADER):
            builder.handle(event)
    except _StopReadingError:
        pass
    except yaml.MarkedYAMLError as error:
        builder.problems.append(_syntax_problem(source, error))
    except yaml.YAMLError as error:
        builder.problems.append(about(name, f"this is not YAML: {error}"))
    if any(not problem.is_warning for problem in builder.problems):
        raise PlanError(builder.problems)
    root = builder.root
    if may_be_null:
        return Document(root or Scalar(None), source, tuple(builder.problems))
    if root is None or (isinstance(root, Scalar) and root.value is None):
        hint = "the smallest plan is `mutspec: 1` and a list of `steps`"
        raise PlanError(about(name, "the plan is empty", hint))
    return Document(root, source, tuple(builder.problems))


def package_problem(text: str, document: Document) -> Problem | None:
    """Returns the problem of a plan that says at its beginning where Hydra is to put it; None if it does not."""
    package = re.match(r"\A(?:#.*\n)*#\s*@package\b", text.removeprefix("\ufeff"))
    if package is None:
        return None
    line = text.count("\n", 0, package.end())
    place = Place(document.source.name, line + 1, 1, len(document.source.lines[line]) + 1, document.source.lines[line])
    return Problem("a plan cannot have the line `# @package`, which is Hydra's", place, hint="remove the line")


_TOO_DEEP = f"the document nests deeper than {MAX_DEPTH} levels"


class _StopReadingError(Exception):
    """Raised where reading on would cost too much, or make no sense."""


@dataclass(slots=True)
class _Frame:
    """A list or mapping that is being read."""

    is_table: bool
    span: SourceSpan
    anchor: str | None
    size_before: int
    items: list[Node] = field(default_factory=list)
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, SourceSpan | None] = field(default_factory=dict)
    merges: list[tuple[Node, SourceSpan]] = field(default_factory=list)
    key: str | None = None
    key_span: SourceSpan | None = None
    awaits_key: bool = True
    depth_below: int = 0


class _Builder:
    """Builds the tree from the parser's events, and collects the problems."""

    def __init__(self, source: Source, title: str) -> None:
        self.source = source
        self.title = title
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._size = 0
        self._aliased = 0
        self._documents = 0
        self._handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._start,
            yaml.SequenceStartEvent: self._start,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceEndEvent: self._end,
            yaml.DocumentStartEvent: self._document,
        }

    def handle(self, event: Any) -> None:
        """Handles the next event of the parser."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _say(self, message: str, span: SourceSpan, hint: str = "", *, rule: str = "") -> None:
        """Adds a problem; what breaks a lint rule is a warning."""
        self.problems.append(Problem(message, span.place(), hint=hint, is_warning=bool(rule), rule=rule))

    def _span(self, event: Any) -> SourceSpan:
        start, end = event.start_mark, event.end_mark
        line = start.line + 1
        text = self.source.lines[start.line] if start.line < len(self.source.lines) else ""
        end_column = end.column if end.line == start.line else len(text.rstrip())
        return SourceSpan(self.source, line, start.column + 1, max(end_column, start.column) + 1)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            self._say("a second document begins here", self._span(event), "put each plan into its own file")
            raise _StopReadingError

    # -- values

    def _scalar(self, event: Any) -> None:
        span = self._span(event)
        self._refuse_tag(event, span)
        self._size += 1
        frame = self._frames[-1] if self._frames else None
        is_plain = event.implicit[0] and not event.style
        if frame is not None and frame.is_table and frame.awaits_key:
            self._take_key(frame, event.value, span, is_plain)
            return
        value: Any = event.value
        if is_plain:
            try:
                value = scalar_value(event.value)
            except UnreadableNumberError as error:
                key = f"{frame.key}: " if frame is not None and frame.is_table and frame.key else ""
                hint = f"{error.hint}; put it in quotes if it is text".removeprefix("; ")
                self._say(f"`{key}{_short(event.value)}` {error}", span, hint)
            warning = surprising_number(event.value, value)
            if warning:
                hint = "write it without the leading zero or the colon, or in quotes"
                self._say(warning, span, hint, rule="surprising-number")
        node = Scalar(value, span, event.value if is_plain else None)
        if event.anchor:
            self._anchors[event.anchor] = (node, 1, 1)
        self._put(node, 1)

    def _alias(self, event: Any) -> None:
        span = self._span(event)
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            self._bad_alias(event.anchor, span)
            self._put(Scalar(None, span), 1)
            return
        node, size, depth = anchored
        self._aliased += size
        self._size += size
        if self._aliased > MAX_ALIASED:
            message = f"the aliases up to `*{event.anchor}` stand for more than {MAX_ALIASED:,} values"
            self._say(message, span, "write the values without aliases of aliases")
            raise _StopReadingError
        if len(self._frames) + depth > MAX_DEPTH:
            self._too_deep(span)
        if self._frames and self._frames[-1].is_table and self._frames[-1].awaits_key:
            self._say("an alias cannot be a key", span, "write the key itself")
        self._put(node, depth)

    def _bad_alias(self, name: str, span: SourceSpan) -> None:
        if name in self._anchors:
            self._say(f"the alias `*{name}` is inside the value that it stands for", span)
            return
        line = self.source.lines[span.line - 1]
        fixed = quote_special(line)
        hint = f"for the text, write in quotes: {fixed.strip()}" if fixed != line else "put the text in quotes"
        self._say(f"`*{name}` is a YAML alias, but no anchor `&{name}` comes before it", span, hint)

    def _start(self, event: Any) -> None:
        span = self._span(event)
        self._refuse_tag(event, span)
        if len(self._frames) >= MAX_DEPTH:
            self._too_deep(span)
        if self._frames and self._frames[-1].is_table and self._frames[-1].awaits_key:
            hint = _brace_hint(self.source.lines[span.line - 1])
            self._say("a key must be text, not a list or a mapping", span, hint)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._size += 1
        self._frames.append(_Frame(isinstance(event, yaml.MappingStartEvent), span, event.anchor, self._size - 1))

    def _too_deep(self, span: SourceSpan) -> None:
        self._say(_TOO_DEEP, span)
        raise _StopReadingError

    def _end(self, event: Any) -> None:
        frame = self._frames.pop()
        node: Node
        if frame.is_table:
            self._merge(frame)
            node = Table(frame.entries, frame.keys, frame.span)
        else:
            node = Sequence(tuple(frame.items), frame.span)
        depth = frame.depth_below + 1
        if frame.anchor:
            self._anchors[frame.anchor] = (node, self._size - frame.size_before, depth)
        self._put(node, depth)

    def _put(self, node: Node, depth: int) -> None:
        """Adds a finished value to the list or mapping that holds it."""
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        frame.depth_below = max(frame.depth_below, depth)
        if not frame.is_table:
            frame.items.append(node)
        elif frame.awaits_key:  # a list, mapping or alias as a key: reported, and left out with its value
            frame.key, frame.awaits_key = None, False
        else:
            self._put_entry(frame, node)
            frame.key, frame.awaits_key = None, True

    def _put_entry(self, frame: _Frame, node: Node) -> None:
        if frame.key is None or frame.key_span is None:
            return
        if frame.key == "<<":
            frame.merges.append((node, frame.key_span))
        elif frame.key not in frame.entries:
            frame.entries[frame.key] = node
            frame.keys[frame.key] = frame.key_span

    # -- keys

    def _take_key(self, frame: _Frame, text: str, span: SourceSpan, is_plain: bool) -> None:
        frame.awaits_key = False
        frame.key, frame.key_span = text, span
        earlier = frame.keys.get(text)
        if earlier is not None:
            self._say(f"the key `{_short(text)}` occurs twice", span, f"the first one is on line {earlier.line}")
        elif "${" in text:
            self._say("a key cannot hold an interpolation", span, "write the key itself")
            frame.key = None
        elif is_plain and text != "<<":
            self._check_plain_key(frame, text, span)

    def _check_plain_key(self, frame: _Frame, text: str, span: SourceSpan) -> None:
        try:
            value = scalar_value(text)
        except UnreadableNumberError:
            value = None
        if isinstance(value, str):
            return
        frame.key = None
        what = "nothing" if not text else f"`{_short(text)}`"
        read_as = "true" if value is True else "false" if value is False else "null" if value is None else "a number"
        line = self.source.lines[span.line - 1] if span.line <= len(self.source.lines) else ""
        fixed = f'{line[: span.column - 1]}"{text}"{line[span.column - 1 + len(text) :]}'.strip()
        message = f"a key must be text, but YAML reads {what} as {read_as}"
        self._say(message, span, f"write in quotes: {fixed}" if text else "")

    def _merge(self, frame: _Frame) -> None:
        """Adds the entries of `<<: *anchor` whose keys the mapping does not have."""
        for node, span in frame.merges:
            tables = node.items if isinstance(node, Sequence) else (node,)
            for table in tables:
                if not isinstance(table, Table):
                    self._say(
                        "`<<` takes a mapping or a list of mappings",
                        span,
                        "write `<<: *name`, and `&name` at the mapping",
                    )
                    continue
                for key, value in table.entries.items():
                    if key not in frame.entries:
                        frame.entries[key] = value
                        frame.keys[key] = table.keys[key]

    def _refuse_tag(self, event: Any, span: SourceSpan) -> None:
        if event.tag:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            self._say(
                f"{self.title} cannot use the YAML tag `{_short(tag)}`",
                span,
                "write the plain value, in quotes if it is text",
            )


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def _brace_hint(line: str) -> str:
    if "{{" in line:
        return 'a parameter\'s value is written "${params.name}", not {{ name }}'
    if "${" in line:
        return 'put the interpolation in quotes: "${params.name}"'
    return ""


def refuse_unprintable(text: str, source: Source, title: str = "a plan") -> None:
    """Refuses a text that has control characters, or bytes that are not UTF-8.

    Raises:
        PlanError: if it has such a character.
    """
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        raise PlanError(_unprintable_problem(source, text, unprintable.start(), title))


def _unprintable_problem(source: Source, text: str, at: int, title: str) -> Problem:
    lines = text[:at].splitlines(keepends=True)
    if lines and lines[-1].endswith(("\n", "\r", "\x85", "\u2028", "\u2029")):
        lines.append("")
    line, column = max(1, len(lines)), len(lines[-1]) + 1 if lines else 1
    code = ord(text[at])
    what = "a NUL character" if not code else f"the control character U+{code:04X}"
    if 0xDC80 <= code <= 0xDCFF:  # how Python hands over a byte of a call that is not UTF-8
        what = f"the byte 0x{code - 0xDC00:02x}, which is not UTF-8,"
    place = SourceSpan(source, line, column, column + 1).place()
    return Problem(f"{what} is not allowed in {title}", place, hint="remove it")


def _syntax_problem(source: Source, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if line >= len(source.lines) and source.lines:  # the end of the text: show its last line
        line, column = len(source.lines) - 1, len(source.lines[-1])
    suspects = [line, line - 1, *([error.context_mark.line] if error.context_mark else [])]
    trap: Trap | None = find_trap(list(source.lines), suspects) if len(source.lines) < 5_000 else None
    if trap is not None:
        span = SourceSpan(source, trap.index + 1, trap.column + 1, trap.column + 2)
        hint = f"write: {trap.line.strip()}"
        if trap.line.strip() == source.lines[trap.index].strip():  # what is wrong is the indentation
            hint = f"write it with its indentation: `{trap.line.rstrip()}`"
        return Problem(trap.message, span.place(), hint=hint)
    text = source.lines[line] if line < len(source.lines) else ""
    indentation = text[: len(text) - len(text.lstrip())]
    if "\t" in indentation:
        column = indentation.index("\t")
        span = SourceSpan(source, line + 1, column + 1, column + 2)
        return Problem("YAML allows only spaces here, not a tab", span.place(), hint="indent with spaces")
    span = SourceSpan(source, line + 1, column + 1, column + 2)
    if error.problem == "exceeded maximum nesting depth":  # libyaml from 0.2.6 on, reading ahead, before we see it
        return Problem(_TOO_DEEP, span.place())
    context = f"{error.context}, " if error.context else ""
    since = (
        f" (from line {error.context_mark.line + 1} on)"
        if error.context_mark and error.context_mark.line != line
        else ""
    )
    return Problem(f"this is not YAML: {context}{error.problem}{since}", span.place(), hint=_syntax_hint(error.problem))


def _syntax_hint(problem: str | None) -> str:
    """Returns the usual cause of a parser's message."""
    fallback = "check quotes, brackets and indentation, here and on the line before"
    return next((hint for words, hint in _SYNTAX_HINTS.items() if words in (problem or "")), fallback)


_SYNTAX_HINTS = {
    "mapping values are not allowed": "indent the key like its neighbours, or put text with a colon in quotes",
    "did not find expected key": "indent the key like its neighbours, and check quotes and brackets before it",
    "did not find expected ',' or": "close the bracket, or put text with commas, brackets or braces in quotes",
    "unexpected end of stream": "close the quote",
    "did not find expected node content": "put the value in quotes, and check that every bracket is closed",
    "found unexpected ':'": "put the value in quotes, or write a space after the colon of a key",
    "unknown escape character": "write backslashes in single quotes",
}
