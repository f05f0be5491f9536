"""The recipes that a plan uses, as reports and graphs show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mutspec.documents import as_json
from mutspec.language.plan import Use
from mutspec.text import words


def use_sentence(use: Use) -> str:
    """Describes a use: `jitter: noise/dense_noise.yaml (std: 0.02)`."""
    facts = [f"{name}: {words.flow(value)}" for name, value in use.params.items()]
    facts += [] if use.seed is None else [f"seed: {use.seed}"]
    facts += [f"{name} is {meant}" for name, meant in use.inputs.items()]
    said = f" ({', '.join(facts)})" if facts else ""
    return f"{use.id}: {use.recipe}{said}"


def uses_before(step: str, uses: Iterable[Use]) -> list[Use]:
    """Returns the uses whose first step is the one with this id; one within another comes after it."""
    return [use for use in uses if use.steps[:1] == (step,)]


def use_as_json(use: Use) -> dict[str, Any]:
    """Returns a use as the documents of reports and graphs have it."""
    seed = {} if use.seed is None else {"seed": use.seed}
    inputs = {"inputs": dict(use.inputs)} if use.inputs else {}
    return {"id": use.id, "recipe": use.recipe, "with": as_json(use.params), **seed, **inputs, "steps": list(use.steps)}
