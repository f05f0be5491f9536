"""The origins of a mutant's weights, as JSON and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from mutspec.lowering.origins import OriginKind, WeightOrigin
from mutspec.text import words
from mutspec.text.layout import Column, Page, table

_MOST_NAMED = 2
"""The sources of a weight that a table names."""


def origin_as_json(origin: WeightOrigin) -> dict[str, Any]:
    """Returns an item of `tensors` of a report."""
    tensor = origin.tensor
    return {
        "layer": tensor.layer,
        "weight": tensor.role,
        "shape": list(tensor.shape),
        "dtype": tensor.dtype,
        "origin": origin.kind.value,
        "from": list(origin.sources),
        "steps": list(origin.steps),
    }


def are_worth_saying(origins: Sequence[WeightOrigin]) -> bool:
    """Returns whether some weights have an origin that the tables of the steps do not show."""
    return bool({each.kind for each in origins} - {OriginKind.KEPT, OriginKind.COMPUTED})


def origins_sentence(origins: Sequence[WeightOrigin]) -> str:
    """Returns a sentence with the number of weights of each origin; empty if the steps say as much."""
    if not are_worth_saying(origins):
        return ""
    counts = Counter(each.kind for each in origins)
    parts = [f"{counts[kind]:,} {kind}" for kind in OriginKind if counts[kind]]
    return f"Of {words.plural(len(origins), 'weight')} of the mutant: {', '.join(parts)}."


def origins_table(origins: Sequence[WeightOrigin], page: Page) -> str:
    """Returns a table with a row for each weight that is not kept."""
    made = [each for each in origins if each.kind is not OriginKind.KEPT]
    columns = [Column("Weight", folds=True), Column("Origin"), Column("From", folds=True), Column("Steps", folds=True)]
    rows = [[each.tensor.path, each.kind.value, sources_in_words(each), ", ".join(each.steps)] for each in made]
    return table(columns, rows, width=page.width, paint=page.paint)


def origin_in_words(origin: WeightOrigin) -> str:
    """Returns the origin of a weight with its sources; of one that is computed or kept, nothing."""
    if origin.kind in (OriginKind.KEPT, OriginKind.COMPUTED):
        return words.NOTHING
    sources = sources_in_words(origin)
    return f"{origin.kind.value} from {sources}" if sources else origin.kind.value


def sources_in_words(origin: WeightOrigin) -> str:
    """Returns the weights that a weight is made of, or the first of them."""
    named, others = origin.sources[:_MOST_NAMED], len(origin.sources) - _MOST_NAMED
    return ", ".join(named) + (f" and {others:,} more" if others > 0 else "")
