"""Layers that differ between two models, as values, as JSON and as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mutspec.model.spec import LayerSpec
from mutspec.text import words
from mutspec.text.layout import Page, Style, sentence


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """One value of a layer's config that differs.

    Arguments:
        key: its dotted key: `kernel_initializer.config.seed`.
        before, after: the JSON values; None if the key is missing.
    """

    key: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class LayerChange:
    """The differences of a layer that both models have.

    Arguments:
        layer: its path.
        type: its class, in the model after.
        type_before: its class in the model before.
        config: the values of its config that differ.
        calls: whether it is called on other tensors, or called more or less often.
        moved: whether it has another position in a Sequential model.
        sharing: whether it or its weights have other aliases.
    """

    layer: str
    type: str
    type_before: str
    config: tuple[ConfigChange, ...] = ()
    calls: bool = False
    moved: bool = False
    sharing: bool = False

    def __bool__(self) -> bool:
        return bool(self.calls or self.moved or self.is_another)

    @property
    def is_another(self) -> bool:
        """Whether its class, its config, or what it shares differs."""
        return bool(self.type != self.type_before or self.config or self.sharing)


@dataclass(frozen=True)
class StructureDiff:
    """The differences in structure.

    Arguments:
        added, removed: layers that only one of the models has, in model order.
        changed: layers that differ, in the order of the model after.
        ports: those of `inputs` and `outputs` of the whole model that differ.
    """

    added: tuple[LayerSpec, ...] = ()
    removed: tuple[LayerSpec, ...] = ()
    changed: tuple[LayerChange, ...] = ()
    ports: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the structures are equal."""
        return not (self.added or self.removed or self.changed or self.ports)


def layers_as_json(structure: StructureDiff) -> dict[str, Any]:
    """Returns `layers` of the JSON documents: the added, removed and changed ones."""
    return {
        "added": [_layer_as_json(layer) for layer in structure.added],
        "removed": [_layer_as_json(layer) for layer in structure.removed],
        "changed": [_change_as_json(change) for change in structure.changed],
    }


def _layer_as_json(layer: LayerSpec) -> dict[str, Any]:
    return {"layer": layer.path, "type": layer.class_name}


def _change_as_json(change: LayerChange) -> dict[str, Any]:
    document: dict[str, Any] = {"layer": change.layer, "type": change.type}
    if change.type != change.type_before:
        document["type_before"] = change.type_before
    document["config"] = [{"key": item.key, "before": item.before, "after": item.after} for item in change.config]
    return document | {"calls": change.calls, "moved": change.moved, "sharing": change.sharing}


def layers_text(structure: StructureDiff, page: Page) -> str:
    """Returns a line for each layer, with `+`, `-` and `~`."""
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
    """Returns the differences of a layer, on one line."""
    kind = change.type if change.type == change.type_before else f"{change.type_before} → {change.type}"
    parts = [f"{item.key} {words.flow(item.before)} → {words.flow(item.after)}" for item in change.config]
    parts += ["other inputs"] * change.calls + ["moved"] * change.moved + ["other sharing"] * change.sharing
    return f"{_typed(change.layer, kind)}: {', '.join(parts)}" if parts else _typed(change.layer, kind)
