"""Mistakes in structural steps, as tables: a module for each family."""

from __future__ import annotations

from tests.cli.structural_mistakes import (
    blocks,
    layers,
    models,
    names_and_arguments,
    parts,
    places,
    what_follows,
    widths,
)
from tests.cli.structural_mistakes.mistake import Mistake

FAMILIES = (places, layers, blocks, what_follows, names_and_arguments, parts, models, widths)
MISTAKES: dict[str, Mistake] = {what: each for family in FAMILIES for what, each in family.MISTAKES.items()}
assert len(MISTAKES) == sum(len(family.MISTAKES) for family in FAMILIES), "two mistakes have one name"
