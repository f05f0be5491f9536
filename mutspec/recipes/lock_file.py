"""Locks as files: YAML that people review, in a stable order, read with the place of each value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from mutspec.documents import as_json, number
from mutspec.errors import CallError, Place, PlanError, Problem
from mutspec.execute.output import replacing
from mutspec.language.declared import Declared, Form, read_declared
from mutspec.language.files import read_text
from mutspec.language.scalars import UnreadableNumberError, scalar_value
from mutspec.model.files.sink import write_at
from mutspec.recipes.lock_document import LOCK_VERSION, Lock, lock_schema


@dataclass(frozen=True)
class LockFile:
    """A lock that was read.

    Arguments:
        path: its file.
        lock: what it says.
        text: the file's text.
        declared: the document with the places of its values.
    """

    path: Path
    lock: Lock
    text: str
    declared: Declared[Lock]

    def placed(self, problem: Problem) -> Problem:
        """Returns a problem with the place in the lock that its path leads to."""
        return replace(problem, place=self.declared.place(problem.path) or Place(str(self.path), 0, 0, 0))


_FORM = Form(
    ("lock", LOCK_VERSION), lock_schema, number, "a lock begins with `lock: 1`; `mutspec lock PLAN MODEL` makes one"
)


def read_lock(path: Path) -> LockFile:
    """Reads a lock.

    Raises:
        CallError: the file cannot be read, or is not a lock; with its place.
    """
    hint = ""
    try:
        text = read_text(path, title="a lock", is_stored=True)
        hint = f"to make the lock again: mutspec lock PLAN MODEL -o {path} --force"
        declared = read_declared(text, str(path), Lock, "a lock", _FORM)
    except PlanError as error:
        raise CallError(replace(each, hint=each.hint or hint) for each in error.problems) from None
    return LockFile(path, declared.value, text, declared)


# -- writing


def lock_text(lock: Lock, call: str, schema: str = "") -> str:
    """Returns a lock as the text of a file.

    Arguments:
        lock: the lock.
        call: how it was made, for the comment on top.
        schema: the address or the file of the schema, for editors; empty if it is not known.
    """
    document: dict[str, Any] = {"lock": LOCK_VERSION, **as_json(lock)}
    for step in document["steps"]:
        step["keys"] = {key: _in_one_line(value) for key, value in step["keys"].items()}
    document["plan"]["params"] = {key: _in_one_line(value) for key, value in document["plan"]["params"].items()}
    numeric = document["result"]["numeric"]
    document["result"]["numeric"] = {path: _in_one_line(sketch) for path, sketch in numeric.items()}
    for part in (document, document["plan"], *document["steps"], document["result"]):
        for key in [key for key, value in part.items() if value in ({}, [])]:
            del part[key]
    head = f"# yaml-language-server: $schema={schema}\n" if schema else ""
    head += f"# Made by: {call}\n"
    about = "# After a change that is meant: mutspec lock --update. What differs from a lock: mutspec lock --check.\n"
    body = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**30)
    return head + about + body


def write_lock(path: Path, text: str, *, force: bool) -> None:
    """Writes a lock, whole or not at all.

    Raises:
        CallError: there is a file, and `force` is not given.
        EnvironmentProblem: it cannot be written.
    """
    with replacing(path, force=force) as (descriptor, _):
        write_at(descriptor, text.encode(), 0)


_BASE: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
"""That of libyaml is faster, and not in every PyYAML."""


class _OneLine(dict[str, Any]):
    """A mapping that is written on one line."""


class _OneLineList(list[Any]):
    """A list that is written on one line."""


def _in_one_line(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _OneLine({key: _in_one_line(each) for key, each in value.items()})
    return _OneLineList(map(_in_one_line, value)) if isinstance(value, list) else value


class _Dumper(_BASE):  # type: ignore[misc]
    """Writes block mappings, and texts in quotes where the parser of plans would read something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else '"')


def _is_plain(text: str) -> bool:
    """Returns whether a text without quotes is read as itself. What the emitter would quote too, it does."""
    try:
        return isinstance(scalar_value(text), str) and "${" not in text
    except UnreadableNumberError:
        return False


_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    _OneLine, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
)
_Dumper.add_representer(
    _OneLineList, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)
