"""What a step copied from other weights, in part or as a whole, and what it skipped: as JSON and as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from mutspec.lowering.copies import CopiedFrom, SkippedWeight
from mutspec.text import words


class _Target(Protocol):
    """A weight that a step changes, in a report."""

    @property
    def path(self) -> str: ...
    @property
    def copied(self) -> CopiedFrom | None: ...


def copied_as_json(copied: CopiedFrom) -> dict[str, Any]:
    """Returns `copied_from` of a target."""
    return {
        "source": copied.source,
        "shape": list(copied.shape),
        "copied": copied.copied,
        "cut": copied.cut,
        "padded": copied.padded,
    }


def skipped_as_json(skipped: SkippedWeight) -> dict[str, Any]:
    """Returns an item of `skipped` of a step."""
    return {"layer": skipped.tensor.layer, "weight": skipped.tensor.role, "reason": skipped.reason}


def copy_lines(targets: Sequence[_Target], skipped: Sequence[SkippedWeight]) -> list[str]:
    """Returns a line with the numbers of weights that are copied and skipped, and one for each that is not whole.

    There are none if each weight is copied as a whole from a layer that the step names.
    """
    copies = [(target.path, target.copied) for target in targets if target.copied is not None]
    parts = [(path, copied) for path, copied in copies if copied.cut or copied.padded]
    is_many = len({copied.source.rpartition("/")[0] for _, copied in copies}) > 1
    if not (parts or skipped or is_many):
        return []
    counts = {"copied whole": len(copies) - len(parts), "copied in part": len(parts), "skipped": len(skipped)}
    return [
        ", ".join(f"{words.plural(count, 'weight')} {what}" for what, count in counts.items() if count),
        *(_part(path, copied) for path, copied in parts),
        *(f"skipped `{each.tensor.path}`: {each.reason}" for each in skipped),
    ]


def _part(path: str, copied: CopiedFrom) -> str:
    facts = [f"{words.plural(copied.copied, 'entry')} of `{path}` from `{copied.source}` ({words.shape(copied.shape)})"]
    facts += [f"{copied.cut:,} cut"] * bool(copied.cut) + [f"{copied.padded:,} set to zero"] * bool(copied.padded)
    return ", ".join(facts)
