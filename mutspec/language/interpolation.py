"""Replaces `${params.<name>}` by the value of a parameter.

A value that consists of one interpolation becomes the parameter's value, with its type. Within a longer text
(`"${params.share}%"`) the parameter's text is inserted, and the result is text. Parameters are literals, so one pass
resolves everything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from mutspec.errors import DocumentPath, Problem, nearest
from mutspec.language.nodes import Node, Scalar, Sequence, Table, size_of
from mutspec.language.types import END

NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
"""The pattern of names of parameters and inputs."""

WHOLE = rf"^\$\{{params\.{NAME}\}}{END}"
"""The pattern of a value that is one interpolation."""

WITHIN = rf"\$\{{params\.{NAME}\}}"
"""The pattern of an interpolation anywhere in a text."""

FIXED_KEYS = frozenset({"mutspec", "id", "op", "use"})
"""Keys of a plan or a step whose values are never interpolated."""

MAX_GROWTH = 10_000_000
"""The most values and characters that all interpolations of a plan together may add to it."""

_ANY = re.compile(r"\$\{([^{}]*)(\}?)")
_WHOLE = re.compile(WHOLE)


@dataclass(slots=True)
class Interpolator:
    """Resolves a tree against parameters, and records which of them were used and what was wrong.

    Arguments:
        params: the parameters by name.
        growth: the values and characters that interpolations have added already.
        limit: the most that they may add.
    """

    params: dict[str, Node]
    growth: int = 0
    limit: int = MAX_GROWTH
    used: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    is_too_large: bool = False

    def resolve(self, node: Node, path: DocumentPath) -> Node:
        """Returns the tree without interpolations. One that cannot be resolved is reported, and stays."""
        if isinstance(node, Table):
            entries = {
                key: value if key in FIXED_KEYS and _is_step(path) else self.resolve(value, (*path, key))
                for key, value in node.entries.items()
            }
            return replace(node, entries=entries)
        if isinstance(node, Sequence):
            return replace(node, items=tuple(self.resolve(item, (*path, i)) for i, item in enumerate(node.items)))
        # The list of steps, and a step as a whole, must be written in the plan itself.
        if isinstance(node.value, str) and "${" in node.value and path != ("steps",) and not _is_step(path):
            return self._resolve_text(node, node.value, path)
        return node

    def _resolve_text(self, node: Scalar, text: str, path: DocumentPath) -> Node:
        found = list(_ANY.finditer(text))
        problem = next(filter(None, (self._check(match[1], match[2], node, path) for match in found)), None)
        if problem is not None:
            self.problems.append(problem)
            return node
        if self._has_outgrown(match[1].removeprefix("params.") for match in found):
            if not self.is_too_large:
                message = f"the interpolations up to this one stand for more than {self.limit:,} values and characters"
                self._say(message, node, path)
            self.is_too_large = True
            return node
        self.used.update(match[1].removeprefix("params.") for match in found)
        if _WHOLE.match(text):
            return replace(self.params[found[0][1].removeprefix("params.")], via=node.span)
        parts: list[str] = []
        end = 0
        for match in found:
            value = self.params[match[1].removeprefix("params.")]
            if not isinstance(value, Scalar) or value.value is None:
                what = "has no value" if isinstance(value, Scalar) else "is a list or a mapping"
                self._say(f"`{match[1]}` {what}, so it cannot be part of a text", node, path)
                return node
            parts += [text[end : match.start()], _as_text(value)]
            end = match.end()
        return replace(node, value="".join([*parts, text[end:]]), written=None)

    def _has_outgrown(self, names: Iterable[str]) -> bool:
        """Adds up what the parameters of a text add to the plan. Returns whether it is too much."""
        for name in names:
            if name not in self.sizes:
                self.sizes[name] = size_of(self.params[name])
            self.growth += self.sizes[name]
        return self.growth > self.limit

    def _check(self, inside: str, closing: str, node: Scalar, path: DocumentPath) -> Problem | None:
        """Returns the problem with one interpolation, if it has one."""
        place = node.span.place() if node.span else None
        what = f"`${{{inside}}}`"
        only_params = "write ${params.<name>}, the only interpolation in a plan"
        if not closing:
            is_nested = str(node.value).count("${") > 1
            message = "interpolations cannot be nested" if is_nested else "`${` has no closing `}`"
            return Problem(message, place, path, only_params)
        if ":" in inside:
            resolver = inside.split(":")[0].strip()
            message = f"{what} asks for the resolver `{resolver}`, but a plan has no resolvers"
            hint = f"{only_params}; the call can set it with --set params.<name>=…"
            return Problem(message, place, path, hint)
        name = inside.removeprefix("params.")
        if name in self.params and inside.startswith("params."):
            return None
        if name in self.params:
            return Problem(f"{what} is not a parameter", place, path, candidates=(f"${{params.{name}}}",))
        if not inside.startswith("params.") or not re.fullmatch(NAME, name):
            return Problem(f"{what} is not a parameter", place, path, only_params)
        candidates = tuple(f"${{params.{near}}}" for near in nearest(name, self.params))
        hint = "" if candidates else "declare it under `params`"
        return Problem(f"the plan declares no parameter `{name}`", place, path, hint, candidates)

    def _say(self, message: str, node: Scalar, path: DocumentPath) -> None:
        self.problems.append(Problem(message, node.span.place() if node.span else None, path))


def _as_text(value: Scalar) -> str:
    """Returns a parameter's value for insertion into a text: as it was written, where that is known."""
    if value.written is not None:
        return value.written
    if isinstance(value.value, bool):
        return "true" if value.value else "false"
    return str(value.value)


def literal_problems(params: dict[str, Node], path: DocumentPath = ("params",)) -> list[Problem]:
    """Finds parameters that hold interpolations. They must be literals, so that they cannot refer to one another."""
    return [problem for name, value in params.items() for problem in _non_literals(value, (*path, name))]


def _non_literals(node: Node, path: DocumentPath) -> list[Problem]:
    if isinstance(node, Table):
        return [problem for key, value in node.entries.items() for problem in _non_literals(value, (*path, key))]
    if isinstance(node, Sequence):
        return [problem for i, value in enumerate(node.items) for problem in _non_literals(value, (*path, i))]
    if isinstance(node.value, str) and "${" in node.value:
        message = "a parameter must be a literal, it cannot refer to another parameter"
        hint = "write its value; steps can combine parameters"
        return [Problem(message, node.span.place() if node.span else None, path, hint)]
    return []


def _is_step(path: DocumentPath) -> bool:
    return len(path) == 2 and path[0] == "steps"
