"""YAML documents of ours other than plans: read with the parser of plans, and converted into structs.

What is wrong is said as for plans: all at once, with places and the nearest names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from mutspec.errors import DocumentPath, Place, PlanError, Problem
from mutspec.language.checks import step_problems
from mutspec.language.document import parse
from mutspec.language.explain import Finding, Validator
from mutspec.language.findings import quoting_hint
from mutspec.language.nodes import Node, Scalar, Source, Table, node_at, plain, span_at
from mutspec.language.schema import SCHEMA_URL, Schema, definitions_of
from mutspec.language.steps import without_extensions
from mutspec.text.words import got

T = TypeVar("T", bound=msgspec.Struct)

_DOCUMENT = "document"


@dataclass(frozen=True)
class Declared(Generic[T]):
    """A document that was read.

    Arguments:
        value: the document.
        root: its tree.
        source: its text.
        warnings: problems that are not errors.
    """

    value: T
    root: Node
    source: Source
    warnings: tuple[Problem, ...] = ()

    def place(self, path: DocumentPath, *, on_key: bool = False) -> Place | None:
        """Returns the place of the value at a path, or of its nearest ancestor; with `on_key`, that of its key."""
        span = span_at(self.root, path, on_key=on_key)
        return span.place() if span else None

    def placed(self, problem: Problem) -> Problem:
        """Returns a problem with the place that its path leads to, unless it has one."""
        return problem if problem.place else replace(problem, place=self.place(problem.path))


@dataclass(frozen=True)
class Form:
    """How documents of a kind are read, where that differs from others.

    Arguments:
        version: the key with the version of the format, and the only version that is read; None if they have no such
            key. What lacks the key is not such a document.
        schema: returns their JSON schema, with the version; by default it is made from their struct.
        dec_hook: reads values of types that msgspec does not know.
        hint: says what such a document is, to those who give another file.
    """

    version: tuple[str, int] | None = None
    schema: Callable[[], Schema] | None = None
    dec_hook: Callable[[type[Any], Any], Any] | None = None
    hint: str = ""


_AS_DECLARED = Form()


def read_declared(text: str, name: str, kind: type[T], title: str, form: Form = _AS_DECLARED) -> Declared[T]:
    """Reads a document.

    Arguments:
        text: the YAML.
        name: the name of its file in messages.
        kind: the struct that declares it. Mappings that structs describe may have `x-…` keys, unless the form has a
            schema.
        title: what messages call the document, such as "a recipe test".
        form: what is particular.

    Raises:
        PlanError: with every problem of the document.
    """
    document = parse(text, name, may_be_null=True, title=title)
    if not isinstance(document.root, Table):
        what = "is empty" if isinstance(document.root, Scalar) and document.root.value is None else "must be a mapping"
        raise PlanError(f"{title} {what}", place=Place(name, 0, 0, 0), hint=form.hint)
    root = document.root if form.schema else without_extensions(document.root, kind)
    read = Declared[Any](None, root, document.source, document.warnings)
    raw = plain(root)
    if form.version is not None:
        _check_version(raw, form.version, title, read, form.hint)
    findings, value = _converted(raw, kind, title, form)
    findings += [] if form.schema else [Finding(problem) for problem in step_problems(raw, kind)]
    problems = dict.fromkeys(_placed(read, finding) for finding in findings)
    if problems:
        raise PlanError(sorted((*document.warnings, *problems), key=_order))
    assert value is not None
    return replace(read, value=value)


def _check_version(raw: dict[str, Any], wanted: tuple[str, int], title: str, read: Declared[Any], hint: str) -> None:
    """Takes the version out of a document, if it is the one that is read.

    Raises:
        PlanError: it is another one, or missing.
    """
    key, version = wanted
    if key not in raw:
        raise PlanError(f"this is not {title}", place=Place(read.source.name, 0, 0, 0), hint=hint)
    stated = raw.pop(key)
    if type(stated) is not int or stated != version:
        is_newer = type(stated) is int and stated > version
        hint = "a newer mutspec reads it" if is_newer else f"write `{key}: {version}`"
        message = f"this mutspec reads version {version} of the format of {title}, not {got(stated)}"
        raise PlanError(message, place=read.place((key,)), hint=hint)


def _converted(raw: Any, kind: type[T], title: str, form: Form) -> tuple[list[Finding], T | None]:
    try:
        return [], msgspec.convert(raw, kind, dec_hook=form.dec_hook)
    except msgspec.ValidationError as error:
        findings = Validator(_DOCUMENT, _definitions(kind, form), title).find(raw)
        if findings:
            return findings, None
        message, _, where = str(error).partition(" - at `$")
        path = tuple(key or int(index) for key, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+)\]", where))
        return [Finding(Problem(f"{title} is not valid: {message}", path=path))], None


def _definitions(kind: type[msgspec.Struct], form: Form) -> dict[str, Schema]:
    """Returns the schema of a document without its version, which is checked before, and those that it refers to."""
    if form.schema is None:
        return definitions_of({_DOCUMENT: kind})
    schema = form.schema()
    without = ("$defs", "$id", "required")  # an `$id` is what references would be relative to
    top = {key: value for key, value in schema.items() if key not in without}
    required = [key for key in schema["required"] if form.version is None or key != form.version[0]]
    return {**schema["$defs"], _DOCUMENT: {**top, "required": required}}


def _placed(read: Declared[Any], finding: Finding) -> Problem:
    problem, node = finding.problem, node_at(read.root, finding.problem.path)
    if isinstance(node, Scalar) and not (finding.on_key or problem.hint or problem.candidates):
        problem = replace(problem, hint=quoting_hint(node, finding.accepts_text))
    return replace(problem, place=read.place(problem.path, on_key=finding.on_key))


def _order(problem: Problem) -> tuple[int, int]:
    return (0, 0) if problem.place is None else (problem.place.line, problem.place.column)


def declared_schema(kind: type[msgspec.Struct], title: str, identity: str) -> Schema:
    """Returns the JSON schema (draft 2020-12) of the documents that a struct declares.

    Arguments:
        kind: the struct.
        title: the schema's title.
        identity: its `$id`: see `schema_id`.
    """
    definitions = definitions_of({_DOCUMENT: kind})
    top = {key: value for key, value in definitions.pop(_DOCUMENT).items() if key != "title"}
    return {"$schema": SCHEMA_URL, "$id": identity, "title": title, **top, "$defs": definitions}
