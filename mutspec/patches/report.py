"""What applying a patch did, as a value, as JSON and as text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from msgspec import Meta, Struct

from mutspec.documents import Count, as_json, document_schema
from mutspec.errors import Problem
from mutspec.patches.values import How, Value
from mutspec.text.layout import MOST_ROWS, Column, Page, Paint, sentence, table
from mutspec.text.words import plural
from mutspec.text.words import shape as shape_in_words
from mutspec.version import __version__

FORMAT_VERSION = 1

Change = Literal["moved", "changed", "sparse", "replaced"]
"""What a patch does to a weight, by the names of `How`."""
_SAID: dict[str, str] = {"moved": "moved", "changed": "changed", "sparse": "some entries", "replaced": "whole"}


class PatchedWeight(Struct, frozen=True):
    """A weight of the output that is not the model's as it was."""

    path: Annotated[str, Meta(description="Its path in the output.")]
    change: Annotated[
        Change,
        Meta(
            description="How it changes: most entries (`changed`), some that the patch lists (`sparse`), all, as it is "
            "new or has another shape or dtype (`replaced`); or it has the bits of another weight (`moved`)."
        ),
    ]
    source: Annotated[str | None, Meta(description="The weight of the model that it is made of; null for none.")]
    shape: tuple[int, ...]
    dtype: str
    elements: Annotated[Count, Meta(description="How many entries it has.")]


class PatchReport(Struct, frozen=True, kw_only=True):
    """What `mutspec patch` did."""

    engine: Annotated[str, Meta(description="The version of mutspec.")]
    model: Annotated[str, Meta(description="The file that was patched, and that stays as it is.")]
    patch: Annotated[str, Meta(description="The patch.")]
    made_by: Annotated[str, Meta(description="The version of mutspec that made the patch.")]
    reverse: Annotated[bool, Meta(description="Whether the change was undone.")]
    before: Annotated[str, Meta(description="The fingerprint of the model.")]
    after: Annotated[str, Meta(description="The fingerprint of the output.")]
    structure: Annotated[bool, Meta(description="Whether the architecture changed.")]
    tensors: Annotated[tuple[PatchedWeight, ...], Meta(description="The weights that changed, in the output's order.")]
    removed: Annotated[tuple[str, ...], Meta(description="The weights of the model that the output does not have.")]
    warnings: Annotated[tuple[str, ...], Meta(description="What the user should know.")]
    output: Annotated[str, Meta(description="The file that was written.")]

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON document that `schemas/patch.schema.json` describes."""
        document: dict[str, Any] = as_json(self)
        return {"format_version": FORMAT_VERSION, **document}

    def __str__(self) -> str:
        return patch_text(self)


def patch_schema() -> dict[str, Any]:
    """Returns the schema of the document that `mutspec patch --json` prints."""
    return document_schema(PatchReport, "mutspec patch", FORMAT_VERSION)


@dataclass(frozen=True, slots=True)
class Facts:
    """What a report is about, but for the weights.

    Arguments:
        model, patch, output: the files.
        made_by: the version of mutspec that made the patch.
        is_reverse: whether the change was undone.
        before, after: the fingerprints of model and output.
        is_structural: whether the architecture changed.
    """

    model: Path
    patch: Path
    output: Path
    made_by: str
    is_reverse: bool
    before: str
    after: str
    is_structural: bool


def report_of(
    facts: Facts, weights: dict[str, Value], removed: tuple[str, ...], warnings: tuple[Problem, ...]
) -> PatchReport:
    """Returns the report of a patch that was applied.

    Arguments:
        facts: the files and fingerprints.
        weights: how each weight of the output comes about, by path.
        removed: the weights of the model that the output does not have.
        warnings: what the user should know.
    """
    changed = tuple(
        PatchedWeight(path, cast(Change, str(value.how)), value.path or None, value.shape, value.dtype, value.size)
        for path, value in weights.items()
        if value.how is not How.KEPT
    )
    return PatchReport(
        engine=f"mutspec {__version__}",
        model=str(facts.model),
        patch=str(facts.patch),
        made_by=facts.made_by,
        reverse=facts.is_reverse,
        before=facts.before,
        after=facts.after,
        structure=facts.is_structural,
        tensors=changed,
        removed=removed,
        warnings=tuple(map(str, warnings)),
        output=str(facts.output),
    )


def patch_text(report: PatchReport, page: Page | None = None) -> str:
    """Formats a report: the weights that changed, and a sentence."""
    page = page or Page(80, Paint(False), MOST_ROWS, "")
    blocks = []
    rows = [[each.path, shape_in_words(each.shape), _change(each)] for each in report.tensors]
    rows += [[path, "", "removed"] for path in report.removed]
    if rows:
        columns = [Column("Weight", folds=True), Column("Shape", folds=True), Column("Change", folds=True)]
        text = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint)
        blocks.append("\n".join([text, *page.more(len(rows), 3)]))
    blocks += [sentence(f"warning: {each}", width=page.width) for each in report.warnings]
    blocks.append(sentence(_summary(report), width=page.width))
    return "\n\n".join(blocks)


def _change(weight: PatchedWeight) -> str:
    said = _SAID[weight.change]
    return f"{said} from {weight.source}" if weight.change == "moved" else said


def _summary(report: PatchReport) -> str:
    parts = [f"{plural(len(report.tensors), 'weight')} changed"] if report.tensors else []
    parts += [f"{plural(len(report.removed), 'weight')} removed"] if report.removed else []
    parts += ["the architecture changed"] if report.structure else []
    verb = "Undid" if report.reverse else "Applied"
    return f"{verb} {report.patch}: {', '.join(parts) or 'nothing changed'}. Wrote {report.output}."
