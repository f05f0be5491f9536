"""Reading the plan that a call names."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mutspec.language import Plan, load_plan, load_text


def read_plan(path: str, overrides: tuple[str, ...] = (), seed: int | None = None) -> Plan[Any]:
    """The plan in a file; `-` reads standard input.

    Raises:
        PlanError: with every problem of the plan.
    """
    from mutspec.ops import catalogue

    if path != "-":
        return load_plan(path, catalogue(), overrides=overrides, seed=seed)
    from mutspec.language.files import decode

    name = "<stdin>"
    text = decode(sys.stdin.buffer.read(), name)
    return load_text(text, catalogue(), file=name, overrides=overrides, seed=seed)


def paths(bound: dict[str, str]) -> dict[str, Path]:
    """The bound inputs as paths."""
    return {name: Path(path) for name, path in bound.items()}
