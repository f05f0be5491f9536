"""The report on a dry-run or an application, as a value, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutspec.errors import Problem
from mutspec.language.plan import Use
from mutspec.lowering.copies import CopiedFrom, SkippedWeight
from mutspec.lowering.origins import WeightOrigin
from mutspec.show.check import MutantCheck, check_lines
from mutspec.show.copies import copied_as_json, copy_lines, skipped_as_json
from mutspec.show.groups import group_as_json, groups_lines
from mutspec.show.layers import StructureDiff, layers_as_json
from mutspec.show.origins import are_worth_saying, origin_as_json, origins_sentence, origins_table
from mutspec.show.uses import use_as_json, use_sentence, uses_before
from mutspec.structure.coupling.coupled_group import CoupledGroup
from mutspec.structure.layer_edit import EditKind, LayerEdit, former_path
from mutspec.text import words
from mutspec.text.layout import MOST_ROWS, Column, Page, Paint, paragraph, sentence, table
from mutspec.text.visible import in_one_line

if TYPE_CHECKING:
    from mutspec.structure.multiply_adds import MultiplyAdds  # a plan of weight steps does not load it

FORMAT_VERSION = 1
"""The version of the JSON documents that mutspec prints."""


@dataclass(frozen=True, slots=True)
class TargetReport:
    """The effect of a step on one tensor.

    Arguments:
        layer: the path of the layer that owns it.
        weight: its role.
        shape, dtype: the stored shape and dtype.
        elements: the number of its entries.
        touched: the number of entries that the step chooses.
        changed: the number of entries of which a bit changes; None in a dry-run.
        may_change: whether an entry may change, as far as is known without values.
        own_path: its path, if that is not the layer's path and its role.
        copied: where its values come from, if the step copies them from another weight.
    """

    layer: str
    weight: str
    shape: tuple[int, ...]
    dtype: str
    elements: int
    touched: int
    changed: int | None
    may_change: bool = True
    own_path: str = ""
    copied: CopiedFrom | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether no entry changes; in a dry-run, whether that is certain."""
        return not (self.touched and self.may_change) if self.changed is None else self.changed == 0

    @property
    def path(self) -> str:
        """The tensor's path."""
        return self.own_path or f"{self.layer}/{self.weight}"


_IN_JSON = tuple(name for name in TargetReport.__slots__ if name not in ("own_path", "copied"))


@dataclass(frozen=True, slots=True)
class StepReport:
    """The effect of a step on its targets, in the order of the model.

    Arguments:
        id, op: the id and the op of the step.
        targets: the effects on tensors.
        parameters: its other keys in the resolved plan.
        edits: the effects on layers.
        skipped: the weights that it leaves as they are because nothing fits them.
        coupled: the groups of layers of which it changes the widths together.
    """

    id: str
    op: str
    targets: tuple[TargetReport, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    edits: tuple[LayerEdit, ...] = ()
    skipped: tuple[SkippedWeight, ...] = ()
    coupled: tuple[CoupledGroup, ...] = ()

    @property
    def other_edits(self) -> tuple[LayerEdit, ...]:
        """The effects on layers that are not those of its groups."""
        members = {member.layer for group in self.coupled for member in group.members}
        return tuple(edit for edit in self.edits if edit.layer not in members)


@dataclass(frozen=True, slots=True)
class InputReport:
    """Another model that a plan reads: its name in the plan, its file or own name, and the digest of its structure."""

    name: str
    path: str
    structure_digest: str

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "path": self.path, "structure_digest": self.structure_digest}


@dataclass(frozen=True, slots=True)
class Report:
    """The effect of a plan on a model.

    Arguments:
        engine: the engine's name and version.
        plan_name, plan_digest, seed: the name, digest and seed of the resolved plan.
        model: the model file, or the name of a model in memory.
        structure_digest: the digest of the model's structure, without values.
        warnings: the warnings for the user.
        steps: the effect of each step.
        parameters_before, parameters_after: the numbers of entries of all tensors.
        output: the file that was written; None in a dry-run.
        layers: the number of the model's layers.
        structure: the layers that the mutant has in addition, not any more, or changed.
        inputs: the other models that were read, by name.
        check: the check of the mutant in Keras, if there was one.
        origins: where the values of each of the mutant's weights come from.
        needs_keras: why Keras has to build the mutant, as the end of a sentence; empty if mutspec writes its file.
        asked_keras: the names of the layers about which alone Keras was asked, as only it knows the shapes that they
            make; empty if it has to build the mutant.
        multiply_adds: the multiply–adds for one sample before and after the plan; None if it is not structural.
        uses: the recipes that the plan uses, and the steps that come from each.
        sidecar: the file beside the output that holds its provenance; None if there is none.
    """

    engine: str
    plan_name: str
    plan_digest: str
    seed: int
    model: str
    structure_digest: str
    warnings: tuple[Problem, ...]
    steps: tuple[StepReport, ...]
    parameters_before: int
    parameters_after: int
    output: Path | None
    layers: int = 0
    structure: StructureDiff = field(default_factory=StructureDiff)
    inputs: tuple[InputReport, ...] = ()
    check: MutantCheck | None = None
    origins: tuple[WeightOrigin, ...] = ()
    needs_keras: str = ""
    asked_keras: tuple[str, ...] = ()
    multiply_adds: tuple[MultiplyAdds, MultiplyAdds] | None = None
    uses: tuple[Use, ...] = ()
    sidecar: Path | None = None

    def __str__(self) -> str:
        return report_text(self)

    @property
    def changes_nothing(self) -> bool:
        """Whether the mutant certainly predicts the same as the model; in a dry-run, whether that is known."""
        return changes_nothing(self.steps)

    def with_warnings(self, warnings: tuple[Problem, ...]) -> Report:
        """Returns the same report with further warnings."""
        return replace(self, warnings=(*self.warnings, *warnings))

    def to_json(self) -> dict[str, Any]:
        """Returns the JSON document that `schemas/apply.schema.json` describes."""
        return {
            "format_version": FORMAT_VERSION,
            "engine": self.engine,
            "plan": {"name": self.plan_name, "digest": self.plan_digest},
            "model": {"path": self.model, "structure_digest": self.structure_digest},
            **({"inputs": [each.to_json() for each in self.inputs]} if self.inputs else {}),
            "seed": self.seed,
            "warnings": [problem.message for problem in self.warnings],
            **({"uses": [use_as_json(each) for each in self.uses]} if self.uses else {}),
            "steps": [
                {
                    "id": step.id,
                    "op": step.op,
                    "targets": [_target_as_json(target) for target in step.targets],
                    **({"layers": [_edit_as_json(edit) for edit in step.edits]} if step.edits else {}),
                    **({"coupled": [group_as_json(group) for group in step.coupled]} if step.coupled else {}),
                    **({"skipped": [skipped_as_json(each) for each in step.skipped]} if step.skipped else {}),
                }
                for step in self.steps
            ],
            "layers": layers_as_json(self.structure),
            **({"ports": list(self.structure.ports)} if self.structure.ports else {}),
            "parameters": {"before": self.parameters_before, "after": self.parameters_after},
            **({} if self.multiply_adds is None else {"multiply_adds": _multiply_adds_as_json(*self.multiply_adds)}),
            **({"tensors": [origin_as_json(each) for each in self.origins]} if self.origins else {}),
            "output": None if self.output is None else str(self.output),
            **({} if self.sidecar is None else {"sidecar": str(self.sidecar)}),
            **({"needs_keras": self.needs_keras} if self.needs_keras else {}),
            **({"asked_keras": list(self.asked_keras)} if self.asked_keras else {}),
            **({} if self.check is None else {"check": self.check.to_json()}),
        }


def _target_as_json(target: TargetReport) -> dict[str, Any]:
    document = {name: getattr(target, name) for name in _IN_JSON} | {"shape": list(target.shape)}
    return document if target.copied is None else document | {"copied_from": copied_as_json(target.copied)}


def _edit_as_json(edit: LayerEdit) -> dict[str, Any]:
    document = {"layer": edit.layer, "type": edit.type, "edit": edit.kind.value, "parameters": edit.parameters}
    more = {"before": edit.before, "new_weights": list(edit.new_weights)}
    return document | {key: value for key, value in more.items() if value}


def _multiply_adds_as_json(before: MultiplyAdds, after: MultiplyAdds) -> dict[str, Any]:
    unknown = before.unknown or after.unknown
    return {"before": before.count, "after": after.count} | ({"unknown": unknown} if unknown else {})


def changes_nothing(steps: Iterable[StepReport]) -> bool:
    """Returns whether a mutant certainly predicts the same as its model.

    That is so if no step changes a weight, or a layer that acts when the model predicts.
    """
    return all(
        all(target.is_unchanged for target in step.targets) and all(edit.keeps_predictions for edit in step.edits)
        for step in steps
    )


def report_text(
    report: Report, *, width: int = 80, styled: bool = False, most_rows: int | None = MOST_ROWS, hint: str = ""
) -> str:
    """Formats a report: a head, a table for each step, warnings, and totals.

    Arguments:
        report: the report.
        width: the number of columns of the page.
        styled: whether to use the colours of terminals.
        most_rows: the number of rows of a table to show; None for all.
        hint: how to see the rows that are not shown.
    """
    page = Page(width, Paint(styled), most_rows, hint)
    steps = [
        "\n".join([*_uses(step, report.uses, page), _step(number, step, page)])
        for number, step in enumerate(report.steps, start=1)
    ]
    blocks = [_head(report, page), *steps]
    if most_rows is None and are_worth_saying(report.origins):
        blocks.append(origins_table(report.origins, page))
    blocks.append("\n".join(_totals(report, width)))
    if report.warnings:
        blocks.insert(-1, "\n".join(_warning(problem, page) for problem in report.warnings))
    return "\n\n".join(blocks)


def _head(report: Report, page: Page) -> str:
    title = sentence(f"{report.plan_name} on {report.model}", width=page.width)
    facts = [
        *(["dry-run"] if report.output is None else []),
        f"seed {report.seed}",
        words.plural(report.layers, "layer"),
        parameters(report),
        *multiply_adds(report),
        *(f"input {each.name}: {each.path}" for each in report.inputs),
    ]
    return "\n".join([*(page.paint(line, "bold") for line in title.splitlines()), paragraph(facts, width=page.width)])


def parameters(report: Report) -> str:
    """Returns the number of parameters, with the number after the plan if that differs."""
    before, after = report.parameters_before, report.parameters_after
    return words.plural(before, "parameter") if before == after else f"{before:,} → {after:,} parameters"


def multiply_adds(report: Report) -> list[str]:
    """Returns the multiply–adds before and after the plan, and the change in percent, if they are known and differ."""
    before, after = (each.count for each in report.multiply_adds) if report.multiply_adds else (None, None)
    if before is None or after is None or before == after:
        return []
    return [f"multiply–adds {words.from_to(before, after)}"]


def _uses(step: StepReport, uses: Iterable[Use], page: Page) -> list[str]:
    """Returns the lines before a step that say which recipes begin with it."""
    return [
        page.paint(line, "bold")
        for use in uses_before(step.id, uses)
        for line in sentence(use_sentence(use), width=page.width).splitlines()
    ]


def _step(number: int, step: StepReport, page: Page) -> str:
    indent = len(f"{number}  ")
    name = f" [{step.id}]" if step.id != step.op else ""
    lines = [page.paint(f"{number}  {step.op}", "bold") + name]
    if step.parameters:
        parts = [f"{key}: {words.flow(value)}" for key, value in step.parameters.items()]
        lines += [page.paint(line, "dim") for line in paragraph(parts, width=page.width, indent=indent).splitlines()]
    lines += [" " * indent + in_one_line(edit_sentence(edit)) for edit in step.other_edits]
    lines += groups_lines(step.coupled, page, indent)
    if not step.targets:
        return "\n".join([*lines, *([] if step.edits else [" " * indent + "touches nothing"])])
    header, rows = target_rows(step)
    copies = copy_lines(step.targets, step.skipped)
    columns = [Column(title, is_number=title in _NUMBERS, folds=title == "Weight") for title in header]
    lines.append(table(columns, rows[: page.most_rows], width=page.width, paint=page.paint, indent=indent))
    lines += page.more(len(rows), indent)
    for line in copies[: page.most_rows]:
        lines += sentence(line, width=page.width, indent=indent).splitlines()
    return "\n".join([*lines, *page.more(len(copies), indent)])


def edit_sentence(edit: LayerEdit) -> str:
    """Describes the effect on a layer: `+ more (Dense), 42 parameters` or `~ conv (Conv2D): + bias, 8 parameters`."""
    mark = {EditKind.ADDED: "+", EditKind.REMOVED: "-"}.get(edit.kind, "~")
    name = f"{edit.before} → {edit.layer}" if edit.before else edit.layer
    count = f", {words.plural(edit.parameters, 'parameter')}" if edit.parameters else ""
    new = ":" + ",".join(f" + {each}" for each in edit.new_weights) if edit.new_weights else ""
    return f"{mark} {name} ({edit.type}){new}{count}{_EFFECTS.get(edit.kind, '')}"


_EFFECTS = {
    EditKind.REWIRED: ": called on other tensors",
    EditKind.OUTPUT_ADDED: ": now an output of the model",
    EditKind.OUTPUT_REMOVED: ": not an output of the model any more",
}


_NUMBERS = frozenset({"Entries", "Touched", "Changed"})


def target_rows(step: StepReport) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of a step's table, with a row for each tensor."""
    is_applied = any(target.changed is not None for target in step.targets)
    header = ["Weight", "Shape", "Dtype", "Entries", "Touched", *(["Changed"] if is_applied else [])]
    rows = [
        [
            f"{target.layer}/{target.weight}",
            words.shape(target.shape),
            target.dtype,
            words.count(target.elements),
            words.count(target.touched),
            *([words.count(target.changed or 0)] if is_applied else []),
        ]
        for target in step.targets
    ]
    return header, rows


def _totals(report: Report, width: int) -> Iterator[str]:
    yield sentence(touched_sentence(report), width=width)
    if report.check is not None:
        yield from (sentence(line, width=width) for line in check_lines(report.check))
    if origins := origins_sentence(report.origins):
        yield sentence(origins, width=width)
    if keras := keras_sentence(report):
        yield sentence(keras, width=width)
    beside = "" if report.sidecar is None else f", and {report.sidecar}"
    yield "Nothing was written." if report.output is None else sentence(f"Wrote {report.output}{beside}", width=width)


def touched_sentence(report: Report) -> str:
    """Returns a sentence with the number of touched entries.

    An entry that several steps touch counts once. Where it is not known whether they overlap, the number is an upper
    bound.
    """
    sizes: dict[tuple[str, str], int] = {}
    touched: dict[tuple[str, str], list[int]] = {}
    for step in report.steps:
        for target in step.targets:
            if target.touched:
                key = (target.layer, target.weight)
                sizes[key] = target.elements
                touched.setdefault(key, []).append(target.touched)
    least = sum(max(counts) for counts in touched.values())
    most = sum(min(sizes[key], sum(counts)) for key, counts in touched.items())
    if not touched:
        return layers_sentence(report) or "Touches nothing."
    bound = "" if least == most else "at most "
    entries = max(report.parameters_before, report.parameters_after)
    tense = "Touches" if report.output is None else "Touched"
    part, weights = words.share(most, entries), words.plural(len(touched), "weight")
    sentence = f"{tense} {bound}{most:,} of {words.plural(entries, 'entry')} ({part}), in {weights}."
    return " ".join(filter(None, (layers_sentence(report), sentence)))


def layers_sentence(report: Report) -> str:
    """Returns a sentence with what happens to layers and to the model's ports; empty if nothing does."""
    structure, renamed = report.structure, _renamed(report)
    rewired = sum(not change.is_another for change in structure.changed)
    changed = {change.layer for change in structure.changed if change.is_another} | _resized(report)
    counts = {
        "adds": len(structure.added) - renamed,
        "removes": len(structure.removed) - renamed,
        "renames": renamed,
        "changes": len(changed),
        "rewires": rewired,
    }
    parts = [f"{verb} {words.plural(count, 'layer')}" for verb, count in counts.items() if count]
    if structure.ports:
        parts.append(f"changes the model's {' and '.join(structure.ports)}")
    return "" if not parts else f"{', '.join(parts)}.".capitalize()


def _resized(report: Report) -> set[str]:
    """Returns the layers that only have weights of other shapes, as their arguments do not count what changed."""
    elsewhere = {layer.path for layer in (*report.structure.added, *report.structure.removed)}
    members = (member for step in report.steps for group in step.coupled for member in group.members)
    return {member.layer for member in members if member.weights} - elsewhere


def _renamed(report: Report) -> int:
    """Returns how many of the layers that are added to a model, as others are removed, are those under new names."""
    removed = {layer.path for layer in report.structure.removed}
    steps = [{edit.layer: edit.before for edit in step.edits if edit.kind is EditKind.RENAMED} for step in report.steps]
    found = 0
    for layer in report.structure.added:
        path = layer.path
        for former in filter(None, reversed(steps)):
            path = former_path(path, former)
        found += path in removed
    return found


def keras_sentence(report: Report) -> str:
    """Returns a sentence that says what Keras is needed for, and why; empty if nothing needs it."""
    if report.asked_keras:
        names = words.listed(report.asked_keras)
        return f"Keras was asked about {names} alone, as only it knows what shapes such a layer makes."
    verb = "builds" if report.output is None else "built"
    return f"Keras {verb} the mutant: {report.needs_keras}." if report.needs_keras else ""


def _warning(problem: Problem, page: Page) -> str:
    lines = sentence(f"warning: {problem}", width=page.width).splitlines()
    return "\n".join([page.paint(lines[0], "yellow"), *("  " + line for line in lines[1:])])
