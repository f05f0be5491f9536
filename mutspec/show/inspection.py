"""The content of a model file, and the selection of a target in it, as a value, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mutspec.language.types import Target
from mutspec.model.files.archive import Archive
from mutspec.model.select import Selection, SelectorIndex
from mutspec.model.spec import LayerSpec, ModelSpec, TensorSpec
from mutspec.text import words
from mutspec.text.layout import Column, Paint, Style, paragraph, sentence, table
from mutspec.text.visible import in_one_line

FORMAT_VERSION = 1
_MOST_SOURCES = 8
"""The most layers that a layer is said to read."""


@dataclass(frozen=True)
class Digests:
    """What models are compared by, by path.

    Arguments:
        weights: the dtype and shape of each weight, with a digest of its bytes, as in a fingerprint.
        layers: the class of each layer, with a digest of its configuration and calls, as in a lock.
    """

    weights: Mapping[str, str]
    layers: Mapping[str, str]


_NONE = Digests({}, {})


@dataclass(frozen=True)
class Inspection:
    """A model file, and the selection of a target in it.

    Arguments:
        archive: the file.
        target: the target as it was written, if there is one.
        selection: the layers and tensors that it selects.
        digests: of what is to be shown; None if they were not asked for.
    """

    archive: Archive
    target: str | None = None
    selection: Selection | None = None
    digests: Digests | None = None

    @property
    def layers(self) -> tuple[LayerSpec, ...]:
        """The layers to show: the selected ones, or all."""
        return self.archive.spec.layers if self.selection is None else self.selection.layers

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The tensors to show: the selected ones, or all."""
        return self.archive.spec.tensors if self.selection is None else self.selection.tensors

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON document that `schemas/inspect.schema.json` describes."""
        spec = self.archive.spec
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "file": {
                "path": str(self.archive.path),
                "kind": str(self.archive.kind),
                "keras_version": self.archive.keras_version or None,
            },
            "model": {
                "name": spec.name or None,
                "type": spec.class_name or None,
                "is_partial": spec.is_partial,
                "structure_digest": spec.structure_digest,
                "layers": len(spec.layers),
                "parameters": spec.parameters,
            },
            "target": self.target,
            "notes": [] if self.selection is None else list(self.selection.notes),
            "elements": sum(tensor.size for tensor in self.tensors),
            "layers": [
                _layer_as_json(layer, owned, self.digests or _NONE)
                for layer, owned in by_layer(self.layers, self.tensors)
            ],
        }
        return document


def inspect(archive: Archive, target: Target | None = None, written: str = "") -> Inspection:
    """Inspects a model file.

    Arguments:
        archive: the file.
        target: the target to select in it, if there is one.
        written: the target as it was written.

    Raises:
        PlanError: the target selects nothing; the paths of the problems begin at the target.
    """
    if target is None:
        return Inspection(archive)
    return Inspection(archive, written, SelectorIndex(archive.spec).tensors(target))


def by_layer(
    layers: Iterable[LayerSpec], tensors: Iterable[TensorSpec]
) -> Iterator[tuple[LayerSpec, tuple[TensorSpec, ...]]]:
    """Yields each layer with its own tensors."""
    owned: dict[str, list[TensorSpec]] = {}
    for tensor in tensors:
        owned.setdefault(tensor.layer, []).append(tensor)
    for layer in layers:
        yield layer, tuple(owned.get(layer.path, ()))


def _layer_as_json(layer: LayerSpec, tensors: tuple[TensorSpec, ...], digests: Digests) -> dict[str, Any]:
    return {
        "layer": layer.path,
        "type": layer.class_name or None,
        "aliases": list(layer.aliases),
        **_digest_of(layer.path, digests.layers),
        "weights": [
            {
                "weight": tensor.role,
                "path": tensor.path,
                "group": tensor.group.value,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "elements": tensor.size,
                "aliases": list(tensor.aliases),
                **_digest_of(tensor.path, digests.weights),
            }
            for tensor in tensors
        ],
    }


def _digest_of(path: str, digests: Mapping[str, str]) -> dict[str, str]:
    return {"digest": digests[path]} if path in digests else {}


def inspect_text(inspection: Inspection, *, weights: bool = True, width: int = 80, styled: bool = False) -> str:
    """Formats a model file as a table of its layers.

    Arguments:
        inspection: the model file.
        weights: whether each weight has a row, instead of each layer.
        width: the number of columns of the page.
        styled: whether to use the colours of terminals.
    """
    paint = Paint(styled)
    spec = inspection.archive.spec
    blocks = [_head(inspection, width, paint)]
    blocks.append(_weight_table(inspection, width, paint) if weights else _layer_table(inspection, width, paint))
    if inspection.selection is not None:
        blocks += [sentence(f"Note: {note}.", width=width) for note in inspection.selection.notes]
        blocks.append(sentence(selection_sentence(inspection.selection, spec), width=width))
    return "\n\n".join(blocks)


def digests_text(inspection: Inspection, digests: Digests) -> str:
    """Formats a model file as lines to compare: one for the model, one for each weight, one for each layer.

    A line depends on nothing but what it is about: no column is as wide as the longest name, and nothing is numbered.
    So if a weight changes, its line alone does. The titles are not indented, because `git diff` repeats such a line
    above each difference.
    """
    spec = inspection.archive.spec
    about = [
        spec.name,
        spec.class_name,
        words.plural(len(spec.layers), "layer"),
        words.plural(spec.parameters, "parameter"),
        spec.structure_digest,
    ]
    sections = {"model": [about]}
    if digests.weights:
        sections["weights"] = [
            [_name(each.path, each.aliases), digests.weights[each.path]] for each in inspection.tensors
        ]
    if inspection.layers:
        sections["layers"] = [
            [_name(each.path, each.aliases), digests.layers.get(each.path, each.class_name), _sources(each)]
            for each in inspection.layers
        ]
    return "\n\n".join("\n".join([title, *map(_line, rows)]) for title, rows in sections.items())


def _line(parts: Sequence[str]) -> str:
    return in_one_line("  ".join(["", *filter(None, parts)]).rstrip())


def _sources(layer: LayerSpec) -> str:
    """Names the layers that a layer reads: `from conv_1, conv_2`, with a semicolon between its calls."""
    total = sum(len(call.inputs) for call in layer.calls)
    shown = islice(((number, ref) for number, call in enumerate(layer.calls) for ref in call.inputs), _MOST_SOURCES)
    text, last = "", 0
    for number, ref in shown:
        text += ("from " if not text else ", " if number == last else "; ") + ref.layer
        last = number
    return text + (f" and {total - _MOST_SOURCES} more" if total > _MOST_SOURCES else "")


def _weight_table(inspection: Inspection, width: int, paint: Paint) -> str:
    """Formats a table with a row for each layer, and below it a row for each of its weights."""
    columns = [
        Column("Layer, weight", folds=True),
        Column("Class, group", folds=True),
        Column("Shape"),
        Column("Dtype"),
        Column("Entries", is_number=True),
    ]
    rows: list[list[str]] = []
    styles: list[Style] = []
    for layer, tensors in by_layer(inspection.layers, inspection.tensors):
        rows.append([_name(layer.path, layer.aliases), layer.class_name, "", "", ""])
        rows += [_weight_row(tensor) for tensor in tensors]
        styles.append("bold")
        styles.extend("" for _ in tensors)
    if len({tensor.dtype for tensor in inspection.tensors}) == 1:
        columns, rows = columns[:3] + columns[4:], [row[:3] + row[4:] for row in rows]
    return table(columns, rows, width=width, paint=paint, styles=styles)


def _weight_row(tensor: TensorSpec) -> list[str]:
    name = f"  {_name(tensor.role, tensor.aliases)}"
    return [name, tensor.group.value, words.shape(tensor.shape), tensor.dtype, words.count(tensor.size)]


def _layer_table(inspection: Inspection, width: int, paint: Paint) -> str:
    """Formats a table with a row for each layer."""
    columns = [
        Column("Layer", folds=True, style="bold"),
        Column("Class", folds=True),
        Column("Weights", is_number=True),
        Column("Entries", is_number=True),
    ]
    rows = []
    for layer, tensors in by_layer(inspection.layers, inspection.tensors):
        counts = (
            [words.count(len(tensors)), words.count(sum(tensor.size for tensor in tensors))] if tensors else ["", ""]
        )
        rows.append([_name(layer.path, layer.aliases), layer.class_name, *counts])
    return table(columns, rows, width=width, paint=paint)


def _head(inspection: Inspection, width: int, paint: Paint) -> str:
    archive, spec = inspection.archive, inspection.archive.spec
    title = sentence(str(archive.path), width=width).splitlines()
    dtypes = {tensor.dtype for tensor in inspection.tensors}
    names = " ".join(each for each in (spec.class_name, f"`{spec.name}`" if spec.name else "") if each)
    facts = [
        *([f"{names} model"] if names else []),
        f"{archive.kind} file" + (f" of Keras {archive.keras_version}" if archive.keras_version else ""),
        words.plural(len(spec.layers), "layer"),
        words.plural(spec.parameters, "parameter") + (f", all {dtypes.pop()}" if len(dtypes) == 1 else ""),
    ]
    lines = [*(paint(line, "bold") for line in title), paragraph(facts, width=width)]
    if spec.is_partial:
        note = "Only weights: classes and graph are not known; give them with --architecture FILE."
        lines += [paint(line, "yellow") for line in sentence(note, width=width).splitlines()]
    return "\n".join(lines)


def _name(path: str, aliases: Sequence[str]) -> str:
    return f"{path} (= {', '.join(aliases)})" if aliases else path


def selection_sentence(selection: Selection, spec: ModelSpec) -> str:
    """Returns a sentence with the numbers of selected weights, layers and entries."""
    size = sum(tensor.size for tensor in selection.tensors)
    weights, layers = words.plural(len(selection.tensors), "weight"), words.plural(len(selection.layers), "layer")
    entries = words.plural(spec.parameters, "entry")
    return f"Chooses {weights} of {layers}: {size:,} of {entries} ({words.share(size, spec.parameters)})."
