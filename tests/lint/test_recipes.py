"""The recipes that ship keep the rules, and are written as `--fix` writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mutspec.language import load_text
from mutspec.language.recipe_files import shipped_files
from mutspec.lint import findings
from mutspec.lint.fixing import Fixed, fixed
from tests.lint.conftest import CATALOGUE

RECIPES = shipped_files()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_keeps_the_rules_and_is_in_order(recipe: Path) -> None:
    text = recipe.read_text(encoding="utf-8")
    assert findings(load_text(text, CATALOGUE, file=recipe.name)) == ()
    assert fixed(text, CATALOGUE) == Fixed(text, ())
