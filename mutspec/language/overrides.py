"""Overrides: `params.std=0.05`, `seed=3`, `steps.<id>.<key>=…`, as `--set` and Hydra give them.

An override's value is YAML. It becomes part of the plan's tree before anything is checked, so a wrong value is reported
like any other, at "override N".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mutspec.errors import DocumentPath, PlanError, Problem, nearest
from mutspec.language.document import parse
from mutspec.language.nodes import (
    Node,
    Scalar,
    Sequence,
    Source,
    SourceSpan,
    Table,
    child,
    from_plain,
    node_at,
    with_value,
)
from mutspec.language.recipe_files import recipe_name
from mutspec.language.schema import SEPARATOR
from mutspec.language.steps import is_use

OVERRIDABLE = ("params", "steps", "seed", "name", "description", "metadata", "non_finite")
"""The top-level keys that an override may reach."""


class Unparsed:
    """The mark of an override whose value has yet to be read from its text."""


UNPARSED = Unparsed()


@dataclass(frozen=True, slots=True)
class Override:
    """One override.

    Arguments:
        text: `key=value` with a dotted key: `steps.jitter.target.type=Dense`. A step is named by its id, an entry of
            a list by its index. A step of a recipe that the step `jitter` uses is `steps.jitter/<id>`, or
            `steps.jitter.steps.<id>`, as Hydra's keys cannot have a `/`.
        position: its number among the call's overrides, from 1.
        value: the value, if Hydra has parsed it already; else it is read from the text, as YAML.
    """

    text: str
    position: int = 1
    value: Any = UNPARSED

    @property
    def source(self) -> Source:
        """The override as the source of its value, for error messages."""
        return Source(f"override {self.position}", (self.text,))


def numbered(texts: Iterable[str]) -> tuple[Override, ...]:
    """Returns the overrides of a call, in their order."""
    return tuple(Override(text, position) for position, text in enumerate(texts, start=1))


Overrides = Iterable[Override | str]
"""The overrides of a call, as texts or as values."""


def overrides_of_call(overrides: Overrides, params: Mapping[str, Any] | None, seed: int | None) -> tuple[Override, ...]:
    """Returns one numbered list: the call's overrides, then parameters, then the seed."""
    given = [*overrides]
    texts = numbered(item for item in given if isinstance(item, str))
    result = (
        list(texts)
        if len(texts) == len(given)
        else [Override(item, index) if isinstance(item, str) else item for index, item in enumerate(given, start=1)]
    )
    extra = [(f"params.{name}", value) for name, value in (params or {}).items()]
    extra += [("seed", seed)] if seed is not None else []
    for key, value in extra:
        result.append(Override(f"{key}={value}", len(result) + 1, value))
    return tuple(result)


def of_used_steps(root: Node, overrides: Iterable[Override]) -> tuple[list[Override], list[Override]]:
    """Returns the overrides of a plan's own values, and those of the steps of recipes that it uses."""
    given = list(overrides)
    steps = child(root, "steps")
    uses = [step_id(step) for step in steps.items if is_use(step)] if isinstance(steps, Sequence) else []
    if not uses:
        return given, []
    own: list[Override] = []
    used: list[Override] = []
    for override in given:
        parts = _parts(root, override.text.partition("=")[0].strip())
        is_used = parts[0] == "steps" and any(parts[1].startswith(use + SEPARATOR) for use in uses if parts[1:])
        (used if is_used else own).append(override)
    return own, used


def _parts(root: Node, key: str) -> list[str]:
    """Returns the parts of a key, in which `steps.a.steps.b` has become `steps.a/b`."""
    parts = key.split(".")
    steps = child(root, "steps")
    while parts[0] == "steps" and len(parts) > 3 and parts[2] == "steps" and isinstance(steps, Sequence):
        if any(step_id(step) == parts[1] and not is_use(step) for step in steps.items):  # an op may have such a key
            break
        parts[1:4] = [parts[1] + SEPARATOR + parts[3]]
    return parts


def apply_overrides(root: Node, overrides: Iterable[Override]) -> tuple[Node, list[Problem]]:
    """Returns the tree with the overrides in it, and the problems of those that cannot be applied.

    If two have the same key, the later one counts.
    """
    problems: list[Problem] = []
    for override in overrides:
        try:
            root = _apply(root, override)
        except PlanError as error:
            problems.extend(error.problems)
    return root, problems


def _apply(root: Node, override: Override) -> Node:
    key, equals, _ = override.text.partition("=")
    key = key.strip()
    span = SourceSpan(override.source, 1, 1, len(key) + 1)
    if not equals or not key:
        raise PlanError(
            "an override must have the form key=value", place=span.place(), hint="for instance params.std=0.05"
        )
    parts = _parts(root, key)
    _check_head(root, parts, span)
    value = _value(override, len(override.text) - len(override.text.partition("=")[2]))
    path = _path(root, parts, span)
    root = _passing_parameters(root, path, span)
    try:
        return with_value(root, path, value, span)
    except KeyError as error:
        raise PlanError(_missing_problem(root, parts, path, int(error.args[0]), span)) from None


def _passing_parameters(root: Node, path: DocumentPath, span: SourceSpan) -> Node:
    """Returns the tree, in which the step that uses a recipe has a `with` if the path leads into it."""
    step = node_at(root, path[:2])
    if path[2:3] != ("with",) or len(path) < 4 or step is None or not is_use(step) or child(step, "with") is not None:
        return root
    return with_value(root, path[:3], Table({}, {}, span), span)


def _check_head(root: Node, parts: list[str], span: SourceSpan) -> None:
    head = parts[0]
    if head not in OVERRIDABLE:
        params = child(root, "params")
        declared = [f"params.{name}" for name in params.entries] if isinstance(params, Table) else []
        candidates = nearest(head, OVERRIDABLE) or tuple(name for name in declared if name.endswith("." + head))
        hint = (
            ""
            if candidates
            else "an override begins with params., steps.<id>., seed, name, description, metadata. or non_finite"
        )
        message = f"an override cannot begin with `{head}`"
        if head in ("mutspec", "inputs"):
            message = f"`{head}` cannot be overridden"
            hint = "bind an input with --input name=MODEL" if head == "inputs" else "it is the version of the language"
        raise PlanError(message, place=span.place(), hint=hint, candidates=candidates)
    if head == "params":
        _check_param(root, parts, span)
    if head == "steps" and len(parts) == 3 and parts[2] in ("id", "op", "use"):
        raise PlanError(f"a step's `{parts[2]}` cannot be overridden", place=span.place(), hint="change it in the plan")


def _check_param(root: Node, parts: list[str], span: SourceSpan) -> None:
    params = child(root, "params")
    declared = tuple(params.entries) if isinstance(params, Table) else ()
    if len(parts) < 2 or parts[1] not in declared:
        name = ".".join(parts[1:])
        candidates = tuple(f"params.{near}" for near in nearest(name, declared))
        hint = f"it declares {_listing(declared)}" if declared else "it has no `params`"
        raise PlanError(
            f"the plan declares no parameter `{name}`", place=span.place(), hint=hint, candidates=candidates
        )


def _value(override: Override, column: int) -> Node:
    """Returns the override's value as a tree whose places are in the override's text."""
    if not isinstance(override.value, Unparsed):
        return from_plain(override.value, SourceSpan(override.source, 1, column + 1, len(override.text) + 1))
    text = override.text[column:]
    if not text.strip():
        return Scalar(None, SourceSpan(override.source, 1, column + 1, column + 2), text)
    try:
        document = parse(" " * column + text, override.source.name, may_be_null=True)
    except PlanError as error:
        raise PlanError([_in_override(problem, override, column) for problem in error.problems]) from None
    if document.root.span is None:  # nothing but a comment
        return Scalar(None, SourceSpan(override.source, 1, column + 1, len(override.text) + 1), text.strip())
    return _moved(document.root, override.source)


def _in_override(problem: Problem, override: Override, column: int) -> Problem:
    """Returns a problem of the value's text with its place in the whole override."""
    from dataclasses import replace

    place = problem.place
    if place is None or place.line == 0:
        return problem
    key = override.text[:column]
    hint = problem.hint.replace("write: ", f"write: {key}").replace("in quotes: ", f"in quotes: {key}")
    return replace(problem, place=replace(place, text=override.text, column=max(place.column, column + 1)), hint=hint)


def _moved(node: Node, source: Source) -> Node:
    """Returns the same tree with places in another source, which has the same columns."""
    span = node.span and SourceSpan(source, node.span.line, node.span.column, node.span.end_column)
    if isinstance(node, Table):
        entries = {key: _moved(value, source) for key, value in node.entries.items()}
        keys = {
            key: key_span and SourceSpan(source, key_span.line, key_span.column, key_span.end_column)
            for key, key_span in node.keys.items()
        }
        return Table(entries, keys, span)
    if isinstance(node, Sequence):
        return Sequence(tuple(_moved(item, source) for item in node.items), span)
    return Scalar(node.value, span, node.written)


def _path(root: Node, parts: list[str], span: SourceSpan) -> DocumentPath:
    """Returns the override's key as a path: the id of a step becomes its index, and a number in a list too."""
    path: list[str | int] = [parts[0]]
    rest = parts[1:]
    if parts[0] == "steps":
        path.append(_step_index(root, rest[0] if rest else "", span))
        rest = rest[1:]
        if not rest:
            raise PlanError(
                "an override of a step must name one of its keys",
                place=span.place(),
                hint="steps.<id>.<key>=value",
            )
    node: Node | None = root
    for key in path:
        node = node and child(node, key)
    for part in rest:
        is_index = isinstance(node, Sequence) and part.removeprefix("-").isdecimal()
        step = int(part) if is_index else part
        path.append(step)
        node = node and child(node, step)
    return tuple(path)


def _step_index(root: Node, wanted: str, span: SourceSpan) -> int:
    steps = child(root, "steps")
    ids = [step_id(step) for step in steps.items] if isinstance(steps, Sequence) else []
    if wanted in ids:
        return ids.index(wanted)
    named = [name for name in ids if name]
    candidates = tuple(f"steps.{near}" for near in nearest(wanted, named))
    hint = f"its steps are {_listing(named)}" if named else ""
    raise PlanError(f"the plan has no step `{wanted}`", place=span.place(), hint=hint, candidates=candidates)


def step_id(step: Node) -> str:
    """Returns a step's id before validation: its `id`, its `op`, its recipe's name, else an empty text."""
    for key in ("id", "op"):
        value = child(step, key)
        if isinstance(value, Scalar) and isinstance(value.value, str) and value.value:
            return value.value
    used = child(step, "use")
    return recipe_name(used.value) if isinstance(used, Scalar) and isinstance(used.value, str) else ""


def _missing_problem(root: Node, parts: list[str], path: DocumentPath, good: int, span: SourceSpan) -> Problem:
    node: Node | None = root
    for key in path[:good]:
        node = node and child(node, key)
    keys = list(node.entries) if isinstance(node, Table) else []
    where = ".".join(parts[:good])
    missing = str(path[good])
    if isinstance(node, Sequence):
        size = len(node.items)
        message = f"`{where}` is a list of {size} entries, and has no entry `{missing}`"
    elif isinstance(node, Table):
        message = f"`{where}` has no key `{missing}`"
    else:
        message = f"`{where}` is a single value, so it has no key `{missing}`"
    if not good:
        message = f"the plan has no key `{missing}`, so `{'.'.join(parts[1:])}` cannot be set in it"
    candidates = tuple(f"{where}.{near}" for near in nearest(missing, keys)) if good else ()
    inside = parts[good + isinstance(node, Table) :]
    whole = (
        ".".join(parts[: len(parts) - len(inside)])
        + f"={': '.join(f'{{{part}' for part in inside)}: …{'}' * len(inside)}"
    )
    hint = "" if isinstance(node, Sequence) else f"override it as a whole: {whole}"
    return Problem(message, span.place(), hint=hint, candidates=candidates)


def _listing(names: Iterable[str], limit: int = 12) -> str:
    names = [f"`{name}`" for name in names]
    return ", ".join(names[:limit]) + (", …" if len(names) > limit else "")
