"""Rules about names and patterns that match more than they seem to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import UNSET, to_builtins

from mutspec.errors import DocumentPath, PlanError, Problem
from mutspec.language.types import Selector, Target
from mutspec.lint.rule import Subject
from mutspec.lint.targets import Pattern, own_patterns, patterns, step_targets, text_patterns
from mutspec.model.spec import LayerSpec
from mutspec.text import words
from mutspec.text.words import flow

_MOST_NAMES = 3
_MOST_CHARACTERS = 200
_MOST_PLACES = 8
"""The most places of a pattern at which another digit is looked for."""

_CLASS_OR_ESCAPE = r"\\.|\[\^?\]?(?:\\.|[^\]])*\]"
_LONE_DOT = re.compile(rf"(?P<skipped>{_CLASS_OR_ESCAPE})|(?<=[\w)\]])\.(?=[\w(\[])", re.DOTALL)
_OPEN_GLOB = re.compile(r"\d(?=\*)")
_OPEN_REGEX = re.compile(rf"(?P<skipped>{_CLASS_OR_ESCAPE})|\d(?=\.[*+])", re.DOTALL)


def unescaped_dot(subject: Subject) -> Iterator[Problem]:
    r"""A dot between letters or digits of a regular expression, which matches every character there.

    `re:block.conv` is meant for the layer `block.conv`, but matches `block_conv` and `block1conv` as well. Write
    `re:block\.conv` for a dot, and `[^/]` or `[0-9]` for what else may be there: then nobody has to guess. A dot before
    `*`, `+`, `?` or `{` is not found, and neither is one at an end of the expression. With a model, a dot is found only
    if it matches something else than a dot in the name of a layer.
    """
    for pattern in patterns(subject):
        if pattern.kind != "regex" or not (escaped := _with_dots_escaped(pattern.text)):
            continue
        spec = subject.model_at(pattern.step)
        names = _more_than(subject, pattern, escaped)
        if spec is not None and not names:
            continue
        also = f", such as the one in {_listed(names)}" if names else ""
        yield Problem(
            f"a dot of `{_short(pattern.text)}` matches every character{also}",
            path=pattern.path,
            hint=f"for a dot, write `{_short(escaped)}`; for one character of any kind, write `[^/]`",
        )


def _with_dots_escaped(regex: str) -> str:
    """Returns a regular expression with a backslash before each dot that may be meant literally; empty without any."""
    escaped = _LONE_DOT.sub(lambda match: match[0] if match["skipped"] else "\\.", regex)
    return "" if escaped == regex else escaped


def open_prefix(subject: Subject) -> Iterator[Problem]:
    """A pattern that goes on after a digit, so that it matches larger numbers, too.

    `conv2d_1*` matches `conv2d_1` and `conv2d_1_bn`, but `conv2d_10` and `conv2d_123` as well. Write the name alone for
    one layer, `[conv2d_1, "conv2d_1_*"]` for all names that go on with `_`, or `re:conv2d_1([^0-9].*)?`. With a model,
    a pattern is found only if it matches such a layer, and the message names those.
    """
    for pattern in patterns(subject):
        longer = [] if pattern.kind == "type" else _with_another_digit(pattern)
        if not longer:
            continue
        spec = subject.model_at(pattern.step)
        found = (layer for text in longer for layer in _matches(subject, pattern, text))
        names = list(dict.fromkeys(_names(found)))
        if spec is not None and not names:
            continue
        what = _listed(names) if names else "names in which another digit follows"
        yield Problem(
            f"`{_short(pattern.text)}` goes on after a digit, so that it also matches {what}",
            path=pattern.path,
            hint="write what comes after the digit, such as `_*`, or list the names",
        )


def _with_another_digit(pattern: Pattern) -> list[str]:
    """Returns patterns of what a pattern matches where it goes on after a digit with another digit."""
    places = (_OPEN_REGEX if pattern.kind == "regex" else _OPEN_GLOB).finditer(pattern.text)
    ends = [place.end() for place in places if not place.groupdict().get("skipped")][:_MOST_PLACES]
    return [f"{pattern.text[:end]}[0-9]{pattern.text[end:]}" for end in ends]


def ambiguous_name(subject: Subject) -> Iterator[Problem]:
    """A name without a path that several layers of the model have.

    Layers of nested models and wrappers have names of their own, so `dense` may stand for `encoder/dense` and
    `decoder/dense` at once. Write the path of the one that you mean. If you mean all of them, say how many: `{name:
    dense, expect: 2}`. It is found with a model only.
    """
    for pattern in patterns(subject):
        spec = subject.model_at(pattern.step)
        if spec is None or pattern.kind != "name" or not pattern.is_exact or pattern.is_counted or "/" in pattern.text:
            continue
        names = _names(_matches(subject, pattern, pattern.text))
        if len(names) > 1:
            written = flow({"name": pattern.text, "expect": len(names)})
            yield Problem(
                f"`{_short(pattern.text)}` is the name of {len(names)} layers: {_listed(names)}",
                path=pattern.path,
                hint=f"write the path of one, or `{written}` for all of them",
            )


def missing_expect(subject: Subject) -> Iterator[Problem]:
    """A pattern that does not say how many layers it is meant to match.

    A glob, a regular expression, a class or `where` matches what it finds: one layer today, and five in the next
    model, or in the same one after somebody has renamed its layers. A recipe for one model should state the number, as
    a contract: `{type: Dense, expect: 3}` or `expect: {min: 2, max: 4}`. Patterns that are left out or put together by
    others do not need one, nor do `pick: {first: n}`, `last` and `random`, which bound the number themselves. A
    recipe that is for any model allows it: `lint: {allow: [missing-expect]}`. With a model, the message has the number.
    """
    for each in step_targets(subject):
        if not each.selects:
            continue
        for selector, path in _uncounted(each.target, each.path):
            count = _count(subject, each.step, selector)
            written = flow({**_as_selector(selector), "expect": count})
            yield Problem(
                f"{_shown(selector)} may match any number of layers",
                path=path,
                hint="state how many you mean with `expect`"
                if count is None
                else f"if you mean {count}: `{_short(written)}`",
            )


def _uncounted(target: Target, path: DocumentPath) -> Iterator[tuple[str | Selector, DocumentPath]]:
    """Yields the selectors in a target that do not say how many layers they match, each with its path."""
    if isinstance(target, tuple):
        for index, item in enumerate(target):
            yield from _uncounted(item, (*path, index))
    elif isinstance(target, str):
        if any(_is_open(each) for each in text_patterns(target, path)):
            yield target, path
    elif not _is_bounded(target):
        is_open = any(_is_open(each) or each.kind == "type" for each in own_patterns(target, 0, path))
        if is_open or target.where is not UNSET:
            yield target, path
        elif target.any is not UNSET:
            for index, below in enumerate(target.any):
                yield from _uncounted(below, (*path, "any", index))
        elif target.all is not UNSET:
            found = [[*_uncounted(below, (*path, "all", index))] for index, below in enumerate(target.all)]
            if not any(_names_layers(below) for below in target.all):
                yield from next((each for each in found if each), [])


def _is_open(pattern: Pattern) -> bool:
    return not pattern.is_exact and not pattern.is_everything


def _names_layers(target: Target) -> bool:
    """Returns whether a target says which layers it matches, or how many."""
    if isinstance(target, tuple):
        return all(_names_layers(item) for item in target)
    if isinstance(target, str):
        return all(each.is_exact for each in text_patterns(target, ()))
    return _is_bounded(target)


def _is_bounded(selector: Selector) -> bool:
    """Returns whether a selector says how many layers it matches, or names them."""
    names = [each for each in own_patterns(selector) if each.kind == "name"]
    pick = selector.pick
    is_picked = pick is not UNSET and not (pick.first is UNSET and pick.last is UNSET and pick.random is UNSET)
    return selector.expect is not UNSET or is_picked or (bool(names) and all(each.is_exact for each in names))


def _count(subject: Subject, step: int, selector: str | Selector) -> int | None:
    """Returns how many layers a selector matches, as `expect` counts them; None without a model."""
    spec = subject.model_at(step)
    if spec is None:
        return None
    index = subject.index(spec)
    try:
        if subject.plan.steps[step].is_structural:
            return len(index.layers(selector).layers)
        return len(index.tensors(selector).matched)
    except PlanError:
        return None


def _as_selector(selector: str | Selector) -> dict[str, object]:
    if isinstance(selector, Selector):
        return dict(to_builtins(selector))
    if selector.startswith("re:"):
        return {"regex": selector.removeprefix("re:")}
    return {"name": selector}


def _shown(selector: str | Selector) -> str:
    """Returns what a selector says of names, classes and arguments, on one line."""
    if isinstance(selector, str):
        return f"`{_short(selector)}`"
    given = to_builtins(selector)
    shown = {key: given[key] for key in ("name", "regex", "type", "where") if key in given}
    return f"`{_short(flow(shown))}`"


def _more_than(subject: Subject, pattern: Pattern, narrow: str) -> list[str]:
    """Returns the layers that a pattern matches, without those that a narrower one matches."""
    usual = set(_names(_matches(subject, pattern, narrow)))
    return [name for name in _names(_matches(subject, pattern, pattern.text)) if name not in usual]


def _matches(subject: Subject, pattern: Pattern, text: str) -> tuple[LayerSpec, ...]:
    """Returns the layers that match a text in the place of a pattern, or that own a weight whose path does."""
    spec = subject.model_at(pattern.step)
    if spec is None:
        return ()
    selector = Selector(regex=text) if pattern.kind == "regex" else Selector(name=text)
    try:
        return subject.index(spec).layers(selector).layers
    except PlanError:
        return ()


def _names(layers: Iterable[LayerSpec]) -> list[str]:
    return [layer.path for layer in layers]


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


def _listed(names: list[str]) -> str:
    return words.listed(names, _MOST_NAMES)
