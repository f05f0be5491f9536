"""Fixes a plan's text, without a change of what the plan is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mutspec.errors import MutspecError
from mutspec.language import Plan, load_text
from mutspec.language.recipe_files import RecipeSource
from mutspec.language.schema import Catalogue
from mutspec.lint.fixing.order import in_order
from mutspec.lint.fixing.scalars import plain_words, quotes
from mutspec.lint.fixing.spaces import without_trailing_spaces
from mutspec.text.words import plural


@dataclass(frozen=True, slots=True)
class Fixed:
    """A plan's text after fixing.

    Arguments:
        text: the text.
        changes: what was changed, in words; nothing if it was in order.
    """

    text: str
    changes: tuple[str, ...]


def fixed(text: str, catalogue: Catalogue, name: str = "plan", recipes: RecipeSource | None = None) -> Fixed:
    """Returns a plan's text with its keys in order, and with quotes, numbers and line ends as usual.

    The plan stays the same: each kind of change is made only if the text still loads to the same document.

    Arguments:
        text: the plan.
        catalogue: the ops by name.
        name: the name of the plan in messages, usually its file's.
        recipes: where the recipes are that it may use; without it, only those that ship with mutspec.

    Raises:
        PlanError: the plan is not valid.
    """

    def loaded(text: str) -> Plan[Any]:
        return load_text(text, catalogue, file=name, recipes=recipes)

    plan = loaded(text)
    changes = []
    for fix, noun in _fixes(catalogue):
        changed, count = fix(text)
        if changed != text and _is_same(plan, changed, loaded):
            text = changed
            changes.append(noun(count))
    return Fixed(text, tuple(changes))


_Fix = Callable[[str], tuple[str, int]]


def _fixes(catalogue: Catalogue) -> tuple[tuple[_Fix, Callable[[int], str]], ...]:
    """Returns what is fixed, each with words for a number of changes."""
    return (
        (without_trailing_spaces, lambda count: f"ends of {plural(count, 'line')}"),
        (plain_words, lambda count: f"spelling of {plural(count, 'value')}"),
        (quotes, lambda count: f"quotes of {plural(count, 'value')}"),
        (lambda text: in_order(text, catalogue), lambda count: f"order of keys in {plural(count, 'mapping')}"),
    )


def _is_same(plan: Plan[Any], text: str, loaded: Callable[[str], Plan[Any]]) -> bool:
    """Returns whether a text is the same plan."""
    try:
        again = loaded(text)
    except MutspecError:
        return False
    return (again.digest, again.form_digest, again.name) == (plan.digest, plan.form_digest, plan.name)
