"""Checks that types cannot express: contradictions, ids that occur twice, declarations that nothing uses."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct, ValidationError, convert

from mutspec.errors import DocumentPath, Problem, nearest, written_path
from mutspec.language.schema import STEP_ID
from mutspec.language.steps import holds_target
from mutspec.language.types import ArgumentRange, Case, Expect, Pick, Selector, field_types
from mutspec.text.visible import in_one_line

LARGEST = 2**1024
"""The smallest whole number that is too large for a floating-point number."""


def id_problems(ids: Sequence[tuple[int, str, str, bool]], uses: Collection[int] = ()) -> Iterator[Problem]:
    """Finds steps whose ids are malformed, or occur twice.

    Arguments:
        ids: for each step its index, its id, its op or the recipe that it uses, and whether the plan states the id.
        uses: the indices of the steps that use recipes.
    """
    first: dict[str, int] = {}
    taken = {identity for _, identity, _, _ in ids}
    for index, identity, op, is_given in ids:
        of_op = "use" if index in uses else "op"
        path: DocumentPath = ("steps", index, "id" if is_given else of_op)
        if is_given and not re.match(STEP_ID, identity):
            hint = "it becomes part of names, so use letters, digits, `_` and `-`, with `/` between them"
            yield Problem(f"`{in_one_line(identity)}` cannot be an id", path=path, hint=hint)
        if identity not in first:
            first[identity] = index
            continue
        free = next(name for number in range(2, len(ids) + 3) if (name := f"{identity}_{number}") not in taken)
        taken.add(free)
        if is_given:
            message = f"step {first[identity] + 1} already has the id `{identity}`"
            hint = f"choose another id, for instance `{free}`"
        else:
            what = f"a second use of `{op}`" if index in uses else f"a second step with the op `{op}`"
            message = f"{what} needs an id of its own"
            hint = f"add `id: {free}`; the step's random stream is named after it"
        yield Problem(message, path=path, hint=hint)


def step_problems(raw: Mapping[str, Any], kind: Any) -> Iterator[Problem]:
    """Finds contradictions in one step, with paths from the step down. Values of a wrong type are skipped.

    Arguments:
        raw: the step as JSON values, resolved.
        kind: its op.
    """
    fields = field_types(kind)
    for key, value in raw.items():
        if key in fields and not isinstance(value, int | float):
            annotation = fields[key][1]
            try:
                typed = convert(value, annotation)
            except ValidationError:
                continue
            yield from _values(typed, (key,), holds_target(annotation))


def number_problems(raw: Mapping[str, Any], kind: Any) -> Iterator[Problem]:
    """Finds numbers of a step that cannot be computed with: NaN, and numbers above the largest float.

    Arguments:
        raw: the step as JSON values, resolved.
        kind: its op. Its `accepts_nan` names the keys for which NaN is an ordinary value.
    """
    for key, value in raw.items():
        if key in field_types(kind):
            yield from _number_problems(value, (key,), key in getattr(kind, "accepts_nan", ()))


def _number_problems(value: Any, path: DocumentPath, accepts_nan: bool) -> Iterator[Problem]:
    if isinstance(value, float) and value != value and not accepts_nan:
        hint = "write a number such as 0.1"
        yield Problem(f"{written_path(path)} is NaN, which is not a number", path=path, hint=hint)
    elif isinstance(value, int) and abs(value) >= LARGEST:
        hint = "the largest numbers are about 1.8e308"
        yield Problem(f"{written_path(path)} is too large a number", path=path, hint=hint)
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in items:
            yield from _number_problems(below, (*path, key), accepts_nan)


def _values(value: Any, path: DocumentPath, is_target: bool = False) -> Iterator[Problem]:
    """Checks every selector, target, `pick` and `expect` below a value."""
    if isinstance(value, Struct):
        yield from _struct_problems(value, path)
        for key, (name, annotation) in field_types(type(value)).items():
            below = getattr(value, name)
            if below is not UNSET and not isinstance(below, int | float):
                yield from _values(below, (*path, key), holds_target(annotation) or _is_set(value, key))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _values(item, (*path, key))
    elif isinstance(value, tuple | list):
        if is_target and not value:
            yield Problem("an empty list matches nothing", path=path, hint="name at least one layer")
        if value and isinstance(value[0], int | float):
            return
        for index, item in enumerate(value):
            yield from _values(item, (*path, index), is_target)
        if value and isinstance(value[0], Case):
            yield from _case_problems(value, path)
    elif isinstance(value, str) and is_target:
        if value.startswith("re:"):
            yield from regex_problems(value.removeprefix("re:"), path)
        elif not value:
            yield Problem("an empty name matches nothing", path=path, hint="name a layer, or leave the key out")


def _is_set(value: Struct, key: str) -> bool:
    return isinstance(value, Selector) and key in ("any", "all", "not", "between")


def _struct_problems(value: Struct, path: DocumentPath) -> Iterator[Problem]:
    if isinstance(value, Expect):
        if value.max is not UNSET and value.min > value.max:
            yield Problem(f"`min` is {value.min}, which is more than `max`, {value.max}", path=(*path, "min"))
    elif isinstance(value, ArgumentRange):
        yield from _bounds_problems(value, path)
    elif isinstance(value, Pick):
        yield from _pick_problems(value, path)
    elif isinstance(value, Selector):
        yield from _pattern_problems(value, path)
        yield from _where_problems(value, path)


def _bounds_problems(bounds: ArgumentRange, path: DocumentPath) -> Iterator[Problem]:
    if bounds.min is UNSET and bounds.max is UNSET:
        yield Problem("the range is empty", path=path, hint="add `min`, `max` or both, or leave the argument out")
    elif bounds.min is not UNSET and bounds.max is not UNSET and bounds.min > bounds.max:
        message = f"`min` is {bounds.min:g}, which is more than `max`, {bounds.max:g}"
        yield Problem(message, path=(*path, "min"))


def _where_problems(selector: Selector, path: DocumentPath) -> Iterator[Problem]:
    if selector.where is UNSET:
        return
    if not selector.where:
        hint = "name an argument, as in {activation: relu}, or leave the key out"
        yield Problem("`where` is empty", path=(*path, "where"), hint=hint)
    for argument, value in selector.where.items():
        if value == ():
            hint = "write the values that the argument may have"
            yield Problem("an empty list matches nothing", path=(*path, "where", argument), hint=hint)


def _pattern_problems(selector: Selector, path: DocumentPath) -> Iterator[Problem]:
    for key in ("name", "regex", "type", "weights"):
        value = getattr(selector, key)
        if value is UNSET:
            continue
        if not value:
            what = "text" if value == "" else "list"
            hint = "write a pattern, or leave the key out"
            yield Problem(f"an empty {what} matches nothing", path=(*path, key), hint=hint)
        for index, pattern in enumerate((value,) if isinstance(value, str) else value) if key == "regex" else ():
            where: DocumentPath = (*path, key) if isinstance(value, str) else (*path, key, index)
            yield from regex_problems(pattern, where)


def _pick_problems(pick: Pick, path: DocumentPath) -> Iterator[Problem]:
    keys = ("first", "last", "skip_first", "skip_last", "random")
    given = {key: getattr(pick, key) for key in keys if getattr(pick, key) is not UNSET}
    if not given:
        hint = f"add one of {', '.join(f'`{key}`' for key in keys)}, or leave `pick` out"
        yield Problem("`pick` is empty", path=path, hint=hint)
    for key in ("first", "last", "random"):
        if given.get(key) == 0:
            yield Problem(f"`{key}: 0` picks no layer", path=(*path, key), hint="pick at least one")


def _case_problems(cases: Sequence[Case[Any]], path: DocumentPath) -> Iterator[Problem]:
    """Finds a case without a target before the last one. The first match wins, so later cases are never reached."""
    for index, case in enumerate(cases[:-1]):
        if case.target is UNSET:
            hint = "the first value that matches is used, so put the value without `target` last"
            message = "the values after this one are never used, because it has no `target`"
            yield Problem(message, path=(*path, index), hint=hint)
            return


def regex_problems(pattern: str, path: DocumentPath) -> Iterator[Problem]:
    """Finds out why a text is not a regular expression of RE2, if it is not."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except UnicodeError:
        yield Problem(
            "the regular expression has characters that are not valid Unicode", path=path, hint="write it in UTF-8"
        )
    except re2.error as error:
        reason = (
            error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        hint = "" if "missing" in reason else "RE2 has neither look-around nor back-references"
        yield Problem(f'"{pattern}" is not a regular expression: {reason}', path=path, hint=hint)


def input_problems(used: Mapping[DocumentPath, str], declared: Iterable[str]) -> Iterator[Problem]:
    """Finds inputs that steps use but the plan does not declare."""
    declared = tuple(declared)
    for path, name in used.items():
        if name not in declared:
            hint = f"declare it with `inputs: {{{name}: {{}}}}`; before a layer's name that holds a colon, write `re:`"
            yield Problem(
                f"the plan declares no input `{name}`", path=path, hint=hint, candidates=nearest(name, declared)
            )


def unused_problems(section: str, declared: Iterable[str], used: Iterable[str]) -> Iterator[Problem]:
    """Finds declarations that no step uses, as warnings. `section` is "params", "inputs" or "blocks"."""
    kind = {"params": "parameter", "inputs": "input", "blocks": "block"}[section]
    used_names = set(used)
    for name in declared:
        if name not in used_names:
            message = f"no step uses the {kind} `{name}`"
            yield Problem(message, path=(section, name), is_warning=True, rule=f"unused-{kind}")
