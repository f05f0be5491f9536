"""What came of locks that were made, checked, updated or replayed, as a JSON document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from mutspec.documents import as_json, document_schema
from mutspec.errors import Problem

FORMAT_VERSION = 1

LockStatus = Literal["written", "updated", "unchanged", "as locked", "differs", "failed", "not possible", "signed"]
"""What came of a lock. `failed`: it, the plan or a model is wrong. `not possible`: the machine does not allow it.
`signed`: it is another file, of which the signature alone was checked."""


class LockProblem(Struct, frozen=True):
    """Something that differs from a lock, or that is wrong."""

    message: Annotated[str, Meta(description="What it is, as a sentence.")]
    file: Annotated[str | None, Meta(description="The file in which it is; null if it is in none.")]
    line: Annotated[int | None, Meta(description="The line of that file; null if it is the file as a whole.")]


class LockOutcome(Struct, frozen=True, kw_only=True):
    """What came of one lock, or of another file whose signature was checked."""

    lock: Annotated[str, Meta(description="The lock's file, or the other file.")]
    status: Annotated[LockStatus, Meta(description="What came of it.")]
    plan: Annotated[
        str | None,
        Meta(description="The plan, as the lock names it; null if it is not known, or for another file."),
    ]
    model: Annotated[
        str | None,
        Meta(description="The model, as the lock names it; null if it is not known, or for another file."),
    ]
    tensors: Annotated[
        int | None, Meta(description="How many weights of the result were compared or written down; null if none were.")
    ]
    numeric: Annotated[
        int | None, Meta(description="How many of them have numeric values; null if none were compared.")
    ]
    problems: Annotated[tuple[LockProblem, ...], Meta(description="What differs, or is wrong.")]
    notes: Annotated[tuple[LockProblem, ...], Meta(description="What differs and decides nothing.")]


class LocksDocument(Struct, frozen=True, kw_only=True):
    """What came of the locks of a call of `mutspec lock` or `mutspec verify`."""

    passed: Annotated[bool, Meta(description="Whether nothing differs or is wrong.")]
    locks: Annotated[tuple[LockOutcome, ...], Meta(description="The locks, in the order of the call.")]


def problems_of(problems: Iterable[Problem]) -> tuple[LockProblem, ...]:
    """Returns problems as a document has them."""
    return tuple(
        LockProblem(
            each.message,
            None if each.place is None else each.place.file,
            None if each.place is None or not each.place.line else each.place.line,
        )
        for each in problems
    )


def locks_document(outcomes: Iterable[LockOutcome]) -> dict[str, Any]:
    """Returns the JSON document of a call."""
    locks = tuple(outcomes)
    passed = not any(each.status in ("differs", "failed", "not possible") for each in locks)
    return {"format_version": FORMAT_VERSION, **as_json(LocksDocument(passed=passed, locks=locks))}


def locks_schema() -> dict[str, Any]:
    """Returns `schemas/verify.schema.json`."""
    return document_schema(LocksDocument, "mutspec verify", FORMAT_VERSION)
