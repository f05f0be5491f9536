"""What types cannot say about a plan: what contradicts itself, what stands there twice, what nothing uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import UNSET, Struct, ValidationError, convert

from mutspec.errors import DocumentPath, Problem, nearest, written_path
from mutspec.language.schema import STEP_ID
from mutspec.language.steps import holds_target
from mutspec.language.types import Case, Expect, Pick, Selector, field_types
from mutspec.text.visible import in_one_line

LARGEST = 2**1024
"""From here on, whole numbers have no floating-point number."""


def id_problems(ids: Sequence[tuple[int, str, str, bool]]) -> Iterator[Problem]:
    """Steps that cannot be told apart.

    Arguments:
        ids: of each step its index, its id, its op, and whether the plan says the id.
    """
    first: dict[str, int] = {}
    taken = {identity for _, identity, _, _ in ids}
    for index, identity, op, is_given in ids:
        path: DocumentPath = ("steps", index, "id" if is_given else "op")
        if is_given and not re.match(STEP_ID, identity):
            hint = "it becomes part of names: letters, digits, `_` and `-`"
            yield Problem(f"`{in_one_line(identity)}` cannot be an id", path=path, hint=hint)
        if identity not in first:
            first[identity] = index
            continue
        free = next(name for number in range(2, len(ids) + 3) if (name := f"{identity}_{number}") not in taken)
        taken.add(free)
        if is_given:
            message = f"the id `{identity}` is that of step {first[identity] + 1} already"
            hint = f"call this one `{free}`, for instance"
        else:
            message = f"a second step with the op `{op}` needs an id of its own"
            hint = f"add `id: {free}`: its random stream goes by that name"
        yield Problem(message, path=path, hint=hint)


def step_problems(raw: Mapping[str, Any], kind: Any) -> Iterator[Problem]:
    """What is wrong within one step, with paths from the step down. Beside wrong values, others are still checked.

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
    """Numbers of a step that nothing can be computed with: NaN, and what has no floating-point number near it.

    Arguments:
        raw: the step as JSON values, resolved.
        kind: its op. Its `accepts_nan` names the keys for which NaN is a value like others.
    """
    for key, value in raw.items():
        if key in field_types(kind):
            yield from _number_problems(value, (key,), key in getattr(kind, "accepts_nan", ()))


def _number_problems(value: Any, path: DocumentPath, accepts_nan: bool) -> Iterator[Problem]:
    if isinstance(value, float) and value != value and not accepts_nan:
        hint = "write the number that is meant, such as 0.1"
        yield Problem(f"{written_path(path)} is NaN, which is not a number", path=path, hint=hint)
    elif isinstance(value, int) and abs(value) >= LARGEST:
        hint = "write the number that is meant; the largest are about 1.8e308"
        yield Problem(f"{written_path(path)} is too large a number", path=path, hint=hint)
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, below in items:
            yield from _number_problems(below, (*path, key), accepts_nan)


def _values(value: Any, path: DocumentPath, is_target: bool = False) -> Iterator[Problem]:
    """Every selector, target, pick and expectation below a value."""
    if isinstance(value, Struct):
        yield from _struct_problems(value, path)
        for key, (name, annotation) in field_types(type(value)).items():
            below = getattr(value, name)
            if below is not UNSET and not isinstance(below, int | float):
                yield from _values(below, (*path, key), holds_target(annotation) or _is_set(value, key))
    elif isinstance(value, tuple | list):
        if is_target and not value:
            yield Problem("an empty list matches nothing", path=path, hint="name what it should match")
        if value and isinstance(value[0], int | float):
            return
        for index, item in enumerate(value):
            yield from _values(item, (*path, index), is_target)
        if value and isinstance(value[0], Case):
            yield from _case_problems(value, path)
    elif isinstance(value, str) and is_target:
        if value.startswith("re:"):
            yield from _regex_problems(value.removeprefix("re:"), path)
        elif not value:
            yield Problem("an empty name matches nothing", path=path, hint="name a layer, or leave the key out")


def _is_set(value: Struct, key: str) -> bool:
    return isinstance(value, Selector) and key in ("any", "all", "not")


def _struct_problems(value: Struct, path: DocumentPath) -> Iterator[Problem]:
    if isinstance(value, Expect):
        if value.max is not UNSET and value.min > value.max:
            yield Problem(f"`min` is {value.min}, which is more than `max`, {value.max}", path=(*path, "min"))
    elif isinstance(value, Pick):
        yield from _pick_problems(value, path)
    elif isinstance(value, Selector):
        yield from _pattern_problems(value, path)


def _pattern_problems(selector: Selector, path: DocumentPath) -> Iterator[Problem]:
    for key in ("name", "regex", "type", "weights"):
        value = getattr(selector, key)
        if value is UNSET:
            continue
        if not value:
            what = "text" if value == "" else "list"
            hint = "say what it should match, or leave the key out"
            yield Problem(f"an empty {what} matches nothing", path=(*path, key), hint=hint)
        for index, pattern in enumerate((value,) if isinstance(value, str) else value) if key == "regex" else ():
            where: DocumentPath = (*path, key) if isinstance(value, str) else (*path, key, index)
            yield from _regex_problems(pattern, where)


def _pick_problems(pick: Pick, path: DocumentPath) -> Iterator[Problem]:
    keys = ("first", "last", "skip_first", "skip_last", "random")
    given = {key: getattr(pick, key) for key in keys if getattr(pick, key) is not UNSET}
    if not given:
        yield Problem("`pick` is empty", path=path, hint=f"give it one of {', '.join(keys)}, or leave it out")
    for key in ("first", "last", "random"):
        if given.get(key) == 0:
            yield Problem(f"`{key}: 0` picks no layer", path=(*path, key), hint="pick at least one")


def _case_problems(cases: Sequence[Case[Any]], path: DocumentPath) -> Iterator[Problem]:
    """The first match wins; so nothing after a value for all targets is ever reached."""
    for index, case in enumerate(cases[:-1]):
        if case.target is UNSET:
            hint = "the first that matches wins: put the value without `target` last"
            yield Problem("no value after this one is ever used, as it has no `target`", path=(*path, index), hint=hint)
            return


def _regex_problems(pattern: str, path: DocumentPath) -> Iterator[Problem]:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except UnicodeError:
        yield Problem("the regular expression has characters that are none", path=path, hint="write it in UTF-8")
    except re2.error as error:
        reason = (
            error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        )
        hint = "" if "missing" in reason else "RE2 has no look-around and no back-references"
        yield Problem(f'"{pattern}" is not a regular expression: {reason}', path=path, hint=hint)


def input_problems(used: Mapping[DocumentPath, str], declared: Iterable[str]) -> Iterator[Problem]:
    """Inputs that steps use and the plan does not declare."""
    declared = tuple(declared)
    for path, name in used.items():
        if name not in declared:
            hint = (
                f"declare it: `inputs: {{{name}: {{}}}}`; for a layer with a colon in its name, write `re:` before it"
            )
            yield Problem(
                f"the plan declares no input `{name}`", path=path, hint=hint, candidates=nearest(name, declared)
            )


def unused_problems(section: str, declared: Iterable[str], used: Iterable[str]) -> Iterator[Problem]:
    """What is declared and used by nothing, as warnings. `section`: "params" or "inputs"."""
    kind = {"params": "parameter", "inputs": "input"}[section]
    known = set(used)
    for name in declared:
        if name not in known:
            yield Problem(f"no step uses the {kind} `{name}`", path=(section, name), is_warning=True)
