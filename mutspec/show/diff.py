"""Diffs as text for people."""

from __future__ import annotations

from collections.abc import Sequence

from mutspec.show.layers import LayerChange, StructureDiff

from mutspec.show.diff import DiffReport, TensorDiff, TensorStatus
from mutspec.text import words
from mutspec.text.layout import MOST_ROWS, Column, Page, Paint, Style, sentence, table

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
    """What differs between two models: layers with `+`, `-` and `~`, then a table of the weights.

    Arguments:
        diff: the diff.
        before: how to call the model before; left out, the models are not named.
        after: how to call the model after.
        width: of the page, in columns.
        styled: whether to use the colours of terminals.
        most_rows: how many rows of a table to show; None for all.
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
        blocks.append(_structure(diff.structure, page))
    if diff.tensors:
        blocks += [_weights(diff.tensors, page), sentence(difference_sentence(diff), width=width)]
    elif not diff.identical:
        blocks.append(f"All {words.plural(diff.compared, 'entry')} are the same." if diff.compared else "No weights.")
    return "\n\n".join(blocks)


def difference_sentence(diff: DiffReport) -> str:
    """How many weights and entries differ."""
    weights = words.plural(len(diff.tensors), "weight")
    verb = "differs" if len(diff.tensors) == 1 else "differ"
    if all(tensor.changed is None for tensor in diff.tensors):
        return f"{weights} {verb}."
    changed = sum(tensor.changed or 0 for tensor in diff.tensors)
    part = words.share(changed, diff.compared)
    return f"{weights} {verb}; of {words.plural(diff.compared, 'entry')} compared, {changed:,} changed ({part})."


def _structure(structure: StructureDiff, page: Page) -> str:
    lines: list[tuple[str, Style, str]] = [
        *(("+", "green", _typed(layer.path, layer.class_name)) for layer in structure.added),
        *(("-", "red", _typed(layer.path, layer.class_name)) for layer in structure.removed),
        *(("~", "yellow", layer_change(change)) for change in structure.changed),
        *(("~", "yellow", f"the model's {ports}") for ports in structure.ports),
    ]
    text = [page.paint("Layers", "bold")]
    for glyph, style, line in lines[: page.most_rows]:
        first, *rest = sentence(line, width=page.width, indent=2).splitlines()
        text += [page.paint(glyph, style) + first[1:], *("  " + each for each in rest)]
    return "\n".join([*text, *page.more(len(lines), 2)])


def _typed(path: str, class_name: str) -> str:
    return f"{path} ({class_name})" if class_name else path


def layer_change(change: LayerChange) -> str:
    """What differs in a layer, on one line."""
    kind = change.type if change.type == change.type_before else f"{change.type_before} → {change.type}"
    parts = [f"{item.key} {words.flow(item.before)} → {words.flow(item.after)}" for item in change.config]
    parts += ["other inputs"] * change.calls + ["moved"] * change.moved + ["other sharing"] * change.sharing
    return f"{_typed(change.layer, kind)}: {', '.join(parts)}" if parts else _typed(change.layer, kind)


def _weights(tensors: Sequence[TensorDiff], page: Page) -> str:
    header, rows = tensor_rows(tensors)
    texts = ("", "Weight", "Shape")
    columns = [Column(title, is_number=title not in texts, folds=title in texts[1:]) for title in header]
    styles = [GLYPHS[tensor.status][1] for tensor in tensors[: page.most_rows]]
    text = table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, styles=styles)
    return "\n".join([text, *page.more(len(rows), 3)])


def tensor_rows(tensors: Sequence[TensorDiff]) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of a table of tensors that differ; columns that say nothing are left out."""
    header = ["", "Weight", "Shape", "Changed", "%", "Relative l2", "Max abs", "Cosine", "Not finite"]
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
        words.NOTHING if changed is None else words.count(changed),
        words.NOTHING if changed is None else words.share(changed, tensor.elements),
        words.number(tensor.relative_l2),
        words.number(tensor.max_abs),
        words.cosine(tensor.cosine),
        words.NOTHING if tensor.non_finite is None else words.count(tensor.non_finite),
    ]


def _forms(tensor: TensorDiff) -> str:
    """The shape, with what it was before, and the dtypes if they differ."""
    text = words.shape(tensor.shape)
    if tensor.shape_before != tensor.shape:
        text = f"{words.shape(tensor.shape_before)} → {text}"
    if tensor.dtype_before != tensor.dtype:
        text += f" ({tensor.dtype_before} → {tensor.dtype})"
    return text
