"""The difference of two models, as a value, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mutspec.lowering.origins import WeightOrigin
from mutspec.show.layers import StructureDiff, layers_as_json, layers_text
from mutspec.show.origins import origin_in_words
from mutspec.text import words
from mutspec.text.layout import MOST_ROWS, Column, Page, Paint, Style, sentence, table

FORMAT_VERSION = 1


class TensorStatus(StrEnum):
    """The kind of a tensor's difference."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    RESHAPED = "reshaped"


@dataclass(frozen=True, slots=True)
class TensorDiff:
    """A tensor that differs. The numbers describe the difference, after minus before, over all entries, in float64.

    Arguments:
        layer: the path of the layer that owns it.
        weight: its role.
        status: the kind of the difference.
        shape: its shape after; that before, if it was removed.
        dtype: its dtype after; that before, if it was removed.
        shape_before, dtype_before: those before; equal to `shape` and `dtype` if it was added or removed.
        elements: the number of entries of `shape`.
        changed: the number of entries whose bits differ; if the dtypes differ, whose values differ. This and the
            following numbers are None unless both models have the tensor in the same shape.
        l2: the norm of the difference.
        relative_l2: `l2` in units of the norm before; infinite if that is 0.
        max_abs: the largest absolute difference of an entry.
        mean, std: the mean and the standard deviation of the difference, over all entries.
        cosine: the cosine of the angle between before and after; None if one of them is all zeros.
        non_finite: the number of infinite or NaN entries after; None only if it was removed.
        origin: where its values come from, if a plan made the model after.
    """

    layer: str
    weight: str
    status: TensorStatus
    shape: tuple[int, ...]
    dtype: str
    shape_before: tuple[int, ...]
    dtype_before: str
    elements: int
    changed: int | None = None
    l2: float | None = None
    relative_l2: float | None = None
    max_abs: float | None = None
    mean: float | None = None
    std: float | None = None
    cosine: float | None = None
    non_finite: int | None = None
    origin: WeightOrigin | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the entry of the JSON document; `shape_before` and the dtypes only if they differ."""
        document: dict[str, Any] = {
            "layer": self.layer,
            "weight": self.weight,
            "status": self.status.value,
            "shape": list(self.shape),
            "elements": self.elements,
            "changed": self.changed,
        }
        for name in ("l2", "relative_l2", "max_abs", "mean", "std", "cosine"):
            document[name] = words.json_number(getattr(self, name))
        document["non_finite"] = self.non_finite
        if self.shape_before != self.shape:
            document["shape_before"] = list(self.shape_before)
        if self.dtype_before != self.dtype:
            document |= {"dtype": self.dtype, "dtype_before": self.dtype_before}
        if self.origin is not None:
            document |= {"origin": self.origin.kind.value, "from": list(self.origin.sources)}
        return document


@dataclass(frozen=True)
class DiffReport:
    """The difference of two models.

    Arguments:
        structure: the layers that differ.
        tensors: the tensors that differ: those of the model before, in its order, then the added ones.
        compared: the number of entries whose values were compared.
    """

    structure: StructureDiff
    tensors: tuple[TensorDiff, ...]
    compared: int = 0

    @property
    def identical(self) -> bool:
        """Whether the structures and the bits of all values are equal."""
        return self.structure.is_empty and not self.tensors

    def __str__(self) -> str:
        return diff_text(self)

    def with_origins(self, origins: Iterable[WeightOrigin]) -> DiffReport:
        """Returns the difference with the origins of the weights of the model after, which a plan made."""
        known = {(each.tensor.layer, each.tensor.role): each for each in origins}
        tensors = (replace(each, origin=known.get((each.layer, each.weight))) for each in self.tensors)
        return replace(self, tensors=tuple(tensors))

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON document that `schemas/diff.schema.json` describes."""
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "identical": self.identical,
            "layers": layers_as_json(self.structure),
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }
        if self.structure.ports:
            document["ports"] = list(self.structure.ports)
        return document


GLYPHS: dict[TensorStatus, tuple[str, Style]] = {
    TensorStatus.ADDED: ("+", "green"),
    TensorStatus.REMOVED: ("-", "red"),
    TensorStatus.CHANGED: ("~", "yellow"),
    TensorStatus.RESHAPED: ("~", "yellow"),
}


def diff_text(
    diff: DiffReport,
    *,
    before: str = "",
    after: str = "",
    width: int = 80,
    styled: bool = False,
    most_rows: int | None = MOST_ROWS,
    hint: str = "",
) -> str:
    """Formats the difference of two models: layers with `+`, `-` and `~`, then a table of the weights.

    Arguments:
        diff: the difference.
        before: the name of the model before; if it is empty, the models are not named.
        after: the name of the model after.
        width: the number of columns of the page.
        styled: whether to use the colours of terminals.
        most_rows: the number of rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """
    page = Page(width, Paint(styled), most_rows, hint)
    blocks = []
    if before and after:
        names = [sentence(f"--- {before}", width=width), sentence(f"+++ {after}", width=width)]
        blocks.append("\n".join(page.paint(line, "bold") for name in names for line in name.splitlines()))
    if diff.identical:
        blocks.append(f"Identical, in structure and in {words.plural(diff.compared, 'entry')}.")
    if not diff.structure.is_empty:
        blocks.append(layers_text(diff.structure, page))
    if diff.tensors:
        blocks += [_weights(diff.tensors, page), sentence(difference_sentence(diff), width=width)]
    elif not diff.identical:
        blocks.append(f"All {words.plural(diff.compared, 'entry')} are the same." if diff.compared else "No weights.")
    return "\n\n".join(blocks)


def difference_sentence(diff: DiffReport) -> str:
    """Returns a sentence with the numbers of weights and entries that differ."""
    weights = words.plural(len(diff.tensors), "weight")
    verb = "differs" if len(diff.tensors) == 1 else "differ"
    if all(tensor.changed is None for tensor in diff.tensors):
        return f"{weights} {verb}."
    changed = sum(tensor.changed or 0 for tensor in diff.tensors)
    part = words.share(changed, diff.compared)
    return f"{weights} {verb}; of {words.plural(diff.compared, 'entry')} compared, {changed:,} changed ({part})."


def _weights(tensors: Sequence[TensorDiff], page: Page) -> str:
    header, rows = tensor_rows(tensors)
    texts = ("", "Weight", "Shape", "Origin")
    columns = [Column(title, is_number=title not in texts, folds=title in texts[1:]) for title in header]
    styles = [GLYPHS[tensor.status][1] for tensor in tensors[: page.most_rows]]
    text = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, styles=styles)
    return "\n".join([text, *page.more(len(rows), 3)])


def tensor_rows(tensors: Sequence[TensorDiff]) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of a table of tensors that differ, without empty columns."""
    header = ["", "Weight", "Shape", "Origin", "Changed", "%", "Relative l2", "Max abs", "Cosine", "Not finite"]
    rows = [_tensor_row(tensor) for tensor in tensors]
    if not any(tensor.non_finite for tensor in tensors):
        header, rows = header[:-1], [row[:-1] for row in rows]
    empty = [index for index in range(3, len(header)) if all(row[index] == words.NOTHING for row in rows)]
    kept = [index for index in range(len(header)) if index not in empty]
    return [header[index] for index in kept], [[row[index] for index in kept] for row in rows]


def _tensor_row(tensor: TensorDiff) -> list[str]:
    changed = tensor.changed
    return [
        GLYPHS[tensor.status][0],
        f"{tensor.layer}/{tensor.weight}",
        _forms(tensor),
        words.NOTHING if tensor.origin is None else origin_in_words(tensor.origin),
        words.NOTHING if changed is None else words.count(changed),
        words.NOTHING if changed is None else words.share(changed, tensor.elements),
        words.number(tensor.relative_l2),
        words.number(tensor.max_abs),
        words.cosine(tensor.cosine),
        words.NOTHING if tensor.non_finite is None else words.count(tensor.non_finite),
    ]


def _forms(tensor: TensorDiff) -> str:
    """Returns the shape, and the shape before and the dtypes if they differ."""
    text = words.shape(tensor.shape)
    if tensor.shape_before != tensor.shape:
        text = f"{words.shape(tensor.shape_before)} → {text}"
    if tensor.dtype_before != tensor.dtype:
        text += f" ({tensor.dtype_before} → {tensor.dtype})"
    return text
