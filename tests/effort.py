"""How much the tests try. The gate takes shares of large tables and of drawn examples; `make thorough` takes them all.

A share is always the same, so a change that passes the gate once passes it again. It is taken only where other tests
hold the same law, or where a table is a product of independent things, each of which stays in the share. Of the models
of the zoo, some tests take half, and others the other half.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

IS_THOROUGH = os.environ.get("MUTSPEC_TESTS") == "thorough"

Case = TypeVar("Case")


def examples(thorough: int, in_gate: int) -> int:
    """How many examples Hypothesis draws."""
    return thorough if IS_THOROUGH else in_gate


def share(cases: Iterable[Case], of: int, turn: int = 0) -> list[Case]:
    """One of each `of` neighbours: the first, of the next ones the second, and so on.

    In a table with `of` columns, written row by row, each row and each column stays in the share. Tests of one table
    that have another `turn` take other cases: with all turns, all of them.
    """
    found = list(cases)
    return (
        found
        if IS_THOROUGH
        else [case for number, case in enumerate(found) if (number - turn) % of == number // of % of]
    )
