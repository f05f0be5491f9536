"""Findings that types cannot express: what is wrong with a plan's head and a step's op; and the order of problems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mutspec.errors import Problem, nearest
from mutspec.language.explain import Finding
from mutspec.language.head import LANGUAGE_VERSION
from mutspec.language.interpolation import NAME
from mutspec.language.nodes import Scalar
from mutspec.language.scalars import BOOLEAN_WORDS
from mutspec.language.schema import RESERVED, Catalogue

OF_HYDRA = ("defaults", "hydra")
"""Keys that are Hydra's, and mean nothing in a plan."""

_A = {"params": "a parameter", "inputs": "an input", "blocks": "a block"}
"""What the keys of a section are the names of."""


def head_findings(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Finds a wrong version of the language, keys of Hydra, and names that nothing can have."""
    yield from _of_version(document)
    for key in OF_HYDRA:
        if key in document:
            message = f"a plan cannot have the key `{key}`, which is Hydra's"
            hint = "put it into the configuration that uses the plan"
            yield Finding(Problem(message, path=(key,), hint=hint), on_key=True)
    for section in _A:
        names = document.get(section)
        for name in names if isinstance(names, dict) else ():
            path = (section, name)
            if not re.fullmatch(NAME, name):
                message, hint = f"`{name}` cannot be the name of {_A[section]}", "use letters, digits, `_` and `-`"
                yield Finding(Problem(message, path=path, hint=hint), on_key=True)
            elif section == "inputs" and name in RESERVED:
                hint = f"`{name}:` {RESERVED[name]}, so choose another name"
                yield Finding(Problem(f"`{name}` cannot be the name of an input", path=path, hint=hint), on_key=True)


def _of_version(document: Mapping[str, Any]) -> Iterator[Finding]:
    version = document.get("mutspec")
    if "mutspec" not in document:
        near = nearest("mutspec", document)
        hint = f"add `mutspec: {LANGUAGE_VERSION}` as its first line" if not near else ""
        yield Finding(Problem("the plan does not state its language version", hint=hint), on_key=True)
    elif version != LANGUAGE_VERSION or isinstance(version, bool | float):
        is_newer = isinstance(version, int) and version > LANGUAGE_VERSION
        message = f"this mutspec reads language version {LANGUAGE_VERSION}, but the plan states {version!r}"
        hint = "a newer mutspec may read it" if is_newer else f"write `mutspec: {LANGUAGE_VERSION}`"
        yield Finding(Problem(message, path=("mutspec",), hint=hint))


def op_findings(step: Any, catalogue: Catalogue) -> Iterator[Finding]:
    """Finds out why a step has no op. Paths are relative to the step.

    Arguments:
        step: the step as JSON values.
        catalogue: the ops by name.
    """
    listing = "`mutspec ops` lists them"
    if not isinstance(step, dict):
        yield Finding(Problem("a step must be a mapping with an `op`", hint="for instance `- op: gaussian_noise`"))
        return
    op = step.get("op")
    if "op" not in step:
        named = [key for key in step if key in catalogue]
        keys = named or [*nearest("op", step), *nearest("use", step)]
        hint = f"write `op: {named[0]}`, and its other keys at the same level" if named else listing
        yield Finding(Problem("the step has no `op`", path=tuple(keys[:1]), hint=hint), on_key=bool(keys))
    elif isinstance(op, str) and "${" in op:
        yield Finding(Problem("`op` cannot be interpolated", path=("op",), hint="write the op's name"))
    elif isinstance(op, str):
        near = nearest(op, catalogue)
        hint = "" if near else listing
        yield Finding(Problem(f"there is no op `{op}`", path=("op",), hint=hint, candidates=near))
    else:
        yield Finding(Problem("`op` must be the name of an op", path=("op",), hint=listing), accepts_text=True)


def quoting_hint(node: Scalar, accepts_text: bool) -> str:
    """Returns a hint for a bare word that YAML does not read as text."""
    if not node.written or isinstance(node.value, str):
        return ""
    in_quotes = f'for the text, write "{node.written}"'
    if isinstance(node.value, bool) and node.written.lower() in BOOLEAN_WORDS:
        read_as = "true" if node.value else "false"
        return f"YAML reads a bare {node.written} as {read_as}" + (f"; {in_quotes}" if accepts_text else "")
    return in_quotes if accepts_text else ""


def in_order(problem: Problem) -> tuple[int, str, int, int]:
    """Returns the sort key of a problem: its place in the file; those of overrides come last."""
    place = problem.place
    if place is None:
        return (0, "", 0, 0)
    is_override = place.file.startswith("override ")
    return (int(is_override), place.file, place.line, place.column)
